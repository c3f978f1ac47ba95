//! What the tasks of one worker share: sockets, buffers, time, and the work put off to the end of
//! a task's poll.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use super::slots::{Key, Slots};
use super::socket::Socket;
use super::sys::{Alarm, ReadyBuffer, ReadySet};
use super::tasks::Tasks;
use super::timers::{Due, Timers};
use crate::arena::Arena;
use crate::time::{monotonic_now, unix_us_now};
use crate::{Instant, NetCounters, NetError, Options};

/// Receives, accepts and early sends of one poll of a task; then it waits for its next turn, so that a fast
/// peer cannot keep the worker to itself.
const OPERATIONS_PER_POLL: u32 = 32;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 512;

/// Key of the alarm in the ready set; slots never reach it.
const ALARM_KEY: Key = Key::MAX;

pub(super) struct Worker {
    pub(super) options: Options,
    pub(super) counters: Arc<NetCounters>,
    pub(super) timers: Timers,
    pub(super) tasks: Tasks,
    pub(super) recv_pages: Rc<Arena>,
    pub(super) bulk_pages: Rc<Arena>,
    pub(super) send_pages: Rc<Arena>,
    ready_set: ReadySet,
    sockets: RefCell<Slots<Rc<Socket>>>,
    /// Sockets with bytes queued during this poll.
    dirty: RefCell<Vec<Rc<Socket>>>,
    /// Sockets that found no free page to receive into.
    starved: RefCell<Vec<Rc<Socket>>>,
    /// Tasks that were woken during their own poll; their turn is after everybody else's.
    yielded: RefCell<Vec<Waker>>,
    reactor: Cell<Option<Waker>>,
    operations_left: Cell<u32>,
    now: Cell<Option<Instant>>,
    unix: Cell<UnixClock>,
    random: Cell<u64>,
    closing: Cell<bool>,
}

/// How far the wall clock was ahead of ours when last compared.
#[derive(Clone, Copy)]
struct UnixClock {
    compared: Instant,
    ahead_us: u64,
}

impl Worker {
    pub(super) fn new(options: Options) -> io::Result<Worker> {
        let now = monotonic_now();
        let ready_set = ReadySet::new()?;
        let alarm = Alarm::new()?;
        ready_set.add(alarm.fd(), ALARM_KEY)?;
        let send_pages = options.send_bytes_max / u64::from(options.buffer_bytes.max(1));
        Ok(Worker {
            counters: Arc::default(),
            timers: Timers::new(alarm, now),
            tasks: Tasks::new(),
            recv_pages: Arena::new(options.buffer_bytes, options.recv_buffers.into()),
            bulk_pages: Arena::new(options.bulk_buffer_bytes, options.bulk_buffers.into()),
            send_pages: Arena::new(
                options.buffer_bytes,
                u32::try_from(send_pages).unwrap_or(u32::MAX),
            ),
            ready_set,
            sockets: RefCell::new(Slots::new()),
            dirty: RefCell::default(),
            starved: RefCell::default(),
            yielded: RefCell::default(),
            reactor: Cell::new(None),
            operations_left: Cell::new(OPERATIONS_PER_POLL),
            now: Cell::new(None),
            unix: Cell::new(UnixClock::compared_at(now)),
            random: Cell::new(options.seed.unwrap_or_else(seed_from_system)),
            closing: Cell::new(false),
            options,
        })
    }

    pub(super) fn try_clone_ready_fd(&self) -> io::Result<OwnedFd> {
        self.ready_set.try_clone_fd()
    }

    // === Turns ===

    /// Before a task is polled.
    pub(super) fn begin_poll(&self) {
        self.now.set(None);
        self.operations_left.set(OPERATIONS_PER_POLL);
    }

    /// After a task was polled: what it queued leaves, with one send per socket.
    pub(super) fn end_poll(&self) {
        if !self.dirty.borrow().is_empty() {
            let mut dirty = self.dirty.take();
            for socket in dirty.drain(..) {
                socket.flush(self);
            }
            // Flushing wakes tasks but runs none, so nothing was queued meanwhile.
            self.dirty.replace(dirty);
        }
        self.settle();
    }

    /// Feeds starved sockets if buffers came back, and brings the gauge up to date.
    fn settle(&self) {
        let arenas = [&self.recv_pages, &self.bulk_pages, &self.send_pages];
        let leased: u32 = arenas.iter().map(|arena| arena.in_use()).sum();
        self.counters.buffers_leased.set(leased.into());
        if !self.starved.borrow().is_empty() && self.recv_pages.available() > 0 {
            for socket in self.starved.take() {
                socket.set_starved(false);
                socket.wake_reader();
            }
        }
    }

