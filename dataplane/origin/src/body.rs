//! Where a request's body ends.

use net::Chunk;
use wire::BodyLength;
use wire::h1::{ChunkError, ChunkedDecoder};

/// What is still to come of a request's body.
#[derive(Default)]
pub(crate) enum BodyReader {
    /// Nothing.
    #[default]
    Done,
    /// That many bytes.
    Fixed(u64),
    /// Chunks.
    Chunked(ChunkedDecoder),
}

impl BodyReader {
    pub(crate) fn new(length: BodyLength) -> BodyReader {
        match length {
            BodyLength::Fixed(bytes) if bytes > 0 => BodyReader::Fixed(bytes),
            BodyLength::Chunked => BodyReader::Chunked(ChunkedDecoder::default()),
            // A request never lasts until its connection closes (RFC 9112 §6.3).
            _ => BodyReader::Done,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        match self {
            BodyReader::Done => true,
            BodyReader::Fixed(left) => *left == 0,
            BodyReader::Chunked(decoder) => decoder.is_done(),
        }
    }

    /// Bytes still to come, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            BodyReader::Done => Some(0),
            BodyReader::Fixed(left) => Some(*left),
            BodyReader::Chunked(_) => None,
        }
    }

    /// Content from the front of `pending`; empty if there was only framing. What follows the body
    /// stays in `pending`.
    pub(crate) fn take(&mut self, pending: &mut Chunk) -> Result<Chunk, ChunkError> {
        match self {
            BodyReader::Done => Ok(Chunk::EMPTY),
            BodyReader::Fixed(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(pending.len());
                *left -= take as u64;
                Ok(pending.split_to(take))
            }
            BodyReader::Chunked(decoder) => {
                let step = decoder.decode(pending)?;
                let mut data = pending.split_to(step.consumed);
                data.truncate(step.data.end);
                data.advance(step.data.start);
                Ok(data)
            }
        }
    }
}
