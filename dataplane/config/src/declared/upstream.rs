//! What an upstream may say.

use crate::declared::{DAY_MS, field, later};
use crate::schema::{Kind, Object, Presence, format};
use Presence::{Default, Optional, Required};

pub(crate) static UPSTREAM: Object = Object {
    title: "an upstream",
    doc: "A named set of endpoints that serve the same thing.",
    fields: &[
        field(
            "name",
            "The name by which routes refer to it; unique among upstreams.",
            Kind::Text(&format::NAME),
            Required,
        ),
        field(
            "balance",
            "How an endpoint is chosen: `p2c` takes the better of two by latency and load, \
             `least_request` the one with the fewest requests under way, `maglev` one by \
             consistent hash of a key.",
            Kind::Either(&[
                Kind::Word(&["round_robin", "p2c", "least_request", "random"]),
                Kind::Record(&BALANCE),
            ]),
            Default("p2c"),
        ),
        field(
            "endpoints",
            "Its members.",
            Kind::List { of: &Kind::Record(&ENDPOINT), min: 1, max: 65_535 },
            Required,
        ),
        field(
            "keepalive",
            "Which connections are kept for reuse.",
            Kind::Record(&KEEPALIVE),
            Default("{}"),
        ),
        field(
            "timeouts",
            "How long an endpoint may take.",
            Kind::Record(&UPSTREAM_TIMEOUTS),
            Default("{}"),
        ),
        field(
            "limits",
            "What one worker may take from it.",
            Kind::Record(&UPSTREAM_LIMITS),
            Default("{}"),
        ),
        field(
            "delayed_ack",
            "Whether reads acknowledge late, which costs fewer packets. A sender that runs \
             Nagle's algorithm then waits up to 40 ms for each small write; `auto` notices that.",
            Kind::Word(&["auto", "on", "off"]),
            Default("auto"),
        ),
        later("tls"),
    ],
    exactly_one: &[],
};

static BALANCE: Object = Object {
    title: "`balance`",
    doc: "An algorithm that needs more than its name.",
    fields: &[field(
        "maglev",
        "Consistent hashing: the same key goes to the same endpoint while it stands.",
        Kind::Record(&MAGLEV),
        Required,
    )],
    exactly_one: &[],
};

static MAGLEV: Object = Object {
    title: "`maglev`",
    doc: "Consistent hashing.",
    fields: &[field(
        "key",
        "What is hashed: `client_ip`, `path`, or `header:NAME`.",
        Kind::Text(&format::BALANCE_KEY),
        Required,
    )],
    exactly_one: &[],
};

static ENDPOINT: Object = Object {
    title: "an endpoint",
    doc: "One member of an upstream.",
    fields: &[
        field(
            "address",
            "Where it listens: address and port, name and port (resolved, and re-resolved), or \
             `unix:` and a path.",
            Kind::Text(&format::ENDPOINT_ADDRESS),
            Required,
        ),
        field(
            "weight",
            "Share of the requests, relative to the other endpoints; 0 gets none.",
            Kind::Count { min: 0, max: 65_535 },
            Default("1"),
        ),
        field("zone", "The zone it stands in.", Kind::Text(&format::NAME), Optional),
    ],
    exactly_one: &[],
};

static KEEPALIVE: Object = Object {
    title: "`keepalive`",
    doc: "Which upstream connections are kept for reuse.",
    fields: &[
        field(
            "idle_per_worker",
            "Idle connections that one worker keeps; 0 keeps none.",
            Kind::Count { min: 0, max: 65_535 },
            Default("64"),
        ),
        field(
            "idle_timeout",
            "For how long. Keep it below the endpoint's own.",
            Kind::Duration { min_ms: 1, max_ms: DAY_MS },
            Default("60s"),
        ),
    ],
    exactly_one: &[],
};

static UPSTREAM_TIMEOUTS: Object = Object {
    title: "`timeouts` of an upstream",
    doc: "How long an endpoint may take.",
    fields: &[field(
        "connect",
        "Until a connection is open; then the next endpoint is tried.",
        Kind::Duration { min_ms: 1, max_ms: 3_600_000 },
        Default("5s"),
    )],
    exactly_one: &[],
};

static UPSTREAM_LIMITS: Object = Object {
    title: "`limits` of an upstream",
    doc: "What one worker may take from an upstream.",
    fields: &[
        field(
            "connections",
            "Connections open at once, per worker.",
            Kind::Count { min: 1, max: 16_777_216 },
            Default("65535"),
        ),
        field(
            "pending",
            "Requests that wait for a connection, per worker; 503 beyond.",
            Kind::Count { min: 0, max: 1_048_576 },
            Default("1024"),
        ),
    ],
    exactly_one: &[],
};
