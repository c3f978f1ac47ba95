//! One client connection: requests in, answers out, one after the other.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use net::{Chunk, Net, NetError, Stream, StreamExt};
use wire::h1::{chunk_head, parse_request};
use wire::reason::Reason;
use wire::{Method, Parsed, RequestHead, Version};

use crate::answer::{About, Answer, Length, http_date};
use crate::body::BodyReader;
use crate::query::Query;
use crate::{Settings, limits, paths};

/// Why a connection goes no further.
pub(crate) enum Cut {
    /// At once, whatever is queued.
    Drop,
    /// The network failed.
    Net,
    /// The request cannot be read on; the client is told why if no answer was begun.
    Refuse(u16, &'static str),
}

impl From<NetError> for Cut {
    fn from(error: NetError) -> Cut {
        match error {
            NetError::TimedOut => Cut::Refuse(408, "the request took too long"),
            _ => Cut::Net,
        }
    }
}

pub(crate) type Handled = Result<(), Cut>;

/// A request's head with the bytes it points into.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) head: RequestHead,
    pub(crate) bytes: Vec<u8>,
}

impl Request {
    pub(crate) fn path(&self) -> &[u8] {
        self.head.path.of(&self.bytes)
    }

    pub(crate) fn query(&self) -> Query<'_> {
        Query(self.head.query.map_or(&[], |query| query.of(&self.bytes)))
    }

    /// The value of the first field with this name, which is given in lower case.
    pub(crate) fn field(&self, lower_name: &str) -> Option<&[u8]> {
        self.head.find_name(&self.bytes, lower_name.as_bytes())
    }
}

/// How the body of the current answer travels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    Plain,
    Chunked,
    /// Not at all: the answer to HEAD, or one without a body.
    Nothing,
}

/// A connection and the exchange it is in.
pub(crate) struct Connection<N: Net> {
    pub(crate) net: N,
    pub(crate) stream: N::Stream,
    pub(crate) settings: Rc<Settings>,
    /// Received and not yet consumed.
    pub(crate) pending: Chunk,
    body: BodyReader,
    owes_continue: bool,
    version: Version,
    method: Method,
    writer: Writer,
    has_begun: bool,
    is_persistent: bool,
    scratch: Vec<u8>,
    pattern: Chunk,
}

/// Serves a connection to its end.
pub(crate) async fn run<N: Net>(net: N, stream: N::Stream, settings: Rc<Settings>) {
    let mut connection = Connection {
        net,
        stream,
        settings,
        pending: Chunk::EMPTY,
        body: BodyReader::Done,
        owes_continue: false,
        version: Version::Http11,
        method: Method::Get,
        writer: Writer::Nothing,
        has_begun: false,
        is_persistent: true,
        scratch: Vec::new(),
        pattern: Chunk::from_bytes(Bytes::from_static(&PATTERN)),
    };
    let mut request = Request::default();
    let handled = connection.serve(&mut request).await;
    let handled = match handled {
        Err(Cut::Refuse(status, why)) if !connection.has_begun => {
            connection.is_persistent = false;
            let body = format!("{}\n", serde_json::json!({ "error": why }));
            connection.answer(Answer::json(status), body.as_bytes()).await
        }
        handled => handled,
    };
    if handled.is_ok() {
        connection.close().await;
    }
}

impl<N: Net> Connection<N> {
    async fn serve(&mut self, request: &mut Request) -> Handled {
        while self.is_persistent {
            if !self.read_head(request).await? {
                return Ok(());
            }
            paths::handle(self, request).await?;
            self.is_persistent &= self.body.is_done();
            self.flow().await?;
        }
        Ok(())
    }

    /// Reads one head; false if the client closed instead.
    async fn read_head(&mut self, request: &mut Request) -> Result<bool, Cut> {
        self.has_begun = false;
        request.bytes.clear();
        self.set_deadline(limits::IDLE);
        loop {
            if self.pending.is_empty() {
                let received = self.stream.recv().await;
                let chunk = match received {
                    // An idle connection ends without a word.
                    Err(NetError::TimedOut) if request.bytes.is_empty() => return Ok(false),
                    received => received?,
                };
                if chunk.is_empty() {
                    let is_between = request.bytes.is_empty();
                    return if is_between { Ok(false) } else { Err(Cut::Net) };
                }
                self.pending = chunk;
            }
            if request.bytes.is_empty() {
                self.set_deadline(limits::HEAD_TIME);
            }
            let chunk = std::mem::replace(&mut self.pending, Chunk::EMPTY);
            request.bytes.extend_from_slice(&chunk);
            let is_over = request.bytes.len() > limits::HEAD.head_bytes_max as usize;
            // Parsing after every byte would let a slow client buy much work with little traffic.
            if !is_over && !chunk.contains(&b'\n') {
                continue;
            }
            let parsed = parse_request(&request.bytes, &limits::HEAD, &mut request.head)
                .map_err(|error| refusal(error.reason()))?;
            if let Parsed::Complete { head_bytes } = parsed {
                let rest = request.bytes.len() - head_bytes;
                self.pending = chunk;
                let consumed = self.pending.len() - rest.min(self.pending.len());
                self.pending.advance(consumed);
                request.bytes.truncate(head_bytes);
                self.accept_head(&request.head);
                return Ok(true);
            }
        }
    }

