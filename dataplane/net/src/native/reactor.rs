//! The state machine of all connections of one worker. It owns whatever the kernel may touch, so
//! futures can be dropped at any point.
//!
//! A slot is reused only when the last completion of each of its operations has come. Cancelling
//! is only a request: whatever the operation did meanwhile still arrives and is accounted for.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll, Waker};

use super::connection::{Connection, Ending, Phase, Receiving, remember};
use super::kernel::{Completion, Group, Kernel, Op};
use super::outbox::Outbox;
use super::token::{GENERATIONS, Kind, Token};
use crate::wheel::Wheel;
use crate::{Address, Arena, Chunk, ConnectOptions, Instant, NetCounters, NetError, Options};

/// Outboxes kept for reuse.
const OUTBOXES_KEPT: usize = 1024;
/// Connections accepted by the kernel and not yet taken by a task, per listener.
const ACCEPTED_MAX: usize = 1024;
/// How long accepting rests when descriptors or memory have run out.
const ACCEPT_REST: std::time::Duration = std::time::Duration::from_millis(50);
/// Receive buffers lent at first. The fewer are out, the sooner each is used again and the warmer
/// it is; the number doubles whenever it proves too small.
const LENT_AT_FIRST: u32 = 256;
/// Full small receives in a row after which a stream changes to bulk buffers, and small bulk
/// receives after which it changes back.
const STREAK: u8 = 4;

/// Names a stream: its slot, and which of the slot's owners it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// What the wheel wakes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    Stream(StreamId),
    Sleeper(u32),
    Listener(u32),
}

pub(super) struct Reactor<K> {
    pub(super) kernel: K,
    pub(super) now: Instant,
    pub(super) counters: Arc<NetCounters>,
    pub(super) small: Rc<Arena>,
    bulk: Rc<Arena>,
    pub(super) pages: Rc<Arena>,
    lent: Lent,
    lent_bulk: Lent,
    connections: Vec<Connection>,
    free: Vec<u32>,
    slots: u32,
    /// Where install operations read their descriptor from, one cell per slot.
    descriptors: Box<[AtomicI32]>,
    dirty: Vec<u32>,
    starved: VecDeque<StreamId>,
    #[expect(clippy::vec_box, reason = "the kernel reads message headers in place")]
    outboxes: Vec<Box<Outbox>>,
    pub(super) wheel: Wheel<Due>,
    /// Scratch of `expire`.
    due: Vec<Due>,
    sleepers: Vec<Sleeper>,
    free_sleepers: Vec<u32>,
    listeners: Vec<ListenerState>,
    bell: Option<(RawFd, Box<u64>)>,
    bell_rang: bool,
    /// Operations under way whose buffers the kernel may touch.
    operations: u64,
    recv_high_bytes: u32,
    recv_low_bytes: u32,
}

struct Lent {
    now: u32,
    target: u32,
    max: u32,
}

#[derive(Default)]
struct Sleeper {
    waker: Option<Waker>,
    is_due: bool,
}

struct ListenerState {
    /// `None` once dropped; the descriptor stays open until the accept has ended.
    fd: Option<OwnedFd>,
    generation: u32,
    is_armed: bool,
    is_resting: bool,
    is_closing: bool,
    accepted: VecDeque<OwnedFd>,
    waiter: Option<Waker>,
    failure: Option<NetError>,
}

impl<K: Kernel> Reactor<K> {
    pub(super) fn new(kernel: K, options: &Options, slots: u32, now: Instant) -> Reactor<K> {
        let pages = (options.send_bytes_max / u64::from(options.buffer_bytes.max(1))).max(1);
        let lent = |count: u16| Lent {
            now: 0,
            target: LENT_AT_FIRST.min(u32::from(count)),
            max: u32::from(count),
        };
        Reactor {
            kernel,
            now,
            counters: Arc::default(),
            small: Arena::new(options.buffer_bytes, u32::from(options.recv_buffers)),
            bulk: Arena::new(options.bulk_buffer_bytes, u32::from(options.bulk_buffers)),
            pages: Arena::new(options.buffer_bytes, u32::try_from(pages).unwrap_or(u32::MAX)),
            lent: lent(options.recv_buffers),
            lent_bulk: Lent {
                target: u32::from(options.bulk_buffers).min(16),
                ..lent(options.bulk_buffers)
            },
            connections: Vec::new(),
            free: Vec::new(),
            slots,
            descriptors: (0..slots).map(|_| AtomicI32::new(-1)).collect(),
            dirty: Vec::new(),
            starved: VecDeque::new(),
            outboxes: Vec::new(),
            wheel: Wheel::new(now),
            due: Vec::new(),
            sleepers: Vec::new(),
            free_sleepers: Vec::new(),
            listeners: Vec::new(),
            bell: None,
            bell_rang: false,
            operations: 0,
            recv_high_bytes: options.recv_high_bytes,
            recv_low_bytes: options.recv_low_bytes,
        }
    }

