//! Where requests go.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use policy::BalanceKind;

/// A named set of endpoints that serve the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Unique among upstreams.
    pub name: String,
    /// Dense number of the name, the same over generations.
    pub slot: u32,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// At least one, with distinct addresses; not all weights are zero.
    pub endpoints: Vec<Endpoint>,
    /// Which connections are kept for reuse.
    pub keepalive: Keepalive,
    /// How long an endpoint may take.
    pub timeouts: UpstreamTimeouts,
    /// What one worker may take from it.
    pub limits: UpstreamLimits,
    /// Whether reads from it acknowledge late.
    pub delayed_ack: DelayedAck,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The algorithm.
    pub kind: BalanceKind,
    /// What is hashed; present exactly when the algorithm is maglev.
    pub key: Option<BalanceKey>,
}

/// What of a request decides its endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BalanceKey {
    /// The value of this field, name in lower case. Requests without it fall back to a random choice.
    Header(String),
    /// The client's address, without its port.
    ClientIp,
    /// The path, without its query.
    Path,
}

/// One member of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: EndpointAddress,
    /// Share of the requests, relative to the other endpoints; 0 gets none.
    pub weight: u32,
    /// The zone it stands in, if told.
    pub zone: Option<String>,
}

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// IPv4 or IPv6.
    Socket(SocketAddr),
    /// A unix socket by path, relative ones joined to the folder of the file.
    Unix(PathBuf),
    /// A host name to resolve, in lower case, without a trailing dot.
    Name {
        /// The name, key of [`crate::NameTable`].
        host: String,
        /// Never 0.
        port: u16,
    },
}

/// Which upstream connections are kept for reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Idle connections one worker keeps per upstream; 0 keeps none.
    pub idle_per_worker: u32,
    /// For how long.
    pub idle_timeout: Duration,
}

/// How long an endpoint may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// From the first packet to an open connection.
    pub connect: Duration,
}

/// What one worker may take from an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Connections open at once, per worker.
    pub connections: u32,
    /// Requests that wait for a connection, per worker.
    pub pending: u32,
}

/// Whether reads from an upstream acknowledge late: fewer packets, but a sender that runs Nagle's
/// algorithm then waits up to 40 ms for each small write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DelayedAck {
    /// On, and off again for an upstream whose gaps betray Nagle's algorithm.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never: the kernel's own choice.
    Off,
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointAddress::Socket(address) => address.fmt(f),
            EndpointAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            EndpointAddress::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}
