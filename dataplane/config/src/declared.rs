//! The tables: every name a document may hold, with its type, bounds, default and doc.

pub(crate) mod filter;
pub(crate) mod listener;
pub(crate) mod route;
pub(crate) mod upstream;

use crate::schema::{Field, Kind, Object, Presence, format};
use Presence::{Default, Optional};

/// A whole document.
pub(crate) static DOCUMENT: Object = Object {
    title: "the document",
    doc: "Configuration of Ringgate. `${NAME}` inside a value takes an environment variable, `$${` \
          stands for a literal `${`.",
    fields: &[
        field(
            "runtime",
            "Which runtime moves the bytes: `ring` is the native io_uring runtime, `portable` \
             works everywhere, `auto` takes the ring where the host allows it and says which it \
             took.",
            Kind::Word(&["auto", "ring", "portable"]),
            Default("auto"),
        ),
        field(
            "workers",
            "How many workers, each a thread of its own; `auto` takes as many as the host has \
             cores for.",
            Kind::Either(&[Kind::Word(&["auto"]), Kind::Count { min: 1, max: 1_024 }]),
            Default("auto"),
        ),
        later("tuning"),
        field(
            "state_dir",
            "A folder for state that outlives the process, such as the last good configuration. \
             Without it nothing is kept.",
            Kind::Text(&format::FILE),
            Optional,
        ),
        field(
            "admin",
            "The admin interface. Without it there is none.",
            Kind::Record(&ADMIN),
            Optional,
        ),
        field("telemetry", "What is recorded.", Kind::Record(&TELEMETRY), Default("{}")),
        field("limits", "Bounds of the whole process.", Kind::Record(&LIMITS), Default("{}")),
        field(
            "timeouts",
            "Time bounds of the whole process.",
            Kind::Record(&TIMEOUTS),
            Default("{}"),
        ),
        field(
            "listeners",
            "Where clients come in.",
            Kind::List { of: &Kind::Record(&listener::LISTENER), min: 1, max: 4_096 },
            Presence::Required,
        ),
        field(
            "upstreams",
            "Where requests go.",
            Kind::List { of: &Kind::Record(&upstream::UPSTREAM), min: 0, max: 200_000 },
            Default("[]"),
        ),
        field(
            "routes",
            "What is done with which request. The most specific match wins, whatever the order: \
             exact host, then longest wildcard, then any host; exact path, then regex, then longest \
             prefix; then a named method, then the number of header and query conditions.",
            Kind::List { of: &Kind::Record(&route::ROUTE), min: 0, max: 1_000_000 },
            Default("[]"),
        ),
        later("ai"),
        later("consumers"),
    ],
    exactly_one: &[],
};

static ADMIN: Object = Object {
    title: "`admin`",
    doc: "The admin interface: health, metrics, configuration. Whoever reaches it may change \
          everything, so keep it on loopback or a unix socket.",
    fields: &[field(
        "address",
        "Where it listens.",
        Kind::Text(&format::LISTEN_ADDRESS),
        Presence::Required,
    )],
    exactly_one: &[],
};

static TELEMETRY: Object = Object {
    title: "`telemetry`",
    doc: "What is recorded. Metrics are always kept, and read from the admin interface.",
    fields: &[field(
        "access_log",
        "One line for each exchange. Without it there is none.",
        Kind::Record(&ACCESS_LOG),
        Optional,
    )],
    exactly_one: &[],
};

static ACCESS_LOG: Object = Object {
    title: "`access_log`",
    doc: "One line for each exchange. Lines are dropped and counted when the target is too slow.",
    fields: &[
        field(
            "path",
            "`stdout`, `stderr`, or the file to append to, reopened on SIGHUP.",
            Kind::Text(&format::FILE),
            Default("stdout"),
        ),
        field("format", "How a line is written.", Kind::Word(&["json"]), Default("json")),
    ],
    exactly_one: &[],
};

static LIMITS: Object = Object {
    title: "`limits`",
    doc: "Bounds of the whole process.",
    fields: &[
        field(
            "connections",
            "Client connections open at once; further ones are refused.",
            Kind::Count { min: 1, max: 16_777_216 },
            Default("1000000"),
        ),
        field(
            "buffered_bytes",
            "Bytes of bodies held in memory at once; beyond it, exchanges are refused with \
             `buffers_exhausted`.",
            Kind::Size { min: 1 << 20, max: 1 << 44 },
            Default("512MiB"),
        ),
    ],
    exactly_one: &[],
};

static TIMEOUTS: Object = Object {
    title: "`timeouts`",
    doc: "Time bounds of the whole process.",
    fields: &[field(
        "drain",
        "How long a drain waits for open exchanges before it cuts them.",
        Kind::Duration { min_ms: 0, max_ms: DAY_MS },
        Default("30s"),
    )],
    exactly_one: &[],
};

pub(crate) const DAY_MS: u64 = 86_400_000;

pub(crate) const fn field(
    name: &'static str,
    doc: &'static str,
    kind: Kind,
    presence: Presence,
) -> Field {
    Field { name, doc, kind, presence }
}

/// A section that a later release accepts; writing it is an error of its own, not an unknown name.
pub(crate) const fn later(name: &'static str) -> Field {
    Field { name, doc: "Not supported by this build.", kind: Kind::Later, presence: Optional }
}
