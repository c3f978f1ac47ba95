//! A connection as the network has it: two ends, each with bytes on their way to it, bytes that
//! have come, and what is known of the other end.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::clock::Due;
use super::faults::Faults;
use super::socket::Socket;
use super::trace::Event;
use super::world::World;
use crate::{Instant, NetError};

/// Bytes on their way and unread that one direction holds at most: the two kernels' buffers.
const WINDOW_MIN: usize = 16 * 1024;
const WINDOW_MAX: usize = 256 * 1024;

/// What travels.
pub(super) enum Packet {
    Bytes(Vec<u8>),
    End,
    Reset,
}

pub(super) struct Link {
    pub(super) id: u64,
    window: usize,
    sides: [Side; 2],
}

#[derive(Default)]
struct Side {
    received: RefCell<VecDeque<u8>>,
    in_flight: Cell<usize>,
    /// The last of what is on its way arrives then; the order of one direction is kept.
    last_arrival: Cell<Option<Instant>>,
    /// The peer's end has arrived.
    has_ended: Cell<bool>,
    /// The connection is broken as seen from here.
    is_reset: Cell<bool>,
    /// Our end was sent.
    is_shut: Cell<bool>,
    /// Nobody holds this end any more.
    is_closed: Cell<bool>,
    /// To be told when the peer has taken bytes.
    wants_room: Cell<bool>,
    socket: RefCell<Weak<Socket>>,
}

impl Link {
    pub(super) fn new(world: &World, id: u64) -> Rc<Link> {
        let window = WINDOW_MIN + world.dice.below(WINDOW_MAX - WINDOW_MIN);
        Rc::new(Link { id, window, sides: Default::default() })
    }

    /// The end's number in the trace.
    pub(super) fn end_id(&self, at: usize) -> u64 {
        self.id * 2 + at as u64
    }

    fn side(&self, at: usize) -> &Side {
        &self.sides[at & 1]
    }

    /// The stream that holds an end from now on.
    pub(super) fn attach(&self, at: usize, socket: &Rc<Socket>) {
        *self.side(at).socket.borrow_mut() = Rc::downgrade(socket);
    }

    fn socket(&self, at: usize) -> Option<Rc<Socket>> {
        self.side(at).socket.borrow().upgrade()
    }

    // === Sending ===

    /// Takes as many of `bytes`, which are some, as there is room for; zero if there is none.
    /// Everything on its way in this direction arrives in order.
    pub(super) fn send(
        self: &Rc<Link>,
        world: &World,
        from: usize,
        faults: &Faults,
        bytes: &[u8],
    ) -> Result<usize, NetError> {
        let (own, peer) = (self.side(from), self.side(1 - from));
        if own.is_reset.get() {
            return Err(NetError::Reset);
        }
        if world.dice.hits(faults.reset) {
            self.break_off(world, from);
            return Err(NetError::Reset);
        }
        let held = peer.in_flight.get() + peer.received.borrow().len();
        let mut taken = bytes.len().min(self.window.saturating_sub(held));
        if taken == 0 {
            own.wants_room.set(true);
            return Ok(0);
        }
        if taken > 1 && world.dice.hits(faults.partial_send) {
            taken = world.dice.part(taken);
        }
        let mut rest = bytes.get(..taken).unwrap_or_default();
        while !rest.is_empty() {
            let mut n = rest.len();
            if n > 1 && world.dice.hits(faults.split) {
                n = world.dice.part(n);
            }
            let (piece, after) = rest.split_at(n);
            peer.in_flight.set(peer.in_flight.get() + n);
            self.post(world, 1 - from, faults, Packet::Bytes(piece.to_vec()));
            rest = after;
        }
        world.note(Event::Send, self.end_id(from), taken as u64);
        if taken < bytes.len() {
            let again = world.now() + world.dice.duration(faults.latency_max);
            world.clock.insert(again, Due::Room(Rc::clone(self), from));
        }
        Ok(taken)
    }

    /// Ends the direction from `from`.
    pub(super) fn finish(self: &Rc<Link>, world: &World, from: usize, faults: &Faults) {
        if !self.side(from).is_shut.replace(true) {
            self.post(world, 1 - from, faults, Packet::End);
        }
    }

