"""The command line, as operators use it."""

import json
import subprocess
from pathlib import Path

import pytest

from gateway import ROOT, program

BROKEN = sorted((ROOT / "dataplane/config/broken").glob("*.yaml"))


def run(*arguments, **options):
    return subprocess.run([program(), *map(str, arguments)], capture_output=True, text=True, timeout=20, **options)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_check_shows_every_problem_at_its_place(path):
    placed = lambda lines: sorted(line.split(":", 1)[1].strip() for line in lines if line)
    done = run("check", "-c", path.name, cwd=path.parent, env={"WORD": "several", "PORT": "8080", "TOKEN": "c2VjcmV0"})
    expected = path.with_suffix(".expected").read_text().splitlines()
    shown = done.stderr.splitlines()[:-1]
    assert done.returncode == 1 and shown and all(line.startswith(path.name + ":") for line in shown)
    assert placed(shown) == placed(expected)


def test_there_are_at_least_ten_broken_files():
    assert len(BROKEN) >= 10


def test_check_accepts_the_complete_example(tmp_path):
    path = ROOT / "dataplane/config/examples/complete.yaml"
    done = run("check", "-c", path, env={"PORT": "8080", "TOKEN": "t"})
    assert done.returncode == 0 and "no problems" in done.stdout, done.stderr


def test_explain_names_the_route_and_why():
    path = ROOT / "dataplane/config/examples/complete.yaml"
    done = run("explain", "-c", path, "--request", "GET http://x/tea", env={"PORT": "8080", "TOKEN": "t"})
    assert done.returncode == 0 and "route     teapot" in done.stdout and "418" in done.stdout


def test_schema_is_json_schema():
    schema = json.loads(run("schema").stdout)
    assert "$schema" in schema and "listeners" in schema["properties"]


@pytest.mark.parametrize(
    "arguments, code", [((), 2), (("fly",), 2), (("run",), 2), (("run", "-c", "/nowhere.yaml"), 1), (("--help",), 0), (("--version",), 0)]
)
def test_exit_codes(arguments, code):
    done = run(*arguments)
    assert done.returncode == code
    assert code == 0 or len(done.stderr.splitlines()) <= 2
