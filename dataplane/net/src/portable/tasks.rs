//! Tasks: polled by monoio, owned here, so that the end of the runtime can drop all of them.
//!
//! A task wakes itself when it has had its share of a turn. monoio puts such a task before all
//! others, which would then starve; so tasks are given a waker of ours, which notices and lets the
//! reactor wake them after everybody else.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use super::slots::{Key, Slots};
use super::worker::Worker;
use crate::NetCounters;

/// The futures of all spawned tasks; an entry is empty while its task is being polled.
pub(super) struct Tasks {
    table: RefCell<Slots<Option<Task>>>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    /// Belongs here rather than to what monoio polls: it holds on to that.
    waker: Arc<TaskWaker>,
}

impl Tasks {
    pub(super) const fn new() -> Tasks {
        Tasks { table: RefCell::new(Slots::new()) }
    }

    /// Drops every task; none may be spawned from then on. monoio is left with husks that end at
    /// their next poll, for which they are woken: a waker that another thread keeps must not be
    /// what holds on to this thread's worker.
    pub(super) fn clear(&self, counters: &NetCounters) {
        let tasks = self.table.replace(Slots::new());
        for Task { future, waker } in tasks.into_values().flatten() {
            counters.tasks_alive.sub(1);
            drop(future);
            // One without a waker was never polled and is in monoio's queue still.
            if let Some(waker) = waker.inner.get() {
                waker.wake_by_ref();
            }
        }
    }

    fn take(&self, key: Key) -> Option<Task> {
        self.table.borrow_mut().find_mut(key)?.take()
    }

    fn put_back(&self, key: Key, task: Task) {
        if let Some(entry) = self.table.borrow_mut().find_mut(key) {
            *entry = Some(task);
        }
    }
}

pub(super) fn spawn(worker: &Rc<Worker>, future: impl Future<Output = ()> + 'static) {
    if worker.is_closing() {
        return;
    }
    worker.counters.tasks_alive.add(1);
    let task = Task { future: Box::pin(future), waker: Arc::default() };
    let key = worker.tasks.table.borrow_mut().insert_with(|_| Some(task));
    drop(monoio::spawn(Running { worker: Rc::clone(worker), key }));
}

/// What monoio polls in a task's stead.
struct Running {
    worker: Rc<Worker>,
    key: Key,
}

impl Future for Running {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let worker = &*self.worker;
        let Some(mut task) = worker.tasks.take(self.key) else {
            return Poll::Ready(());
        };
        let waker = Arc::clone(&task.waker);
        let polled = poll_once(worker, &waker, task.future.as_mut(), cx);
        if let Ok(Poll::Pending) = polled {
            worker.tasks.put_back(self.key, task);
            return Poll::Pending;
        }
        if polled.is_err() {
            worker.counters.tasks_panicked.add(1);
        }
        drop(task);
        let entry = worker.tasks.table.borrow_mut().remove(self.key);
        if entry.is_some() {
            worker.counters.tasks_alive.sub(1);
        }
        // What the task let go of may have been the last of its buffers.
        worker.end_poll();
        Poll::Ready(())
    }
}

/// Polls the future that the runtime was started for, under the same rules as any task.
pub(super) async fn run_main<T>(worker: &Worker, future: impl Future<Output = T>) -> Outcome<T> {
    let waker = Arc::<TaskWaker>::default();
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match poll_once(worker, &waker, future.as_mut(), cx) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// What a future came to, or what it panicked with.
pub(super) type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// One poll and what belongs before and after it. A panic ends the task and nothing else.
fn poll_once<T>(
    worker: &Worker,
    waker: &Arc<TaskWaker>,
    future: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    cx: &Context<'_>,
) -> Outcome<Poll<T>> {
    waker.inner.get_or_init(|| cx.waker().clone());
    worker.begin_poll();
    waker.state.store(RUNNING, Ordering::Relaxed);
    let ours = Waker::from(Arc::clone(waker));
    let mut context = Context::from_waker(&ours);
    let polled = catch_unwind(AssertUnwindSafe(|| future.poll(&mut context)));
    worker.end_poll();
    if waker.state.swap(WAITING, Ordering::AcqRel) == WOKEN {
        worker.put_yielded(cx.waker().clone());
    }
    polled
}

/// The waker of one task; may be called from any thread.
#[derive(Debug, Default)]
struct TaskWaker {
    state: AtomicU8,
    /// monoio's waker of the task; the same at every poll.
    inner: OnceLock<Waker>,
}

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
/// Woken while running.
const WOKEN: u8 = 2;

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mark = |state| (state != WAITING).then_some(WOKEN);
        // Release: what was done before waking is seen by the poll that follows.
        let marked = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, mark);
        if marked.is_err()
            && let Some(waker) = self.inner.get()
        {
            waker.wake_by_ref();
        }
    }
}
