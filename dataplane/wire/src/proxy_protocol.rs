//! The PROXY protocol, versions 1 and 2 (HAProxy, doc/proxy-protocol.txt): who the client is, told
//! by a load balancer in front of us, before everything else on the connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest version 1 line, its CRLF included.
const V1_BYTES_MAX: usize = 107;
/// Bytes of a version 2 header behind its fixed part that we accept, additions included.
const V2_BYTES_MAX: usize = 2048;

/// What the front of a connection holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyParsed {
    /// More bytes are needed to tell.
    Partial,
    /// No preamble: the bytes are something else.
    Absent,
    /// A preamble.
    Complete {
        /// Its bytes.
        bytes: usize,
        /// The client; none for health checks of the balancer itself and for unknown protocols.
        source: Option<SocketAddr>,
        /// Where the client connected to.
        destination: Option<SocketAddr>,
    },
}

/// A preamble that is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the PROXY protocol preamble is malformed")]
pub struct ProxyError;

/// Looks for a preamble at the front of `buf`.
///
/// # Errors
/// [`ProxyError`] if one begins but is malformed.
pub fn parse(buf: &[u8]) -> Result<ProxyParsed, ProxyError> {
    let begins = |signature: &[u8]| {
        let common = signature.len().min(buf.len());
        buf.get(..common) == signature.get(..common)
    };
    if begins(V2_SIGNATURE) {
        return if buf.len() < 16 { Ok(ProxyParsed::Partial) } else { parse_v2(buf) };
    }
    if begins(b"PROXY ") {
        return parse_v1(buf);
    }
    Ok(ProxyParsed::Absent)
}

fn parse_v1(buf: &[u8]) -> Result<ProxyParsed, ProxyError> {
    let window = buf.get(..V1_BYTES_MAX).unwrap_or(buf);
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if buf.len() >= V1_BYTES_MAX { Err(ProxyError) } else { Ok(ProxyParsed::Partial) };
    };
    let line = window.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(ProxyError)?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyError)?;
    let words: Vec<&str> = line.split(' ').collect();
    let (source, destination) = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => (None, None),
        ["PROXY", family, from, to, from_port, to_port] => {
            let address = |ip: &str, port: &str| {
                let ip: IpAddr = ip.parse().map_err(|_| ProxyError)?;
                let fits =
                    matches!((*family, ip), ("TCP4", IpAddr::V4(_)) | ("TCP6", IpAddr::V6(_)));
                let is_number = port.bytes().all(|b| b.is_ascii_digit());
                let port: u16 = port.parse().map_err(|_| ProxyError)?;
                if fits && is_number { Ok(SocketAddr::new(ip, port)) } else { Err(ProxyError) }
            };
            (Some(address(from, from_port)?), Some(address(to, to_port)?))
        }
        _ => return Err(ProxyError),
    };
    Ok(ProxyParsed::Complete { bytes: end + 1, source, destination })
}

fn parse_v2(buf: &[u8]) -> Result<ProxyParsed, ProxyError> {
    let [version_command, family, high, low] =
        buf.get(12..16).and_then(|fixed| fixed.try_into().ok()).ok_or(ProxyError)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version_command >> 4 != 2 || version_command & 15 > 1 || length > V2_BYTES_MAX {
        return Err(ProxyError);
    }
    let Some(body) = buf.get(16..16 + length) else { return Ok(ProxyParsed::Partial) };
    let bytes = 16 + length;
    let is_local = version_command & 15 == 0;
    let (source, destination) = match family {
        _ if is_local => (None, None),
        0x11 => v2_addresses::<4>(body, |ip| IpAddr::V4(Ipv4Addr::from(ip)))?,
        0x21 => v2_addresses::<16>(body, |ip| IpAddr::V6(Ipv6Addr::from(ip)))?,
        _ => (None, None),
    };
    Ok(ProxyParsed::Complete { bytes, source, destination })
}

type Addresses = (Option<SocketAddr>, Option<SocketAddr>);

fn v2_addresses<const N: usize>(
    body: &[u8],
    ip: fn([u8; N]) -> IpAddr,
) -> Result<Addresses, ProxyError> {
    let field = |at: usize| -> Result<[u8; N], ProxyError> {
        body.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or(ProxyError)
    };
    let port = |at: usize| -> Result<u16, ProxyError> {
        let bytes = body.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
        Ok(u16::from_be_bytes(bytes.ok_or(ProxyError)?))
    };
    let source = SocketAddr::new(ip(field(0)?), port(2 * N)?);
    let destination = SocketAddr::new(ip(field(N)?), port(2 * N + 2)?);
    Ok((Some(source), Some(destination)))
}

/// Appends a version 1 line.
pub fn put_v1(out: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr) {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let line = format!(
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    );
    out.extend_from_slice(line.as_bytes());
}

/// Appends a version 2 header without additions. Both addresses must be of one family; otherwise
/// the header says nothing of them.
pub fn put_v2(out: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr) {
    out.extend_from_slice(V2_SIGNATURE);
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[0x21, 0x11, 0, 12]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            out.extend_from_slice(&[0x21, 0x21, 0, 36]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        _ => {
            out.extend_from_slice(&[0x20, 0x00, 0, 0]);
            return;
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> [(SocketAddr, SocketAddr); 2] {
        [
            ("192.0.2.1:56324".parse().unwrap(), "198.51.100.1:443".parse().unwrap()),
            ("[2001:db8::1]:1".parse().unwrap(), "[2001:db8::2]:65535".parse().unwrap()),
        ]
    }

    #[test]
    fn what_is_put_is_parsed_at_every_split_point() {
        for (source, destination) in addresses() {
            for put in [put_v1, put_v2] {
                let mut bytes = Vec::new();
                put(&mut bytes, source, destination);
                for split in 0..bytes.len() {
                    let parsed = parse(&bytes[..split]);
                    assert_eq!(parsed, Ok(ProxyParsed::Partial), "after {split} bytes");
                }
                let length = bytes.len();
                bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
                let expected = ProxyParsed::Complete {
                    bytes: length,
                    source: Some(source),
                    destination: Some(destination),
                };
                assert_eq!(parse(&bytes), Ok(expected));
            }
        }
    }

    #[test]
    fn requests_are_no_preambles_and_broken_preambles_are_errors() {
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Ok(ProxyParsed::Absent));
        assert_eq!(parse(b"PROXYING"), Ok(ProxyParsed::Absent));
        for broken in [
            &b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"[..],
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
            &[b"PROXY ".as_slice(), &[b'x'; 120]].concat(),
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x0c",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x04abcd",
        ] {
            assert_eq!(parse(broken), Err(ProxyError), "{}", broken.escape_ascii());
        }
        let unknown = parse(b"PROXY UNKNOWN whatever\r\n");
        assert!(matches!(unknown, Ok(ProxyParsed::Complete { source: None, .. })));
    }
}
