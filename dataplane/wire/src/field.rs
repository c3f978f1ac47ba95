//! Header fields.

use crate::Span;

/// One field line of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Which of the fields we know it is.
    pub id: FieldId,
    /// The name as it came.
    pub name: Span,
    /// The value without surrounding white space.
    pub value: Span,
    /// The whole line with its CRLF.
    pub line: Span,
    /// Whether it concerns this connection only: by its nature, or because Connection lists it
    /// (RFC 9110 §7.6.1).
    pub hop_by_hop: bool,
}

macro_rules! fields {
    ($($variant:ident = $name:literal,)+) => {
        /// Fields that the gateway itself looks at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the names are the fields")]
        pub enum FieldId {
            $($variant,)+
            /// Any other.
            Other,
        }

        const KNOWN: &[(FieldId, &[u8])] = &[$((FieldId::$variant, $name.as_bytes()),)+];
    };
}

fields! {
    Host = "host",
    Connection = "connection",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    Te = "te",
    Trailer = "trailer",
    Upgrade = "upgrade",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    Http2Settings = "http2-settings",
    Expect = "expect",
    Via = "via",
    Forwarded = "forwarded",
    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    XForwardedHost = "x-forwarded-host",
    XRequestId = "x-request-id",
    Authorization = "authorization",
    Cookie = "cookie",
    SetCookie = "set-cookie",
    ContentType = "content-type",
    ContentEncoding = "content-encoding",
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    UserAgent = "user-agent",
    Server = "server",
    Date = "date",
}

/// Names of one length, so that most fields are told apart without comparing any name.
const BY_LENGTH: [&[u8]; LENGTHS] = by_length();
const LENGTHS: usize = 32;

const fn by_length() -> [&'static [u8]; LENGTHS] {
    // Indexes into KNOWN, grouped: at most four known names share a length.
    const TABLE: [[u8; 4]; LENGTHS] = table();
    const COUNTS: [usize; LENGTHS] = counts();
    let mut result: [&[u8]; LENGTHS] = [&[]; LENGTHS];
    let mut length = 0;
    while length < LENGTHS {
        result[length] = TABLE[length].split_at(COUNTS[length]).0;
        length += 1;
    }
    result
}

const fn counts() -> [usize; LENGTHS] {
    let mut counts = [0; LENGTHS];
    let mut index = 0;
    while index < KNOWN.len() {
        counts[KNOWN[index].1.len()] += 1;
        index += 1;
    }
    counts
}

const fn table() -> [[u8; 4]; LENGTHS] {
    let mut table = [[0; 4]; LENGTHS];
    let mut filled = [0; LENGTHS];
    let mut index = 0;
    while index < KNOWN.len() {
        let length = KNOWN[index].1.len();
        table[length][filled[length]] = index as u8;
        filled[length] += 1;
        index += 1;
    }
    table
}

impl FieldId {
    /// Which field a name is; names are case-insensitive.
    pub fn from_name(name: &[u8]) -> FieldId {
        let Some(candidates) = BY_LENGTH.get(name.len()) else { return FieldId::Other };
        candidates
            .iter()
            .filter_map(|&index| KNOWN.get(index as usize))
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map_or(FieldId::Other, |&(id, _)| id)
    }

    /// Whether the field concerns one connection only, whatever Connection says.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            FieldId::Connection
                | FieldId::TransferEncoding
                | FieldId::Te
                | FieldId::Trailer
                | FieldId::Upgrade
                | FieldId::KeepAlive
                | FieldId::ProxyConnection
                | FieldId::ProxyAuthenticate
                | FieldId::ProxyAuthorization
                | FieldId::Http2Settings
        )
    }

    /// Whether Connection can make it hop-by-hop. A client must not be able to have fields removed
    /// on which framing, routing, authorization or the origin's view of the client rest.
    pub(crate) fn may_be_listed(self) -> bool {
        !matches!(
            self,
            FieldId::Host
                | FieldId::ContentLength
                | FieldId::Authorization
                | FieldId::Cookie
                | FieldId::SetCookie
                | FieldId::ContentType
                | FieldId::ContentEncoding
                | FieldId::Forwarded
                | FieldId::XForwardedFor
                | FieldId::XForwardedProto
                | FieldId::XForwardedHost
                | FieldId::XRequestId
                | FieldId::Via
        )
    }

    /// Whether a trailer section may hold it (RFC 9110 §6.5.1: nothing that frames, routes,
    /// authenticates or describes the content).
    pub(crate) fn may_be_trailer(self) -> bool {
        !self.is_hop_by_hop()
            && (self.may_be_listed() || matches!(self, FieldId::XRequestId))
            && !matches!(self, FieldId::Expect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case_and_nothing_else() {
        for (id, name) in KNOWN {
            assert_eq!(FieldId::from_name(name), *id);
            assert_eq!(FieldId::from_name(&name.to_ascii_uppercase()), *id);
        }
        for name in [&b""[..], b"hosts", b"x", &[b'a'; 200], b"content_length"] {
            assert_eq!(FieldId::from_name(name), FieldId::Other);
        }
    }
}
