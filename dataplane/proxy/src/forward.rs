//! Heads as we pass them on: hop-by-hop fields removed, the body framed by ourselves, the client
//! and the gateway named.

use std::io::Write as _;
use std::net::IpAddr;

use config::snapshot::{Forwarded, ForwardedMode};
use wire::h1::{put_field, put_number_field, put_request_line, put_status_line};
use wire::{BodyLength, FieldId, Method, RequestHead, ResponseHead, TargetForm};

use crate::half::{Request, ResponseStart};

/// What the head of a forwarded request needs besides the client's own.
pub(crate) struct RequestForwarding<'a> {
    pub(crate) request: &'a Request,
    pub(crate) edits: &'a filters::Edits,
    /// Replaces Host.
    pub(crate) host: Option<&'a str>,
    pub(crate) client_ip: Option<IpAddr>,
    /// How the client reached us: `http` or `https`.
    pub(crate) scheme: &'a str,
    pub(crate) forwarded: &'a Forwarded,
    pub(crate) via: bool,
    /// Sent as X-Request-Id; empty for none.
    pub(crate) request_id: &'a [u8],
    /// Pass the request's Upgrade on.
    pub(crate) upgrades: bool,
}

impl RequestForwarding<'_> {
    /// Appends the head for an HTTP/1.1 upstream.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let head = &self.request.head;
        let bytes = self.request.bytes();
        self.put_line(out, head, bytes);
        let host = match self.host {
            Some(host) => host.as_bytes(),
            None => head.authority.of(bytes),
        };
        if !self.edits.drops(b"host") {
            put_field(out, b"Host", host);
        }
        self.put_kept_fields(out, head, bytes);
        self.put_own_fields(out, head, bytes, host);
        for (name, value) in self.edits.appended() {
            put_field(out, name, value);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn put_line(&self, out: &mut Vec<u8>, head: &RequestHead, bytes: &[u8]) {
        let method = head.method_text.of(bytes);
        if let Some(path) = self.edits.path() {
            put_request_line(out, method, path);
            return;
        }
        match head.target_form {
            TargetForm::Origin | TargetForm::Asterisk | TargetForm::Authority => {
                put_request_line(out, method, head.target.of(bytes));
            }
            TargetForm::Absolute => {
                out.extend_from_slice(method);
                out.push(b' ');
                let path = head.path.of(bytes);
                out.extend_from_slice(if path.is_empty() { b"/" } else { path });
                if let Some(query) = head.query {
                    out.push(b'?');
                    out.extend_from_slice(query.of(bytes));
                }
                out.extend_from_slice(b" HTTP/1.1\r\n");
            }
        }
    }

    /// The client's own fields. Neighbours are copied as one run.
    fn put_kept_fields(&self, out: &mut Vec<u8>, head: &RequestHead, bytes: &[u8]) {
        let mut run = Run::default();
        for field in &head.fields {
            let is_kept = !field.hop_by_hop
                && match field.id {
                    FieldId::Host
                    | FieldId::ContentLength
                    | FieldId::TransferEncoding
                    | FieldId::Connection
                    | FieldId::Upgrade => false,
                    FieldId::XForwardedFor | FieldId::XForwardedProto | FieldId::XForwardedHost => {
                        !writes_x(self.forwarded) && self.forwarded.trust
                    }
                    FieldId::Forwarded => !writes_rfc(self.forwarded) && self.forwarded.trust,
                    FieldId::XRequestId => self.request_id.is_empty(),
                    FieldId::Via => !self.via,
                    _ => true,
                }
                && (self.edits.is_empty() || !self.edits.drops(field.name.of(bytes)));
            run.step(is_kept, field.line, bytes, out);
        }
        run.finish(bytes, out);
    }

    fn put_own_fields(&self, out: &mut Vec<u8>, head: &RequestHead, bytes: &[u8], host: &[u8]) {
        match head.body {
            BodyLength::Fixed(length) => put_number_field(out, b"Content-Length", length),
            BodyLength::Chunked => put_field(out, b"Transfer-Encoding", b"chunked"),
            BodyLength::Empty | BodyLength::UntilClose => {}
        }
        if self.upgrades
            && let Some(upgrade) = head.upgrade
        {
            put_field(out, b"Connection", b"Upgrade");
            put_field(out, b"Upgrade", upgrade.of(bytes));
        }
        if self.via {
            put_list(out, head, bytes, FieldId::Via, b"Via", |out| {
                out.extend_from_slice(b"1.1 ringgate");
            });
        }
        if !self.request_id.is_empty() {
            put_field(out, b"X-Request-Id", self.request_id);
        }
        if let Some(client) = self.client_ip {
            if writes_x(self.forwarded) {
                self.put_x_forwarded(out, head, bytes, host, client);
            }
            if writes_rfc(self.forwarded) {
                self.put_forwarded(out, head, bytes, host, client);
            }
        }
    }

    fn put_x_forwarded(
        &self,
        out: &mut Vec<u8>,
        head: &RequestHead,
        bytes: &[u8],
        host: &[u8],
        client: IpAddr,
    ) {
        let trusted =
            |id| head.find(id).filter(|_| self.forwarded.trust).map(|f| f.value.of(bytes));
        out.extend_from_slice(b"X-Forwarded-For: ");
        if self.forwarded.trust {
            for field in head.fields.iter().filter(|f| f.id == FieldId::XForwardedFor) {
                out.extend_from_slice(field.value.of(bytes));
                out.extend_from_slice(b", ");
            }
        }
        put_ip(out, client);
        out.extend_from_slice(b"\r\n");
        let proto = trusted(FieldId::XForwardedProto).unwrap_or(self.scheme.as_bytes());
        put_field(out, b"X-Forwarded-Proto", proto);
        let host = trusted(FieldId::XForwardedHost).unwrap_or(match self.host {
            Some(_) => head.authority.of(bytes),
            None => host,
        });
        put_field(out, b"X-Forwarded-Host", host);
    }

    /// RFC 7239.
    fn put_forwarded(
        &self,
        out: &mut Vec<u8>,
        head: &RequestHead,
        bytes: &[u8],
        host: &[u8],
        client: IpAddr,
    ) {
        out.extend_from_slice(b"Forwarded: ");
        if self.forwarded.trust {
            for field in head.fields.iter().filter(|f| f.id == FieldId::Forwarded) {
                out.extend_from_slice(field.value.of(bytes));
                out.extend_from_slice(b", ");
            }
        }
        // Writing to a Vec cannot fail.
        let _ = match client {
            IpAddr::V4(ip) => write!(out, "for={ip}"),
            IpAddr::V6(ip) => write!(out, "for=\"[{ip}]\""),
        };
        out.extend_from_slice(b";proto=");
        out.extend_from_slice(self.scheme.as_bytes());
        out.extend_from_slice(b";host=\"");
        out.extend(host.iter().filter(|&&byte| byte != b'"' && byte != b'\\'));
        out.extend_from_slice(b"\"\r\n");
    }
}