    fn accept_head(&mut self, head: &RequestHead) {
        self.version = head.version;
        self.method = head.method;
        self.body = BodyReader::new(head.body);
        self.owes_continue = head.expects_continue && !self.body.is_done();
        self.is_persistent = head.persistent;
        self.writer = Writer::Nothing;
    }

    /// Sends what is queued, ends our direction and waits for the client to end its own, so that
    /// bytes of his that we never read do not reset what he has still to read.
    async fn close(&mut self) {
        self.set_deadline(limits::SEND_TIME);
        if self.stream.drained(1).await.is_err() {
            return;
        }
        self.stream.shutdown();
        self.set_deadline(limits::LINGER_TIME);
        let mut dropped_bytes = 0;
        while let Ok(chunk) = self.stream.recv().await {
            dropped_bytes += chunk.len();
            if chunk.is_empty() || dropped_bytes > limits::LINGER_BYTES_MAX {
                return;
            }
        }
    }
}

// === impl Connection: the request's body ===

impl<N: Net> Connection<N> {
    /// The next piece of the request's body; `None` at its end.
    pub(crate) async fn next_piece(&mut self) -> Result<Option<Chunk>, Cut> {
        if std::mem::take(&mut self.owes_continue) {
            self.stream.send_copy(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        while !self.body.is_done() {
            if self.pending.is_empty() {
                self.set_deadline(limits::BODY_TIME);
                let chunk = self.stream.recv().await?;
                if chunk.is_empty() {
                    return Err(Cut::Net);
                }
                self.pending = chunk;
            }
            let data = self.body.take(&mut self.pending);
            let data = data.map_err(|error| refusal(error.reason()))?;
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The whole body, or `None` if it is larger than [`limits::BODY_BYTES_MAX`].
    pub(crate) async fn whole_body(&mut self) -> Result<Option<Vec<u8>>, Cut> {
        let max = limits::BODY_BYTES_MAX;
        if self.body.left().is_some_and(|left| left > max as u64) {
            return Ok(None);
        }
        let mut body = Vec::new();
        while let Some(piece) = self.next_piece().await? {
            if body.len() + piece.len() > max {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Some(body))
    }

    /// Reads a body that nobody asked for, to keep the connection; a large one, or one that the
    /// client holds back, is left alone.
    pub(crate) async fn discard_body(&mut self) -> Handled {
        let max = limits::DISCARD_BYTES_MAX;
        if self.owes_continue || self.body.left().is_some_and(|left| left > max as u64) {
            return Ok(());
        }
        let mut dropped_bytes = 0;
        while dropped_bytes <= max {
            let Some(piece) = self.next_piece().await? else { break };
            dropped_bytes += piece.len();
        }
        Ok(())
    }

    /// Bytes of the body still to come, where that is known.
    pub(crate) fn body_left(&self) -> Option<u64> {
        self.body.left()
    }
}

// === impl Connection: the answer ===

impl<N: Net> Connection<N> {
    /// Sends a head.
    pub(crate) fn start(&mut self, answer: &Answer, length: Length) {
        self.start_announced(answer, length, false);
    }

    /// Sends a head before a body that echoes the request's as it arrives: the connection may last
    /// although the request is not yet read.
    pub(crate) fn start_while_reading(&mut self, answer: &Answer, length: Length) {
        self.start_announced(answer, length, true);
    }

    fn start_announced(&mut self, answer: &Answer, length: Length, is_reading: bool) {
        let length = match (length, self.version) {
            (Length::Stream, Version::Http10) => Length::UntilClose,
            (length, _) => length,
        };
        let is_unread = !self.body.is_done() && !is_reading;
        if length == Length::UntilClose || is_unread {
            self.is_persistent = false;
        }
        self.writer = match length {
            _ if self.method == Method::Head => Writer::Nothing,
            Length::Nothing => Writer::Nothing,
            Length::Stream => Writer::Chunked,
            Length::Fixed(_) | Length::UntilClose => Writer::Plain,
        };
        let date = http_date(self.net.unix_us());
        let closes = !self.is_persistent;
        let keeps = self.is_persistent && self.version == Version::Http10;
        let name = &self.settings.name;
        self.scratch.clear();
        answer.put(&mut self.scratch, &About { date: &date, name, length, closes, keeps });
        self.stream.send_copy(&self.scratch);
        self.has_begun = true;
    }

    /// Sends a whole answer.
    pub(crate) async fn answer(&mut self, answer: Answer, body: &[u8]) -> Handled {
        self.start(&answer, Length::Fixed(body.len() as u64));
        self.data(body).await
    }

    /// Whether the current answer has a body to be sent.
    pub(crate) fn has_body(&self) -> bool {
        self.writer != Writer::Nothing
    }

    /// Sends a part of the body, and waits while too much is queued.
    pub(crate) async fn data(&mut self, bytes: &[u8]) -> Handled {
        self.open_chunk(bytes.len());
        if self.has_body() {
            for piece in bytes.chunks(limits::PIECE_BYTES) {
                self.stream.send_copy(piece);
                self.flow().await?;
            }
        }
        self.end_chunk(bytes.len());
        self.flow().await
    }

    /// As [`Connection::data`], without a copy.
    pub(crate) async fn data_shared(&mut self, data: Chunk) -> Handled {
        let len = data.len();
        self.open_chunk(len);
        if self.has_body() {
            self.stream.send(data);
        }
        self.end_chunk(len);
        self.flow().await
    }

    /// Sends the bytes of the repeating pattern from `from` on.
    pub(crate) async fn pattern(&mut self, from: u64, len: u64) -> Handled {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.open_chunk(len);
        let mut left = if self.has_body() { len } else { 0 };
        let mut skip = (from % PATTERN.len() as u64) as usize;
        while left > 0 {
            let mut piece = self.pattern.clone();
            piece.advance(std::mem::take(&mut skip));
            piece.truncate(left);
            left -= piece.len();
            self.stream.send(piece);
            self.flow().await?;
        }
        self.end_chunk(len);
        self.flow().await
    }

    fn open_chunk(&mut self, len: usize) {
        // A chunk of no bytes would end the body.
        if self.writer == Writer::Chunked && len > 0 {
            self.stream.send_copy(chunk_head(len, &mut [0; 18]));
        }
    }

    fn end_chunk(&mut self, len: usize) {
        if self.writer == Writer::Chunked && len > 0 {
            self.stream.send_copy(b"\r\n");
        }
    }

    /// Ends a streamed body; `trailers` are whole lines and are sent where the framing has room.
    pub(crate) fn end(&mut self, trailers: &[u8]) {
        if self.writer == Writer::Chunked {
            self.stream.send_copy(b"0\r\n");
            self.stream.send_copy(trailers);
            self.stream.send_copy(b"\r\n");
        }
    }

    /// Sends bytes as they are, in place of an answer that our own code could frame. The
    /// connection ends with them.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) -> Handled {
        self.is_persistent = false;
        self.has_begun = true;
        for piece in bytes.chunks(limits::PIECE_BYTES) {
            self.stream.send_copy(piece);
            self.flow().await?;
        }
        Ok(())
    }

    /// An interim head, for clients that may have one.
    pub(crate) fn interim(&mut self, head: &[u8]) {
        if self.version == Version::Http11 {
            self.stream.send_copy(head);
        }
    }

    /// Breaks the connection off once the client has what was sent so far.
    pub(crate) async fn break_off(&mut self) -> Cut {
        self.set_deadline(limits::SEND_TIME);
        let _ = self.stream.drained(1).await;
        Cut::Drop
    }

    /// Waits while more is queued than the client takes.
    pub(crate) async fn flow(&mut self) -> Handled {
        self.set_deadline(limits::SEND_TIME);
        self.stream.drained(limits::QUEUED_BYTES_MAX).await.map_err(|_| Cut::Net)
    }

    /// Waits; not to the end if the client breaks the connection meanwhile. One that only ended its
    /// own direction may still want the answer.
    pub(crate) async fn pause(&self, duration: Duration) -> Handled {
        if duration.is_zero() {
            return Ok(());
        }
        self.stream.set_deadline(None);
        let mut sleep = pin!(self.net.sleep_until(self.net.now() + duration));
        let mut is_watched = true;
        poll_fn(|cx| {
            if is_watched && let Poll::Ready(error) = self.stream.poll_gone(cx) {
                if error != NetError::Closed {
                    return Poll::Ready(Err(Cut::Net));
                }
                is_watched = false;
            }
            sleep.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    pub(crate) fn set_deadline(&self, timeout: Duration) {
        self.stream.set_deadline(Some(self.net.now() + timeout));
    }
}

fn refusal(reason: Reason) -> Cut {
    Cut::Refuse(reason.status(), reason.explain())
}

/// What generated bodies repeat: 64 different bytes, so that a shift shows.
static PATTERN: [u8; limits::PIECE_BYTES] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut pattern = [0; limits::PIECE_BYTES];
    let mut index = 0;
    while index < pattern.len() {
        pattern[index] = alphabet[index % alphabet.len()];
        index += 1;
    }
    pattern
};

/// At most `len` bytes of the pattern from an offset on, for checksums.
pub(crate) fn pattern_piece(from: u64, len: u64) -> &'static [u8] {
    let start = (from % PATTERN.len() as u64) as usize;
    let end = (start as u64).saturating_add(len).min(PATTERN.len() as u64) as usize;
    PATTERN.get(start..end).unwrap_or_default()
}
