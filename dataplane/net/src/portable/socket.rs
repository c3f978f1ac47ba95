//! One socket: what is known of its readiness, what is queued on it, and who waits for it.
//!
//! Readiness is edge-triggered: the kernel tells once, and the flags here remember. A receive that
//! fills less than its page has emptied the socket, so the next one waits for the next edge rather
//! than asking in vain; only after the peer's end or a failure it asks again, because no further
//! edge will come. A page is taken for the receive alone: an idle socket holds none.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Waker};

use super::outbox::Outbox;
use super::slots::Key;
use super::sys::{self, Ready};
use super::timers::Due;
use super::worker::Worker;
use crate::arena::{Chunk, PageMut};
use crate::wheel::TimerId;
use crate::{Instant, NetError};

pub(super) struct Socket {
    fd: OwnedFd,
    pub(super) key: Key,
    /// Receiving (or accepting) may yield something.
    readable: Cell<bool>,
    /// The send buffer had room when last heard of; for a connect under way: it is decided.
    writable: Cell<bool>,
    /// The peer's end is known, though perhaps not reached.
    peer_ended: Cell<bool>,
    /// The connection failed or is ended both ways; the kernel knows which.
    broken: Cell<bool>,
    /// The peer's end was reached.
    ended: Cell<bool>,
    /// The last page was filled to its end: more is coming, take a larger one.
    bulk: Cell<bool>,
    failure: Cell<Option<NetError>>,
    /// Received ahead, to tell whether the stream is idle.
    inbox: Cell<Option<Chunk>>,
    outbox: RefCell<Outbox>,
    sending: Cell<Sending>,
    /// Queued bytes below which the writer is to be woken.
    drained_below: Cell<usize>,
    dirty: Cell<bool>,
    starved: Cell<bool>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
    deadline: Cell<Option<Instant>>,
    expired: Cell<bool>,
    timer: Cell<Option<(TimerId, Instant)>>,
}

/// Our direction of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    /// Ends once everything queued has left.
    Ending,
    Ended,
}

/// What one receive yielded.
pub(super) enum Received {
    Bytes(Chunk),
    End,
    Nothing,
    /// No free page; the socket is listed to be woken when there is one.
    Starved,
    Failed(NetError),
}

