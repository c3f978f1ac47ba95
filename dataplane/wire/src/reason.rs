//! The one documented list of reasons for which the gateway itself answers, cuts or gives up.
//!
//! The same word stands in the `x-ringgate-error` field, in the access log and in
//! `ringgate_responses_total{reason=…}`. A reason keeps its word once released.

/// Who is at fault, for logs and dashboards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client sent something wrong, too much, too slowly, or left.
    Client,
    /// The upstream refused, failed, stalled or answered something malformed.
    Upstream,
    /// The configuration has no answer for this request.
    Operator,
    /// The gateway is out of a resource, or is draining.
    Gateway,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal, $status:literal, $fault:ident;)+) => {
        /// Why a request was refused, failed or cut.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in declaration order; a reason's place is its `index()`.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)+];

            /// The word in the answer, the log and the metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $word,)+ }
            }

            /// The status answered, where an answer can still be sent.
            pub const fn status(self) -> u16 {
                match self { $(Reason::$variant => $status,)+ }
            }

            /// Who is at fault.
            pub const fn fault(self) -> Fault {
                match self { $(Reason::$variant => Fault::$fault,)+ }
            }

            /// One sentence for people, as in the documentation.
            pub const fn explain(self) -> &'static str {
                match self { $(Reason::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }

            /// Dense index, for counter tables.
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

reasons! {
    /// The request head is not HTTP/1.1: a bad request line, field name, field value, NUL, bare CR or bare LF.
    HeadMalformed = "head_malformed", 400, Client;
    /// The request head is larger than `limits.head_bytes`.
    HeadTooLarge = "head_too_large", 431, Client;
    /// The request head has more fields than `limits.fields`.
    FieldsTooMany = "fields_too_many", 431, Client;
    /// The request target is not one of the four forms, or does not fit the method.
    TargetInvalid = "target_invalid", 400, Client;
    /// The method is not a token, or one we do not serve (TRACE).
    MethodInvalid = "method_invalid", 405, Client;
    /// The version is not HTTP/1.0 or HTTP/1.1.
    VersionUnsupported = "version_unsupported", 505, Client;
    /// HTTP/1.1 without Host, with more than one, an invalid one, or one that disagrees with the target.
    HostInvalid = "host_invalid", 400, Client;
    /// The head frames its body in two ways, or in one that cannot be trusted.
    FramingAmbiguous = "framing_ambiguous", 400, Client;
    /// Transfer-Encoding names a coding other than chunked.
    TransferCodingUnknown = "transfer_coding_unknown", 501, Client;
    /// A field continues on the next line (obs-fold).
    LineFolding = "line_folding", 400, Client;
    /// A chunk size, extension, line end or trailer is malformed.
    ChunkMalformed = "chunk_malformed", 400, Client;
    /// The trailer section is larger than `limits.head_bytes`.
    TrailersTooLarge = "trailers_too_large", 431, Client;
    /// Expect asks for something other than 100-continue.
    ExpectationUnknown = "expectation_unknown", 417, Client;
    /// The PROXY protocol preamble is missing or malformed; the connection is closed without an answer.
    ProxyProtocolInvalid = "proxy_protocol_invalid", 400, Client;
    /// The body is larger than the route or listener allows.
    BodyTooLarge = "body_too_large", 413, Client;
    /// The head did not arrive within `timeouts.head`.
    HeadTimeout = "head_timeout", 408, Client;
    /// The body stalled for longer than `timeouts.body`.
    BodyTimeout = "body_timeout", 408, Client;
    /// The client read nothing for longer than `timeouts.send`.
    SendTimeout = "send_timeout", 408, Client;
    /// The client left before the answer was complete; nothing could be answered.
    ClientGone = "client_gone", 499, Client;
    /// No route matches the request.
    NoRoute = "no_route", 404, Operator;
    /// The route's upstream has no endpoint to try.
    NoEndpoint = "no_endpoint", 503, Operator;
    /// The upstream name could not be resolved.
    NameUnresolved = "name_unresolved", 503, Operator;
    /// No endpoint accepted the connection.
    ConnectFailed = "connect_failed", 502, Upstream;
    /// No endpoint accepted the connection within `timeouts.connect`.
    ConnectTimeout = "connect_timeout", 504, Upstream;
    /// The upstream closed or reset the connection before its answer was complete.
    UpstreamReset = "upstream_reset", 502, Upstream;
    /// The upstream's answer is malformed or ambiguously framed.
    UpstreamMalformed = "upstream_malformed", 502, Upstream;
    /// The upstream's head is larger than `limits.head_bytes` or has too many fields.
    UpstreamHeadTooLarge = "upstream_head_too_large", 502, Upstream;
    /// No head from the upstream within `timeouts.first_byte`.
    FirstByteTimeout = "first_byte_timeout", 504, Upstream;
    /// Nothing moved for `timeouts.idle` while the answer was under way.
    IdleTimeout = "idle_timeout", 504, Upstream;
    /// The whole exchange took longer than `timeouts.request`.
    RequestTimeout = "request_timeout", 504, Upstream;
    /// The upstream switched protocols without being asked, or to another one.
    UpgradeUnexpected = "upgrade_unexpected", 502, Upstream;
    /// Too many connections are open (global, listener or worker bound).
    ConnectionsOverLimit = "connections_over_limit", 503, Gateway;
    /// Too many requests wait for a connection to this upstream.
    PendingOverLimit = "pending_over_limit", 503, Gateway;
    /// No connection of the upstream came free within `timeouts.first_byte`.
    PendingTimeout = "pending_timeout", 503, Gateway;
    /// The budget of buffered bytes is used up.
    BuffersExhausted = "buffers_exhausted", 503, Gateway;
    /// The process or the host is out of descriptors.
    DescriptorsExhausted = "descriptors_exhausted", 503, Gateway;
    /// The gateway is draining.
    Draining = "draining", 503, Gateway;
    /// A defect of the gateway itself; the request was given up, the process goes on.
    Internal = "internal", 500, Gateway;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_indexes_dense() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert_eq!(Reason::ALL.iter().filter(|r| r.as_str() == reason.as_str()).count(), 1);
            assert!(!reason.explain().is_empty());
        }
    }
}
