//! Tasks of one thread. No reference counts: a waker is a number (runtime, generation, index), so
//! cloning and dropping it is free, and a waker that outlives its task wakes nobody.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::NetCounters;

type BoxedTask = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks and the queue of those that are ready.
pub(super) struct Executor {
    tasks: RefCell<Vec<Option<BoxedTask>>>,
    queue: Rc<RefCell<Queue>>,
    remote: Arc<Remote>,
    id: u16,
}

impl Executor {
    pub(super) fn new() -> io::Result<Executor> {
        let remote = Arc::new(Remote::new()?);
        let id = register(&remote);
        Ok(Executor {
            tasks: RefCell::default(),
            queue: Rc::new(RefCell::new(Queue { id, ..Queue::default() })),
            remote,
            id,
        })
    }

    /// Makes this executor the one that wakers of this thread reach without a lock, until the
    /// guard is dropped.
    pub(super) fn enter(&self) -> impl Drop + use<> {
        struct Leave(Option<Rc<RefCell<Queue>>>);
        impl Drop for Leave {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        Leave(CURRENT.replace(Some(Rc::clone(&self.queue))))
    }

    pub(super) fn spawn(&self, task: BoxedTask) {
        let index = {
            let mut queue = self.queue.borrow_mut();
            let index = queue.new_index();
            queue.make_ready(index);
            index as usize
        };
        let mut tasks = self.tasks.borrow_mut();
        if tasks.len() <= index {
            tasks.resize_with(index + 1, || None);
        }
        if let Some(place) = tasks.get_mut(index) {
            *place = Some(task);
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.queue.borrow().ready.is_empty()
    }

    /// Tasks alive.
    pub(super) fn alive(&self) -> u64 {
        let queue = self.queue.borrow();
        (queue.states.len() - queue.free.len()) as u64
    }

    /// Runs the tasks that are ready now, at most `budget` of them; those they make ready run in
    /// the next turn, so that a task that wakes itself cannot keep the turn from ending.
    pub(super) fn run(&self, budget: usize, counters: &NetCounters) {
        let ready = self.queue.borrow().ready.len().min(budget);
        for _ in 0..ready {
            let Some((index, generation)) = self.queue.borrow_mut().take_ready() else {
                break;
            };
            let task = self.tasks.borrow_mut().get_mut(index as usize).and_then(Option::take);
            let Some(mut task) = task else { continue };
            let waker = waker(self.id, generation, index);
            let mut cx = Context::from_waker(&waker);
            let polled = std::panic::catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut cx)));
            match polled {
                Ok(Poll::Pending) => {
                    if let Some(place) = self.tasks.borrow_mut().get_mut(index as usize) {
                        *place = Some(task);
                    }
                }
                finished => {
                    // Dropped before its index is free: its own drops may still wake it.
                    let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(task)));
                    let panicked = finished.is_err() || dropped.is_err();
                    counters.tasks_panicked.add(u64::from(panicked));
                    self.queue.borrow_mut().retire(index);
                }
            }
        }
    }

    /// Drops all tasks.
    pub(super) fn clear(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
    }

    /// The eventfd that rings when another thread has woken a task.
    pub(super) fn bell(&self) -> RawFd {
        self.remote.bell.as_raw_fd()
    }

    /// Makes ready what other threads have woken.
    pub(super) fn answer_bell(&self) {
        self.remote.rung.store(false, Ordering::SeqCst);
        let woken = std::mem::take(&mut *self.remote.lock());
        let mut queue = self.queue.borrow_mut();
        for bits in woken {
            let (_, generation, index) = unpack(bits);
            queue.wake(generation, index);
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        remotes().remove(&self.id);
    }
}

/// Which tasks are ready, and what makes an old waker powerless.
#[derive(Default)]
struct Queue {
    id: u16,
    ready: VecDeque<u32>,
    states: Vec<State>,
    free: Vec<u32>,
}

#[derive(Clone, Copy, Default)]
struct State {
    generation: u32,
    is_ready: bool,
}

