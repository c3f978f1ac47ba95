//! What requests and responses have in common: the field section.

use crate::framing::Declared;
use crate::{Field, FieldId, HeadError, Span, Version};

/// What one pass over the fields found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) declared: Declared,
    pub(super) closes: bool,
    pub(super) keeps: bool,
    pub(super) upgrades: bool,
    pub(super) host: Option<Span>,
    pub(super) hosts: u32,
    pub(super) upgrade: Option<Span>,
    pub(super) expects_continue: bool,
    pub(super) expects_other: bool,
    lists_others: bool,
}

/// Turns parsed headers into fields and checks the line structure that the parser underneath is
/// lax about: each line ends in CRLF, nothing stands between the lines.
pub(super) fn collect(
    buf: &[u8],
    first_line_end: usize,
    head_end: usize,
    parsed: &[httparse::Header<'_>],
    fields: &mut Vec<Field>,
) -> Result<Found, HeadError> {
    let mut found = Found::default();
    let mut line_start = first_line_end as u32;
    for (index, header) in parsed.iter().enumerate() {
        let name = Span::within(buf, header.name.as_bytes());
        let next = match parsed.get(index + 1) {
            Some(next) => Span::within(buf, next.name.as_bytes()).start,
            None => head_end as u32 - 2,
        };
        let line = Span { start: line_start, end: next };
        let has_strict_ends = name.start == line_start && line.of(buf).ends_with(b"\r\n");
        if !has_strict_ends {
            return Err(HeadError::Malformed);
        }
        let value = match header.value.is_empty() {
            true => Span { start: next - 2, end: next - 2 },
            false => trimmed(buf, Span::within(buf, header.value)),
        };
        // One line only: the parser stops values at CR or LF, so a second break could only be
        // an empty value over two lines.
        let between = Span { start: value.end, end: next }.of(buf);
        if between.trim_ascii_start() != b"" && !is_blank_line_end(between) {
            return Err(HeadError::Malformed);
        }
        let id = FieldId::from_name(header.name.as_bytes());
        found.note(id, value, buf);
        fields.push(Field { id, name, value, line, hop_by_hop: id.is_hop_by_hop() });
        line_start = next;
    }
    if buf.get(head_end - 2..head_end) != Some(b"\r\n") || line_start as usize != head_end - 2 {
        return Err(HeadError::Malformed);
    }
    if found.lists_others {
        mark_listed(buf, fields);
    }
    Ok(found)
}

/// Blanks and then CRLF.
fn is_blank_line_end(between: &[u8]) -> bool {
    between
        .strip_suffix(b"\r\n")
        .is_some_and(|blanks| blanks.iter().all(|byte| matches!(byte, b' ' | b'\t')))
}

fn trimmed(buf: &[u8], value: Span) -> Span {
    let bytes = value.of(buf);
    let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let leading = bytes.iter().take_while(is_blank).count() as u32;
    let trailing = bytes.iter().rev().take_while(is_blank).count() as u32;
    let start = value.start + leading;
    Span { start, end: (value.end - trailing).max(start) }
}

impl Found {
    fn note(&mut self, id: FieldId, value: Span, buf: &[u8]) {
        match id {
            FieldId::Other => {}
            FieldId::Host => {
                self.hosts += 1;
                self.host = Some(value);
            }
            FieldId::ContentLength => self.declared.content_length(value.of(buf)),
            FieldId::TransferEncoding => self.declared.transfer_encoding(value.of(buf)),
            FieldId::Connection => self.note_connection(value.of(buf)),
            FieldId::Upgrade => self.upgrade = Some(value),
            FieldId::Expect => match value.of(buf).eq_ignore_ascii_case(b"100-continue") {
                true => self.expects_continue = true,
                false => self.expects_other = true,
            },
            _ => {}
        }
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.closes = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keeps = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrades = true;
            } else if !option.is_empty() {
                self.lists_others = true;
            }
        }
    }

    /// Whether the sender wants the connection to go on (RFC 9112 §9.3).
    pub(super) fn is_persistent(&self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.closes,
            Version::Http10 => self.keeps && !self.closes,
        }
    }

    /// The protocols offered or chosen. h2c is never passed on: an upstream that accepted it would
    /// speak HTTP/2 past every check of ours.
    pub(super) fn offered_upgrade(&self, version: Version, buf: &[u8]) -> Option<Span> {
        let upgrade = self.upgrade.filter(|_| self.upgrades && version == Version::Http11)?;
        let names_h2c = upgrade
            .of(buf)
            .split(|&byte| byte == b',')
            .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"h2c"));
        (!names_h2c && !upgrade.is_empty()).then_some(upgrade)
    }
}

/// Marks the fields that Connection lists. Rare, so the quadratic search is bounded by the number
/// of fields squared and done only when there is anything to find.
fn mark_listed(buf: &[u8], fields: &mut [Field]) {
    for index in 0..fields.len() {
        let Some(field) = fields.get(index).copied() else { return };
        if field.hop_by_hop || !field.id.may_be_listed() {
            continue;
        }
        let name = field.name.of(buf);
        let is_listed = fields.iter().filter(|f| f.id == FieldId::Connection).any(|connection| {
            connection
                .value
                .of(buf)
                .split(|&byte| byte == b',')
                .any(|option| option.trim_ascii().eq_ignore_ascii_case(name))
        });
        if is_listed && let Some(field) = fields.get_mut(index) {
            field.hop_by_hop = true;
        }
    }
}

/// What the parser's complaint means to us.
pub(super) fn parser_error(error: httparse::Error, buf: &[u8]) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::FieldsTooMany,
        httparse::Error::Version => HeadError::Version,
        httparse::Error::HeaderName if has_folding(buf) => HeadError::Folded,
        _ => HeadError::Malformed,
    }
}

fn has_folding(buf: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', buf)
        .any(|at| matches!(buf.get(at + 1), Some(b' ' | b'\t')) && at > 0)
}

/// Where the first line ends, its CRLF included.
pub(super) fn first_line_end(buf: &[u8], from: usize) -> Result<usize, HeadError> {
    let rest = buf.get(from..).unwrap_or_default();
    match memchr::memchr(b'\n', rest) {
        Some(at) if at > 0 && rest.get(at - 1) == Some(&b'\r') => Ok(from + at + 1),
        _ => Err(HeadError::Malformed),
    }
}
