//! Receiving: armed multishot while events are small, one at a time while bytes come in bulk,
//! stopped while the session does not keep up.

use super::*;

impl<K: Kernel> Reactor<K> {
    pub(in crate::native) fn poll_recv(
        &mut self,
        id: StreamId,
        cx: &Context<'_>,
    ) -> Poll<Result<Chunk, NetError>> {
        let (now, low) = (self.now, self.recv_low_bytes);
        let Some(connection) = self.connection(id) else {
            return Poll::Ready(Err(NetError::Closed));
        };
        if let Some(chunk) = connection.pop_unread() {
            let rearm = connection.receiving == Receiving::Stopped
                && connection.unread_bytes <= low
                && connection.group == Group::Small;
            if rearm {
                self.arm_recv(id.slot);
            }
            return Poll::Ready(Ok(chunk));
        }
        if let Some(failure) = connection.failure {
            return Poll::Ready(Err(failure));
        }
        if connection.end_of_stream {
            return Poll::Ready(Ok(Chunk::EMPTY));
        }
        if connection.is_past_deadline(now) {
            return Poll::Ready(Err(NetError::TimedOut));
        }
        remember(&mut connection.reader, cx.waker());
        if connection.receiving == Receiving::Stopped {
            self.arm_recv(id.slot);
        }
        Poll::Pending
    }

    pub(in crate::native) fn poll_gone(
        &mut self,
        id: StreamId,
        cx: &Context<'_>,
    ) -> Poll<NetError> {
        let (now, high) = (self.now, self.recv_high_bytes);
        let Some(connection) = self.connection(id) else {
            return Poll::Ready(NetError::Closed);
        };
        if let Some(failure) = connection.failure {
            return Poll::Ready(failure);
        }
        if connection.end_of_stream {
            return Poll::Ready(NetError::Closed);
        }
        if connection.is_past_deadline(now) {
            return Poll::Ready(NetError::TimedOut);
        }
        remember(&mut connection.reader, cx.waker());
        if connection.receiving == Receiving::Stopped && connection.unread_bytes < high {
            self.arm_recv(id.slot);
        }
        Poll::Pending
    }

    pub(super) fn arm_recv(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if connection.end_of_stream || connection.failure.is_some() {
            return;
        }
        connection.receiving = Receiving::Armed;
        connection.operations += 1;
        let id = StreamId { slot, generation: connection.generation };
        let op = match connection.group {
            Group::Small => Op::RecvMulti { slot, group: Group::Small },
            Group::Bulk => Op::RecvOnce { slot, group: Group::Bulk },
        };
        self.operations += 1;
        self.kernel.push(op, token(Kind::Recv, id));
    }

    pub(super) fn on_recv(&mut self, id: StreamId, completion: Completion) {
        let connection = &mut self.connections[id.slot as usize];
        let group = connection.group;
        let result = completion.result;
        let chunk = completion.buffer.map(|buffer| {
            let (arena, lent) = match group {
                Group::Small => (&self.small, &mut self.lent),
                Group::Bulk => (&self.bulk, &mut self.lent_bulk),
            };
            lent.now = lent.now.saturating_sub(1);
            arena.adopt(u32::from(buffer), u32::try_from(result).unwrap_or(0))
        });
        if !completion.more {
            connection.operations -= 1;
            self.operations -= 1;
            connection.receiving = Receiving::Stopped;
        }
        if connection.phase == Phase::Closing {
            drop(chunk);
            self.release_if_done(id.slot);
            return;
        }
        match (result, chunk) {
            (1.., Some(chunk)) => {
                self.counters.recv_bytes.add(chunk.len() as u64);
                let filled = chunk.len() >= self.small.buffer_bytes();
                let is_bulky = if group == Group::Small { filled } else { !filled };
                connection.streak = if is_bulky { connection.streak.saturating_add(1) } else { 0 };
                connection.push_unread(chunk);
                connection.wake_reader();
                self.choose_mode(id, completion.more);
            }
            (0, _) => {
                connection.end_of_stream = true;
                connection.wake_reader();
            }
            (error, _) => self.on_recv_failed(id, -error),
        }
    }

    /// After bytes came: pause, change the kind of buffer, or arm again.
    pub(super) fn choose_mode(&mut self, id: StreamId, is_armed: bool) {
        let connection = &mut self.connections[id.slot as usize];
        let is_over = connection.unread_bytes >= self.recv_high_bytes;
        let changes = connection.streak >= STREAK;
        match (connection.group, is_armed) {
            (Group::Small, true) if is_over || changes => {
                self.counters.recv_paused.add(u64::from(is_over));
                if connection.receiving == Receiving::Armed {
                    connection.receiving = Receiving::Cancelling;
                    self.kernel.push(Op::Cancel { target: token(Kind::Recv, id) }, Token::SILENT);
                }
            }
            (Group::Small, false) => {
                self.counters.recv_rearmed.add(1);
                self.after_stopped(id);
            }
            (Group::Bulk, _) if changes => {
                connection.group = Group::Small;
                connection.streak = 0;
                self.arm_recv(id.slot);
            }
            _ => {}
        }
    }

    /// A multishot receive ended without failure: go on in the mode that fits.
    pub(super) fn after_stopped(&mut self, id: StreamId) {
        let connection = &mut self.connections[id.slot as usize];
        if connection.streak >= STREAK && connection.group == Group::Small {
            connection.group = Group::Bulk;
            connection.streak = 0;
        }
        let is_wanted = connection.unread_bytes <= self.recv_low_bytes
            && (connection.group == Group::Small || connection.reader.is_some());
        if is_wanted {
            self.arm_recv(id.slot);
        }
    }

    pub(super) fn on_recv_failed(&mut self, id: StreamId, errno: i32) {
        let connection = &mut self.connections[id.slot as usize];
        match errno {
            libc::ECANCELED => self.after_stopped(id),
            libc::ENOBUFS => {
                self.counters.recv_starved.add(1);
                connection.receiving = Receiving::Starved;
                self.starved.push_back(id);
                let lent = match connection.group {
                    Group::Small => &mut self.lent,
                    Group::Bulk => &mut self.lent_bulk,
                };
                lent.target = (lent.target * 2).min(lent.max);
            }
            libc::EINTR | libc::EAGAIN => self.arm_recv(id.slot),
            _ => self.fail(id, NetError::from_errno(errno)),
        }
    }

    /// The stream is of no more use: what is queued is dropped, whoever waits is woken.
    pub(super) fn fail(&mut self, id: StreamId, error: NetError) {
        let connection = &mut self.connections[id.slot as usize];
        connection.failure.get_or_insert(error);
        connection.queued_bytes = 0;
        connection.wake_reader();
        connection.wake_writer();
        if connection.outbox.as_ref().is_some_and(|outbox| !outbox.is_flying())
            && let Some(outbox) = connection.outbox.take()
        {
            self.recycle(outbox);
        }
    }
}
