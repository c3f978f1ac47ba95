"""Which route serves which request, and what it does with it."""

import collections
import json

import pytest

CONFIG = """
workers: 1
listeners: [ {{ name: web, address: "127.0.0.1:{{port}}" }} ]
upstreams:
  - {{ name: a, endpoints: [ {{ address: "{a}" }} ] }}
  - {{ name: b, endpoints: [ {{ address: "{b}" }} ] }}
routes:
  - {{ name: exact-host, match: {{ hosts: [ api.example.com ], path: {{ prefix: / }} }}, respond: {{ status: 200, body: exact-host }} }}
  - {{ name: wildcard, match: {{ hosts: [ "*.example.com" ], path: {{ prefix: / }} }}, respond: {{ status: 200, body: wildcard }} }}
  - {{ name: long-wildcard, match: {{ hosts: [ "*.eu.example.com" ], path: {{ prefix: / }} }}, respond: {{ status: 200, body: long-wildcard }} }}
  - {{ name: exact, match: {{ path: {{ exact: /p }} }}, respond: {{ status: 200, body: exact }} }}
  - {{ name: regex, match: {{ path: {{ regex: "/p[0-9]+" }} }}, respond: {{ status: 200, body: regex }} }}
  - {{ name: prefix, match: {{ path: {{ prefix: /p }} }}, respond: {{ status: 200, body: prefix }} }}
  - {{ name: longer, match: {{ path: {{ prefix: /p/q/ }} }}, respond: {{ status: 200, body: longer }} }}
  - {{ name: method, match: {{ path: {{ prefix: /p/q/ }}, methods: [ DELETE ] }}, respond: {{ status: 200, body: method }} }}
  - {{ name: header, match: {{ path: {{ prefix: /p/q/ }}, headers: {{ x-canary: "1" }} }}, respond: {{ status: 200, body: header }} }}
  - {{ name: query, match: {{ path: {{ prefix: /p/q/ }}, query: {{ debug: "1" }} }}, respond: {{ status: 200, body: query }} }}
  - {{ name: moved, match: {{ path: {{ prefix: /old }} }}, redirect: {{ status: 301, scheme: https, host: "new.example", prefix: /new }} }}
  - name: edited
    match: {{ path: {{ prefix: /api/ }} }}
    filters:
      - {{ filter: path_rewrite, prefix: / }}
      - {{ filter: header_edit, request: {{ set: {{ x-env: prod }}, remove: [ x-secret ] }}, response: {{ set: {{ x-served: "yes" }}, remove: [ server ] }} }}
    backends: [ {{ upstream: a }} ]
    host_rewrite: inner.example
  - {{ name: split, match: {{ path: {{ prefix: /split }} }}, filters: [ {{ filter: path_rewrite, full: /hello }} ],
       backends: [ {{ upstream: a, weight: 75 }}, {{ upstream: b, weight: 25 }} ] }}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, origin):
    from gateway import Gateway, Origin

    folder = tmp_path_factory.mktemp("routing")
    other = Origin(folder, "other")
    process = Gateway(folder, CONFIG.format(a=origin.address, b=other.address))
    yield process
    process.stop()
    other.stop()


@pytest.mark.parametrize(
    "method, target, headers, served_by",
    [
        ("GET", "/x", {"Host": "api.example.com"}, "exact-host"),
        ("GET", "/x", {"Host": "API.Example.com:8080"}, "exact-host"),
        ("GET", "/x", {"Host": "www.example.com"}, "wildcard"),
        ("GET", "/x", {"Host": "a.eu.example.com"}, "long-wildcard"),
        ("GET", "/p", {}, "exact"),
        ("GET", "/p7", {}, "regex"),
        ("GET", "/p/x", {}, "prefix"),
        ("GET", "/p/q/r", {}, "longer"),
        ("DELETE", "/p/q/r", {}, "method"),
        ("GET", "/p/q/r", {"X-Canary": "1"}, "header"),
        ("GET", "/p/q/r", {"X-Canary": "2"}, "longer"),
        ("GET", "/p/q/r?a=b&debug=1", {}, "query"),
        ("GET", "/p/q/r?debug=12", {}, "longer"),
    ],
)
def test_the_most_specific_route_wins(gateway, method, target, headers, served_by):
    assert gateway.get(target, method, headers).text == served_by


def test_no_route_is_404_with_its_reason(gateway):
    reply = gateway.get("/nothing")
    assert (reply.status, reply.reason) == (404, "no_route")


def test_redirects_keep_the_rest_of_the_path_and_the_query(gateway):
    reply = gateway.get("/old/a/b?c=d")
    assert reply.status == 301 and reply.headers["location"] == "https://new.example/new/a/b?c=d"


def test_edits_reach_the_origin_and_the_client(gateway):
    reply = gateway.get("/api/echo?x=1", headers={"X-Secret": "s", "X-Env": "dev"})
    seen = json.loads(reply.body)
    fields = {name.lower(): value for name, value in seen["headers"]}
    assert seen["target"] == "/echo?x=1" and fields["host"] == "inner.example"
    assert fields["x-env"] == "prod" and "x-secret" not in fields
    assert reply.headers["x-served"] == "yes" and "server" not in reply.headers


def test_weights_share_the_requests(gateway):
    served = collections.Counter(gateway.get("/split").headers["x-origin"] for _ in range(400))
    assert 60 < served["other"] < 140, served
