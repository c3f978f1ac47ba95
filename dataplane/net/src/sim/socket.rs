//! One end of a connection as its runtime has it: chunks received and not yet read, bytes queued
//! and not yet taken, and who waits for what.
//!
//! As on the native ring, bytes are received into leased buffers as they come, ahead of the
//! session, until too many are unread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::clock::{Due, Key};
use super::link::Link;
use super::outbox::Outbox;
use super::trace::Event;
use super::world::{Host, Place, World};
use crate::arena::Chunk;
use crate::{Instant, NetError};

/// Longest that a receive waits for a buffer that chance denied it.
const STARVED_MAX: Duration = Duration::from_millis(5);

pub(super) struct Socket {
    pub(super) link: Rc<Link>,
    pub(super) at: usize,
    place: Place,
    inbox: RefCell<VecDeque<Chunk>>,
    inbox_bytes: Cell<usize>,
    is_paused: Cell<bool>,
    /// A later completion goes on receiving.
    continues: Cell<bool>,
    /// Listed to be fed when a buffer comes back.
    is_starved: Cell<bool>,
    /// The last buffer was filled to its end: more is coming, take a larger one.
    is_bulk: Cell<bool>,
    failure: Cell<Option<NetError>>,
    outbox: RefCell<Outbox>,
    sending: Cell<Sending>,
    is_dirty: Cell<bool>,
    /// Queued bytes below which the writer is to be woken.
    drained_below: Cell<usize>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
    deadline: Cell<Option<Instant>>,
    is_expired: Cell<bool>,
    /// Closing resets the peer.
    resets: Cell<bool>,
    timer: Cell<Option<(Key, Instant)>>,
}

/// Our direction of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    /// Ends once everything queued has left.
    Ending,
    Ended,
}

impl Socket {
    pub(super) fn new(place: Place, link: Rc<Link>, at: usize) -> Rc<Socket> {
        let socket = Rc::new(Socket {
            link,
            at,
            place,
            inbox: RefCell::default(),
            inbox_bytes: Cell::new(0),
            is_paused: Cell::new(false),
            continues: Cell::new(false),
            is_starved: Cell::new(false),
            is_bulk: Cell::new(false),
            failure: Cell::new(None),
            outbox: RefCell::default(),
            sending: Cell::new(Sending::Open),
            is_dirty: Cell::new(false),
            drained_below: Cell::new(0),
            reader: Cell::new(None),
            writer: Cell::new(None),
            deadline: Cell::new(None),
            is_expired: Cell::new(false),
            resets: Cell::new(false),
            timer: Cell::new(None),
        });
        socket.link.attach(at, &socket);
        socket
    }

    pub(super) fn host(&self) -> &Host {
        self.place.host()
    }

    fn id(&self) -> u64 {
        self.link.end_id(self.at)
    }

    // === Receiving ===

    /// Receives what has come, into buffers of the host, up to the bound of unread bytes.
    pub(super) fn receive(self: &Rc<Self>, world: &World) {
        let (host, faults) = (self.host(), &self.host().faults);
        let low = host.options.recv_low_bytes as usize;
        if self.is_paused.get() && self.inbox_bytes.get() > low {
            return;
        }
        self.is_paused.set(false);
        while !self.continues.get() && !self.is_starved.get() && self.link.unread(self.at) > 0 {
            if self.inbox_bytes.get() >= host.options.recv_high_bytes as usize {
                self.is_paused.set(true);
                host.counters.recv_paused.add(1);
                world.note(Event::Paused, self.id(), self.inbox_bytes.get() as u64);
                break;
            }
            if world.dice.hits(faults.no_recv_buffer) {
                self.note_starved(world);
                self.continue_after(world, world.dice.duration(STARVED_MAX));
                break;
            }
            let bulk = if self.is_bulk.get() { host.bulk_pages.page() } else { None };
            let Some(mut page) = bulk.or_else(|| host.recv_pages.page()) else {
                self.note_starved(world);
                self.is_starved.set(true);
                host.starved.borrow_mut().push(Rc::downgrade(self));
                break;
            };
            let whole = self.link.unread(self.at).min(page.room());
            let mut n = whole;
            if whole > 1 && world.dice.hits(faults.short_read) {
                n = world.dice.part(whole);
            }
            self.link.take(world, self.at, page.spare().get_mut(..n).unwrap_or_default());
            page.commit(n);
            self.is_bulk.set(page.room() == 0);
            host.counters.recv_bytes.add(n as u64);
            world.note(Event::Receive, self.id(), n as u64);
            self.inbox.borrow_mut().push_back(page.freeze());
            self.inbox_bytes.set(self.inbox_bytes.get() + n);
            self.wake_reader();
            if n < whole {
                self.continue_after(world, world.dice.duration(faults.latency_max));
            }
        }
    }

    pub(super) fn receive_again(self: &Rc<Self>, world: &World) {
        self.continues.set(false);
        self.receive(world);
    }

    /// A buffer has come back.
    pub(super) fn feed(self: &Rc<Self>, world: &World) {
        self.is_starved.set(false);
        self.receive(world);
    }

    fn note_starved(&self, world: &World) {
        self.host().counters.recv_starved.add(1);
        world.note(Event::Starved, self.id(), 0);
    }

    fn continue_after(&self, world: &World, pause: Duration) {
        self.continues.set(true);
        let at = world.now() + pause;
        world.clock.insert(at, Due::Receive(Rc::clone(&self.link), self.at));
    }

    /// The next chunk, if one was received.
    pub(super) fn take_chunk(self: &Rc<Self>, world: &World) -> Option<Chunk> {
        let chunk = self.inbox.borrow_mut().pop_front()?;
        self.inbox_bytes.set(self.inbox_bytes.get() - chunk.len());
        if self.is_paused.get() {
            self.receive(world);
        }
        Some(chunk)
    }

