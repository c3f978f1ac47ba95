//! The simulated network: [`Net`] without a kernel, where the same seed gives the same run.
//!
//! One thread runs everything: clients, gateway and origins are tasks of one executor, each on a
//! host with bounds, buffers, counters and [`Faults`] of its own ([`SimNet::host`]). The clock is
//! virtual and leaps to the next deadline when no task is ready, so an hour of timeouts takes no
//! time. Whatever a real network leaves open is drawn from the seed: the order of tasks, the pieces
//! in which bytes leave and arrive, latencies, resets, refusals, buffers and descriptors that are
//! not there. Everything that happens goes into a [trace](SimNet::trace_hash), which tells two runs
//! apart and shows how a failing one got there.
//!
//! A run that does not come to rest, or does not end in time, panics with the end of its trace.

mod clock;
mod executor;
mod faults;
mod link;
mod listening;
mod outbox;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod trace;
mod world;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use self::clock::Sleep;
use self::executor::{MAIN, Polled};
use self::trace::Event;
use self::world::{Host, World};
use crate::{
    Address, BoundSocket, Chunk, ConnectOptions, Instant, Net, NetCounters, NetError, Options,
};

pub use self::faults::{Chance, Faults};
pub use self::listening::{Network, SimIncoming, SimListener};
pub use self::stream::SimStream;

/// What a simulation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Polls of tasks without the clock leaping: more is taken for a livelock.
    pub busy_polls_max: u64,
    /// Polls of tasks in all.
    pub polls_max: u64,
    /// Virtual time in all.
    pub time_max: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            busy_polls_max: 200_000,
            polls_max: 20_000_000,
            time_max: Duration::from_secs(24 * 3600),
        }
    }
}

/// The runtime of one simulation.
pub struct Runtime {
    world: Rc<World>,
    host: Rc<Host>,
    bounds: Bounds,
}

impl Runtime {
    /// A simulation on `network`, drawn from `seed`. `options` and `faults` are those of the first
    /// host, on which the main task runs.
    pub fn new(network: &Network, seed: u64, options: Options, faults: Faults) -> Runtime {
        let world = Rc::new(World::new(seed, network.clone()));
        let host = world.add_host(options, faults);
        Runtime { world, host, bounds: Bounds::default() }
    }

    /// The same with other bounds.
    #[must_use]
    pub fn bounded(self, bounds: Bounds) -> Runtime {
        Runtime { bounds, ..self }
    }

    /// The first host's counters, which outlive the runtime.
    pub fn counters(&self) -> &Arc<NetCounters> {
        &self.host.counters
    }

