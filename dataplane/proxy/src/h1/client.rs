//! The client's half on HTTP/1.1.

use std::task::{Context, Poll, ready};

use net::{Chunk, Instant, NetError, Stream};
use wire::h1::parse_request;
use wire::reason::Reason;
use wire::{BodyLength, HeadLimits, Method, Parsed, ResponseHead, Version};

use super::body::{BodyError, BodyReader, BodyWriter};
use crate::answer::Answer;
use crate::forward::{ResponseFraming, put_interim_head, put_response_head};
use crate::half::{ClientHalf, HalfError, Piece, Request, ResponseStart};

/// A client's connection; serves one exchange after the other.
pub(crate) struct H1Client<S> {
    stream: S,
    /// Received and not yet consumed.
    pending: Chunk,
    body: BodyReader,
    writer: BodyWriter,
    version: Version,
    method: Method,
    /// Whether the connection goes on after this exchange.
    is_persistent: bool,
    /// Whether an answer was begun and not ended.
    is_answering: bool,
    /// Whether the connection is to be reset, because its end would pass for that of the answer.
    is_broken_off: bool,
}

/// What reading a head came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeadRead {
    /// A whole head.
    Complete,
    /// The client closed the connection between requests, or never sent one.
    Closed,
}

impl<S: Stream> H1Client<S> {
    pub(crate) fn new(stream: S) -> H1Client<S> {
        H1Client {
            stream,
            pending: Chunk::EMPTY,
            body: BodyReader::Done,
            writer: BodyWriter::Nothing,
            version: Version::Http11,
            method: Method::Get,
            is_persistent: true,
            is_answering: false,
            is_broken_off: false,
        }
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// Received bytes that no request has claimed yet.
    pub(crate) fn pending_mut(&mut self) -> &mut Chunk {
        &mut self.pending
    }

    /// Whether another request may follow on this connection.
    pub(crate) fn is_persistent(&self) -> bool {
        self.is_persistent && !self.is_answering && self.body.is_done()
    }

    /// Whether an answer was given up that nothing but a reset can mark as incomplete.
    pub(crate) fn is_broken_off(&self) -> bool {
        self.is_broken_off
    }

    /// Makes the current exchange the connection's last.
    pub(crate) fn end_after_this(&mut self) {
        self.is_persistent = false;
    }

    /// The next answer is to a head that cannot be read; nothing is known of its request.
    pub(crate) fn forget_request(&mut self) {
        self.method = Method::Get;
        self.version = Version::Http11;
    }

    /// Whether bytes of the next head are there already.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Reads one request head into `request`. The caller sets the deadline.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &HeadLimits,
        request: &mut Request,
    ) -> Poll<Result<HeadRead, HalfError>> {
        loop {
            let is_collected = !request.collected.is_empty();
            let bytes: &[u8] = if is_collected { &request.collected } else { &self.pending };
            if !bytes.is_empty() {
                let parsed = parse_request(bytes, limits, &mut request.head)
                    .map_err(|error| HalfError::Protocol(error.reason()))?;
                if let Parsed::Complete { head_bytes } = parsed {
                    self.accept_head(head_bytes, request);
                    return Poll::Ready(Ok(HeadRead::Complete));
                }
                if !is_collected {
                    request.collected.extend_from_slice(&self.pending);
                    self.pending = Chunk::EMPTY;
                }
            }
            ready!(self.poll_line(cx, limits, request))?;
            if request.collected.is_empty() && self.pending.is_empty() {
                return Poll::Ready(Ok(HeadRead::Closed));
            }
        }
    }

