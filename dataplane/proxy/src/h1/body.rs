//! Reads a body that is framed by HTTP/1.1, in either direction.

use std::task::{Context, Poll, ready};

use net::{Chunk, NetError, Stream};
use wire::BodyLength;
use wire::h1::ChunkedDecoder;

use crate::half::Piece;

/// What is still to come of a body.
#[derive(Default)]
pub(super) enum BodyReader {
    /// Nothing: there is none, or it was read.
    #[default]
    Done,
    /// That many bytes.
    Fixed(u64),
    /// Chunks.
    Chunked(ChunkedDecoder),
    /// Everything until the peer closes.
    UntilClose,
}

/// Why a body cannot be read on.
pub(super) enum BodyError {
    /// The connection failed or ended too early.
    Net(NetError),
    /// A chunk is malformed, or trailers are too large.
    Chunk(wire::h1::ChunkError),
}

impl BodyReader {
    pub(super) fn new(length: BodyLength) -> BodyReader {
        match length {
            BodyLength::Empty | BodyLength::Fixed(0) => BodyReader::Done,
            BodyLength::Fixed(bytes) => BodyReader::Fixed(bytes),
            BodyLength::Chunked => BodyReader::Chunked(ChunkedDecoder::default()),
            BodyLength::UntilClose => BodyReader::UntilClose,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            BodyReader::Done => true,
            BodyReader::Chunked(decoder) => decoder.is_done(),
            _ => false,
        }
    }

    pub(super) fn trailers(&self) -> &[u8] {
        match self {
            BodyReader::Chunked(decoder) => decoder.trailers(),
            _ => &[],
        }
    }

    /// The next piece; takes bytes from `pending` first, then from the stream. Bytes after the
    /// body's end stay in `pending`.
    pub(super) fn poll(
        &mut self,
        pending: &mut Chunk,
        stream: &impl Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Piece, BodyError>> {
        loop {
            if self.is_done() {
                return Poll::Ready(Ok(Piece::End));
            }
            if pending.is_empty() {
                let chunk = ready!(stream.poll_recv(cx)).map_err(BodyError::Net)?;
                if chunk.is_empty() {
                    return Poll::Ready(match self {
                        BodyReader::UntilClose => {
                            *self = BodyReader::Done;
                            Ok(Piece::End)
                        }
                        _ => Err(BodyError::Net(NetError::Closed)),
                    });
                }
                *pending = chunk;
            }
            if let Some(data) = self.take(pending).map_err(BodyError::Chunk)? {
                return Poll::Ready(Ok(Piece::Data(data)));
            }
        }
    }

    /// Content from the front of `pending`; `None` if there was only framing.
    fn take(&mut self, pending: &mut Chunk) -> Result<Option<Chunk>, wire::h1::ChunkError> {
        match self {
            BodyReader::Done => Ok(None),
            BodyReader::UntilClose => Ok(Some(std::mem::replace(pending, Chunk::EMPTY))),
            BodyReader::Fixed(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(pending.len());
                *left -= take as u64;
                if *left == 0 {
                    *self = BodyReader::Done;
                }
                Ok(Some(pending.split_to(take)))
            }
            BodyReader::Chunked(decoder) => {
                let step = decoder.decode(pending)?;
                if step.data.is_empty() {
                    pending.advance(step.consumed);
                    return Ok(None);
                }
                let mut data = pending.split_to(step.consumed);
                data.truncate(step.data.end);
                data.advance(step.data.start);
                Ok(Some(data))
            }
        }
    }
}

/// How the body that we send is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyWriter {
    /// As it is: its length was announced.
    Plain,
    /// As it is: the connection's end is its end.
    UntilClose,
    /// In chunks.
    Chunked,
    /// Not at all: the answer has no body.
    Nothing,
}

impl BodyWriter {
    pub(super) fn data(self, stream: &impl Stream, data: Chunk) {
        match self {
            BodyWriter::Plain | BodyWriter::UntilClose => stream.send(data),
            BodyWriter::Chunked => {
                let mut head = [0; 18];
                stream.send_copy(wire::h1::chunk_head(data.len(), &mut head));
                stream.send(data);
                stream.send_copy(b"\r\n");
            }
            BodyWriter::Nothing => {}
        }
    }

    pub(super) fn end(self, stream: &impl Stream, trailers: &[u8]) {
        if self != BodyWriter::Chunked {
            return;
        }
        if trailers.is_empty() {
            stream.send_copy(b"0\r\n\r\n");
        } else {
            stream.send_copy(b"0\r\n");
            stream.send_copy(trailers);
            stream.send_copy(b"\r\n");
        }
    }
}
