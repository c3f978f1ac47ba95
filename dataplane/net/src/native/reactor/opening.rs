//! Streams come and go; a slot is free again when its last operation has completed.

use super::*;

impl<K: Kernel> Reactor<K> {
    /// Makes a connected, plain descriptor a stream.
    pub(in crate::native) fn open(&mut self, fd: OwnedFd) -> Result<StreamId, NetError> {
        let id = self.new_slot(Phase::Open)?;
        self.install(id.slot, fd);
        self.arm_recv(id.slot);
        Ok(id)
    }

    /// Begins to connect; [`Reactor::poll_connected`] tells the end.
    pub(in crate::native) fn connect(
        &mut self,
        to: &Address,
        options: ConnectOptions,
        deadline: Instant,
    ) -> Result<StreamId, NetError> {
        let address = crate::socket::kernel_address(to).map_err(|e| NetError::from_io(&e))?;
        let socket = crate::socket::new_for_connect(to).map_err(|e| NetError::from_io(&e))?;
        let id = self.new_slot(Phase::Connecting)?;
        self.counters.connects.add(1);
        self.install(id.slot, OwnedFd::from(socket));
        let address = Box::new(address);
        let op =
            Op::Connect { slot: id.slot, address: address.as_ptr().cast(), len: address.len() };
        let connection = &mut self.connections[id.slot as usize];
        connection.connecting = Some(address);
        connection.delays_acks = options.delayed_ack;
        connection.operations += 1;
        self.operations += 1;
        self.kernel.push(op, token(Kind::Connect, id));
        self.set_deadline(id, Some(deadline));
        Ok(id)
    }

    pub(in crate::native) fn poll_connected(
        &mut self,
        id: StreamId,
        cx: &Context<'_>,
    ) -> Poll<Result<(), NetError>> {
        let now = self.now;
        let Some(connection) = self.connection(id) else {
            return Poll::Ready(Err(NetError::Closed));
        };
        if let Some(failure) = connection.failure {
            return Poll::Ready(Err(failure));
        }
        if connection.phase == Phase::Open {
            return Poll::Ready(Ok(()));
        }
        if connection.is_past_deadline(now) {
            return Poll::Ready(Err(NetError::TimedOut));
        }
        remember(&mut connection.writer, cx.waker());
        Poll::Pending
    }

    /// The owner lets go: unread and queued bytes are lost, operations are cancelled.
    pub(in crate::native) fn close(&mut self, id: StreamId) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        let was_connecting = connection.phase == Phase::Connecting;
        connection.phase = Phase::Closing;
        connection.reader = None;
        connection.writer = None;
        connection.deadline = None;
        let has_unread = connection.pop_unread().is_some();
        while connection.pop_unread().is_some() {}
        let is_flying = connection.outbox.as_ref().is_some_and(|outbox| outbox.is_flying());
        if has_unread {
            // The kernel resets for bytes that it still has; these have left it already.
            self.kernel.push(Op::ResetOnClose { slot: id.slot }, Token::SILENT);
        }
        let connection = &mut self.connections[id.slot as usize];
        let is_receiving = connection.receiving == Receiving::Armed;
        if is_receiving {
            connection.receiving = Receiving::Cancelling;
            self.kernel.push(Op::Cancel { target: token(Kind::Recv, id) }, Token::SILENT);
        }
        if is_flying {
            self.kernel.push(Op::Cancel { target: token(Kind::Send, id) }, Token::SILENT);
        }
        if was_connecting {
            self.kernel.push(Op::Cancel { target: token(Kind::Connect, id) }, Token::SILENT);
        }
        self.release_if_done(id.slot);
    }

    pub(in crate::native) fn reset_on_close(&mut self, id: StreamId) {
        if self.connection(id).is_some() {
            self.kernel.push(Op::ResetOnClose { slot: id.slot }, Token::SILENT);
        }
    }

    pub(super) fn new_slot(&mut self, phase: Phase) -> Result<StreamId, NetError> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if (self.connections.len() as u64) < u64::from(self.slots) => {
                self.connections.push(Connection::free());
                (self.connections.len() - 1) as u32
            }
            None => return Err(NetError::Exhausted),
        };
        let connection = &mut self.connections[slot as usize];
        let generation = (connection.generation + 1) % GENERATIONS;
        *connection = Connection { generation, phase, ..Connection::free() };
        self.counters.streams_open.add(1);
        Ok(StreamId { slot, generation })
    }

    /// Moves a descriptor into the table of direct descriptors. Slots are placed by us alone (the
    /// kernel's own allocator is never used on this table), so the two can never collide.
    pub(super) fn install(&mut self, slot: u32, fd: OwnedFd) {
        let fd = fd.into_raw_fd();
        let cell = &self.descriptors[slot as usize];
        cell.store(fd, Ordering::Relaxed);
        let op = Op::Install { slot, fd: cell.as_ptr() };
        self.kernel.push(op, Token::SILENT);
        // The table holds a reference of its own from here on.
        self.kernel.push(Op::CloseFd { fd }, Token::SILENT);
    }

    pub(super) fn release_if_done(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if connection.phase != Phase::Closing || connection.operations > 0 {
            return;
        }
        connection.phase = Phase::Free;
        connection.connecting = None;
        let timer = connection.timer.take();
        let outbox = connection.outbox.take();
        if let Some(timer) = timer {
            self.wheel.remove(timer);
        }
        if let Some(outbox) = outbox {
            self.recycle(outbox);
        }
        self.kernel.push(Op::CloseSlot { slot }, Token::SILENT);
        self.free.push(slot);
        self.counters.streams_open.sub(1);
    }

    pub(super) fn connection(&mut self, id: StreamId) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(id.slot as usize)?;
        (connection.generation == id.generation
            && !matches!(connection.phase, Phase::Free | Phase::Closing))
        .then_some(connection)
    }
}