    // --- streams: opening and closing ---

    /// Makes a connected, plain descriptor a stream.
    pub(super) fn open(&mut self, fd: OwnedFd) -> Result<StreamId, NetError> {
        let id = self.new_slot(Phase::Open)?;
        self.install(id.slot, fd);
        self.arm_recv(id.slot);
        Ok(id)
    }

    /// Begins to connect; [`Reactor::poll_connected`] tells the end.
    pub(super) fn connect(
        &mut self,
        to: &Address,
        options: ConnectOptions,
        deadline: Instant,
    ) -> Result<StreamId, NetError> {
        let address = crate::socket::kernel_address(to).map_err(|e| NetError::from_io(&e))?;
        let socket =
            crate::socket::new_for_connect(to).map_err(|e| NetError::from_io(&e))?;
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

    pub(super) fn poll_connected(
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
    pub(super) fn close(&mut self, id: StreamId) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        let was_connecting = connection.phase == Phase::Connecting;
        connection.phase = Phase::Closing;
        connection.reader = None;
        connection.writer = None;
        connection.deadline = None;
        while connection.pop_unread().is_some() {}
        let is_flying = connection.outbox.as_ref().is_some_and(|outbox| outbox.is_flying());
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

    fn new_slot(&mut self, phase: Phase) -> Result<StreamId, NetError> {
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
    fn install(&mut self, slot: u32, fd: OwnedFd) {
        let fd = fd.into_raw_fd();
        let cell = &self.descriptors[slot as usize];
        cell.store(fd, Ordering::Relaxed);
        let op = Op::Install { slot, fd: cell.as_ptr() };
        self.kernel.push(op, Token::SILENT);
        // The table holds a reference of its own from here on.
        self.kernel.push(Op::CloseFd { fd }, Token::SILENT);
    }

    fn release_if_done(&mut self, slot: u32) {
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

    fn connection(&mut self, id: StreamId) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(id.slot as usize)?;
        (connection.generation == id.generation
            && !matches!(connection.phase, Phase::Free | Phase::Closing))
        .then_some(connection)
    }

    // --- streams: receiving ---

    pub(super) fn poll_recv(
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

    pub(super) fn poll_gone(&mut self, id: StreamId, cx: &Context<'_>) -> Poll<NetError> {
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

    fn arm_recv(&mut self, slot: u32) {
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

    fn on_recv(&mut self, id: StreamId, completion: Completion) {
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
    fn choose_mode(&mut self, id: StreamId, is_armed: bool) {
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
    fn after_stopped(&mut self, id: StreamId) {
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

    fn on_recv_failed(&mut self, id: StreamId, errno: i32) {
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
    fn fail(&mut self, id: StreamId, error: NetError) {
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

    // --- streams: sending ---

    pub(super) fn send(&mut self, id: StreamId, chunk: Chunk) {
        self.enqueue(id, chunk.len(), |outbox, _| {
            outbox.push(chunk);
            true
        });
    }

    pub(super) fn send_copy(&mut self, id: StreamId, bytes: &[u8]) {
        self.enqueue(id, bytes.len(), |outbox, pages| outbox.push_copy(bytes, pages));
    }

    fn enqueue(
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

    pub(super) fn shutdown(&mut self, id: StreamId) {
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
    pub(super) fn flush(&mut self) -> u32 {
        let mut launched = 0;
        let mut dirty = std::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            launched += u32::from(self.flush_one(slot));
        }
        self.dirty = dirty;
        launched
    }

    fn flush_one(&mut self, slot: u32) -> bool {
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
            self.kernel.push(Op::ShutdownWrite { slot }, Token::SILENT);
        }
        false
    }

    fn on_send(&mut self, id: StreamId, result: i32) {
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

    pub(super) fn queued_bytes(&self, id: StreamId) -> usize {
        match self.connections.get(id.slot as usize) {
            Some(c) if c.generation == id.generation => c.queued_bytes as usize,
            _ => 0,
        }
    }

    pub(super) fn poll_drained(
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

    fn recycle(&mut self, mut outbox: Box<Outbox>) {
        outbox.reset();
        if self.outboxes.len() < OUTBOXES_KEPT {
            self.outboxes.push(outbox);
        }
    }

    pub(super) fn is_idle(&self, id: StreamId) -> bool {
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

    // --- time ---

    pub(super) fn set_deadline(&mut self, id: StreamId, deadline: Option<Instant>) {
        let Some(connection) = self.connections.get_mut(id.slot as usize) else {
            return;
        };
        if connection.generation != id.generation || connection.phase == Phase::Free {
            return;
        }
        connection.deadline = deadline;
        let Some(deadline) = deadline else { return };
        match connection.timer {
            Some(_) if connection.timer_due <= deadline => return,
            Some(timer) => self.wheel.remove(timer),
            None => {}
        }
        connection.timer_due = deadline;
        connection.timer = Some(self.wheel.insert(deadline, Due::Stream(id)));
    }

    /// Wakes what is due.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        let mut due_now = std::mem::take(&mut self.due);
        self.wheel.expire(now, |_, due| due_now.push(due));
        for due in due_now.drain(..) {
            match due {
                Due::Stream(id) => self.on_stream_due(id),
                Due::Sleeper(index) => {
                    if let Some(sleeper) = self.sleepers.get_mut(index as usize) {
                        sleeper.is_due = true;
                        if let Some(waker) = sleeper.waker.take() {
                            waker.wake();
                        }
                    }
                }
                Due::Listener(index) => self.on_listener_rested(index),
            }
        }
        self.due = due_now;
    }

    fn on_stream_due(&mut self, id: StreamId) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(id.slot as usize) else {
            return;
        };
        if connection.generation != id.generation {
            return;
        }
        connection.timer = None;
        match connection.deadline {
            Some(deadline) if deadline > now => {
                connection.timer_due = deadline;
                connection.timer = Some(self.wheel.insert(deadline, Due::Stream(id)));
            }
            Some(_) => {
                connection.wake_reader();
                connection.wake_writer();
            }
            None => {}
        }
    }

    pub(super) fn new_sleeper(&mut self, deadline: Instant) -> (u32, u32) {
        let index = self.free_sleepers.pop().unwrap_or_else(|| {
            self.sleepers.push(Sleeper::default());
            (self.sleepers.len() - 1) as u32
        });
        (index, self.wheel.insert(deadline, Due::Sleeper(index)))
    }

    pub(super) fn poll_sleeper(&mut self, index: u32, cx: &Context<'_>) -> Poll<()> {
        match self.sleepers.get_mut(index as usize) {
            Some(sleeper) if !sleeper.is_due => {
                remember(&mut sleeper.waker, cx.waker());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    pub(super) fn drop_sleeper(&mut self, index: u32, timer: u32) {
        if let Some(sleeper) = self.sleepers.get_mut(index as usize) {
            if !std::mem::take(&mut sleeper.is_due) {
                self.wheel.remove(timer);
            }
            sleeper.waker = None;
            self.free_sleepers.push(index);
        }
    }

    // --- listening ---

    pub(super) fn listen(&mut self, fd: OwnedFd) -> u32 {
        let state = ListenerState {
            fd: Some(fd),
            generation: 0,
            is_armed: false,
            is_resting: false,
            is_closing: false,
            accepted: VecDeque::new(),
            waiter: None,
            failure: None,
        };
        let vacant = self.listeners.iter().position(|listener| listener.fd.is_none());
        let index = match vacant {
            Some(index) => {
                let generation = self.listeners[index].generation;
                self.listeners[index] = ListenerState { generation: generation + 1, ..state };
                index
            }
            None => {
                self.listeners.push(state);
                self.listeners.len() - 1
            }
        };
        self.arm_accept(index as u32);
        index as u32
    }

    fn arm_accept(&mut self, index: u32) {
        let Some(listener) = self.listeners.get_mut(index as usize) else {
            return;
        };
        let Some(fd) = &listener.fd else { return };
        if listener.is_armed || listener.is_resting || listener.is_closing {
            return;
        }
        listener.is_armed = true;
        let fd = fd.as_raw_fd();
        let id = StreamId { slot: index, generation: listener.generation };
        self.operations += 1;
        self.kernel.push(Op::AcceptMulti { fd }, token(Kind::Accept, id));
    }

    pub(super) fn poll_accept(
        &mut self,
        index: u32,
        cx: &Context<'_>,
    ) -> Poll<Result<OwnedFd, NetError>> {
        let Some(listener) = self.listeners.get_mut(index as usize) else {
            return Poll::Ready(Err(NetError::Closed));
        };
        if let Some(fd) = listener.accepted.pop_front() {
            return Poll::Ready(Ok(fd));
        }
        if let Some(failure) = listener.failure {
            return Poll::Ready(Err(failure));
        }
        remember(&mut listener.waiter, cx.waker());
        if !listener.is_armed {
            self.arm_accept(index);
        }
        Poll::Pending
    }

    fn on_accept(&mut self, id: StreamId, completion: Completion) {
        let fd = (completion.result >= 0).then(|| {
            // SAFETY: a non-negative result of an accept without a direct slot is a new
            // descriptor that belongs to us alone.
            unsafe { OwnedFd::from_raw_fd(completion.result) }
        });
        let Some(listener) = self.listeners.get_mut(id.slot as usize) else {
            return;
        };
        if !completion.more {
            listener.is_armed = false;
            self.operations -= 1;
        }
        if listener.is_closing {
            if !listener.is_armed {
                listener.fd = None;
                listener.accepted.clear();
            }
            return;
        }
        match (fd, -completion.result) {
            (Some(fd), _) => {
                self.counters.accepts.add(1);
                listener.accepted.push_back(fd);
                if let Some(waiter) = listener.waiter.take() {
                    waiter.wake();
                }
                let is_over = listener.accepted.len() >= ACCEPTED_MAX;
                if is_over && listener.is_armed {
                    self.kernel.push(Op::Cancel { target: token(Kind::Accept, id) }, Token::SILENT);
                } else if !is_over {
                    self.arm_accept(id.slot);
                }
            }
            (None, libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::ECONNABORTED) => {
                if listener.accepted.len() < ACCEPTED_MAX {
                    self.arm_accept(id.slot);
                }
            }
            (None, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                self.counters.accept_paused.add(1);
                listener.is_resting = true;
                self.wheel.insert(self.now + ACCEPT_REST, Due::Listener(id.slot));
            }
            (None, errno) => {
                listener.failure = Some(NetError::from_errno(errno));
                if let Some(waiter) = listener.waiter.take() {
                    waiter.wake();
                }
            }
        }
    }

    fn on_listener_rested(&mut self, index: u32) {
        if let Some(listener) = self.listeners.get_mut(index as usize) {
            listener.is_resting = false;
        }
        self.arm_accept(index);
    }

    pub(super) fn close_listener(&mut self, index: u32) {
        let Some(listener) = self.listeners.get_mut(index as usize) else {
            return;
        };
        listener.is_closing = true;
        listener.waiter = None;
        if listener.is_armed {
            let id = StreamId { slot: index, generation: listener.generation };
            self.kernel.push(Op::Cancel { target: token(Kind::Accept, id) }, Token::SILENT);
        } else if !listener.is_resting {
            listener.fd = None;
            listener.accepted.clear();
        }
    }

    // --- the turn ---

    /// Watches the bell by which other threads wake tasks.
    pub(super) fn watch_bell(&mut self, fd: RawFd) {
        let mut into = Box::new(0);
        let op = Op::ReadBell { fd, into: &raw mut *into };
        self.bell = Some((fd, into));
        self.operations += 1;
        self.kernel.push(op, Token::new(Kind::Bell, 0, 0));
    }

    /// Whether the bell rang since the last call.
    pub(super) fn take_bell(&mut self) -> bool {
        std::mem::take(&mut self.bell_rang)
    }

    /// Takes at most `budget` completions from the kernel; returns how many there were.
    pub(super) fn reap(&mut self, budget: usize) -> usize {
        let mut taken = 0;
        while taken < budget {
            let Some(completion) = self.kernel.completion() else {
                break;
            };
            taken += 1;
            self.dispatch(completion);
        }
        self.counters.completions.add(taken as u64);
        taken
    }

    fn dispatch(&mut self, completion: Completion) {
        let token = completion.token;
        let id = StreamId { slot: token.slot(), generation: token.generation() };
        match token.kind() {
            Kind::Silent => {}
            Kind::Accept => self.on_accept(id, completion),
            Kind::Bell => {
                self.operations -= 1;
                self.bell_rang = true;
                if let Some((fd, _)) = self.bell.take()
                    && completion.result > 0
                {
                    self.watch_bell(fd);
                }
            }
            Kind::Recv | Kind::Send | Kind::Connect => {
                let is_current = self
                    .connections
                    .get(id.slot as usize)
                    .is_some_and(|c| c.generation == id.generation && c.phase != Phase::Free);
                if !is_current {
                    self.counters.completions_stale.add(1);
                    debug_assert!(false, "a slot was reused before its last completion");
                    return;
                }
                match token.kind() {
                    Kind::Recv => self.on_recv(id, completion),
                    Kind::Send => self.on_send(id, completion.result),
                    _ => self.on_connect(id, completion.result),
                }
            }
        }
    }

    fn on_connect(&mut self, id: StreamId, result: i32) {
        let connection = &mut self.connections[id.slot as usize];
        connection.operations -= 1;
        self.operations -= 1;
        connection.connecting = None;
        if connection.phase == Phase::Closing {
            self.release_if_done(id.slot);
            return;
        }
        connection.wake_writer();
        if result < 0 {
            connection.failure = Some(NetError::from_errno(-result));
            return;
        }
        connection.phase = Phase::Open;
        connection.deadline = None;
        if connection.delays_acks {
            self.kernel.push(Op::DelayAcks { slot: id.slot }, Token::SILENT);
        }
        self.arm_recv(id.slot);
    }

    /// Lends buffers to the kernel up to the target, and arms those again that found none.
    pub(super) fn lend_buffers(&mut self) {
        let groups = [
            (Group::Small, &self.small, &mut self.lent),
            (Group::Bulk, &self.bulk, &mut self.lent_bulk),
        ];
        for (group, arena, lent) in groups {
            while lent.now < lent.target {
                let Some(id) = arena.take() else { break };
                let address = arena.address(id).as_ptr();
                self.kernel.lend(group, id as u16, address, arena.buffer_bytes() as u32);
                lent.now += 1;
            }
        }
        if !self.starved.is_empty() {
            self.feed_starved();
        }
    }

    /// Arms starved streams again, no more than there are buffers, and only once an eighth of the
    /// target is there, so that they do not starve one by one.
    fn feed_starved(&mut self) {
        for _ in 0..self.starved.len() {
            let Some(id) = self.starved.pop_front() else {
                return;
            };
            let Some(connection) = self.connection(id) else {
                continue;
            };
            if connection.receiving != Receiving::Starved {
                continue;
            }
            let group = connection.group;
            let lent = match group {
                Group::Small => &self.lent,
                Group::Bulk => &self.lent_bulk,
            };
            if lent.now < (lent.target / 8).max(1) {
                // Small buffers may be free while no bulk buffer is.
                if group == Group::Bulk && self.lent.now >= self.lent.target / 8 {
                    self.connections[id.slot as usize].group = Group::Small;
                    self.arm_recv(id.slot);
                } else {
                    self.starved.push_back(id);
                }
                continue;
            }
            self.arm_recv(id.slot);
        }
    }

    /// Whether streams wait for receive buffers, which come back without any completion.
    pub(super) fn is_starved(&self) -> bool {
        !self.starved.is_empty()
    }

    /// Puts the ring's own numbers and the gauges where other threads can read them.
    pub(super) fn publish_counters(&mut self) {
        let tally = self.kernel.take_tally();
        let counters = &self.counters;
        counters.enters.add(tally.enters);
        counters.submissions.add(tally.submissions);
        counters.submissions_full.add(tally.submissions_full);
        counters.completions_overflowed.add(tally.overflows);
        let leased = self.small.in_use() - self.lent.now + self.bulk.in_use() - self.lent_bulk.now
            + self.pages.in_use();
        counters.buffers_leased.set(u64::from(leased));
    }

    /// Closes everything; returns whether the kernel still holds operations.
    pub(super) fn close_all(&mut self) {
        for index in 0..self.listeners.len() {
            self.close_listener(index as u32);
        }
        for slot in 0..self.connections.len() {
            let generation = self.connections[slot].generation;
            self.close(StreamId { slot: slot as u32, generation });
        }
        if self.bell.is_some() {
            let target = Token::new(Kind::Bell, 0, 0);
            self.kernel.push(Op::Cancel { target }, Token::SILENT);
        }
    }

    /// Operations whose last completion is outstanding.
    pub(super) fn operations(&self) -> u64 {
        self.operations
    }
}

fn token(kind: Kind, id: StreamId) -> Token {
    Token::new(kind, id.generation, id.slot)
}