    /// Whether bytes have come that were not read.
    pub(super) fn has_unread(&self) -> bool {
        !self.inbox.borrow().is_empty() || self.link.unread(self.at) > 0
    }

    /// Whether received bytes wait to be read.
    pub(super) fn has_chunk(&self) -> bool {
        !self.inbox.borrow().is_empty()
    }

    /// Whether the peer's end is known, read up to or not.
    pub(super) fn has_ended(&self) -> bool {
        self.link.has_ended(self.at)
    }

    // === Sending ===

    pub(super) fn queue(self: &Rc<Self>, world: &World, chunk: Chunk) {
        if !chunk.is_empty() && self.takes_bytes() {
            self.outbox.borrow_mut().push(chunk);
            self.mark_dirty(world);
        }
    }

    pub(super) fn queue_copy(self: &Rc<Self>, world: &World, bytes: &[u8]) {
        if bytes.is_empty() || !self.takes_bytes() {
            return;
        }
        let host = self.host();
        let is_denied = world.dice.hits(host.faults.no_send_buffer);
        let queued = self.outbox.borrow_mut().push_copy(&host.send_pages, bytes);
        if is_denied || queued.is_err() {
            world.note(Event::Exhausted, self.id(), 0);
            self.fail(NetError::BuffersExhausted);
        } else {
            self.mark_dirty(world);
        }
    }

    /// Ends our direction once the queue is empty.
    pub(super) fn end_sending(self: &Rc<Self>, world: &World) {
        if self.takes_bytes() {
            self.sending.set(Sending::Ending);
            self.mark_dirty(world);
        }
    }

    /// Hands the network what it takes of the queue.
    pub(super) fn flush(self: &Rc<Self>, world: &World) {
        self.is_dirty.set(false);
        let host = self.host();
        while self.failure.get().is_none() && self.queued_bytes() > 0 {
            let front = self.outbox.borrow_mut().front();
            match self.link.send(world, self.at, &host.faults, &front) {
                Ok(sent) => {
                    host.counters.sends.add(1);
                    host.counters.sent_bytes.add(sent as u64);
                    self.outbox.borrow_mut().consume(sent);
                    if sent < front.len() {
                        break;
                    }
                }
                Err(error) => self.fail(error),
            }
        }
        if self.sending.get() == Sending::Ending && self.queued_bytes() == 0 {
            self.sending.set(Sending::Ended);
            if self.failure.get().is_none() {
                self.link.finish(world, self.at, &host.faults);
            }
        }
        if self.queued_bytes() < self.drained_below.get() {
            self.wake_writer();
        }
    }

    pub(super) fn reset_on_close(&self) {
        self.resets.set(true);
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.outbox.borrow().bytes()
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.get() == Sending::Open
    }

    fn takes_bytes(&self) -> bool {
        self.failure.get().is_none() && self.is_sending()
    }

    fn mark_dirty(self: &Rc<Self>, world: &World) {
        if !self.is_dirty.replace(true) {
            world.dirty.borrow_mut().push(Rc::clone(self));
        }
    }

    // === Failure and time ===

    /// The first failure stays.
    pub(super) fn fail(&self, error: NetError) {
        if self.failure.get().is_none() {
            self.failure.set(Some(error));
        }
        drop(self.outbox.take());
        self.wake_reader();
        self.wake_writer();
    }

    pub(super) fn failure(&self) -> Option<NetError> {
        self.failure.get()
    }

    pub(super) fn is_expired(&self) -> bool {
        self.is_expired.get()
    }

    pub(super) fn set_deadline(self: &Rc<Self>, world: &World, deadline: Option<Instant>) {
        self.deadline.set(deadline);
        self.is_expired.set(false);
        let Some(deadline) = deadline else { return };
        match self.timer.get() {
            Some((_, at)) if at <= deadline => {}
            earlier => {
                if let Some((key, _)) = earlier {
                    world.clock.remove(key);
                }
                self.arm(world, deadline);
            }
        }
    }

    /// The timer has come due; the deadline may have been put off since.
    pub(super) fn handle_timer(self: &Rc<Self>, world: &World) {
        self.timer.set(None);
        match self.deadline.get() {
            Some(deadline) if deadline <= world.now() => {
                world.note(Event::Expired, self.id(), 0);
                self.is_expired.set(true);
                self.wake_reader();
                self.wake_writer();
            }
            Some(deadline) => self.arm(world, deadline),
            None => {}
        }
    }

    fn arm(self: &Rc<Self>, world: &World, deadline: Instant) {
        let at = world.timer_for(self.host(), deadline);
        let key = world.clock.insert(at, Due::Deadline(Rc::downgrade(self)));
        self.timer.set(Some((key, deadline)));
    }

    // === Waiting ===

    pub(super) fn await_reading(&self, cx: &Context<'_>) {
        self.reader.set(Some(cx.waker().clone()));
    }

    pub(super) fn await_drained(&self, cx: &Context<'_>, below: usize) {
        self.drained_below.set(below);
        self.writer.set(Some(cx.waker().clone()));
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

    /// Lets go of everything; bytes still queued are lost.
    pub(super) fn abandon(&self, world: &World) {
        if let Some((key, _)) = self.timer.take() {
            world.clock.remove(key);
        }
        let has_unread = !self.inbox.borrow().is_empty() || self.resets.get();
        self.sending.set(Sending::Ended);
        self.link.close(world, self.at, &self.host().faults, has_unread);
        drop((self.inbox.take(), self.outbox.take(), self.reader.take(), self.writer.take()));
    }
}
