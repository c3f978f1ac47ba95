//! The compiled configuration: what a worker holds, immutable, shared behind one [`Arc`].
//!
//! A generation is published whole. Lists are dense: a [`Backend`] names its upstream by its place in
//! [`Snapshot::upstreams`], and the table of routes answers with a place in [`Snapshot::routes`].
//! `slot` is another number: it stays the same for a name over generations, so that counters and pools
//! kept by a worker survive a change (see [`crate::Slots`]).

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use policy::route::RouteTable;

pub use crate::listener::{
    Forwarded, ForwardedMode, ListenAddress, Listener, ListenerLimits, ListenerTimeouts,
    ProxyProtocol,
};
pub use crate::route::{
    Action, Backend, Redirect, RedirectPath, RedirectQuery, RedirectScheme, Respond, Route,
    RouteTimeouts,
};
pub use crate::upstream::{
    Balance, BalanceKey, DelayedAck, Endpoint, EndpointAddress, Keepalive, Upstream,
    UpstreamLimits, UpstreamTimeouts,
};

/// One generation of the configuration, ready to serve.
pub struct Snapshot {
    /// Grows by one with each published configuration of this process; the first is 1.
    pub generation: u64,
    /// Where the document came from: the file name given to [`crate::load`].
    pub source: String,
    /// SHA-256 of the document as read, in lower-case hexadecimal.
    pub hash: String,
    /// The document as read, credentials masked. `${NAME}` stays as written, never the value.
    pub document: String,
    /// Which runtime moves the bytes.
    pub runtime: RuntimeChoice,
    /// How many workers.
    pub workers: WorkerCount,
    /// The admin interface, if any.
    pub admin: Option<Admin>,
    /// Where state that outlives the process is kept, if anywhere.
    pub state_dir: Option<PathBuf>,
    /// The access log, if any.
    pub access_log: Option<AccessLog>,
    /// Bounds of the whole process.
    pub limits: GlobalLimits,
    /// How long a drain waits for open exchanges before it cuts them.
    pub timeouts_drain: Duration,
    /// Listeners, in the order of the file.
    pub listeners: Vec<Arc<Listener>>,
    /// Upstreams, in the order of the file.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Finds the route of a request: answers with an index into [`Snapshot::routes`].
    pub table: RouteTable,
    /// Routes, in the order of the file.
    pub routes: Vec<Arc<Route>>,
}

/// Which runtime moves the bytes (`runtime`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// The native ring where the host allows it, else the portable one.
    #[default]
    Auto,
    /// The native ring, or do not start.
    Ring,
    /// The portable runtime.
    Portable,
}

/// How many workers to run (`workers`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerCount {
    /// As many as the host's tuning asks for.
    #[default]
    Auto,
    /// Exactly so many; at least one.
    Count(u32),
}

/// The admin interface (`admin`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub address: ListenAddress,
}

/// The access log (`telemetry.access_log`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where its lines go.
    pub path: LogTarget,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to; absolute, or relative to the configuration file and already joined to it.
    File(PathBuf),
}

/// Bounds of the whole process (`limits`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalLimits {
    /// Client connections open at once; further ones are refused.
    pub connections: u32,
    /// Bytes of bodies held in memory at once, all workers together.
    pub buffered_bytes: u64,
}

/// Addresses of the names that stand in endpoints, as last resolved off the data path.
///
/// Keys are the host exactly as in [`EndpointAddress::Name`]. A name without an entry, or with an
/// empty one, is not resolved (yet).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameTable {
    /// Host to addresses.
    pub names: HashMap<String, Vec<IpAddr>>,
}
