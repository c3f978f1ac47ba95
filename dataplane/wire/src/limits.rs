//! Every limit of the wire, in one place.

/// Bounds of one head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the head, its empty line included.
    pub head_bytes_max: u32,
    /// Fields of the head; more than [`FIELDS_MAX`] are never accepted.
    pub fields_max: u16,
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits { head_bytes_max: 32 * 1024, fields_max: 128 }
    }
}

/// Fields of a head that can be parsed at all; the parser's table has this size.
pub const FIELDS_MAX: usize = 256;
/// Bytes of the extensions of one chunk (RFC 9112 §7.1.1 asks for a bound).
pub const CHUNK_EXTENSION_BYTES_MAX: u16 = 256;
/// Hexadecimal digits of a chunk's size: 60 bits, so that no sum of sizes wraps.
pub const CHUNK_SIZE_DIGITS_MAX: u8 = 15;
/// Bytes of a trailer section.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Digits of a Content-Length: below 2^63.
pub const LENGTH_DIGITS_MAX: usize = 18;
/// Bytes of one server-sent event.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// Bytes of the longest head of a WebSocket frame (RFC 6455 §5.2).
pub const FRAME_HEAD_BYTES_MAX: usize = 14;
/// Bytes of the payload of a WebSocket control frame (RFC 6455 §5.5).
pub const CONTROL_FRAME_BYTES_MAX: usize = 125;
