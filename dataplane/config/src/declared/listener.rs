//! What a listener may say.

use crate::declared::{DAY_MS, field, later};
use crate::schema::{Kind, Object, Presence, format};
use Presence::{Default, Required};

pub(crate) static LISTENER: Object = Object {
    title: "a listener",
    doc: "An address that accepts connections.",
    fields: &[
        field(
            "name",
            "Its name in logs and metrics; unique among listeners.",
            Kind::Text(&format::NAME),
            Required,
        ),
        field(
            "address",
            "Where it listens: an address with port, or `unix:` and a path. Port 0 lets the kernel \
             choose.",
            Kind::Text(&format::LISTEN_ADDRESS),
            Required,
        ),
        field(
            "proxy_protocol",
            "Whether connections begin with a PROXY protocol preamble, version 1 or 2. `accept` \
             believes any client that sends one: use it only behind a balancer.",
            Kind::Word(&["off", "accept", "require"]),
            Default("off"),
        ),
        field("limits", "What clients may take.", Kind::Record(&LISTENER_LIMITS), Default("{}")),
        field(
            "timeouts",
            "How long a client may take.",
            Kind::Record(&LISTENER_TIMEOUTS),
            Default("{}"),
        ),
        field(
            "forwarded",
            "What the upstream is told about the client.",
            Kind::Record(&FORWARDED),
            Default("{}"),
        ),
        field("via", "Whether `Via` is added in both directions.", Kind::Flag, Default("true")),
        field(
            "request_id",
            "Whether a request without `X-Request-Id` gets one.",
            Kind::Flag,
            Default("true"),
        ),
        field(
            "backlog",
            "Length of the accept queue, which the kernel caps at `net.core.somaxconn`.",
            Kind::Count { min: 1, max: 65_535 },
            Default("4096"),
        ),
        later("tls"),
    ],
    exactly_one: &[],
};

static LISTENER_LIMITS: Object = Object {
    title: "`limits` of a listener",
    doc: "What clients of a listener may take.",
    fields: &[
        field(
            "connections",
            "Connections open at once; further ones are refused.",
            Kind::Count { min: 1, max: 16_777_216 },
            Default("100000"),
        ),
        field(
            "head_bytes",
            "Bytes of a request head, request line included; 431 beyond.",
            Kind::Size { min: 512, max: 1 << 20 },
            Default("32KiB"),
        ),
        field(
            "fields",
            "Fields of a request head; 431 beyond.",
            Kind::Count { min: 1, max: 4_096 },
            Default("128"),
        ),
        field(
            "body_bytes",
            "Bytes of a request body; 413 beyond. A route may say otherwise.",
            Kind::Size { min: 0, max: 1 << 50 },
            Default("1GiB"),
        ),
    ],
    exactly_one: &[],
};

static LISTENER_TIMEOUTS: Object = Object {
    title: "`timeouts` of a listener",
    doc: "How long a client of a listener may take.",
    fields: &[
        field(
            "head",
            "For the whole of a request head; 408 beyond.",
            Kind::Duration { min_ms: 1, max_ms: DAY_MS },
            Default("10s"),
        ),
        field(
            "body",
            "Between two reads of a request body; 408 beyond.",
            Kind::Duration { min_ms: 1, max_ms: DAY_MS },
            Default("60s"),
        ),
        field(
            "send",
            "While the client takes nothing of the response; then the connection is cut.",
            Kind::Duration { min_ms: 1, max_ms: DAY_MS },
            Default("60s"),
        ),
        field(
            "keepalive",
            "Between the end of a response and the next request; then the connection is closed.",
            Kind::Duration { min_ms: 0, max_ms: DAY_MS },
            Default("75s"),
        ),
    ],
    exactly_one: &[],
};

static FORWARDED: Object = Object {
    title: "`forwarded`",
    doc: "What the upstream is told about the client's address, scheme and host.",
    fields: &[
        field(
            "mode",
            "In which fields: `x_forwarded` is `X-Forwarded-For`, `-Proto` and `-Host`, `rfc7239` \
             is `Forwarded`.",
            Kind::Word(&["x_forwarded", "rfc7239", "both", "off"]),
            Default("x_forwarded"),
        ),
        field(
            "trust",
            "Whether what the client sent in these fields is kept and appended to. Where it is \
             not, it is replaced.",
            Kind::Flag,
            Default("false"),
        ),
    ],
    exactly_one: &[],
};
