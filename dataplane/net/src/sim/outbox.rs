//! Bytes queued on one simulated stream: shared chunks, and small pieces copied together.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::arena::{Arena, Chunk, PageMut};

#[derive(Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Chunk>,
    /// The last page, still open for small pieces.
    tail: Option<PageMut>,
    bytes: usize,
}

/// The arena has no page left.
pub(super) struct NoPage;

impl Outbox {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, chunk: Chunk) {
        self.seal();
        self.bytes += chunk.len();
        self.pieces.push_back(chunk);
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

    /// The first bytes in line; empty if there are none.
    pub(super) fn front(&mut self) -> Chunk {
        self.seal();
        self.pieces.front().cloned().unwrap_or(Chunk::EMPTY)
    }

    /// Forgets the first `n` bytes of the front.
    pub(super) fn consume(&mut self, n: usize) {
        self.bytes = self.bytes.saturating_sub(n);
        if let Some(front) = self.pieces.front_mut() {
            front.advance(n);
            if front.is_empty() {
                self.pieces.pop_front();
            }
        }
    }

    fn seal(&mut self) {
        if let Some(tail) = self.tail.take() {
            self.pieces.push_back(tail.freeze());
        }
    }
}