    /// Looks at everything the kernel reports now.
    pub(super) fn dispatch(&self, buffer: &mut ReadyBuffer) {
        self.now.set(None);
        self.counters.turns.add(1);
        for waker in self.yielded.take() {
            waker.wake();
        }
        // epoll_wait fails on bad arguments only; the alarm's next ring looks again.
        let Ok(events) = self.ready_set.take(buffer) else {
            return;
        };
        for ready in events {
            if ready.key == ALARM_KEY {
                self.timers.expire(self.now(), |due| self.expire(due));
                continue;
            }
            let socket = self.sockets.borrow().find(ready.key).map(Rc::clone);
            match socket {
                Some(socket) => socket.handle_ready(self, ready),
                None => self.counters.completions_stale.add(1),
            }
        }
        self.settle();
    }

    fn expire(&self, due: Due) {
        let Due::Socket(key) = due else { return };
        let socket = self.sockets.borrow().find(key).map(Rc::clone);
        if let Some(socket) = socket {
            socket.handle_timer(self);
        }
    }

    pub(super) fn event_buffer() -> ReadyBuffer {
        Box::new_uninit_slice(EVENTS_MAX)
    }

    // === Work put off ===

    pub(super) fn put_dirty(&self, socket: Rc<Socket>) {
        self.dirty.borrow_mut().push(socket);
    }

    pub(super) fn put_starved(&self, socket: Rc<Socket>) {
        self.counters.recv_starved.add(1);
        self.starved.borrow_mut().push(socket);
    }

    /// Takes a socket off the list, so that its descriptor closes now.
    pub(super) fn forget_starved(&self, key: Key) {
        self.starved.borrow_mut().retain(|socket| socket.key != key);
    }

    /// Wakes a task after everybody else had a turn.
    pub(super) fn put_yielded(&self, waker: Waker) {
        self.yielded.borrow_mut().push(waker);
        self.wake_reactor();
    }

    /// Counts an operation; false if this poll has had its share.
    pub(super) fn may_operate(&self) -> bool {
        let left = self.operations_left.get();
        self.operations_left.set(left.saturating_sub(1));
        left > 0
    }

    pub(super) fn set_reactor(&self, waker: &Waker) {
        match self.reactor.take() {
            Some(known) if known.will_wake(waker) => self.reactor.set(Some(known)),
            _ => self.reactor.set(Some(waker.clone())),
        }
    }

    fn wake_reactor(&self) {
        if let Some(waker) = self.reactor.take() {
            waker.wake_by_ref();
            self.reactor.set(Some(waker));
        }
    }

    // === Sockets ===

    /// Takes a socket into the worker's set.
    pub(super) fn adopt(&self, fd: OwnedFd, connected: bool) -> Result<Rc<Socket>, NetError> {
        let mut sockets = self.sockets.borrow_mut();
        let mut adopted = None;
        let key = sockets.insert_with(|key| {
            let socket = Rc::new(Socket::new(fd, key, connected));
            adopted = Some(Rc::clone(&socket));
            socket
        });
        let Some(socket) = adopted else {
            return Err(NetError::Exhausted);
        };
        if let Err(error) = self.ready_set.add(socket.fd(), key) {
            sockets.remove(key);
            return Err(NetError::from_io(&error));
        }
        Ok(socket)
    }

    /// Forgets a socket; its descriptor closes with the last handle.
    pub(super) fn release(&self, key: Key) {
        let socket = self.sockets.borrow_mut().remove(key);
        drop(socket);
    }

    /// Whether one more stream may be opened.
    pub(super) fn has_room(&self) -> bool {
        self.counters.streams_open.value() < u64::from(self.options.streams_max)
    }

    // === Time and chance ===

    /// Read once per poll of a task.
    pub(super) fn now(&self) -> Instant {
        self.now.get().unwrap_or_else(|| {
            let now = monotonic_now();
            self.now.set(Some(now));
            now
        })
    }

    pub(super) fn unix_us(&self) -> u64 {
        let now = self.now();
        let mut clock = self.unix.get();
        // Often enough that a corrected wall clock shows, seldom enough to cost nothing.
        if now.since(clock.compared).as_millis() >= 250 {
            clock = UnixClock::compared_at(now);
            self.unix.set(clock);
        }
        clock.ahead_us.wrapping_add(now.as_nanos() / 1000)
    }

    /// SplitMix64: one addition and two multiplications, every state is good.
    pub(super) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    // === The end ===

    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Drops every task, hence every stream, and ends the reactor. Tasks and the wakers kept here
    /// hold on to each other, so this cannot be left to reference counts.
    pub(super) fn close(&self) {
        self.closing.set(true);
        self.tasks.clear(&self.counters);
        drop((self.dirty.take(), self.starved.take(), self.yielded.take()));
        self.settle();
        self.wake_reactor();
    }
}

impl UnixClock {
    fn compared_at(now: Instant) -> UnixClock {
        UnixClock { compared: now, ahead_us: unix_us_now().wrapping_sub(now.as_nanos() / 1000) }
    }
}

/// The standard library seeds its hashers from the system's random source.
fn seed_from_system() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