impl Queue {
    fn new_index(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.states.push(State::default());
            (self.states.len() - 1) as u32
        })
    }

    fn make_ready(&mut self, index: u32) {
        if let Some(state) = self.states.get_mut(index as usize)
            && !state.is_ready
        {
            state.is_ready = true;
            self.ready.push_back(index);
        }
    }

    fn wake(&mut self, generation: u32, index: u32) {
        let known = self.states.get(index as usize).map(|state| state.generation);
        if known == Some(generation) {
            self.make_ready(index);
        }
    }

    fn take_ready(&mut self) -> Option<(u32, u32)> {
        let index = self.ready.pop_front()?;
        let state = self.states.get_mut(index as usize)?;
        state.is_ready = false;
        Some((index, state.generation))
    }

    fn retire(&mut self, index: u32) {
        if let Some(state) = self.states.get_mut(index as usize) {
            state.generation = (state.generation + 1) & INDEX_MAX;
        }
        self.free.push(index);
    }
}

// === impl Waker ===

/// Bits of a task's index and of its generation.
const INDEX_MAX: u32 = (1 << 24) - 1;

thread_local! {
    static CURRENT: RefCell<Option<Rc<RefCell<Queue>>>> = const { RefCell::new(None) };
}

fn pack(id: u16, generation: u32, index: u32) -> u64 {
    u64::from(id) << 48 | u64::from(generation & INDEX_MAX) << 24 | u64::from(index & INDEX_MAX)
}

fn unpack(bits: u64) -> (u16, u32, u32) {
    ((bits >> 48) as u16, (bits >> 24) as u32 & INDEX_MAX, bits as u32 & INDEX_MAX)
}

const _: () = assert!(size_of::<*const ()>() == 8, "a waker packs 64 bits into its pointer");

fn waker(id: u16, generation: u32, index: u32) -> Waker {
    let data = std::ptr::without_provenance::<()>(pack(id, generation, index) as usize);
    // SAFETY: the vtable's functions treat `data` as a number and never dereference it; they may
    // be called from any thread and any number of times. A safe waker would need a reference
    // count per task, on the path of each event.
    unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) }
}

static VTABLE: RawWakerVTable =
    RawWakerVTable::new(|data| RawWaker::new(data, &VTABLE), wake_bits, wake_bits, |_| {});

fn wake_bits(data: *const ()) {
    let bits = data.addr() as u64;
    let (id, generation, index) = unpack(bits);
    let is_local = CURRENT.try_with(|current| {
        let current = current.borrow();
        let Some(queue) = current.as_ref() else {
            return false;
        };
        let mut queue = queue.borrow_mut();
        let is_local = queue.id == id;
        if is_local {
            queue.wake(generation, index);
        }
        is_local
    });
    if !is_local.unwrap_or(false) {
        let remote = remotes().get(&id).cloned();
        if let Some(remote) = remote {
            remote.wake(bits);
        }
    }
}

/// The part of an executor that other threads see.
struct Remote {
    woken: Mutex<Vec<u64>>,
    rung: AtomicBool,
    bell: OwnedFd,
}

impl Remote {
    fn new() -> io::Result<Remote> {
        // SAFETY: eventfd takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just returned by the kernel and belongs to nobody else.
        let bell = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Remote { woken: Mutex::default(), rung: AtomicBool::new(false), bell })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, bits: u64) {
        self.lock().push(bits);
        if !self.rung.swap(true, Ordering::SeqCst) {
            let one = 1u64;
            // SAFETY: writes eight bytes from a live u64 to our own eventfd. A full counter would
            // mean that the bell is ringing already.
            let _ = unsafe { libc::write(self.bell.as_raw_fd(), (&raw const one).cast(), 8) };
        }
    }
}

/// Executors by id, for wakes from other threads only.
fn remotes() -> std::sync::MutexGuard<'static, HashMap<u16, Arc<Remote>>> {
    static MAP: std::sync::OnceLock<Mutex<HashMap<u16, Arc<Remote>>>> = std::sync::OnceLock::new();
    MAP.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

fn register(remote: &Arc<Remote>) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let mut remotes = remotes();
    loop {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        if let std::collections::hash_map::Entry::Vacant(place) = remotes.entry(id) {
            place.insert(Arc::clone(remote));
            return id;
        }
    }
}
