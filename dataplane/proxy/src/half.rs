//! The two halves of an exchange, whatever protocol carries them.
//!
//! An HTTP/1.1 connection is one half at a time, an HTTP/2 connection will be many at once; the
//! exchange does not see the difference.

use std::task::{Context, Poll};

use net::{Chunk, Instant, NetError};
use wire::reason::Reason;
use wire::{BodyLength, RequestHead, ResponseHead};

use crate::answer::Answer;

/// The next part of a body.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Content, never empty.
    Data(Chunk),
    /// The body is complete.
    End,
}

/// Why a half cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HalfError {
    /// The connection under it failed or ended.
    Net(NetError),
    /// The peer's bytes break the protocol.
    Protocol(Reason),
}

/// What the exchange wants said in the head of an answer.
pub(crate) struct ResponseStart<'a> {
    /// The head as the upstream sent it.
    pub(crate) head: &'a ResponseHead,
    /// The bytes that the head's spans point into.
    pub(crate) bytes: &'a [u8],
    /// Edits by filters.
    pub(crate) edits: &'a filters::Edits,
    /// Name ourselves in Via.
    pub(crate) via: bool,
}

/// The client's half of one exchange. `scratch` is the worker's, for encoding heads.
pub(crate) trait ClientHalf {
    /// The next part of the request's body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, HalfError>>;

    /// Whether the request's body was read to its end.
    fn is_body_read(&self) -> bool;

    /// Trailer fields of the request, as lines; empty if there are none.
    fn trailers(&self) -> &[u8];

    /// Ready when the client has left or failed, or its deadline has passed.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<NetError>;

    /// Sends an interim answer (1xx), if the client's version knows them.
    fn send_interim(&mut self, head: &ResponseHead, bytes: &[u8], scratch: &mut Vec<u8>);

    /// Sends the head of the answer.
    fn send_head(&mut self, start: &ResponseStart<'_>, scratch: &mut Vec<u8>);

    /// Sends an answer of the gateway's own, whole.
    fn send_answer(&mut self, answer: &Answer<'_>, scratch: &mut Vec<u8>);

    /// Sends a part of the answer's body.
    fn send_data(&mut self, data: Chunk);

    /// Ends the answer's body, with trailer fields as lines.
    fn send_end(&mut self, trailers: &[u8]);

    /// Gives up in the middle of an answer: the client must be able to tell that it is incomplete.
    fn abort(&mut self);

    /// Bytes that the client has not taken yet.
    fn queued_bytes(&self) -> usize;

    /// Ready when fewer than `below` bytes are queued.
    fn poll_drained(&mut self, cx: &mut Context<'_>, below: usize) -> Poll<Result<(), NetError>>;

    /// Until when the client has to do something; see [`net::Stream::set_deadline`].
    fn set_deadline(&mut self, deadline: Option<Instant>);

    /// From now on bytes pass as they are, for a tunnel.
    fn become_tunnel(&mut self);

    /// Received bytes of a tunnel; an empty chunk is the client's end.
    fn poll_tunnel(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk, NetError>>;

    /// Sends bytes of a tunnel.
    fn send_tunnel(&mut self, data: Chunk);

    /// Ends our direction of a tunnel.
    fn end_tunnel(&mut self);
}

/// How the request's body travels to the upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestStart {
    /// How the body ends.
    pub(crate) body: BodyLength,
    /// The request's method, which decides how the answer's body ends.
    pub(crate) method: wire::Method,
}

/// The upstream's half of one exchange.
pub(crate) trait UpstreamHalf {
    /// Sends the encoded head of the request.
    fn send_head(&mut self, head: &[u8], start: RequestStart);

    /// Sends a part of the request's body.
    fn send_data(&mut self, data: Chunk);

    /// Ends the request's body, with trailer fields as lines.
    fn send_end(&mut self, trailers: &[u8]);

    /// The head of the answer (or of an interim one): parsed into `head`, whose spans point into
    /// the chunk returned.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &wire::HeadLimits,
        head: &mut ResponseHead,
    ) -> Poll<Result<Chunk, HalfError>>;

    /// Takes note of how the body of the final answer ends.
    fn start_body(&mut self, head: &ResponseHead);

    /// The next part of the answer's body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, HalfError>>;

    /// Trailer fields of the answer, as lines; empty if there are none.
    fn trailers(&self) -> &[u8];

    /// Whether any byte of an answer has arrived.
    fn has_answered(&self) -> bool;

    /// Bytes that the upstream has not taken yet.
    fn queued_bytes(&self) -> usize;

    /// Ready when fewer than `below` bytes are queued.
    fn poll_drained(&mut self, cx: &mut Context<'_>, below: usize) -> Poll<Result<(), NetError>>;

    /// Until when the upstream has to do something.
    fn set_deadline(&mut self, deadline: Option<Instant>);

    /// From now on bytes pass as they are, for a tunnel.
    fn become_tunnel(&mut self);

    /// Received bytes of a tunnel; an empty chunk is the upstream's end.
    fn poll_tunnel(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk, NetError>>;

    /// Sends bytes of a tunnel.
    fn send_tunnel(&mut self, data: Chunk);

    /// Ends our direction of a tunnel.
    fn end_tunnel(&mut self);
}

/// A request's head with the bytes it points into; pooled by the worker.
#[derive(Default)]
pub(crate) struct Request {
    /// The parsed head.
    pub(crate) head: RequestHead,
    /// Its bytes, if they came in one receive.
    pub(crate) chunk: Option<Chunk>,
    /// Its bytes, if they had to be collected.
    pub(crate) collected: Vec<u8>,
}

impl Request {
    /// The bytes that the head's spans point into.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.chunk {
            Some(chunk) => chunk,
            None => &self.collected,
        }
    }

    /// Makes it ready for the next head; large collections are not kept.
    pub(crate) fn clear(&mut self) {
        self.chunk = None;
        self.collected.clear();
        if self.collected.capacity() > 8192 {
            self.collected = Vec::new();
        }
    }
}