    /// Runs what `main` makes to its end, then drops every task still alive.
    ///
    /// # Panics
    /// With the same panic if `main` or its future panics. With the end of the trace if a bound is
    /// exceeded, or if every task waits and nothing will happen.
    pub fn run<T, F>(self, main: impl FnOnce(SimNet) -> F) -> T
    where
        F: Future<Output = T>,
    {
        let net = SimNet { world: Rc::clone(&self.world), host: Rc::clone(&self.host) };
        let outcome = {
            let mut main = std::pin::pin!(async { main(net).await });
            let guard = CloseOnDrop { world: &self.world };
            let outcome = self.drive(main.as_mut());
            drop(guard);
            outcome
        };
        // The main future is gone only now, and with it its buffers.
        self.world.close();
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn drive<T>(
        &self,
        mut main: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Box<dyn std::any::Any + Send>> {
        let world = &self.world;
        let begun = world.now();
        let busy_since = Cell::new(0);
        loop {
            world.happen();
            for id in world.executor.take_ready(&world.dice) {
                if id == MAIN {
                    match world.executor.poll_main(main.as_mut()) {
                        Ok(Poll::Pending) => {}
                        Ok(Poll::Ready(value)) => return Ok(value),
                        Err(panic) => return Err(panic),
                    }
                    world.note(Event::Poll, id, 0);
                    continue;
                }
                match world.executor.poll(id) {
                    Polled::Pending => world.note(Event::Poll, id, 0),
                    Polled::Ended => world.note(Event::Poll, id, 1),
                    Polled::Panicked => world.note(Event::Panic, id, 0),
                    Polled::Gone => {}
                }
            }
            world.flush();
            self.host.counters.turns.add(1);
            let polls = world.executor.polls();
            self.bound("polls without rest", polls - busy_since.get(), self.bounds.busy_polls_max);
            self.bound("polls", polls, self.bounds.polls_max);
            let seconds = world.now().since(begun).as_secs();
            self.bound("seconds", seconds, self.bounds.time_max.as_secs());
            if world.executor.has_ready() {
                // A turn takes time, or a task that wakes itself would stop the clock.
                world.clock.set(world.now() + TURN);
                continue;
            }
            match world.clock.next() {
                Some(next) if next > world.now() => {
                    world.note(Event::Leap, next.since(world.now()).as_nanos() as u64, polls);
                    if next.since(world.now()) > TURN {
                        busy_since.set(polls);
                    }
                    world.clock.set(next);
                }
                Some(_) => {}
                None => {
                    let tail = world.trace.tail();
                    panic!("every task waits and nothing will happen\n{tail}");
                }
            }
        }
    }

    fn bound(&self, what: &str, value: u64, most: u64) {
        assert!(value <= most, "more than {most} {what}\n{}", self.world.trace.tail());
    }
}

/// Time that a turn takes.
const TURN: Duration = Duration::from_micros(5);

/// Drops the tasks also when a bound panics.
struct CloseOnDrop<'a> {
    world: &'a World,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.world.close();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

/// The handle that tasks of a simulation hold: on the simulation, and on one host in it.
#[derive(Clone)]
pub struct SimNet {
    world: Rc<World>,
    host: Rc<Host>,
}

impl SimNet {
    /// Another host on the same network.
    pub fn host(&self, options: Options, faults: Faults) -> SimNet {
        SimNet { world: Rc::clone(&self.world), host: self.world.add_host(options, faults) }
    }

    /// The hash of everything that has happened; the same for the same seed and program.
    pub fn trace_hash(&self) -> u64 {
        self.world.trace.hash()
    }

    /// The last events, one a line, for a report.
    pub fn trace_tail(&self) -> String {
        self.world.trace.tail()
    }

    /// Notes two numbers of the caller's choice in the trace.
    pub fn mark(&self, a: u64, b: u64) {
        self.world.note(Event::Mark, a, b);
    }

    /// Polls of all tasks so far.
    pub fn polls(&self) -> u64 {
        self.world.executor.polls()
    }
}

impl fmt::Debug for SimNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNet").finish_non_exhaustive()
    }
}

/// Where the simulated wall clock begins: 2026-01-01.
const EPOCH_US: u64 = 1_767_225_600_000_000;

impl Net for SimNet {
    type Stream = SimStream;
    type Listener = SimListener;
    type Incoming = SimIncoming;

    fn now(&self) -> Instant {
        self.world.now()
    }

    fn unix_us(&self) -> u64 {
        EPOCH_US + self.now().as_nanos() / 1000
    }

    fn random(&self) -> u64 {
        self.world.dice.draw()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.world.executor.spawn(&self.host, task);
    }

    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> {
        let until = self.world.timer_for(&self.host, deadline);
        Sleep::new(Rc::clone(&self.world), until, deadline)
    }

    fn listen(&self, socket: BoundSocket) -> Result<SimListener, NetError> {
        Ok(SimListener::new(&self.world, &self.host, &socket))
    }

    async fn accept(
        &self,
        listener: &SimListener,
    ) -> Result<(SimIncoming, Option<SocketAddr>), NetError> {
        listener.accept().await
    }

    fn open(&self, incoming: SimIncoming) -> Result<SimStream, NetError> {
        self.world.arrivals.open(&self.world, &self.host, &incoming)
    }

    async fn connect(
        &self,
        to: &Address,
        _options: ConnectOptions,
        deadline: Instant,
    ) -> Result<SimStream, NetError> {
        listening::connect(&self.world, &self.host, to, deadline).await
    }

    fn chunk_from(&self, bytes: &[u8]) -> Result<Chunk, NetError> {
        if self.world.dice.hits(self.host.faults.no_send_buffer) {
            return Err(NetError::BuffersExhausted);
        }
        let mut page = self.host.send_pages.page().ok_or(NetError::BuffersExhausted)?;
        page.fill(bytes);
        Ok(page.freeze())
    }

    fn counters(&self) -> &Arc<NetCounters> {
        &self.host.counters
    }
}
