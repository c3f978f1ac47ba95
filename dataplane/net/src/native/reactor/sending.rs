//! Sending: everything queued in a turn leaves in one operation per socket.

use super::*;

impl<K: Kernel> Reactor<K> {
    pub(in crate::native) fn send(&mut self, id: StreamId, chunk: Chunk) {
        self.enqueue(id, chunk.len(), |outbox, _| {
            outbox.push(chunk);
            true
        });
    }

    pub(in crate::native) fn send_copy(&mut self, id: StreamId, bytes: &[u8]) {
        self.enqueue(id, bytes.len(), |outbox, pages| outbox.push_copy(bytes, pages));
    }

    pub(super) fn enqueue(
        &mut self,
        id: StreamId,
        bytes: usize,
        push: impl FnOnce(&mut Outbox, &Rc<Arena>) -> bool,
    ) {
        let Some(connection) = self.connections.get_mut(id.slot as usize) else {
            return;
        };
        let is_sendable = connection.generation == id.generation
            && connection.phase == Phase::Open
            && connection.failure.is_none()
            && connection.ending == Ending::None;
        if !is_sendable || bytes == 0 {
            return;
        }
        let outbox = connection
            .outbox
            .get_or_insert_with(|| self.outboxes.pop().unwrap_or_else(Outbox::new));
        if !push(outbox, &self.pages) {
            self.fail(id, NetError::BuffersExhausted);
            return;
        }
        connection.queued_bytes = connection.queued_bytes.saturating_add(bytes as u32);
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(id.slot);
        }
    }

    pub(in crate::native) fn shutdown(&mut self, id: StreamId) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        if connection.ending == Ending::None {
            connection.ending = Ending::Wanted;
            if !connection.is_dirty {
                connection.is_dirty = true;
                self.dirty.push(id.slot);
            }
        }
    }

    /// Launches one send for each stream that has something to send and none under way. Returns
    /// how many.
    pub(in crate::native) fn flush(&mut self) -> u32 {
        let mut launched = 0;
        let mut dirty = std::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            launched += u32::from(self.flush_one(slot));
        }
        self.dirty = dirty;
        launched
    }

    pub(super) fn flush_one(&mut self, slot: u32) -> bool {
        let connection = &mut self.connections[slot as usize];
        connection.is_dirty = false;
        if connection.phase != Phase::Open || connection.failure.is_some() {
            return false;
        }
        let id = StreamId { slot, generation: connection.generation };
        if let Some(outbox) = &mut connection.outbox {
            if outbox.is_flying() {
                return false;
            }
            if let Some(op) = outbox.launch(slot) {
                connection.operations += 1;
                self.operations += 1;
                self.counters.sends.add(1);
                self.kernel.push(op, token(Kind::Send, id));
                return true;
            }
        }
        if connection.ending == Ending::Wanted {
            connection.ending = Ending::Done;
            // The kernel runs it on a thread of its own and looks the slot up only there: until it
            // has completed, the slot must not pass to another connection.
            connection.operations += 1;
            self.operations += 1;
            self.kernel.push(Op::ShutdownWrite { slot }, token(Kind::Shutdown, id));
        }
        false
    }

    /// Our direction has ended, or the connection was broken already, which receiving shows.
    pub(super) fn on_shutdown(&mut self, id: StreamId) {
        self.connections[id.slot as usize].operations -= 1;
        self.operations -= 1;
        self.release_if_done(id.slot);
    }

    pub(super) fn on_send(&mut self, id: StreamId, result: i32) {
        let connection = &mut self.connections[id.slot as usize];
        connection.operations -= 1;
        self.operations -= 1;
        let sent = usize::try_from(result).unwrap_or(0);
        let mut emptied = None;
        if let Some(outbox) = &mut connection.outbox {
            outbox.land(sent);
            if outbox.is_empty() {
                emptied = connection.outbox.take();
            }
        }
        if let Some(outbox) = emptied {
            self.recycle(outbox);
        }
        let connection = &mut self.connections[id.slot as usize];
        if connection.phase == Phase::Closing {
            self.release_if_done(id.slot);
            return;
        }
        self.counters.sent_bytes.add(sent as u64);
        connection.queued_bytes = connection.queued_bytes.saturating_sub(sent as u32);
        if result < 0 && !matches!(-result, libc::EAGAIN | libc::EINTR) {
            self.fail(id, NetError::from_errno(-result));
            return;
        }
        if connection.failure.is_some() {
            let failure = connection.failure.unwrap_or(NetError::Closed);
            self.fail(id, failure);
            return;
        }
        if connection.queued_bytes < connection.drain_below {
            connection.wake_writer();
        }
        let has_more = connection.outbox.is_some() || connection.ending == Ending::Wanted;
        if has_more && !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(id.slot);
        }
    }

    pub(in crate::native) fn queued_bytes(&self, id: StreamId) -> usize {
        match self.connections.get(id.slot as usize) {
            Some(c) if c.generation == id.generation => c.queued_bytes as usize,
            _ => 0,
        }
    }

    pub(in crate::native) fn poll_drained(
        &mut self,
        id: StreamId,
        cx: &Context<'_>,
        below: usize,
    ) -> Poll<Result<(), NetError>> {
        let now = self.now;
        let Some(connection) = self.connection(id) else {
            return Poll::Ready(Err(NetError::Closed));
        };
        if let Some(failure) = connection.failure {
            return Poll::Ready(Err(failure));
        }
        if (connection.queued_bytes as usize) < below {
            return Poll::Ready(Ok(()));
        }
        if connection.is_past_deadline(now) {
            return Poll::Ready(Err(NetError::TimedOut));
        }
        connection.drain_below = u32::try_from(below).unwrap_or(u32::MAX);
        remember(&mut connection.writer, cx.waker());
        Poll::Pending
    }

    pub(super) fn recycle(&mut self, mut outbox: Box<Outbox>) {
        outbox.reset();
        if self.outboxes.len() < OUTBOXES_KEPT {
            self.outboxes.push(outbox);
        }
    }

    pub(in crate::native) fn is_idle(&self, id: StreamId) -> bool {
        self.connections.get(id.slot as usize).is_some_and(|c| {
            c.generation == id.generation
                && c.phase == Phase::Open
                && c.failure.is_none()
                && !c.end_of_stream
                && c.unread_bytes == 0
                && c.queued_bytes == 0
                && c.ending == Ending::None
        })
    }
}
