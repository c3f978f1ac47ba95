//! Decides how the body of a message ends.
//!
//! One decision for the whole gateway: whatever forwards, drains or reuses asks here. Ambiguity is
//! an error, never a guess and never repaired (RFC 9112 §6.3 lets a proxy repair; every published
//! smuggling attack lives on that).

use crate::limits::LENGTH_DIGITS_MAX;
use crate::{HeadError, Method, Version};

/// How a body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    #[default]
    Empty,
    /// After that many bytes.
    Fixed(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection; responses only.
    UntilClose,
}

/// Whose message it is, with what decides about its body besides its fields.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// A request.
    Request {
        /// Its method.
        method: Method,
    },
    /// A response.
    Response {
        /// Its status.
        status: u16,
        /// The method of the request it answers.
        method: Method,
    },
}

/// What the fields of a head say of its body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Declared {
    length: Option<u64>,
    is_length_invalid: bool,
    is_chunked: bool,
    has_unknown_coding: bool,
    is_coding_repeated: bool,
}

impl Declared {
    /// Takes note of a Content-Length. Several are accepted only if they are the same number.
    pub fn content_length(&mut self, value: &[u8]) {
        let is_number =
            (1..=LENGTH_DIGITS_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        if !is_number {
            self.is_length_invalid = true;
            return;
        }
        let length = value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        self.is_length_invalid |= self.length.is_some_and(|known| known != length);
        self.length = Some(length);
    }

    /// Takes note of a Transfer-Encoding. Only `chunked`, once, is understood.
    pub fn transfer_encoding(&mut self, value: &[u8]) {
        for coding in value.split(|&byte| byte == b',') {
            let coding = coding.trim_ascii();
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.is_coding_repeated |= self.is_chunked;
                self.is_chunked = true;
            } else {
                self.has_unknown_coding = true;
            }
        }
    }
}

/// How the body ends.
///
/// # Errors
/// [`HeadError::Framing`] for both lengths, an invalid or contradicting length, a coding twice or
/// in HTTP/1.0; [`HeadError::TransferCoding`] for a coding other than chunked.
pub fn body_length(
    declared: Declared,
    version: Version,
    role: Role,
) -> Result<BodyLength, HeadError> {
    let has_coding = declared.is_chunked || declared.has_unknown_coding;
    let is_ambiguous = declared.is_length_invalid
        || declared.is_coding_repeated
        || (has_coding && declared.length.is_some())
        || (has_coding && version == Version::Http10)
        || (declared.is_chunked && declared.has_unknown_coding);
    if is_ambiguous {
        return Err(HeadError::Framing);
    }
    if declared.has_unknown_coding {
        return Err(HeadError::TransferCoding);
    }
    let declares_body = declared.is_chunked || declared.length.is_some_and(|length| length > 0);
    match role {
        Role::Request { method: Method::Connect } if declares_body => Err(HeadError::Framing),
        Role::Response { method: Method::Head, .. } => Ok(BodyLength::Empty),
        Role::Response { status: 304, .. } => Ok(BodyLength::Empty),
        // RFC 9112 §6.3: these end with their head, and must not say otherwise.
        Role::Response { status: 100..=199 | 204, .. } if declares_body => Err(HeadError::Framing),
        Role::Response { status: 100..=199 | 204, .. } => Ok(BodyLength::Empty),
        Role::Response { status: 200..=299, method: Method::Connect } => Ok(BodyLength::Empty),
        _ if declared.is_chunked => Ok(BodyLength::Chunked),
        Role::Request { .. } => Ok(match declared.length {
            Some(length) => BodyLength::Fixed(length),
            None => BodyLength::Empty,
        }),
        Role::Response { .. } => {
            Ok(declared.length.map_or(BodyLength::UntilClose, BodyLength::Fixed))
        }
    }
}
