"""What all black-box tests share: an origin, and gateways on every runtime."""

import pytest

from gateway import Gateway, Origin

RUNTIMES = ("ring", "portable", "refused")

PLAIN = """
workers: 1
listeners: [ {{ name: web, address: "127.0.0.1:{{port}}" }} ]
upstreams: [ {{ name: origin, endpoints: [ {{ address: "{origin}" }} ] }} ]
routes: [ {{ name: all, match: {{ path: {{ prefix: / }} }}, backends: [ {{ upstream: origin }} ] }} ]
"""


@pytest.fixture(scope="session")
def origin(tmp_path_factory):
    """The built-in origin, shared by all tests that do not hurt it."""
    process = Origin(tmp_path_factory.mktemp("origin"))
    yield process
    process.stop()


@pytest.fixture(scope="session", params=RUNTIMES)
def gateway(request, origin, tmp_path_factory):
    """A gateway in front of the origin, on each runtime: the ring, the portable one asked for, and
    `auto` where the kernel refuses io_uring."""
    folder = tmp_path_factory.mktemp(request.param)
    process = Gateway(folder, PLAIN.format(origin=origin.address), request.param)
    yield process
    process.stop()


@pytest.fixture
def start(tmp_path, request):
    """Starts gateways by their configuration, and stops them."""
    started = []

    def begin(config, runtime="ring", **options):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Gateway(folder, config, runtime, **options))
        return started[-1]

    yield begin
    for process in started:
        process.stop()


@pytest.fixture
def start_origin(tmp_path):
    """Starts origins of the test's own, and stops them."""
    started = []

    def begin(name, address=None):
        started.append(Origin(tmp_path, name, address))
        return started[-1]

    yield begin
    for process in started:
        if process.process.poll() is None:
            process.stop()
