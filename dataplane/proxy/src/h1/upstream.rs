//! The upstream's half on HTTP/1.1.

use std::task::{Context, Poll, ready};

use net::{Chunk, Instant, NetError, Stream};
use wire::h1::parse_response;
use wire::{BodyLength, HeadLimits, Method, Parsed, ResponseHead};

use super::body::{BodyError, BodyReader, BodyWriter};
use crate::half::{HalfError, Piece, RequestStart, UpstreamHalf};

/// One connection to an endpoint, for as long as it serves one exchange.
pub(crate) struct H1Upstream<S> {
    stream: S,
    /// Received and not yet consumed.
    pending: Chunk,
    body: BodyReader,
    /// A head that did not come in one piece.
    #[expect(clippy::box_collection, reason = "eight bytes in each idle stream, not 24")]
    collected: Option<Box<Vec<u8>>>,
    writer: BodyWriter,
    method: Method,
    is_sent: bool,
    has_answered: bool,
    is_persistent: bool,
}

impl<S: Stream> H1Upstream<S> {
    pub(crate) fn new(stream: S) -> H1Upstream<S> {
        H1Upstream {
            stream,
            pending: Chunk::EMPTY,
            body: BodyReader::Done,
            collected: None,
            writer: BodyWriter::Nothing,
            method: Method::Get,
            is_sent: false,
            has_answered: false,
            is_persistent: false,
        }
    }

    /// The connection, if it can carry another exchange: request and answer are complete, nothing
    /// is left over, and the upstream keeps it open.
    pub(crate) fn into_idle(self) -> Option<S> {
        let is_clean = self.is_persistent
            && self.is_sent
            && self.body.is_done()
            && self.pending.is_empty()
            && self.stream.is_idle();
        is_clean.then_some(self.stream)
    }

    fn head_bytes(&mut self, head_bytes: usize) -> Chunk {
        match self.collected.take() {
            None => self.pending.split_to(head_bytes),
            Some(mut collected) => {
                let rest = collected.split_off(head_bytes.min(collected.len()));
                self.pending = Chunk::from_bytes(rest.into());
                Chunk::from_bytes((*collected).into())
            }
        }
    }
}

impl<S: Stream> UpstreamHalf for H1Upstream<S> {
    fn send_head(&mut self, head: &[u8], start: RequestStart) {
        self.method = start.method;
        self.writer = match start.body {
            BodyLength::Empty | BodyLength::UntilClose => BodyWriter::Nothing,
            BodyLength::Fixed(_) => BodyWriter::Plain,
            BodyLength::Chunked => BodyWriter::Chunked,
        };
        self.stream.send_copy(head);
    }

    fn send_data(&mut self, data: Chunk) {
        self.writer.data(&self.stream, data);
    }

    fn send_end(&mut self, trailers: &[u8]) {
        self.writer.end(&self.stream, trailers);
        self.is_sent = true;
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &HeadLimits,
        head: &mut ResponseHead,
    ) -> Poll<Result<Chunk, HalfError>> {
        loop {
            let bytes: &[u8] = match &self.collected {
                Some(collected) => collected,
                None => &self.pending,
            };
            if !bytes.is_empty() {
                let parsed = parse_response(bytes, limits, self.method, head)
                    .map_err(|error| HalfError::Protocol(error.upstream_reason()))?;
                if let Parsed::Complete { head_bytes } = parsed {
                    return Poll::Ready(Ok(self.head_bytes(head_bytes)));
                }
                if self.collected.is_none() {
                    let partial = std::mem::replace(&mut self.pending, Chunk::EMPTY);
                    self.collected = Some(Box::new(partial.to_vec()));
                }
            }
            let chunk = ready!(self.stream.poll_recv(cx)).map_err(HalfError::Net)?;
            if chunk.is_empty() {
                return Poll::Ready(Err(HalfError::Net(NetError::Closed)));
            }
            self.has_answered = true;
            match &mut self.collected {
                Some(collected) => collected.extend_from_slice(&chunk),
                None => self.pending = chunk,
            }
        }
    }

    fn start_body(&mut self, head: &ResponseHead) {
        self.is_persistent = head.persistent && head.body != BodyLength::UntilClose;
        self.body = BodyReader::new(head.body);
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, HalfError>> {
        let polled = ready!(self.body.poll(&mut self.pending, &self.stream, cx));
        Poll::Ready(polled.map_err(|error| match error {
            BodyError::Net(error) => HalfError::Net(error),
            BodyError::Chunk(error) => HalfError::Protocol(error.upstream_reason()),
        }))
    }

    fn trailers(&self) -> &[u8] {
        self.body.trailers()
    }

    fn has_answered(&self) -> bool {
        self.has_answered
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