    /// Lets go of an end. Bytes that nobody has read reset the peer.
    pub(super) fn close(
        self: &Rc<Link>,
        world: &World,
        at: usize,
        faults: &Faults,
        has_unread: bool,
    ) {
        let side = self.side(at);
        if side.is_closed.replace(true) {
            return;
        }
        let unread = std::mem::take(&mut *side.received.borrow_mut());
        let has_unread = has_unread || !unread.is_empty();
        world.note(Event::Close, self.end_id(at), u64::from(has_unread));
        if side.is_reset.get() {
            return;
        }
        if has_unread {
            self.post(world, 1 - at, faults, Packet::Reset);
        } else {
            self.finish(world, at, faults);
        }
    }

    /// Breaks the connection for the peer as well, whatever is on its way.
    fn break_off(self: &Rc<Link>, world: &World, from: usize) {
        self.side(from).is_reset.set(true);
        world.clock.insert(world.now(), Due::Arrive(Rc::clone(self), 1 - from, Packet::Reset));
    }

    fn post(self: &Rc<Link>, world: &World, to: usize, faults: &Faults, packet: Packet) {
        let mut way = world.dice.duration(faults.latency_max);
        if world.dice.hits(faults.stall) {
            way += world.dice.duration(faults.stall_max);
        }
        let side = self.side(to);
        let mut arrives = world.now() + way;
        if let Some(last) = side.last_arrival.get() {
            arrives = arrives.max(last + Duration::from_nanos(1));
        }
        side.last_arrival.set(Some(arrives));
        world.clock.insert(arrives, Due::Arrive(Rc::clone(self), to, packet));
    }

    // === Receiving ===

    pub(super) fn arrive(self: &Rc<Link>, world: &World, to: usize, packet: Packet) {
        let side = self.side(to);
        if let Packet::Bytes(bytes) = &packet {
            side.in_flight.set(side.in_flight.get().saturating_sub(bytes.len()));
        }
        if side.is_reset.get() && !matches!(packet, Packet::Reset) {
            return;
        }
        match packet {
            Packet::Bytes(_) if side.is_closed.get() => {
                // Bytes to an end that nobody holds are answered with a reset.
                side.is_reset.set(true);
                self.post(world, 1 - to, &Faults::none(), Packet::Reset);
                return;
            }
            Packet::Bytes(bytes) => {
                world.note(Event::Arrive, self.end_id(to), bytes.len() as u64);
                side.received.borrow_mut().extend(bytes);
            }
            Packet::End => {
                world.note(Event::End, self.end_id(to), 0);
                side.has_ended.set(true);
            }
            Packet::Reset => {
                world.note(Event::Reset, self.end_id(to), 0);
                side.is_reset.set(true);
            }
        }
        if let Some(socket) = self.socket(to) {
            if side.is_reset.get() {
                socket.fail(NetError::Reset);
            }
            socket.receive(world);
            socket.wake_reader();
        }
    }

    /// Bytes that have come and were not received.
    pub(super) fn unread(&self, at: usize) -> usize {
        self.side(at).received.borrow().len()
    }

    /// Moves bytes into `target`, which they fill.
    pub(super) fn take(self: &Rc<Link>, world: &World, at: usize, target: &mut [u8]) {
        let side = self.side(at);
        let mut received = side.received.borrow_mut();
        let n = target.len().min(received.len());
        for (target, byte) in target.iter_mut().zip(received.drain(..n)) {
            *target = byte;
        }
        drop(received);
        if self.side(1 - at).wants_room.replace(false) {
            world.clock.insert(world.now(), Due::Room(Rc::clone(self), 1 - at));
        }
    }

    pub(super) fn has_ended(&self, at: usize) -> bool {
        self.side(at).has_ended.get()
    }

    pub(super) fn is_reset(&self, at: usize) -> bool {
        self.side(at).is_reset.get()
    }

    // === Events ===

    pub(super) fn offer_room(&self, world: &World, at: usize) {
        if let Some(socket) = self.socket(at) {
            socket.flush(world);
        }
    }

    pub(super) fn offer_bytes(&self, world: &World, at: usize) {
        if let Some(socket) = self.socket(at) {
            socket.receive_again(world);
        }
    }
}
