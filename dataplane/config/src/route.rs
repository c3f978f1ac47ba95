//! What is done with a request.

use std::time::Duration;

use filters::Chain;

/// What is done with the requests that a match selects.
pub struct Route {
    /// Unique among routes.
    pub name: String,
    /// Dense number of the name, the same over generations.
    pub slot: u32,
    /// Forward, redirect or answer.
    pub action: Action,
    /// What edits the request and the response on the way.
    pub chain: Chain,
    /// What the chain does, one line for each filter in the order of the file, for people.
    pub filters: Vec<String>,
    /// How long an exchange may take.
    pub timeouts: RouteTimeouts,
    /// Further endpoints tried while nothing was sent that an endpoint could have acted on.
    pub retries: u8,
    /// Bytes of a request body; the listener's bound where absent.
    pub body_bytes: Option<u64>,
    /// Whether `Upgrade` and CONNECT are relayed.
    pub upgrade: bool,
    /// What `Host` says to the upstream; what the client said where absent.
    pub host_rewrite: Option<String>,
}

/// The one thing a route does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Forwards to one of several upstreams.
    Forward {
        /// At least one.
        backends: Vec<Backend>,
        /// Sum of the weights; never 0.
        weight_total: u32,
    },
    /// Answers with another place.
    Redirect(Redirect),
    /// Answers itself.
    Respond(Respond),
}

/// A route's weighted reference to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Index into [`crate::Snapshot::upstreams`].
    pub upstream: u32,
    /// Share of the requests, relative to the other backends; 0 gets none.
    pub weight: u32,
}

/// A `Location` made from the request's own target, with some of its parts replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Scheme of the new place; the request's own where absent.
    pub scheme: Option<RedirectScheme>,
    /// Host of the new place, with its port if any; the request's own where absent.
    pub host: Option<String>,
    /// Path of the new place.
    pub path: RedirectPath,
    /// Whether the query goes along.
    pub query: RedirectQuery,
}

/// The scheme of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectScheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

/// The path of a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectPath {
    /// The request's own.
    Keep,
    /// This one, whatever was asked for.
    Full(String),
    /// The request's own, its matched prefix replaced.
    Prefix {
        /// The prefix that the route matches, without a trailing slash (empty for `/`).
        matched: String,
        /// What stands in its place, without a trailing slash (empty for `/`).
        replacement: String,
    },
}

/// Whether the query goes along with a redirect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectQuery {
    /// It does.
    #[default]
    Keep,
    /// It does not.
    Drop,
}

/// A fixed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// Empty for a status that has no body.
    pub body: Vec<u8>,
    /// Fields of the answer, names in lower case; `content-type` is among them when there is a body.
    pub headers: Vec<(String, String)>,
}

/// How long an exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// The whole exchange; unbounded where absent.
    pub request: Option<Duration>,
    /// From the end of the request to the head of the response.
    pub first_byte: Duration,
    /// While nothing moves in either direction after that.
    pub idle: Duration,
}
