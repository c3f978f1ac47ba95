//! The head of an answer.

use wire::h1::{put_field, put_number_field, put_status_line};

/// How the body of an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is none, and none can be announced (204, 304).
    Nothing,
    /// After that many bytes.
    Fixed(u64),
    /// In chunks; with the connection for an HTTP/1.0 client.
    Stream,
    /// With the connection.
    UntilClose,
}

/// Status and fields; date, origin, framing and connection are added when it is sent.
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Answer {
        Answer { status, fields: Vec::new() }
    }

    pub(crate) fn text() -> Answer {
        Answer::new(200).field("content-type", b"text/plain; charset=utf-8")
    }

    pub(crate) fn json(status: u16) -> Answer {
        Answer::new(status).field("content-type", b"application/json")
    }

    pub(crate) fn bytes() -> Answer {
        Answer::new(200).field("content-type", b"application/octet-stream")
    }

    /// Adds a field; a value that no field may have is left out.
    pub(crate) fn field(mut self, name: &str, value: &[u8]) -> Answer {
        if value.iter().all(|&byte| byte == b'\t' || byte >= b' ' && byte != 0x7f) {
            put_field(&mut self.fields, name.as_bytes(), value);
        }
        self
    }

    /// The head as bytes.
    pub(crate) fn put(&self, out: &mut Vec<u8>, about: &About<'_>) {
        put_status_line(out, self.status);
        put_field(out, b"date", about.date.as_bytes());
        put_field(out, b"server", b"ringgate-origin");
        put_field(out, b"x-origin", about.name.as_bytes());
        out.extend_from_slice(&self.fields);
        match about.length {
            Length::Fixed(bytes) => put_number_field(out, b"content-length", bytes),
            Length::Stream => put_field(out, b"transfer-encoding", b"chunked"),
            Length::Nothing | Length::UntilClose => {}
        }
        if about.closes {
            put_field(out, b"connection", b"close");
        } else if about.keeps {
            put_field(out, b"connection", b"keep-alive");
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// What an answer's head says beside its own fields.
pub(crate) struct About<'a> {
    /// The time, as an HTTP date.
    pub(crate) date: &'a str,
    /// The origin's label.
    pub(crate) name: &'a str,
    pub(crate) length: Length,
    /// The connection ends with this answer.
    pub(crate) closes: bool,
    /// It stays open although the client's version would not expect that.
    pub(crate) keeps: bool,
}

/// An instant as an HTTP date (RFC 9110 §5.6.7).
pub(crate) fn http_date(unix_us: u64) -> String {
    // The formatter knows no year beyond 9999.
    let since = std::time::Duration::from_micros(unix_us.min(250_000_000_000_000_000));
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + since)
}
