//! What one stream has still to send. Pooled: a stream with nothing to send owns none.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::{Arena, Chunk, PageMut};

use super::kernel::Op;

/// Most buffers in one send operation.
const GATHER_MAX: usize = 64;
/// Chunks up to this many bytes are copied behind what is already in the open page: the copy
/// costs less than another element of the gather list, and the receive buffer returns at once.
const COPY_MAX: usize = 1024;

/// Pieces in order: those in flight, those that wait, the open page.
pub(super) struct Outbox {
    pieces: VecDeque<Chunk>,
    page: Option<PageMut>,
    in_flight: usize,
    gather: Vec<libc::iovec>,
    message: libc::msghdr,
}

impl Outbox {
    pub(super) fn new() -> Box<Outbox> {
        let message = libc::msghdr {
            msg_name: std::ptr::null_mut(),
            msg_namelen: 0,
            msg_iov: std::ptr::null_mut(),
            msg_iovlen: 0,
            msg_control: std::ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        };
        Box::new(Outbox {
            pieces: VecDeque::new(),
            page: None,
            in_flight: 0,
            gather: Vec::new(),
            message,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.page.is_none()
    }

    /// Whether an operation is under way whose buffers must stay.
    pub(super) fn is_flying(&self) -> bool {
        self.in_flight > 0
    }

    pub(super) fn push(&mut self, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        if let Some(page) = &mut self.page {
            if chunk.len() <= COPY_MAX && chunk.len() <= page.room() {
                page.fill(&chunk);
                return;
            }
            self.close_page();
        }
        self.pieces.push_back(chunk);
    }

    /// Copies `bytes` into pages of `arena`; `false` if it has none left.
    pub(super) fn push_copy(&mut self, mut bytes: &[u8], arena: &Rc<Arena>) -> bool {
        while !bytes.is_empty() {
            if self.page.as_ref().is_none_or(|page| page.room() == 0) {
                self.close_page();
                match arena.page() {
                    Some(page) => self.page = Some(page),
                    None => return false,
                }
            }
            if let Some(page) = &mut self.page {
                let filled = page.fill(bytes);
                bytes = bytes.get(filled..).unwrap_or_default();
            }
        }
        true
    }

    /// Puts everything that waits into one send operation, up to the limit of its gather list.
    /// The outbox must be boxed and neither moved nor changed but by pushes until the completion.
    pub(super) fn launch(&mut self, slot: u32) -> Option<Op> {
        debug_assert!(!self.is_flying(), "one send in flight per stream");
        self.close_page();
        if let (Some(only), 1) = (self.pieces.front(), self.pieces.len()) {
            self.in_flight = 1;
            return Some(Op::Send { slot, ptr: only.as_ptr(), len: only.len() as u32 });
        }
        self.gather.clear();
        self.gather.extend(self.pieces.iter().take(GATHER_MAX).map(|piece| libc::iovec {
            iov_base: piece.as_ptr().cast_mut().cast(),
            iov_len: piece.len(),
        }));
        if self.gather.is_empty() {
            return None;
        }
        self.in_flight = self.gather.len();
        self.message.msg_iov = self.gather.as_mut_ptr();
        self.message.msg_iovlen = self.gather.len();
        Some(Op::SendGather { slot, message: &raw const self.message })
    }

    /// The operation ended after `sent` bytes; what it did not send goes first next time.
    pub(super) fn land(&mut self, mut sent: usize) {
        for _ in 0..std::mem::take(&mut self.in_flight) {
            let Some(piece) = self.pieces.front_mut() else {
                return;
            };
            if sent < piece.len() {
                piece.advance(sent);
                return;
            }
            sent -= piece.len();
            self.pieces.pop_front();
        }
    }

    /// Drops everything, for the next stream. Not while an operation is under way.
    pub(super) fn reset(&mut self) {
        debug_assert!(!self.is_flying(), "the kernel still reads these bytes");
        self.pieces.clear();
        self.page = None;
    }

    fn close_page(&mut self) {
        if let Some(page) = self.page.take()
            && !page.is_empty()
        {
            self.pieces.push_back(page.freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_leave_as_one_and_short_sends_go_on_where_they_stopped() {
        let arena = Arena::new(64, 8);
        let mut outbox = Outbox::new();
        assert!(outbox.push_copy(b"head ", &arena));
        outbox.push(Chunk::from_bytes(bytes::Bytes::from_static(b"body")));
        assert!(matches!(outbox.launch(1), Some(Op::Send { len: 9, .. })));
        assert!(outbox.push_copy(&[b'x'; 100], &arena));
        outbox.land(3);
        assert!(matches!(outbox.launch(1), Some(Op::SendGather { .. })));
        outbox.land(6 + 64);
        assert!(matches!(outbox.launch(1), Some(Op::Send { len: 36, .. })));
        outbox.land(36);
        assert!(outbox.is_empty());
        assert_eq!(arena.in_use(), 0);
    }

    #[test]
    fn says_when_the_arena_is_empty() {
        let arena = Arena::new(16, 1);
        let mut outbox = Outbox::new();
        assert!(!outbox.push_copy(&[0; 17], &arena));
        outbox.reset();
        assert_eq!(arena.in_use(), 0);
    }
}
