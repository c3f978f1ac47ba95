//! Virtual time: it stands still while a turn runs and leaps when nobody is ready.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use super::link::{Link, Packet};
use super::socket::Socket;
use super::world::World;
use crate::Instant;

/// Names something that will happen: when, and in which order among what happens then.
pub(super) type Key = (Instant, u64);

/// What happens.
pub(super) enum Due {
    /// A sleep ends.
    Wake(Waker),
    /// A stream's deadline may have passed.
    Deadline(Weak<Socket>),
    /// Something arrives at an end of a link.
    Arrive(Rc<Link>, usize, Packet),
    /// An end may send again.
    Room(Rc<Link>, usize),
    /// An end may receive again.
    Receive(Rc<Link>, usize),
}

pub(super) struct Clock {
    now: Cell<Instant>,
    due: RefCell<BTreeMap<Key, Due>>,
    next: Cell<u64>,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { now: Cell::new(START), due: RefCell::default(), next: Cell::new(0) }
    }

    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn set(&self, now: Instant) {
        debug_assert!(now >= self.now.get(), "time does not go back");
        self.now.set(now);
    }

    pub(super) fn insert(&self, at: Instant, due: Due) -> Key {
        let number = self.next.get();
        self.next.set(number + 1);
        self.due.borrow_mut().insert((at, number), due);
        (at, number)
    }

    pub(super) fn remove(&self, key: Key) {
        let removed = self.due.borrow_mut().remove(&key);
        drop(removed);
    }

    /// When something next happens.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the first of what has happened by now.
    pub(super) fn take_due(&self) -> Option<Due> {
        let mut due = self.due.borrow_mut();
        let entry = due.first_entry()?;
        (entry.key().0 <= self.now.get()).then(|| entry.remove())
    }

    /// Forgets everything that would happen.
    pub(super) fn clear(&self) {
        let due = self.due.take();
        drop(due);
    }

    /// Makes `waker` the one that the sleep `key` wakes; false if it has ended.
    fn renew(&self, key: Key, waker: &Waker) -> bool {
        match self.due.borrow_mut().get_mut(&key) {
            Some(Due::Wake(known)) => {
                if !known.will_wake(waker) {
                    known.clone_from(waker);
                }
                true
            }
            _ => false,
        }
    }
}

/// The clock begins here rather than at its origin, so that an instant before the start exists.
const START: Instant = Instant::from_nanos(1_000_000_000);

/// Waits for an instant; leaves nothing behind when dropped.
pub(super) struct Sleep {
    world: Rc<World>,
    until: Instant,
    deadline: Instant,
    key: Option<Key>,
}

impl Sleep {
    /// `until` is when it ends, `deadline` when it was asked to.
    pub(super) fn new(world: Rc<World>, until: Instant, deadline: Instant) -> Sleep {
        Sleep { world, until, deadline, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let clock = &self.world.clock;
        match self.key {
            Some(key) if clock.renew(key, cx.waker()) => Poll::Pending,
            Some(_) => Poll::Ready(()),
            None if self.deadline <= clock.now() => Poll::Ready(()),
            None => {
                let key = clock.insert(self.until, Due::Wake(cx.waker().clone()));
                self.key = Some(key);
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.world.clock.remove(key);
        }
    }
}
