//! Request heads.

use std::mem::MaybeUninit;

use super::fields::{Found, collect, first_line_end, parser_error};
use crate::framing::{Role, body_length};
use crate::limits::FIELDS_MAX;
use crate::{HeadError, HeadLimits, Method, Parsed, RequestHead, Span, TargetForm, Version};

/// Parses a request head from the front of `buf` into `head`, whose spans then point into `buf`.
///
/// One CRLF before the request line is skipped (RFC 9112 §2.2).
///
/// # Errors
/// [`HeadError`]; the connection cannot be used on.
pub fn parse_request(
    buf: &[u8],
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<Parsed, HeadError> {
    let skipped = match buf {
        [b'\r', b'\n', ..] => 2,
        [b'\r'] | [] => return Ok(Parsed::Partial),
        _ => 0,
    };
    let mut table = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let fields_max = usize::from(limits.fields_max).min(FIELDS_MAX);
    let mut parsed = httparse::Request::new(&mut []);
    let rest = buf.get(skipped..).unwrap_or_default();
    let table = table.get_mut(..fields_max).unwrap_or_default();
    let status = httparse::ParserConfig::default()
        .parse_request_with_uninit_headers(&mut parsed, rest, table)
        .map_err(|error| request_error(error, rest))?;
    let head_bytes = match status {
        httparse::Status::Complete(bytes) => bytes + skipped,
        httparse::Status::Partial if buf.len() >= limits.head_bytes_max as usize => {
            return Err(HeadError::TooLarge);
        }
        httparse::Status::Partial => return Ok(Parsed::Partial),
    };
    if head_bytes > limits.head_bytes_max as usize {
        return Err(HeadError::TooLarge);
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(HeadError::Malformed);
    };
    head.fields.clear();
    let line_end = first_line_end(buf, skipped)?;
    let found = collect(buf, line_end, head_bytes, parsed.headers, &mut head.fields)?;
    head.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    head.method = Method::from_bytes(method.as_bytes());
    head.method_text = Span::within(buf, method.as_bytes());
    head.target = Span::within(buf, target.as_bytes());
    if head.method == Method::Trace {
        return Err(HeadError::Method);
    }
    read_target(buf, head)?;
    read_authority(buf, head, &found)?;
    head.body = body_length(found.declared, head.version, Role::Request { method: head.method })?;
    head.persistent = found.is_persistent(head.version);
    head.upgrade = found.offered_upgrade(head.version, buf);
    if found.expects_other {
        return Err(HeadError::Expectation);
    }
    head.expects_continue = found.expects_continue && head.version == Version::Http11;
    Ok(Parsed::Complete { head_bytes })
}

fn request_error(error: httparse::Error, buf: &[u8]) -> HeadError {
    // A request line with bytes that no target may have is the target's fault, not the line's.
    match parser_error(error, buf) {
        HeadError::Malformed if has_bad_target(buf) => HeadError::Target,
        error => error,
    }
}

fn has_bad_target(buf: &[u8]) -> bool {
    let line = buf.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(_), Some(target), Some(version), None) => {
            version.starts_with(b"HTTP/1.") && target.iter().any(|byte| !is_target_byte(*byte))
        }
        _ => false,
    }
}

fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// Finds form, path and query of the target.
fn read_target(buf: &[u8], head: &mut RequestHead) -> Result<(), HeadError> {
    let target = head.target.of(buf);
    if !target.iter().copied().all(is_target_byte) {
        return Err(HeadError::Target);
    }
    head.query = None;
    let start = head.target.start;
    if head.method == Method::Connect {
        head.target_form = TargetForm::Authority;
        head.path = Span::EMPTY;
        let has_port = memchr::memrchr(b':', target)
            .and_then(|at| target.get(at + 1..))
            .is_some_and(|port| !port.is_empty() && port.iter().all(u8::is_ascii_digit));
        return if has_port && is_authority(target) { Ok(()) } else { Err(HeadError::Target) };
    }
    let path_at = match target {
        [b'/', ..] => {
            head.target_form = TargetForm::Origin;
            0
        }
        b"*" if head.method == Method::Options => {
            head.target_form = TargetForm::Asterisk;
            head.path = head.target;
            return Ok(());
        }
        _ => {
            head.target_form = TargetForm::Absolute;
            let scheme = scheme_bytes(target).ok_or(HeadError::Target)?;
            let rest = target.get(scheme..).unwrap_or_default();
            let length = rest.iter().position(|&b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
            scheme + length
        }
    };
    let path = target.get(path_at..).unwrap_or_default();
    let question = memchr::memchr(b'?', path);
    let path_end = path_at + question.unwrap_or(path.len());
    head.path = Span { start: start + path_at as u32, end: start + path_end as u32 };
    if question.is_some() {
        head.query = Some(Span { start: start + path_end as u32 + 1, end: head.target.end });
    }
    Ok(())
}

/// Bytes of `http://` or `https://` in front of an absolute form.
fn scheme_bytes(target: &[u8]) -> Option<usize> {
    let starts = |scheme: &[u8]| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if starts(b"http://") {
        Some(7)
    } else if starts(b"https://") {
        Some(8)
    } else {
        None
    }
}

/// One valid Host, and no contradiction with the target (RFC 9112 §3.2).
fn read_authority(buf: &[u8], head: &mut RequestHead, found: &Found) -> Result<(), HeadError> {
    if found.hosts > 1 {
        return Err(HeadError::Host);
    }
    let host = found.host.unwrap_or(Span::EMPTY);
    let is_missing = found.host.is_none();
    if is_missing && head.version == Version::Http11 {
        return Err(HeadError::Host);
    }
    if !is_missing && !is_authority(host.of(buf)) {
        return Err(HeadError::Host);
    }
    let in_target = match head.target_form {
        TargetForm::Origin | TargetForm::Asterisk => {
            head.authority = host;
            return match host.is_empty() && head.version == Version::Http11 {
                true => Err(HeadError::Host),
                false => Ok(()),
            };
        }
        TargetForm::Authority => head.target,
        TargetForm::Absolute => {
            let scheme = scheme_bytes(head.target.of(buf)).unwrap_or(0) as u32;
            Span { start: head.target.start + scheme, end: head.path.start }
        }
    };
    if !is_authority(in_target.of(buf)) || in_target.is_empty() {
        return Err(HeadError::Target);
    }
    if !is_missing && !in_target.of(buf).eq_ignore_ascii_case(host.of(buf)) {
        return Err(HeadError::Host);
    }
    head.authority = in_target;
    Ok(())
}

/// `host [":" port]` without user information (RFC 9110 §4.2.4, RFC 3986 §3.2).
fn is_authority(authority: &[u8]) -> bool {
    let (host, port) = match authority.first() {
        Some(b'[') => match memchr::memchr(b']', authority) {
            Some(at) => authority.split_at(at + 1),
            None => return false,
        },
        _ => authority.split_at(memchr::memchr(b':', authority).unwrap_or(authority.len())),
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let is_host = match host {
        [b'[', address @ .., b']'] => {
            !address.is_empty()
                && address.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        name => name.iter().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(b, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'')
                || matches!(b, b'(' | b')' | b'*' | b'+' | b';' | b'=')
        }),
    };
    is_port && is_host
}
