//! Why a head cannot be accepted.

use crate::reason::Reason;

/// A head that breaks the protocol or a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Not HTTP/1: bad start line, name, value or line end.
    #[error("the head is not HTTP/1")]
    Malformed,
    /// Larger than the limit.
    #[error("the head is too large")]
    TooLarge,
    /// More fields than the limit.
    #[error("the head has too many fields")]
    FieldsTooMany,
    /// A field goes on in the next line (RFC 9112 §5.2).
    #[error("a field is folded over lines")]
    Folded,
    /// A method that is not served.
    #[error("the method is not served")]
    Method,
    /// A target that is none, or does not fit the method (RFC 9112 §3.2).
    #[error("the target is invalid")]
    Target,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the version is not supported")]
    Version,
    /// Host is missing, double, invalid or contradicts the target (RFC 9112 §3.2).
    #[error("the host is missing, double, invalid or contradicts the target")]
    Host,
    /// The body's end is stated twice or in a way that cannot be trusted (RFC 9112 §6).
    #[error("the framing is ambiguous")]
    Framing,
    /// A transfer coding other than chunked.
    #[error("the transfer coding is unknown")]
    TransferCoding,
    /// Expect asks for something other than 100-continue (RFC 9110 §10.1.1).
    #[error("the expectation is unknown")]
    Expectation,
}

impl HeadError {
    /// What a client is told.
    pub const fn reason(self) -> Reason {
        match self {
            HeadError::Malformed => Reason::HeadMalformed,
            HeadError::TooLarge => Reason::HeadTooLarge,
            HeadError::FieldsTooMany => Reason::FieldsTooMany,
            HeadError::Folded => Reason::LineFolding,
            HeadError::Method => Reason::MethodInvalid,
            HeadError::Target => Reason::TargetInvalid,
            HeadError::Version => Reason::VersionUnsupported,
            HeadError::Host => Reason::HostInvalid,
            HeadError::Framing => Reason::FramingAmbiguous,
            HeadError::TransferCoding => Reason::TransferCodingUnknown,
            HeadError::Expectation => Reason::ExpectationUnknown,
        }
    }

    /// What a client is told if it was the upstream's head.
    pub const fn upstream_reason(self) -> Reason {
        match self {
            HeadError::TooLarge | HeadError::FieldsTooMany => Reason::UpstreamHeadTooLarge,
            _ => Reason::UpstreamMalformed,
        }
    }
}
