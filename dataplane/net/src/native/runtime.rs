//! The loop of one worker.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::executor::Executor;
use super::kernel::{Kernel, Wait};
use super::probe::{Features, SetupError};
use super::reactor::Reactor;
use super::ring::Ring;
use crate::time::{monotonic_now, unix_us_now};
use crate::{Instant, NetCounters, Options};

/// Completions taken in one turn.
const REAP_MAX: usize = 512;
/// Task polls in one turn.
const POLLS_MAX: usize = 1024;
/// How often the wall clock is compared with the monotonic one.
const CLOCK_CHECK: Duration = Duration::from_secs(1);
/// How often starved streams are looked at while nothing else happens.
const STARVED_CHECK: Duration = Duration::from_millis(1);
/// The wait of a batching enter while no timer is set.
const IDLE_WAIT: Duration = Duration::from_secs(10);
/// How long a closing runtime waits for the kernel to let go of its memory.
const CLOSE_TURNS_MAX: u32 = 200;

/// A native runtime; lives on the thread that made it.
pub struct Runtime {
    inner: Rc<Inner>,
    features: Features,
    min_wait_us: u32,
    min_wait_batch: u32,
}

/// A handle on the native runtime of this thread.
#[derive(Clone)]
pub struct RingNet {
    pub(super) inner: Rc<Inner>,
}

pub(super) struct Inner {
    pub(super) reactor: RefCell<Reactor<Ring>>,
    pub(super) executor: Executor,
    pub(super) counters: Arc<NetCounters>,
    pub(super) now: Cell<Instant>,
    unix_us_at: Cell<(Instant, u64)>,
    random: Cell<u64>,
    is_done: Cell<bool>,
}

impl Runtime {
    /// Sets up a ring and its tables on this thread.
    ///
    /// The table of direct descriptors is as large as the descriptor limit allows, at most
    /// [`Options::streams_max`].
    ///
    /// # Errors
    /// [`SetupError`] with the reason; the portable runtime can do without.
    pub fn new(options: &Options) -> Result<Runtime, SetupError> {
        let slots = u64::from(options.streams_max).min(descriptor_limit().max(64));
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        let ring = Ring::new(options, slots)?;
        let features = ring.features();
        let executor = Executor::new().map_err(SetupError::from_io)?;
        let now = monotonic_now();
        let mut reactor = Reactor::new(ring, options, slots, now);
        reactor.watch_bell(executor.bell());
        let counters = Arc::clone(&reactor.counters);
        let seed = options.seed.unwrap_or_else(|| random_seed(now));
        let inner = Inner {
            reactor: RefCell::new(reactor),
            executor,
            counters,
            now: Cell::new(now),
            unix_us_at: Cell::new((now, unix_us_now())),
            random: Cell::new(seed),
            is_done: Cell::new(false),
        };
        Ok(Runtime {
            inner: Rc::new(inner),
            features,
            min_wait_us: if features.min_wait { options.min_wait_us } else { 0 },
            min_wait_batch: options.min_wait_batch,
        })
    }

    /// What the ring got from the kernel.
    pub fn features(&self) -> Features {
        self.features
    }

    /// The runtime's counters.
    pub fn counters(&self) -> Arc<NetCounters> {
        Arc::clone(&self.inner.counters)
    }

