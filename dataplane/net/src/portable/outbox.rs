//! Bytes queued on one stream, in order: shared chunks, and small pieces copied together.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use super::sys;
use crate::arena::{Arena, Chunk, PageMut};

/// Pieces handed to the kernel at once; more leave with the next call.
const PIECES_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Chunk>,
    /// The last page, still open for small pieces.
    tail: Option<PageMut>,
    bytes: usize,
}

/// The arena has no page left.
#[derive(Debug)]
pub(super) struct NoPage;

impl Outbox {
    /// Bytes queued.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Queues a chunk. One that fits into the open page is copied: that costs less than another
    /// entry of a vectored send, and its own buffer returns at once.
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.len();
        match &mut self.tail {
            Some(tail) if chunk.len() <= tail.room() => {
                tail.fill(&chunk);
            }
            _ => {
                self.seal();
                self.pieces.push_back(chunk);
            }
        }
    }

    /// Queues a copy of `bytes`. On failure a part of them may be queued.
    pub(super) fn push_copy(&mut self, arena: &Rc<Arena>, mut bytes: &[u8]) -> Result<(), NoPage> {
        while !bytes.is_empty() {
            let tail = match &mut self.tail {
                Some(tail) if tail.room() > 0 => tail,
                _ => {
                    self.seal();
                    self.tail.insert(arena.page().ok_or(NoPage)?)
                }
            };
            let copied = tail.fill(bytes);
            self.bytes += copied;
            bytes = bytes.get(copied..).unwrap_or_default();
        }
        Ok(())
    }

    /// Hands the kernel as much as one call takes. Returns what it took and whether that was less
    /// than offered.
    pub(super) fn send(&mut self, fd: BorrowedFd<'_>) -> io::Result<(usize, bool)> {
        self.seal();
        let (sent, offered) = if let (1, Some(piece)) = (self.pieces.len(), self.pieces.front()) {
            (sys::send(fd, piece)?, piece.len())
        } else {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let mut offered = 0;
            let count = self.pieces.len().min(PIECES_MAX);
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
                offered += piece.len();
            }
            (sys::send_vectored(fd, slices.get(..count).unwrap_or_default())?, offered)
        };
        self.consume(sent);
        Ok((sent, sent < offered))
    }

    /// Drops everything queued.
    pub(super) fn clear(&mut self) {
        *self = Outbox::default();
    }

    fn seal(&mut self) {
        if let Some(tail) = self.tail.take() {
            self.pieces.push_back(tail.freeze());
        }
    }

    fn consume(&mut self, mut sent: usize) {
        self.bytes = self.bytes.saturating_sub(sent);
        while let Some(piece) = self.pieces.front_mut() {
            if sent < piece.len() {
                piece.advance(sent);
                return;
            }
            sent -= piece.len();
            self.pieces.pop_front();
        }
        // A burst must not leave its table on a stream that then idles.
        if self.pieces.capacity() > PIECES_MAX {
            self.pieces.shrink_to(0);
        }
    }
}
