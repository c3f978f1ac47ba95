//! Response heads.

use std::mem::MaybeUninit;

use super::fields::{collect, first_line_end, parser_error};
use crate::framing::{Role, body_length};
use crate::limits::FIELDS_MAX;
use crate::{HeadError, HeadLimits, Method, Parsed, ResponseHead, Span, Version};

/// Parses a response head from the front of `buf` into `head`, whose spans then point into `buf`.
/// Interim responses (1xx) are heads of their own, with an empty body.
///
/// # Errors
/// [`HeadError`]; the connection cannot be used on.
pub fn parse_response(
    buf: &[u8],
    limits: &HeadLimits,
    request_method: Method,
    head: &mut ResponseHead,
) -> Result<Parsed, HeadError> {
    let mut table = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let fields_max = usize::from(limits.fields_max).min(FIELDS_MAX);
    let table = table.get_mut(..fields_max).unwrap_or_default();
    let mut parsed = httparse::Response::new(&mut []);
    if matches!(buf.first(), Some(b'\r' | b'\n')) {
        return Err(HeadError::Malformed);
    }
    let status = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, buf, table)
        .map_err(|error| parser_error(error, buf))?;
    let head_bytes = match status {
        httparse::Status::Complete(bytes) => bytes,
        httparse::Status::Partial if buf.len() >= limits.head_bytes_max as usize => {
            return Err(HeadError::TooLarge);
        }
        httparse::Status::Partial => return Ok(Parsed::Partial),
    };
    if head_bytes > limits.head_bytes_max as usize {
        return Err(HeadError::TooLarge);
    }
    let (Some(code), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(HeadError::Malformed);
    };
    if !(100..=599).contains(&code) {
        return Err(HeadError::Malformed);
    }
    head.fields.clear();
    let line_end = first_line_end(buf, 0)?;
    let found = collect(buf, line_end, head_bytes, parsed.headers, &mut head.fields)?;
    head.status = code;
    head.reason_phrase = match parsed.reason {
        Some(phrase) if !phrase.is_empty() => Span::within(buf, phrase.as_bytes()),
        _ => Span::EMPTY,
    };
    head.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let role = Role::Response { status: code, method: request_method };
    head.body = body_length(found.declared, head.version, role)?;
    head.persistent = found.is_persistent(head.version);
    head.upgrade = found.offered_upgrade(head.version, buf);
    Ok(Parsed::Complete { head_bytes })
}
