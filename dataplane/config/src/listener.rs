//! Where clients come in.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One address that accepts connections, with what it grants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Unique among listeners.
    pub name: String,
    /// Dense number of the name, the same over generations.
    pub slot: u32,
    /// Where it listens.
    pub address: ListenAddress,
    /// Whether connections begin with a PROXY protocol preamble.
    pub proxy_protocol: ProxyProtocol,
    /// What one client or all of them may take.
    pub limits: ListenerLimits,
    /// How long a client may take.
    pub timeouts: ListenerTimeouts,
    /// What the upstream is told about the client.
    pub forwarded: Forwarded,
    /// Whether `Via` is added in both directions (RFC 9110 §7.6.3).
    pub via: bool,
    /// Whether a request without `X-Request-Id` gets one.
    pub request_id: bool,
    /// Length of the accept queue asked of the kernel, which caps it at `net.core.somaxconn`.
    pub backlog: u32,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// IPv4 or IPv6. Port 0 lets the kernel choose one.
    Tcp(SocketAddr),
    /// A unix socket by path, relative ones joined to the folder of the file.
    Unix(PathBuf),
}

/// Whether connections begin with a PROXY protocol preamble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Not looked for: such bytes are a malformed request.
    #[default]
    Off,
    /// Taken when there, version 1 or 2.
    Accept,
    /// A connection without one is closed.
    Require,
}

/// Bounds of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections open at once, all workers together.
    pub connections: u32,
    /// Bytes of a request head, request line included.
    pub head_bytes: u32,
    /// Fields of a request head.
    pub fields: u16,
    /// Bytes of a request body.
    pub body_bytes: u64,
}

/// How long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// From the first byte of a head (or the accept) to its end.
    pub head: Duration,
    /// Between two reads of a body.
    pub body: Duration,
    /// While the client takes nothing of what is sent.
    pub send: Duration,
    /// Between the end of an answer and the next request.
    pub keepalive: Duration,
}

/// What the upstream is told about the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// In which fields.
    pub mode: ForwardedMode,
    /// Whether what the client sent in these fields is kept and appended to, rather than replaced.
    pub trust: bool,
}

/// The fields that carry the client's address, scheme and host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedMode {
    /// `X-Forwarded-For`, `-Proto`, `-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Rfc7239,
    /// Both.
    Both,
    /// None; incoming ones pass untouched.
    Off,
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
