//! The chunked transfer coding (RFC 9112 §7.1), incremental.

use std::ops::Range;

use crate::FieldId;
use crate::limits::{CHUNK_EXTENSION_BYTES_MAX, CHUNK_SIZE_DIGITS_MAX, TRAILER_BYTES_MAX};
use crate::reason::Reason;

/// Why a chunked body cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// RFC 9112 §7.1: chunk-size = 1*HEXDIG.
    #[error("the chunk size is not hexadecimal")]
    SizeNotHex,
    /// More digits than any real size has.
    #[error("the chunk size is too large")]
    SizeTooLarge,
    /// A malformed or too long chunk extension.
    #[error("the chunk extension is malformed or too long")]
    Extension,
    /// A line that does not end in CRLF where it must.
    #[error("a line does not end in CRLF")]
    LineEnd,
    /// A malformed trailer field, or one that must not be a trailer.
    #[error("a trailer field is malformed or forbidden")]
    Trailer,
    /// A trailer section beyond the bound.
    #[error("the trailers are too large")]
    TrailersTooLarge,
}

impl ChunkError {
    /// What a client is told.
    pub const fn reason(self) -> Reason {
        match self {
            ChunkError::TrailersTooLarge => Reason::TrailersTooLarge,
            _ => Reason::ChunkMalformed,
        }
    }

    /// What a client is told if it was the upstream's body.
    pub const fn upstream_reason(self) -> Reason {
        Reason::UpstreamMalformed
    }
}

/// What one call of [`ChunkedDecoder::decode`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkStep {
    /// Bytes of the input that are dealt with.
    pub consumed: usize,
    /// Where in them the content lies; may be empty.
    pub data: Range<usize>,
    /// Whether the body is complete, trailers included.
    pub done: bool,
}

/// Takes the framing off a chunked body.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    digits: u8,
    extension_bytes: u16,
    left: u64,
    #[expect(clippy::box_collection, reason = "most bodies have no trailers; eight bytes, not 24")]
    trailers: Option<Box<Vec<u8>>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    /// In a quoted string of an extension.
    Quoted,
    QuotedEscape,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    EndLf,
    Done,
}

impl ChunkedDecoder {
    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailer fields as lines, without the empty line that ends them.
    pub fn trailers(&self) -> &[u8] {
        self.trailers.as_ref().map_or(&[], |trailers| trailers)
    }

    /// Consumes framing and at most one run of content. Call again with what is left, until all is
    /// consumed or the body is done.
    ///
    /// # Errors
    /// [`ChunkError`]; nothing after it can be trusted.
    pub fn decode(&mut self, input: &[u8]) -> Result<ChunkStep, ChunkError> {
        let mut data = 0..0;
        let mut at = 0;
        while self.state != State::Done {
            if self.state == State::Data {
                if !data.is_empty() {
                    break;
                }
                let rest = input.len() - at;
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest);
                if take == 0 {
                    break;
                }
                data = at..at + take;
                at += take;
                self.left -= take as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let Some(&byte) = input.get(at) else { break };
            at += 1;
            self.state = self.step(byte)?;
        }
        Ok(ChunkStep { consumed: at, data, done: self.is_done() })
    }

    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::Size, _) => self.step_size(byte),
            (State::Extension | State::Quoted | State::QuotedEscape, _) => {
                self.step_extension(byte)
            }
            (State::SizeLf, b'\n') if self.left == 0 => Ok(State::TrailerStart),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                self.digits = 0;
                self.extension_bytes = 0;
                Ok(State::Size)
            }
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart | State::Trailer, _) => self.step_trailer(byte),
            (State::EndLf, b'\n') => {
                check_trailers(self.trailers())?;
                Ok(State::Done)
            }
            _ => Err(ChunkError::LineEnd),
        }
    }

    fn step_size(&mut self, byte: u8) -> Result<State, ChunkError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => return Ok(State::SizeLf),
            b';' if self.digits > 0 => return Ok(State::Extension),
            _ => return Err(ChunkError::SizeNotHex),
        };
        if self.digits >= CHUNK_SIZE_DIGITS_MAX {
            return Err(ChunkError::SizeTooLarge);
        }
        self.digits += 1;
        self.left = self.left << 4 | u64::from(digit);
        Ok(State::Size)
    }

    /// Extensions are checked and dropped: nobody downstream of us reads them.
    fn step_extension(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.extension_bytes += 1;
        if self.extension_bytes > CHUNK_EXTENSION_BYTES_MAX {
            return Err(ChunkError::Extension);
        }
        let is_text = matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        match (self.state, byte) {
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, b'"') => Ok(State::Quoted),
            (State::Quoted, b'"') => Ok(State::Extension),
            (State::Quoted, b'\\') => Ok(State::QuotedEscape),
            (State::QuotedEscape, _) if is_text => Ok(State::Quoted),
            (state, _) if is_text => Ok(state),
            _ => Err(ChunkError::Extension),
        }
    }

    fn step_trailer(&mut self, byte: u8) -> Result<State, ChunkError> {
        let trailers = self.trailers.get_or_insert_default();
        if trailers.len() >= TRAILER_BYTES_MAX {
            return Err(ChunkError::TrailersTooLarge);
        }
        let follows_cr = trailers.last() == Some(&b'\r');
        trailers.push(byte);
        match (byte, follows_cr) {
            (b'\n', true) => Ok(State::TrailerStart),
            (b'\n', false) | (_, true) => Err(ChunkError::LineEnd),
            _ => Ok(State::Trailer),
        }
    }
}

/// Trailer lines are fields, and none that frames, routes or authenticates.
fn check_trailers(lines: &[u8]) -> Result<(), ChunkError> {
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\r\n") else { return Err(ChunkError::LineEnd) };
        let Some(colon) = memchr::memchr(b':', line) else { return Err(ChunkError::Trailer) };
        let (name, value) = line.split_at(colon);
        let is_name = !name.is_empty() && name.iter().all(|&byte| is_token_byte(byte));
        let is_value = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
        if !is_name || !is_value || !FieldId::from_name(name).may_be_trailer() {
            return Err(ChunkError::Trailer);
        }
    }
    Ok(())
}

/// RFC 9110 §5.6.2: tchar.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
        || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~')
}

/// The line in front of a chunk of `len` bytes, written into `out`.
pub fn chunk_head(len: usize, out: &mut [u8; 18]) -> &[u8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out[16] = b'\r';
    out[17] = b'\n';
    let mut rest = len;
    let mut first = 16;
    loop {
        first -= 1;
        out[first] = DIGITS[rest & 15];
        rest >>= 4;
        if rest == 0 || first == 0 {
            return &out[first..];
        }
    }
}