fn writes_x(forwarded: &Forwarded) -> bool {
    matches!(forwarded.mode, ForwardedMode::XForwarded | ForwardedMode::Both)
}

fn writes_rfc(forwarded: &Forwarded) -> bool {
    matches!(forwarded.mode, ForwardedMode::Rfc7239 | ForwardedMode::Both)
}

/// The framing of an answer towards an HTTP/1 client.
#[derive(Clone, Copy)]
pub(crate) struct ResponseFraming {
    pub(crate) is_chunked: bool,
    /// Say that the connection ends after this answer.
    pub(crate) closes: bool,
    /// Say to an HTTP/1.0 client that it does not.
    pub(crate) keeps: bool,
}

/// Appends the head of an answer for an HTTP/1 client.
pub(crate) fn put_response_head(
    out: &mut Vec<u8>,
    start: &ResponseStart<'_>,
    framing: ResponseFraming,
) {
    let (head, bytes) = (start.head, start.bytes);
    put_status(out, head, bytes);
    let is_switch = head.status == 101;
    let mut run = Run::default();
    for field in &head.fields {
        let is_kept = match field.id {
            FieldId::Connection | FieldId::TransferEncoding | FieldId::KeepAlive => false,
            FieldId::Upgrade => false,
            FieldId::Via => !start.via,
            // With chunks of our own a length would contradict them.
            FieldId::ContentLength => !framing.is_chunked,
            _ => !field.hop_by_hop,
        } && (start.edits.is_empty() || !start.edits.drops(field.name.of(bytes)));
        run.step(is_kept, field.line, bytes, out);
    }
    run.finish(bytes, out);
    if framing.is_chunked {
        put_field(out, b"Transfer-Encoding", b"chunked");
    }
    if start.via {
        put_via(out, head, bytes);
    }
    for (name, value) in start.edits.appended() {
        put_field(out, name, value);
    }
    match (is_switch, head.upgrade) {
        (true, Some(upgrade)) => {
            put_field(out, b"Connection", b"Upgrade");
            put_field(out, b"Upgrade", upgrade.of(bytes));
        }
        _ if framing.closes => put_field(out, b"Connection", b"close"),
        _ if framing.keeps => put_field(out, b"Connection", b"keep-alive"),
        _ => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends an interim answer (RFC 9110 §15.2).
pub(crate) fn put_interim_head(out: &mut Vec<u8>, head: &ResponseHead, bytes: &[u8]) {
    put_status(out, head, bytes);
    let mut run = Run::default();
    for field in &head.fields {
        run.step(!field.hop_by_hop, field.line, bytes, out);
    }
    run.finish(bytes, out);
    out.extend_from_slice(b"\r\n");
}

fn put_status(out: &mut Vec<u8>, head: &ResponseHead, bytes: &[u8]) {
    let phrase = head.reason_phrase.of(bytes);
    if phrase.is_empty() {
        put_status_line(out, head.status);
        return;
    }
    let status = head.status.min(999);
    let digits = [status / 100, status / 10 % 10, status % 10].map(|d| b'0' + d as u8);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&digits);
    out.push(b' ');
    out.extend_from_slice(phrase);
    out.extend_from_slice(b"\r\n");
}

fn put_via(out: &mut Vec<u8>, head: &ResponseHead, bytes: &[u8]) {
    out.extend_from_slice(b"Via: ");
    for field in head.fields.iter().filter(|field| field.id == FieldId::Via) {
        out.extend_from_slice(field.value.of(bytes));
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(b"1.1 ringgate\r\n");
}

/// A list field: the values that came, then ours.
fn put_list(
    out: &mut Vec<u8>,
    head: &RequestHead,
    bytes: &[u8],
    id: FieldId,
    name: &[u8],
    own: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    for field in head.fields.iter().filter(|field| field.id == id) {
        out.extend_from_slice(field.value.of(bytes));
        out.extend_from_slice(b", ");
    }
    own(out);
    out.extend_from_slice(b"\r\n");
}

fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    // Formatting through `fmt` costs ten times as much, on the path of every request.
    match ip {
        IpAddr::V4(ip) => {
            for (index, octet) in ip.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                if octet >= 100 {
                    out.push(b'0' + octet / 100);
                }
                if octet >= 10 {
                    out.push(b'0' + octet / 10 % 10);
                }
                out.push(b'0' + octet % 10);
            }
        }
        IpAddr::V6(ip) => {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{ip}");
        }
    }
}