impl Socket {
    /// A socket that is `connected` may send at once; another waits for its connect's outcome.
    pub(super) fn new(fd: OwnedFd, key: Key, connected: bool) -> Socket {
        Socket {
            fd,
            key,
            readable: Cell::new(false),
            writable: Cell::new(connected),
            peer_ended: Cell::new(false),
            broken: Cell::new(false),
            ended: Cell::new(false),
            bulk: Cell::new(false),
            failure: Cell::new(None),
            inbox: Cell::new(None),
            outbox: RefCell::default(),
            sending: Cell::new(Sending::Open),
            drained_below: Cell::new(0),
            dirty: Cell::new(false),
            starved: Cell::new(false),
            reader: Cell::new(None),
            writer: Cell::new(None),
            deadline: Cell::new(None),
            expired: Cell::new(false),
            timer: Cell::new(None),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    // === Events ===

    pub(super) fn handle_ready(&self, worker: &Worker, ready: Ready) {
        if ready.broken() {
            self.broken.set(true);
        }
        if ready.ended() {
            self.peer_ended.set(true);
        }
        if ready.writable() || ready.broken() {
            if !self.writable.replace(true) {
                self.flush(worker);
            }
            if ready.broken() {
                self.wake_writer();
            }
        }
        if ready.readable() {
            self.readable.set(true);
            self.wake_reader();
        }
    }

    /// The timer has come due; the deadline may have been put off since.
    pub(super) fn handle_timer(&self, worker: &Worker) {
        self.timer.set(None);
        match self.deadline.get() {
            Some(deadline) if deadline <= worker.now() => {
                self.expired.set(true);
                self.wake_reader();
                self.wake_writer();
            }
            Some(deadline) => self.arm(worker, deadline),
            None => {}
        }
    }

    /// Puts the deadline off with two stores; brings it forward through the wheel.
    pub(super) fn set_deadline(&self, worker: &Worker, deadline: Option<Instant>) {
        self.deadline.set(deadline);
        self.expired.set(false);
        let Some(deadline) = deadline else { return };
        match self.timer.get() {
            Some((_, at)) if at <= deadline => {}
            earlier => {
                if let Some((timer, _)) = earlier {
                    worker.timers.remove(timer);
                }
                self.arm(worker, deadline);
            }
        }
    }

    fn arm(&self, worker: &Worker, deadline: Instant) {
        let timer = worker.timers.insert(deadline, Due::Socket(self.key));
        self.timer.set(Some((timer, deadline)));
    }

    // === Receiving ===

    /// One receive, into a page that goes back unless bytes came.
    pub(super) fn receive(self: &Rc<Self>, worker: &Worker) -> Received {
        let bulk = if self.bulk.get() { worker.bulk_pages.page() } else { None };
        let Some(mut page) = bulk.or_else(|| worker.recv_pages.page()) else {
            if !self.starved.replace(true) {
                worker.put_starved(Rc::clone(self));
            }
            return Received::Starved;
        };
        match sys::recv(self.fd(), page.spare()) {
            Ok(0) => {
                // A failure that was asked for already shows as an end from then on.
                self.learn_failure();
                match self.failure.get() {
                    Some(error) => Received::Failed(error),
                    None => {
                        self.ended.set(true);
                        Received::End
                    }
                }
            }
            Ok(n) => {
                worker.counters.recv_bytes.add(n as u64);
                page.commit(n);
                let filled = page.room() == 0;
                if !filled {
                    self.readable.set(self.peer_ended.get() || self.broken.get());
                }
                let is_small = n < worker.recv_pages.buffer_bytes();
                if is_small && self.bulk.get() {
                    // A few bytes must not keep a large page for as long as they are read.
                    page = moved_to(worker.recv_pages.page(), page, n);
                }
                self.bulk.set(!is_small);
                Received::Bytes(page.freeze())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable.set(false);
                self.bulk.set(false);
                Received::Nothing
            }
            Err(error) => {
                self.readable.set(false);
                Received::Failed(NetError::from_io(&error))
            }
        }
    }

    /// Fetches the failure that the kernel has reported.
    pub(super) fn learn_failure(&self) {
        if !self.broken.get() || self.failure.get().is_some() {
            return;
        }
        if let Ok(Some(error)) = sys::take_error(self.fd()) {
            self.failure.set(Some(NetError::from_io(&error)));
        }
    }

    // === Sending ===

    pub(super) fn queue(self: &Rc<Self>, worker: &Worker, chunk: Chunk) {
        if chunk.is_empty() || !self.takes_bytes() {
            return;
        }
        self.outbox.borrow_mut().push(chunk);
        self.mark_dirty(worker);
    }

    pub(super) fn queue_copy(self: &Rc<Self>, worker: &Worker, bytes: &[u8]) {
        if bytes.is_empty() || !self.takes_bytes() {
            return;
        }
        let queued = self.outbox.borrow_mut().push_copy(&worker.send_pages, bytes);
        match queued {
            Ok(()) => self.mark_dirty(worker),
            Err(_) => self.fail(NetError::BuffersExhausted),
        }
    }

    /// Ends our direction once the queue is empty.
    pub(super) fn end_sending(self: &Rc<Self>, worker: &Worker) {
        if self.takes_bytes() {
            self.sending.set(Sending::Ending);
            self.mark_dirty(worker);
        }
    }

    /// Hands the kernel what it takes of the queue.
    pub(super) fn flush(&self, worker: &Worker) {
        self.dirty.set(false);
        while self.writable.get() && self.queued_bytes() > 0 {
            let sent = self.outbox.borrow_mut().send(self.fd());
            match sent {
                Ok((sent, is_short)) => {
                    worker.counters.sends.add(1);
                    worker.counters.sent_bytes.add(sent as u64);
                    if is_short {
                        // The kernel tells when there is room again.
                        self.writable.set(false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable.set(false),
                Err(error) => self.fail(NetError::from_io(&error)),
            }
        }
        if self.sending.get() == Sending::Ending && self.queued_bytes() == 0 {
            self.sending.set(Sending::Ended);
            // It fails only if the connection is gone, which receiving shows.
            let _ = sys::shutdown_write(self.fd());
        }
        if self.queued_bytes() < self.drained_below.get() {
            self.wake_writer();
        }
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.outbox.borrow().bytes()
    }

    fn takes_bytes(&self) -> bool {
        self.failure.get().is_none() && self.sending.get() == Sending::Open
    }

    fn mark_dirty(self: &Rc<Self>, worker: &Worker) {
        if self.writable.get() && !self.dirty.replace(true) {
            worker.put_dirty(Rc::clone(self));
        }
    }

    /// The first failure stays.
    pub(super) fn fail(&self, error: NetError) {
        if self.failure.get().is_none() {
            self.failure.set(Some(error));
        }
        self.outbox.borrow_mut().clear();
        self.wake_reader();
        self.wake_writer();
    }

    // === State ===

    pub(super) fn is_readable(&self) -> bool {
        self.readable.get()
    }

    pub(super) fn set_readable(&self, readable: bool) {
        self.readable.set(readable);
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable.get()
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty.get()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// The peer's end is known, whether or not it was reached.
    pub(super) fn is_ending(&self) -> bool {
        self.peer_ended.get() || self.ended.get()
    }

    /// The peer's end was reached.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.get() == Sending::Open
    }

    pub(super) fn is_expired(&self) -> bool {
        self.expired.get()
    }

    pub(super) fn failure(&self) -> Option<NetError> {
        self.failure.get()
    }

    pub(super) fn take_inbox(&self) -> Option<Chunk> {
        self.inbox.take()
    }

    pub(super) fn put_inbox(&self, chunk: Chunk) {
        self.inbox.set(Some(chunk));
    }

    // === Waiting ===

    pub(super) fn await_reading(&self, cx: &Context<'_>) {
        store_waker(&self.reader, cx.waker());
    }

    pub(super) fn await_drained(&self, cx: &Context<'_>, below: usize) {
        self.drained_below.set(below);
        store_waker(&self.writer, cx.waker());
    }

    pub(super) fn set_starved(&self, starved: bool) {
        self.starved.set(starved);
    }

    pub(super) fn wake_reader(&self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&self) {
        self.drained_below.set(0);
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Lets go of everything but the descriptor, which closes with the last handle: at once, or at
    /// the end of the poll in which bytes were queued in vain.
    pub(super) fn abandon(&self, worker: &Worker) {
        if let Some((timer, _)) = self.timer.take() {
            worker.timers.remove(timer);
        }
        if self.starved.get() {
            worker.forget_starved(self.key);
        }
        self.sending.set(Sending::Ended);
        self.outbox.borrow_mut().clear();
        drop((self.inbox.take(), self.reader.take(), self.writer.take()));
    }
}

fn store_waker(slot: &Cell<Option<Waker>>, waker: &Waker) {
    match slot.take() {
        Some(known) if known.will_wake(waker) => slot.set(Some(known)),
        _ => slot.set(Some(waker.clone())),
    }
}

/// The first `n` bytes of `page` in `smaller`, if there is one.
fn moved_to(smaller: Option<PageMut>, page: PageMut, n: usize) -> PageMut {
    let Some(mut smaller) = smaller else {
        return page;
    };
    let bytes = page.freeze();
    smaller.fill(bytes.get(..n).unwrap_or_default());
    smaller
}
