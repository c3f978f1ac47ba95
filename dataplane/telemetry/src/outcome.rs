//! What became of one exchange.

use std::net::SocketAddr;

use wire::reason::Reason;

/// Everything that is told of an exchange, once, when it ends. Texts are empty where no access log
/// is written.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// The listener's slot.
    pub listener: u32,
    /// The route's slot.
    pub route: Option<u32>,
    /// The upstream's slot.
    pub upstream: Option<u32>,
    /// The method.
    pub method: &'a [u8],
    /// The authority.
    pub host: &'a [u8],
    /// The target.
    pub path: &'a [u8],
    /// The client.
    pub client: Option<SocketAddr>,
    /// The endpoint that was tried last.
    pub endpoint: Option<&'a str>,
    /// The request's id.
    pub request_id: &'a [u8],
    /// The status sent; 0 if none was.
    pub status: u16,
    /// Why the gateway refused, cut or gave up.
    pub reason: Option<Reason>,
    /// Bytes of the request, head and body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// When the request's head was read, in microseconds since the Unix epoch.
    pub started_unix_us: u64,
    /// From there to the head of the answer.
    pub first_byte_us: Option<u32>,
    /// From there to the end.
    pub duration_us: u64,
    /// Endpoints tried.
    pub attempts: u8,
    /// Whether it became a tunnel.
    pub upgraded: bool,
}
