//! What happened, as a rolling hash of everything and the last events in full.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::Write as _;

use crate::Instant;

/// Events kept in full.
const TAIL: usize = 200;

/// One kind of event; the two numbers that go with it are named in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Event {
    /// A task is polled \[task, whether it ended\].
    Poll,
    /// A task panicked \[task, 0\].
    Panic,
    /// The clock leaps \[nanoseconds, polls so far\].
    Leap,
    /// A connection is made \[link, 0\].
    Connect,
    /// A connect fails \[errors as numbered there, 0\].
    ConnectFailed,
    /// An accepted connection is opened \[link, whether there was room\].
    Open,
    /// Bytes leave \[end, bytes\].
    Send,
    /// Bytes arrive \[end, bytes\].
    Arrive,
    /// The peer's end arrives \[end, 0\].
    End,
    /// A reset arrives \[end, 0\].
    Reset,
    /// Bytes are received into a buffer \[end, bytes\].
    Receive,
    /// No buffer to receive into \[end, 0\].
    Starved,
    /// Unread bytes are too many \[end, unread bytes\].
    Paused,
    /// A deadline passes \[end, 0\].
    Expired,
    /// A stream fails for want of send buffers \[end, 0\].
    Exhausted,
    /// A stream is dropped \[end, whether bytes were unread\].
    Close,
    /// Something noted by the test \[its choice, its choice\].
    Mark,
}

pub(super) struct Trace {
    hash: Cell<u64>,
    events: Cell<u64>,
    tail: RefCell<VecDeque<(Instant, Event, u64, u64)>>,
}

impl Trace {
    pub(super) fn new(seed: u64) -> Trace {
        Trace { hash: Cell::new(seed), events: Cell::new(0), tail: RefCell::default() }
    }

    pub(super) fn note(&self, at: Instant, event: Event, a: u64, b: u64) {
        let mut hash = self.hash.get();
        for word in [at.as_nanos(), event as u64, a, b] {
            hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        self.hash.set(hash);
        self.events.set(self.events.get() + 1);
        let mut tail = self.tail.borrow_mut();
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back((at, event, a, b));
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.get()
    }

    /// The last events, one a line.
    pub(super) fn tail(&self) -> String {
        let mut text = String::new();
        let tail = self.tail.borrow();
        let before = self.events.get().saturating_sub(tail.len() as u64);
        for (index, (at, event, a, b)) in tail.iter().enumerate() {
            let (number, us) = (before + index as u64, at.as_nanos() / 1000);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{number:>8} {us:>12} us {event:?} {a} {b}");
        }
        text
    }
}
