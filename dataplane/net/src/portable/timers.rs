//! All deadlines of a worker: one wheel, one alarm of the kernel set to its next expiry.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::slots::{Key, Slots};
use super::sys::Alarm;
use super::worker::Worker;
use crate::Instant;
use crate::wheel::{TimerId, Wheel};

/// Whose time has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    Socket(Key),
    Sleeper(Key),
}

#[derive(Debug)]
pub(super) struct Timers {
    wheel: RefCell<Wheel<Due>>,
    sleepers: RefCell<Slots<Sleeper>>,
    alarm: Alarm,
    /// When the alarm rings; the end of time if it is not set.
    alarm_at: Cell<Instant>,
    /// Reused from one expiry to the next.
    due: RefCell<Vec<Due>>,
}

#[derive(Debug)]
struct Sleeper {
    timer: TimerId,
    waker: Waker,
}

const NEVER: Instant = Instant::from_nanos(u64::MAX);

impl Timers {
    pub(super) fn new(alarm: Alarm, now: Instant) -> Timers {
        Timers {
            wheel: RefCell::new(Wheel::new(now)),
            sleepers: RefCell::new(Slots::new()),
            alarm,
            alarm_at: Cell::new(NEVER),
            due: RefCell::new(Vec::new()),
        }
    }

    pub(super) fn insert(&self, deadline: Instant, owner: Due) -> TimerId {
        let timer = self.wheel.borrow_mut().insert(deadline, owner);
        // The alarm may ring up to a tick early for this entry: it is then set again.
        if deadline < self.alarm_at.get() {
            self.set_alarm();
        }
        timer
    }

    pub(super) fn remove(&self, timer: TimerId) {
        self.wheel.borrow_mut().remove(timer);
    }

    /// Takes what is due at `now` and hands it to `handle`, which may use the timers.
    pub(super) fn expire(&self, now: Instant, mut handle: impl FnMut(Due)) {
        let mut due = self.due.take();
        self.wheel.borrow_mut().expire(now, |_, owner| due.push(owner));
        for owner in due.drain(..) {
            match owner {
                Due::Sleeper(key) => {
                    let sleeper = self.sleepers.borrow_mut().remove(key);
                    if let Some(sleeper) = sleeper {
                        sleeper.waker.wake();
                    }
                }
                Due::Socket(_) => handle(owner),
            }
        }
        self.due.replace(due);
        self.set_alarm();
    }

    fn set_alarm(&self) {
        let Some(at) = self.wheel.borrow().next_expiry() else {
            self.alarm_at.set(NEVER);
            return;
        };
        self.alarm_at.set(at);
        // The kernel refuses only a bad descriptor or a bad time; neither can be.
        let set = self.alarm.set(at);
        debug_assert!(set.is_ok(), "the alarm is ours and its time is valid");
    }
}

/// Waits for an instant; gives its entry back when dropped.
pub(super) struct Sleep {
    worker: Rc<Worker>,
    deadline: Instant,
    sleeper: Option<Key>,
}

impl Sleep {
    pub(super) fn new(worker: Rc<Worker>, deadline: Instant) -> Sleep {
        Sleep { worker, deadline, sleeper: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let timers = &this.worker.timers;
        if let Some(key) = this.sleeper {
            let mut sleepers = timers.sleepers.borrow_mut();
            let Some(sleeper) = sleepers.find_mut(key) else {
                this.sleeper = None;
                return Poll::Ready(());
            };
            let replaced = if sleeper.waker.will_wake(cx.waker()) {
                None
            } else {
                Some(std::mem::replace(&mut sleeper.waker, cx.waker().clone()))
            };
            drop(sleepers);
            drop(replaced);
            return Poll::Pending;
        }
        if this.deadline <= this.worker.now() {
            return Poll::Ready(());
        }
        let deadline = this.deadline;
        let key = timers.sleepers.borrow_mut().insert_with(|key| Sleeper {
            timer: timers.insert(deadline, Due::Sleeper(key)),
            waker: cx.waker().clone(),
        });
        this.sleeper = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let timers = &self.worker.timers;
        let sleeper = self.sleeper.and_then(|key| timers.sleepers.borrow_mut().remove(key));
        if let Some(sleeper) = sleeper {
            timers.remove(sleeper.timer);
        }
    }
}