/// Adjacent lines that are copied together.
#[derive(Default)]
struct Run {
    start: u32,
    end: u32,
}

impl Run {
    fn step(&mut self, is_kept: bool, line: wire::Span, bytes: &[u8], out: &mut Vec<u8>) {
        if is_kept && line.start == self.end && self.end > self.start {
            self.end = line.end;
            return;
        }
        self.finish(bytes, out);
        *self = match is_kept {
            true => Run { start: line.start, end: line.end },
            false => Run::default(),
        };
    }

    fn finish(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if let Some(run) = bytes.get(self.start as usize..self.end as usize) {
            out.extend_from_slice(run);
        }
    }
}

/// Whether a method's request may be sent again although it may have been served.
pub(crate) fn is_repeatable(method: Method) -> bool {
    method.is_idempotent()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_std_writes_them() {
        for ip in ["0.0.0.0", "1.20.255.100", "127.0.0.1", "10.9.99.109", "::1", "2001:db8::7"] {
            let mut out = Vec::new();
            put_ip(&mut out, ip.parse().unwrap());
            assert_eq!(out, ip.as_bytes());
        }
    }

    #[test]
    fn runs_copy_neighbours_and_leave_gaps_out() {
        let bytes = b"aabbccdd";
        let (mut run, mut out) = (Run::default(), Vec::new());
        for (index, kept) in [true, true, false, true].into_iter().enumerate() {
            let start = index as u32 * 2;
            run.step(kept, wire::Span { start, end: start + 2 }, bytes, &mut out);
        }
        run.finish(bytes, &mut out);
        assert_eq!(out, b"aabbdd");
    }
}
