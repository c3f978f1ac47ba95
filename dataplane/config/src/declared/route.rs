//! What a route may say.

use crate::declared::{DAY_MS, field, filter, later};
use crate::schema::{Kind, Object, Presence, format};
use Presence::{Default, Optional, Required};

pub(crate) static ROUTE: Object = Object {
    title: "a route",
    doc: "What is done with the requests that a match selects.",
    fields: &[
        field(
            "name",
            "Its name in logs and metrics; unique among routes.",
            Kind::Text(&format::NAME),
            Required,
        ),
        field(
            "match",
            "Which requests; all of its conditions must hold. Without it, every request.",
            Kind::Record(&MATCH),
            Default("{}"),
        ),
        field(
            "filters",
            "What edits the request and the response. Filters run in fixed stages, and within a \
             stage in this order.",
            Kind::List { of: &filter::FILTER, min: 0, max: 64 },
            Default("[]"),
        ),
        field(
            "backends",
            "Forwards to these upstreams, by weight.",
            Kind::List { of: &Kind::Record(&BACKEND), min: 1, max: 256 },
            Optional,
        ),
        field("redirect", "Answers with another place.", Kind::Record(&REDIRECT), Optional),
        field("respond", "Answers itself.", Kind::Record(&RESPOND), Optional),
        field(
            "timeouts",
            "How long an exchange may take.",
            Kind::Record(&ROUTE_TIMEOUTS),
            Default("{}"),
        ),
        field(
            "retries",
            "Further endpoints tried while nothing was sent that an endpoint could have acted on.",
            Kind::Count { min: 0, max: 16 },
            Default("2"),
        ),
        field("limits", "What a request may take.", Kind::Record(&ROUTE_LIMITS), Default("{}")),
        field(
            "upgrade",
            "Whether WebSocket, other upgrades and CONNECT are relayed.",
            Kind::Flag,
            Default("true"),
        ),
        field(
            "host_rewrite",
            "What `Host` says to the upstream; without it, what the client said.",
            Kind::Text(&format::AUTHORITY),
            Optional,
        ),
        later("compression"),
    ],
    exactly_one: &["backends", "redirect", "respond"],
};

static MATCH: Object = Object {
    title: "`match`",
    doc: "Which requests; all of its conditions must hold.",
    fields: &[
        field(
            "hosts",
            "One of these hosts. `*.example.org` stands for every name below example.org, `*` for \
             any.",
            Kind::List { of: &Kind::Text(&format::HOST_PATTERN), min: 1, max: 1_024 },
            Optional,
        ),
        field("path", "This path.", Kind::Record(&PATH), Optional),
        field(
            "methods",
            "One of these methods.",
            Kind::List { of: &Kind::Text(&format::METHOD), min: 1, max: 32 },
            Optional,
        ),
        field(
            "headers",
            "Each of these fields, by name: a text it must be equal to, or `exact`, `regex` or \
             `present`.",
            Kind::Map { key: &format::FIELD_NAME, of: &VALUE },
            Default("{}"),
        ),
        field(
            "query",
            "Each of these query parameters, by name, as for `headers`.",
            Kind::Map { key: &format::QUERY_NAME, of: &VALUE },
            Default("{}"),
        ),
    ],
    exactly_one: &[],
};

static PATH: Object = Object {
    title: "`path`",
    doc: "The path, without the query.",
    fields: &[
        field("exact", "This path and no other.", Kind::Text(&format::PATH), Optional),
        field(
            "prefix",
            "This path and all below it, by whole segments: `/v1` stands for `/v1` and `/v1/x`, \
             not for `/v10`.",
            Kind::Text(&format::PATH),
            Optional,
        ),
        field("regex", "Paths that match as a whole.", Kind::Text(&format::REGEX), Optional),
    ],
    exactly_one: &["exact", "prefix", "regex"],
};

static VALUE: Kind = Kind::Either(&[Kind::Text(&format::ANY), Kind::Record(&VALUE_PATTERN)]);

static VALUE_PATTERN: Object = Object {
    title: "a value pattern",
    doc: "What a value must be.",
    fields: &[
        field("exact", "Equal to this.", Kind::Text(&format::ANY), Optional),
        field("regex", "Matching this as a whole.", Kind::Text(&format::REGEX), Optional),
        field("present", "There, whatever it is.", Kind::Word(&["true"]), Optional),
    ],
    exactly_one: &["exact", "regex", "present"],
};

static BACKEND: Object = Object {
    title: "a backend",
    doc: "A weighted reference to an upstream.",
    fields: &[
        field("upstream", "Its name.", Kind::Text(&format::NAME), Required),
        field(
            "weight",
            "Share of the requests, relative to the other backends; 0 gets none.",
            Kind::Count { min: 0, max: 1_000_000 },
            Default("1"),
        ),
    ],
    exactly_one: &[],
};

static REDIRECT: Object = Object {
    title: "`redirect`",
    doc: "Answers with the request's own URL, some of its parts replaced.",
    fields: &[
        field(
            "status",
            "The status: 308 and 307 keep the method, 301, 302 and 303 may not.",
            Kind::Word(&["301", "302", "303", "307", "308"]),
            Default("308"),
        ),
        field("scheme", "The new scheme.", Kind::Word(&["http", "https"]), Optional),
        field("host", "The new host.", Kind::Text(&format::AUTHORITY), Optional),
        field("path", "The new path, as a whole.", Kind::Text(&format::PATH), Optional),
        field(
            "prefix",
            "What stands in place of the matched path prefix.",
            Kind::Text(&format::PATH),
            Optional,
        ),
        field(
            "query",
            "Whether the query goes along.",
            Kind::Word(&["keep", "drop"]),
            Default("keep"),
        ),
    ],
    exactly_one: &[],
};

static RESPOND: Object = Object {
    title: "`respond`",
    doc: "A fixed answer.",
    fields: &[
        field("status", "The status.", Kind::Count { min: 200, max: 599 }, Default("200")),
        field("body", "The body.", Kind::Text(&format::BODY), Default("")),
        field(
            "headers",
            "Fields of the answer. `content-type` is `text/plain; charset=utf-8` unless told.",
            Kind::Map { key: &format::EDITED_NAME, of: &Kind::Text(&format::FIELD_VALUE) },
            Default("{}"),
        ),
    ],
    exactly_one: &[],
};

static ROUTE_TIMEOUTS: Object = Object {
    title: "`timeouts` of a route",
    doc: "How long an exchange may take.",
    fields: &[
        field(
            "request",
            "The whole exchange; 504, or a cut, beyond. Without it there is no such bound.",
            Kind::Duration { min_ms: 1, max_ms: 30 * DAY_MS },
            Optional,
        ),
        field(
            "first_byte",
            "From the end of the request to the head of the response; 504 beyond.",
            Kind::Duration { min_ms: 1, max_ms: DAY_MS },
            Default("60s"),
        ),
        field(
            "idle",
            "While nothing moves in either direction after that; then the exchange is cut.",
            Kind::Duration { min_ms: 1, max_ms: 30 * DAY_MS },
            Default("300s"),
        ),
    ],
    exactly_one: &[],
};

static ROUTE_LIMITS: Object = Object {
    title: "`limits` of a route",
    doc: "What a request may take.",
    fields: &[field(
        "body_bytes",
        "Bytes of a request body; 413 beyond. Without it the listener's bound holds.",
        Kind::Size { min: 0, max: 1 << 50 },
        Optional,
    )],
    exactly_one: &[],
};
