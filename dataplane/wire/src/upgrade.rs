//! Decides whether a connection becomes a tunnel: the one place that opens one.

use crate::Method;
use crate::reason::Reason;

/// What an answer means for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelDecision {
    /// It goes on as HTTP.
    NotATunnel,
    /// From the end of this head on it carries other bytes.
    Opens,
    /// The upstream switched although nobody asked for it, or to something else.
    Refuse(Reason),
}

/// Decides by the request and the final or interim answer to it. `request_upgrade` is what we
/// passed on of the request's Upgrade (empty for CONNECT), `None` if nothing.
///
/// A tunnel opens only after 101 to one of the offered protocols (RFC 9110 §7.8), or after a 2xx
/// to CONNECT (RFC 9110 §9.3.6): never on the request alone.
pub fn tunnel_opens(
    request_method: Method,
    request_upgrade: Option<&[u8]>,
    response_status: u16,
    response_upgrade: Option<&[u8]>,
) -> TunnelDecision {
    if request_method == Method::Connect {
        return match (response_status, request_upgrade) {
            (200..=299, Some(_)) => TunnelDecision::Opens,
            (200..=299, None) | (101, _) => TunnelDecision::Refuse(Reason::UpgradeUnexpected),
            _ => TunnelDecision::NotATunnel,
        };
    }
    if response_status != 101 {
        return TunnelDecision::NotATunnel;
    }
    let is_offered = match (request_upgrade, response_upgrade) {
        (Some(offered), Some(chosen)) => {
            let chosen = chosen.trim_ascii();
            !chosen.is_empty()
                && offered
                    .split(|&byte| byte == b',')
                    .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(chosen))
        }
        _ => false,
    };
    match is_offered {
        true => TunnelDecision::Opens,
        false => TunnelDecision::Refuse(Reason::UpgradeUnexpected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_to_what_was_offered() {
        let offered = Some(&b"foo, websocket"[..]);
        let decide = |offered, status, chosen| tunnel_opens(Method::Get, offered, status, chosen);
        let refused = TunnelDecision::Refuse(Reason::UpgradeUnexpected);
        assert_eq!(decide(offered, 101, Some(b"WebSocket")), TunnelDecision::Opens);
        assert_eq!(decide(offered, 101, Some(b"h2c")), refused);
        assert_eq!(decide(offered, 101, None), refused);
        assert_eq!(decide(None, 101, Some(b"websocket")), refused);
        assert_eq!(decide(offered, 200, Some(b"websocket")), TunnelDecision::NotATunnel);
        assert_eq!(decide(offered, 426, Some(b"websocket")), TunnelDecision::NotATunnel);
    }

    #[test]
    fn connect_opens_after_success_only() {
        let decide = |status| tunnel_opens(Method::Connect, Some(b""), status, None);
        assert_eq!(decide(200), TunnelDecision::Opens);
        assert_eq!(decide(204), TunnelDecision::Opens);
        assert_eq!(decide(407), TunnelDecision::NotATunnel);
        assert_eq!(decide(101), TunnelDecision::Refuse(Reason::UpgradeUnexpected));
        let unasked = tunnel_opens(Method::Connect, None, 200, None);
        assert_eq!(unasked, TunnelDecision::Refuse(Reason::UpgradeUnexpected));
    }
}