    /// Runs `main` and all that it spawns, until `main` is done.
    pub fn run<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        main: impl FnOnce(RingNet) -> F,
    ) -> T {
        let inner = &self.inner;
        let _current = inner.executor.enter();
        let result = Rc::new(Cell::new(None));
        let done = Rc::clone(&result);
        let main = main(RingNet { inner: Rc::clone(inner) });
        inner.is_done.set(false);
        let ended = EndOfMain(Rc::clone(inner));
        inner.executor.spawn(Box::pin(async move {
            let _ended = ended;
            done.set(Some(main.await));
        }));
        let mut load = Load::default();
        while !inner.is_done.get() {
            self.turn(&mut load);
        }
        match result.take() {
            Some(result) => result,
            None => panic!("the main task panicked; its message stands above"),
        }
    }

    fn turn(&self, load: &mut Load) {
        let inner = &*self.inner;
        let (mut launched, mut timeout, starved) = (0, None, {
            let mut reactor = inner.reactor.borrow_mut();
            reactor.now = inner.now.get();
            reactor.reap(REAP_MAX);
            reactor.expire();
            if reactor.take_bell() {
                inner.executor.answer_bell();
            }
            reactor.is_starved()
        });
        inner.executor.run(POLLS_MAX, &inner.counters);
        inner.counters.turns.add(1);
        let mut reactor = inner.reactor.borrow_mut();
        reactor.lend_buffers();
        launched += reactor.flush();
        if let Some(next) = reactor.wheel.next_expiry() {
            timeout = Some(next.since(inner.now.get()));
        }
        if starved {
            timeout = Some(timeout.map_or(STARVED_CHECK, |t| t.min(STARVED_CHECK)));
        }
        let before = monotonic_now();
        // A stopped clock would turn a short timeout into a long one.
        let timeout = timeout.map(|t| t.saturating_sub(before.since(inner.now.get())));
        let wait = self.choose_wait(inner.executor.has_ready(), launched, timeout, load);
        reactor.kernel.enter(wait);
        let after = monotonic_now();
        load.note(before.since(inner.now.get()), after.since(before));
        // The main task is not one of those that were spawned.
        inner.counters.tasks_alive.set(inner.executor.alive().saturating_sub(1));
        reactor.publish_counters();
        inner.now.set(after);
        if after.since(inner.unix_us_at.get().0) >= CLOCK_CHECK {
            inner.unix_us_at.set((after, unix_us_now()));
        }
    }

    /// Waits for a batch only while the core is busy: its timer costs two writes to the clock's
    /// deadline register for each wait, which a virtual machine pays for with exits. Then sends are
    /// not counted as arrivals: they complete at once in most cases.
    fn choose_wait(
        &self,
        has_ready: bool,
        launched: u32,
        timeout: Option<Duration>,
        load: &Load,
    ) -> Wait {
        if has_ready || self.inner.is_done.get() || timeout == Some(Duration::ZERO) {
            return Wait::No;
        }
        if self.min_wait_us == 0 || !load.is_high() {
            return Wait::One { timeout };
        }
        // Without a general timeout the kernel ends a min-wait with ETIME even if nothing came.
        let timeout = timeout.unwrap_or(IDLE_WAIT);
        Wait::Batch { batch: launched + self.min_wait_batch, min_us: self.min_wait_us, timeout }
    }
}

impl Drop for Runtime {
    /// Drops all tasks, cancels what is under way and waits until the kernel has let go of it. If
    /// it does not, the memory is leaked rather than freed under the kernel's hands.
    fn drop(&mut self) {
        let _current = self.inner.executor.enter();
        self.inner.executor.clear();
        self.inner.counters.tasks_alive.set(0);
        let mut reactor = self.inner.reactor.borrow_mut();
        reactor.close_all();
        for _ in 0..CLOSE_TURNS_MAX {
            if reactor.operations() == 0 {
                break;
            }
            reactor.kernel.enter(Wait::One { timeout: Some(Duration::from_millis(5)) });
            reactor.reap(usize::MAX);
        }
        // The descriptors freed by the last completions are closed by this last enter.
        reactor.kernel.enter(Wait::No);
        reactor.publish_counters();
        if reactor.operations() > 0 {
            std::mem::forget(Rc::clone(&self.inner));
        }
    }
}

/// Tells the loop that the main task is gone, by its end or by a panic.
struct EndOfMain(Rc<Inner>);

impl Drop for EndOfMain {
    fn drop(&mut self) {
        self.0.is_done.set(true);
    }
}

impl Inner {
    pub(super) fn unix_us(&self) -> u64 {
        let (at, unix_us) = self.unix_us_at.get();
        unix_us + self.now.get().since(at).as_micros() as u64
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    pub(super) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// How busy the thread is: the share of time outside the kernel's wait, smoothed.
#[derive(Debug, Default)]
struct Load {
    busy_ns: u64,
    waited_ns: u64,
}

impl Load {
    /// The window in which older turns fade out.
    const WINDOW_NS: u64 = 2_000_000;

    fn note(&mut self, busy: Duration, waited: Duration) {
        self.busy_ns += busy.as_nanos() as u64;
        self.waited_ns += waited.as_nanos() as u64;
        while self.busy_ns + self.waited_ns > Self::WINDOW_NS {
            self.busy_ns /= 2;
            self.waited_ns /= 2;
        }
    }

    fn is_high(&self) -> bool {
        self.busy_ns > self.waited_ns
    }
}

/// Descriptors this process may have; the kernel bounds the table of direct ones by it.
fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid, writable rlimit.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    if result == 0 { limit.rlim_cur } else { 1024 }
}

fn random_seed(now: Instant) -> u64 {
    let mut seed = [0u8; 8];
    // SAFETY: writes at most eight bytes into an array of eight. std offers no random numbers.
    let got = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), libc::GRND_NONBLOCK) };
    if got == 8 { u64::from_ne_bytes(seed) } else { now.as_nanos() }
}