    /// Receives until there is reason to parse again: another line, or too much. Parsing after
    /// every byte would let a slow client buy much work with little traffic.
    fn poll_line(
        &mut self,
        cx: &mut Context<'_>,
        limits: &HeadLimits,
        request: &mut Request,
    ) -> Poll<Result<(), HalfError>> {
        loop {
            let chunk = ready!(self.stream.poll_recv(cx)).map_err(HalfError::Net)?;
            if chunk.is_empty() {
                return Poll::Ready(match request.collected.is_empty() {
                    true => Ok(()),
                    false => Err(HalfError::Net(NetError::Closed)),
                });
            }
            if request.collected.is_empty() {
                self.pending = chunk;
                return Poll::Ready(Ok(()));
            }
            request.collected.extend_from_slice(&chunk);
            let is_over = request.collected.len() > limits.head_bytes_max as usize;
            if is_over || chunk.contains(&b'\n') {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn accept_head(&mut self, head_bytes: usize, request: &mut Request) {
        if request.collected.is_empty() {
            request.chunk = Some(self.pending.split_to(head_bytes));
        } else {
            request.chunk = None;
            let rest = request.collected.split_off(head_bytes.min(request.collected.len()));
            self.pending = Chunk::from_bytes(rest.into());
        }
        let head = &request.head;
        self.version = head.version;
        self.method = head.method;
        self.is_persistent = head.persistent;
        self.body = BodyReader::new(head.body);
        self.writer = BodyWriter::Nothing;
    }

    /// How the body of an answer travels to this client, and whether the connection lasts.
    fn choose_framing(&mut self, head: &ResponseHead) {
        self.writer = match head.body {
            BodyLength::Empty => BodyWriter::Nothing,
            BodyLength::Fixed(_) => BodyWriter::Plain,
            BodyLength::Chunked | BodyLength::UntilClose => match self.version {
                Version::Http11 => BodyWriter::Chunked,
                Version::Http10 => {
                    self.is_persistent = false;
                    BodyWriter::UntilClose
                }
            },
        };
        // The rest of the request may never be read, so what follows cannot be trusted.
        let is_refused_tunnel =
            self.method == Method::Connect && !(200..300).contains(&head.status);
        if !self.body.is_done() || is_refused_tunnel {
            self.is_persistent = false;
        }
    }
}

impl<S: Stream> ClientHalf for H1Client<S> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, HalfError>> {
        let polled = ready!(self.body.poll(&mut self.pending, &self.stream, cx));
        Poll::Ready(polled.map_err(|error| match error {
            BodyError::Net(error) => HalfError::Net(error),
            BodyError::Chunk(error) => HalfError::Protocol(error.reason()),
        }))
    }

    fn is_body_read(&self) -> bool {
        self.body.is_done()
    }

    fn trailers(&self) -> &[u8] {
        self.body.trailers()
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<NetError> {
        self.stream.poll_gone(cx)
    }

    fn send_interim(&mut self, head: &ResponseHead, bytes: &[u8], scratch: &mut Vec<u8>) {
        if self.version == Version::Http11 {
            scratch.clear();
            put_interim_head(scratch, head, bytes);
            self.stream.send_copy(scratch);
        }
    }

    fn send_head(&mut self, start: &ResponseStart<'_>, scratch: &mut Vec<u8>) {
        self.choose_framing(start.head);
        let framing = ResponseFraming {
            is_chunked: self.writer == BodyWriter::Chunked,
            closes: !self.is_persistent,
            keeps: self.is_persistent && self.version == Version::Http10,
        };
        scratch.clear();
        put_response_head(scratch, start, framing);
        self.stream.send_copy(scratch);
        self.is_answering = true;
    }

    fn send_answer(&mut self, answer: &Answer<'_>, scratch: &mut Vec<u8>) {
        // What follows a CONNECT may be meant for the tunnel that does not open.
        if !self.body.is_done() || self.method == Method::Connect {
            self.is_persistent = false;
        }
        let closes = !self.is_persistent;
        let keeps = self.is_persistent && self.version == Version::Http10;
        scratch.clear();
        answer.put(scratch, self.method == Method::Head, closes, keeps);
        self.stream.send_copy(scratch);
        self.is_answering = false;
    }

    fn send_data(&mut self, data: Chunk) {
        self.writer.data(&self.stream, data);
    }

    fn send_end(&mut self, trailers: &[u8]) {
        self.writer.end(&self.stream, trailers);
        self.is_answering = false;
    }

    fn abort(&mut self) {
        self.is_persistent = false;
        if self.is_answering && self.writer == BodyWriter::UntilClose {
            self.is_broken_off = true;
            self.stream.reset_on_drop();
        }
    }

    fn queued_bytes(&self) -> usize {
        self.stream.queued_bytes()
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>, below: usize) -> Poll<Result<(), NetError>> {
        self.stream.poll_drained(cx, below)
    }

    fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.stream.set_deadline(deadline);
    }

    fn become_tunnel(&mut self) {
        self.is_persistent = false;
        self.writer = BodyWriter::UntilClose;
    }

    fn poll_tunnel(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk, NetError>> {
        if !self.pending.is_empty() {
            return Poll::Ready(Ok(std::mem::replace(&mut self.pending, Chunk::EMPTY)));
        }
        self.stream.poll_recv(cx)
    }

    fn send_tunnel(&mut self, data: Chunk) {
        self.stream.send(data);
    }

    fn end_tunnel(&mut self) {
        self.stream.shutdown();
    }
}

/// The reason for a failure to read a head.
pub(crate) fn head_reason(error: HalfError) -> Reason {
    match error {
        HalfError::Protocol(reason) => reason,
        HalfError::Net(NetError::TimedOut) => Reason::HeadTimeout,
        HalfError::Net(NetError::BuffersExhausted) => Reason::BuffersExhausted,
        HalfError::Net(_) => Reason::ClientGone,
    }
}
