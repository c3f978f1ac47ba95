//! Codecs, pure: bytes in, protocol events out. Knows RFCs, nothing else.
//!
//! Heads are parsed once into spans of the bytes they came in ([`RequestHead`], [`ResponseHead`]);
//! how a body ends is decided in one place ([`framing`]), whether a tunnel opens in one other
//! ([`upgrade`]); everything else asks there.

pub mod error;
pub mod field;
pub mod framing;
pub mod h1;
pub mod head;
pub mod limits;
pub mod method;
pub mod proxy_protocol;
pub mod reason;
pub mod span;
pub mod sse;
pub mod status;
pub mod upgrade;
pub mod websocket;

pub use error::HeadError;
pub use field::{Field, FieldId};
pub use framing::BodyLength;
pub use head::{RequestHead, ResponseHead, TargetForm, Version};
pub use limits::HeadLimits;
pub use method::Method;
pub use span::Span;

/// What became of bytes that may hold a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    Partial,
    /// A whole head.
    Complete {
        /// Bytes up to and including the empty line.
        head_bytes: usize,
    },
}
