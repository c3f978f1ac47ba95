//! Tasks of the simulation: any order among those that are ready, one at a time.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::faults::Dice;
use super::world::Host;

/// The task that the runtime was started for.
pub(super) const MAIN: u64 = 0;

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Arc<TaskWaker>,
    host: Rc<Host>,
}

pub(super) struct Executor {
    /// A task is not here while it is polled.
    tasks: RefCell<BTreeMap<u64, Task>>,
    main: Arc<TaskWaker>,
    woken: Arc<Woken>,
    next: Cell<u64>,
    polls: Cell<u64>,
    closing: Cell<bool>,
}

/// What became of one poll of a task.
pub(super) enum Polled {
    Pending,
    Ended,
    Panicked,
    /// The task had ended before.
    Gone,
}

impl Executor {
    pub(super) fn new() -> Executor {
        let woken = Arc::<Woken>::default();
        let main = TaskWaker::new(MAIN, &woken);
        main.wake_by_ref();
        Executor {
            tasks: RefCell::default(),
            main,
            woken,
            next: Cell::new(MAIN + 1),
            polls: Cell::new(0),
            closing: Cell::new(false),
        }
    }

    pub(super) fn spawn(&self, host: &Rc<Host>, future: impl Future<Output = ()> + 'static) {
        if self.closing.get() {
            return;
        }
        let id = self.next.get();
        self.next.set(id + 1);
        host.counters.tasks_alive.add(1);
        let waker = TaskWaker::new(id, &self.woken);
        waker.wake_by_ref();
        let task = Task { future: Box::pin(future), waker, host: Rc::clone(host) };
        self.tasks.borrow_mut().insert(id, task);
    }

    /// Takes the tasks that are ready, in an order that the dice decide.
    pub(super) fn take_ready(&self, dice: &Dice) -> Vec<u64> {
        let mut ready = std::mem::take(&mut *self.woken.lock());
        for index in (1..ready.len()).rev() {
            ready.swap(index, dice.below(index + 1));
        }
        ready
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.woken.lock().is_empty()
    }

    pub(super) fn poll(&self, id: u64) -> Polled {
        let Some(mut task) = self.tasks.borrow_mut().remove(&id) else {
            return Polled::Gone;
        };
        let waker = Arc::clone(&task.waker);
        match self.poll_once(&waker, task.future.as_mut()) {
            Ok(Poll::Pending) => {
                self.tasks.borrow_mut().insert(id, task);
                return Polled::Pending;
            }
            Ok(Poll::Ready(())) => {
                // What a task holds may panic as well when it is dropped.
                let (host, future) = (task.host, task.future);
                host.counters.tasks_alive.sub(1);
                if catch_unwind(AssertUnwindSafe(|| drop(future))).is_ok() {
                    return Polled::Ended;
                }
                host.counters.tasks_panicked.add(1);
            }
            Err(_) => {
                task.host.counters.tasks_alive.sub(1);
                task.host.counters.tasks_panicked.add(1);
                let _ = catch_unwind(AssertUnwindSafe(|| drop(task.future)));
            }
        }
        Polled::Panicked
    }

    /// One poll of the main future; an error is what it panicked with.
    pub(super) fn poll_main<T>(
        &self,
        main: Pin<&mut impl Future<Output = T>>,
    ) -> Result<Poll<T>, Box<dyn Any + Send>> {
        self.poll_once(&self.main, main)
    }

    fn poll_once<T>(
        &self,
        waker: &Arc<TaskWaker>,
        future: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    ) -> Result<Poll<T>, Box<dyn Any + Send>> {
        self.polls.set(self.polls.get() + 1);
        waker.is_woken.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(waker));
        let mut context = Context::from_waker(&waker);
        catch_unwind(AssertUnwindSafe(|| future.poll(&mut context)))
    }

    /// Polls of all tasks so far.
    pub(super) fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Drops every task; none may be spawned from then on.
    pub(super) fn close(&self) {
        self.closing.set(true);
        let tasks = self.tasks.take();
        for task in tasks.into_values() {
            task.host.counters.tasks_alive.sub(1);
            drop(task.future);
        }
    }
}

/// Tasks woken since the last turn. Behind a lock only because wakers may cross threads by type.
#[derive(Default)]
struct Woken {
    ids: Mutex<Vec<u64>>,
}

impl Woken {
    /// No code that can panic runs under this lock, so poison carries no news.
    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TaskWaker {
    id: u64,
    is_woken: AtomicBool,
    woken: Arc<Woken>,
}

impl TaskWaker {
    fn new(id: u64, woken: &Arc<Woken>) -> Arc<TaskWaker> {
        Arc::new(TaskWaker { id, is_woken: AtomicBool::new(false), woken: Arc::clone(woken) })
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::Relaxed) {
            self.woken.lock().push(self.id);
        }
    }
}
