//! WebSocket (RFC 6455): the handshake's key, and frames, incremental.
//!
//! In scope: frames of all lengths, masking, fragmentation, control frames, close codes, UTF-8.
//! Out of scope: extensions; a reserved bit is an error.

mod message;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::limits::CONTROL_FRAME_BYTES_MAX;

pub use message::{Message, MessageReader};

/// What a frame carries (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of the message before.
    Continuation,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// The end, with or without a code.
    Close,
    /// To be answered with a pong of the same payload.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    /// Whether it is a control frame: short, whole, allowed between the parts of a message.
    pub const fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }

    const fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    const fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }
}

/// Why a peer's frames cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A reserved bit is set; no extension was agreed upon.
    #[error("a reserved bit is set")]
    ReservedBit,
    /// An opcode that RFC 6455 does not define.
    #[error("the opcode is unknown")]
    Opcode,
    /// A client's frame without a mask, or a server's with one (RFC 6455 §5.1).
    #[error("the frame is masked or not against the rules")]
    Masking,
    /// A length not in its shortest form, or of more than 63 bits.
    #[error("the length is not in its shortest form")]
    Length,
    /// A control frame that is fragmented or larger than 125 bytes (RFC 6455 §5.5).
    #[error("a control frame is fragmented or too large")]
    Control,
    /// A continuation of nothing, or a new message within another.
    #[error("the fragments are out of order")]
    Fragmentation,
    /// A close frame with half a code, or with one that must not be sent (RFC 6455 §7.4).
    #[error("the close code is invalid")]
    CloseCode,
    /// Text or a reason that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
    /// A message beyond the bound.
    #[error("the message is too large")]
    TooLarge,
}

impl FrameError {
    /// The code to close the connection with (RFC 6455 §7.4.1).
    pub const fn close_code(self) -> u16 {
        match self {
            FrameError::Utf8 => 1007,
            FrameError::TooLarge => 1009,
            _ => 1002,
        }
    }
}

/// Who sent the frames that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Every frame is masked.
    Client,
    /// No frame is masked.
    Server,
}

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// What it carries.
    pub opcode: Opcode,
    /// The masking key; clients only.
    pub mask: Option<[u8; 4]>,
    /// Bytes of the payload; below 2^63.
    pub length: u64,
}

/// Parses a frame's head from the front of `buf`; `None` if more bytes are needed. Yields how many
/// bytes the head has.
///
/// # Errors
/// [`FrameError`] as soon as the bytes there are cannot become a valid head.
pub fn parse_frame_head(
    buf: &[u8],
    sender: Sender,
) -> Result<Option<(FrameHead, usize)>, FrameError> {
    let Some((&first, rest)) = buf.split_first() else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(FrameError::ReservedBit);
    }
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(FrameError::Opcode)?;
    let fin = first & 0x80 != 0;
    let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
    let is_masked = second & 0x80 != 0;
    if is_masked != (sender == Sender::Client) {
        return Err(FrameError::Masking);
    }
    let short = second & 0x7f;
    if opcode.is_control() && (!fin || usize::from(short) > CONTROL_FRAME_BYTES_MAX) {
        return Err(FrameError::Control);
    }
    let (length, rest) = match short {
        126 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest),
            None => return Ok(None),
        },
        short => (u64::from(short), rest),
    };
    let is_shortest = match short {
        126 => length > 125,
        127 => length > 0xffff && length >> 63 == 0,
        _ => true,
    };
    if !is_shortest {
        return Err(FrameError::Length);
    }
    let (mask, rest) = match (is_masked, rest.split_first_chunk()) {
        (false, _) => (None, rest),
        (true, Some((key, rest))) => (Some(*key), rest),
        (true, None) => return Ok(None),
    };
    Ok(Some((FrameHead { fin, opcode, mask, length }, buf.len() - rest.len())))
}

/// Appends a frame's head, with the length in its shortest form.
pub fn put_frame_head(out: &mut Vec<u8>, head: &FrameHead) {
    let mask_bit = if head.mask.is_some() { 0x80 } else { 0 };
    out.push(u8::from(head.fin) << 7 | head.opcode.bits());
    match (u8::try_from(head.length), u16::try_from(head.length)) {
        (Ok(length @ 0..=125), _) => out.push(mask_bit | length),
        (_, Ok(length)) => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&head.length.to_be_bytes());
        }
    }
    out.extend_from_slice(head.mask.as_ref().map_or(&[], |key| key.as_slice()));
}

/// Appends a whole frame; with a mask if a client sends it.
pub fn put_frame(
    out: &mut Vec<u8>,
    fin: bool,
    opcode: Opcode,
    mask: Option<[u8; 4]>,
    payload: &[u8],
) {
    put_frame_head(out, &FrameHead { fin, opcode, mask, length: payload.len() as u64 });
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(key), Some(copied)) = (mask, out.get_mut(start..)) {
        apply_mask(copied, key, 0);
    }
}

/// Appends a server's close frame. A reason of more than 123 bytes is cut at a character.
pub fn put_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let mut end = reason.len().min(CONTROL_FRAME_BYTES_MAX - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = reason.get(..end).unwrap_or_default();
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    put_frame(out, true, Opcode::Close, None, &payload);
}

/// Masks or unmasks bytes that lie `offset` bytes behind the payload's start (RFC 6455 §5.3).
pub fn apply_mask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let mut key = key;
    key.rotate_left(offset % 4);
    for (byte, key) in bytes.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The value of Sec-WebSocket-Accept for a client's Sec-WebSocket-Key (RFC 6455 §4.2.2); `None` if
/// the key is not sixteen bytes in base64.
pub fn accept_key(key: &[u8]) -> Option<String> {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let nonce = STANDARD.decode(key).ok()?;
    if nonce.len() != 16 {
        return None;
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    Some(STANDARD.encode(digest))
}

/// Whether a peer may send this close code (RFC 6455 §7.4).
pub const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
