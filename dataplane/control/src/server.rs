//! A small HTTP/1.1 server for the admin interface.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use net::{Net, NetError, Stream, StreamExt};
use wire::h1::{ChunkedDecoder, parse_request, put_field, put_number_field, put_status_line};
use wire::{BodyLength, HeadLimits, Parsed, RequestHead};

use crate::admin;
use crate::agent::Agent;

/// Connections served at once; further ones are closed.
const CONNECTIONS_MAX: u32 = 64;
/// Time for a request to arrive, for an answer to be taken, and for a connection to idle.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a body: those of the largest document, and some for its framing.
const BODY_BYTES_MAX: usize = config::DOCUMENT_BYTES_MAX + 4096;

/// A request for the admin interface.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Whether a browser sent it for some page.
    pub(crate) has_origin: bool,
    pub(crate) body: Vec<u8>,
}

/// An answer of the admin interface.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    /// Further fields.
    pub(crate) fields: Vec<(&'static str, String)>,
}

/// Accepts until the process ends.
pub(crate) async fn accept_all<N: Net>(net: N, agent: Rc<Agent>, listener: N::Listener) {
    let open = Rc::new(Cell::new(0));
    while let Ok((incoming, _)) = net.accept(&listener).await {
        let Ok(stream) = net.open(incoming) else { continue };
        if open.get() >= CONNECTIONS_MAX {
            continue;
        }
        open.set(open.get() + 1);
        let (inner, agent, count) = (net.clone(), Rc::clone(&agent), Rc::clone(&open));
        net.spawn(async move {
            let _counted = Counted(count);
            // A peer that breaks off is its own affair.
            let _ = serve(&inner, &agent, &stream).await;
        });
    }
}

/// Gives a connection's place back, also when its task panics.
struct Counted(Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

async fn serve<N: Net>(net: &N, agent: &Rc<Agent>, stream: &N::Stream) -> Result<(), NetError> {
    let mut received = Vec::new();
    loop {
        stream.set_deadline(Some(net.now() + PATIENCE));
        let (reply, is_head, persistent) = match read_request(stream, &mut received).await? {
            Read::Closed => return Ok(()),
            Read::Refused(status) => {
                (Reply::problem(status, "malformed or too large"), false, false)
            }
            Read::Whole { asked, persistent } => {
                stream.set_deadline(None);
                let is_head = asked.method == "HEAD";
                (admin::answer(net, agent, asked).await, is_head, persistent)
            }
        };
        stream.set_deadline(Some(net.now() + PATIENCE));
        send(stream, &reply, is_head, persistent).await?;
        if !persistent {
            stream.drained(1).await?;
            stream.shutdown();
            return Ok(());
        }
    }
}

enum Read {
    Closed,
    Refused(u16),
    Whole { asked: Asked, persistent: bool },
}

async fn read_request<S: Stream>(stream: &S, received: &mut Vec<u8>) -> Result<Read, NetError> {
    let mut head = RequestHead::default();
    let limits = HeadLimits::default();
    let head_bytes = loop {
        match parse_request(received, &limits, &mut head) {
            Ok(Parsed::Complete { head_bytes }) => break head_bytes,
            Ok(Parsed::Partial) => {}
            Err(error) => return Ok(Read::Refused(error.reason().status())),
        }
        let chunk = stream.recv().await?;
        if chunk.is_empty() {
            return Ok(Read::Closed);
        }
        received.extend_from_slice(&chunk);
    };
    let text = |span: wire::Span| String::from_utf8_lossy(span.of(received)).into_owned();
    let mut asked = Asked {
        method: text(head.method_text),
        path: text(head.path),
        query: head.query.map(text).unwrap_or_default(),
        has_origin: head.find_name(received, b"origin").is_some(),
        body: Vec::new(),
    };
    if head.expects_continue {
        stream.send_copy(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    received.drain(..head_bytes.min(received.len()));
    let persistent = head.persistent;
    let Some(body) = read_body(stream, received, head.body).await? else {
        return Ok(Read::Refused(413));
    };
    asked.body = body;
    Ok(Read::Whole { asked, persistent })
}

/// The body without its framing; `None` if it is too large or malformed.
async fn read_body<S: Stream>(
    stream: &S,
    received: &mut Vec<u8>,
    length: BodyLength,
) -> Result<Option<Vec<u8>>, NetError> {
    let mut body = Vec::new();
    let mut decoder = ChunkedDecoder::default();
    loop {
        match length {
            BodyLength::Empty | BodyLength::UntilClose => return Ok(Some(body)),
            BodyLength::Fixed(bytes) => {
                let Ok(bytes) = usize::try_from(bytes) else { return Ok(None) };
                if bytes > BODY_BYTES_MAX {
                    return Ok(None);
                }
                if received.len() >= bytes {
                    body.extend(received.drain(..bytes));
                    return Ok(Some(body));
                }
            }
            BodyLength::Chunked => {
                while !decoder.is_done() && !received.is_empty() {
                    let Ok(step) = decoder.decode(received) else { return Ok(None) };
                    body.extend_from_slice(received.get(step.data).unwrap_or_default());
                    received.drain(..step.consumed.min(received.len()));
                    if body.len() > BODY_BYTES_MAX {
                        return Ok(None);
                    }
                }
                if decoder.is_done() {
                    return Ok(Some(body));
                }
            }
        }
        let chunk = stream.recv().await?;
        if chunk.is_empty() {
            return Err(NetError::Closed);
        }
        received.extend_from_slice(&chunk);
    }
}

async fn send<S: Stream>(
    stream: &S,
    reply: &Reply,
    is_head: bool,
    persistent: bool,
) -> Result<(), NetError> {
    let mut head = Vec::with_capacity(256);
    put_status_line(&mut head, reply.status);
    put_field(&mut head, b"Content-Type", reply.content_type.as_bytes());
    put_number_field(&mut head, b"Content-Length", reply.body.len() as u64);
    put_field(&mut head, b"Cache-Control", b"no-store");
    for (name, value) in &reply.fields {
        put_field(&mut head, name.as_bytes(), value.as_bytes());
    }
    if !persistent {
        put_field(&mut head, b"Connection", b"close");
    }
    head.extend_from_slice(b"\r\n");
    stream.send_copy(&head);
    if !is_head {
        // In steps, so that a slow reader of a large document costs no second copy of it.
        for step in reply.body.chunks(64 * 1024) {
            stream.drained(128 * 1024).await?;
            stream.send_copy(step);
        }
    }
    stream.drained(64 * 1024).await
}

impl Reply {
    /// A JSON document.
    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Reply {
        let mut body = value.to_string().into_bytes();
        body.push(b'\n');
        Reply { status, content_type: "application/json", body, fields: Vec::new() }
    }

    /// Plain text.
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Reply {
        let body = text.into().into_bytes();
        Reply { status, content_type: "text/plain; charset=utf-8", body, fields: Vec::new() }
    }

    /// An error in one sentence.
    pub(crate) fn problem(status: u16, what: &str) -> Reply {
        Reply::json(status, &serde_json::json!({ "error": what }))
    }
}
