//! The portable runtime: [`Net`] on `monoio`, for hosts where the native ring cannot start.
//!
//! monoio runs the tasks, waits for the kernel and carries wake-ups between threads, with its epoll
//! driver or its io_uring driver. Bytes do not pass through its stream types, which lend a buffer
//! to every waiting receive; the sockets are plain descriptors, read and written on readiness (see
//! `reactor` and `socket`). What a task queues during one poll leaves when that poll returns, in
//! one send per socket.

mod dial;
mod listener;
mod outbox;
mod reactor;
mod slots;
mod socket;
mod stream;
mod sys;
mod tasks;
#[cfg(test)]
mod tests;
mod timers;
mod worker;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;

use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use self::timers::Sleep;
use self::worker::Worker;
use crate::{
    Address, BoundSocket, Chunk, ConnectOptions, Instant, Net, NetCounters, NetError, Options,
};

pub use self::listener::{PortableIncoming, PortableListener};
pub use self::stream::PortableStream;

/// How monoio is to wait for the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// epoll; works everywhere.
    #[default]
    Legacy,
    /// io_uring, for waiting only.
    Uring,
    /// io_uring where it works, else epoll.
    Auto,
}

/// Why the runtime could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The kernel refused an epoll set, a timer or a descriptor.
    #[error("cannot set up the worker's epoll set: {0}")]
    Poller(#[source] io::Error),
    /// The driver asked for cannot start here.
    #[error("cannot start monoio's {driver:?} driver: {source}")]
    Driver {
        /// The driver.
        driver: Driver,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// The runtime of one worker; belongs to the thread that made it.
pub struct Runtime {
    engine: Engine,
    refused: Option<SetupError>,
    worker: Rc<Worker>,
    /// The worker's ready set as monoio sees it.
    ready_set: Option<monoio::net::TcpStream>,
}

enum Engine {
    Legacy(monoio::Runtime<LegacyDriver>),
    Uring(monoio::Runtime<IoUringDriver>),
}

impl Runtime {
    /// Sets a worker up on the current thread.
    ///
    /// # Errors
    /// [`SetupError`] if the kernel refuses what the driver or the worker needs.
    pub fn new(options: Options, driver: Driver) -> Result<Runtime, SetupError> {
        let (mut engine, refused) = match driver {
            Driver::Legacy => (Engine::legacy()?, None),
            Driver::Uring => (Engine::uring()?, None),
            Driver::Auto => match Engine::uring() {
                Ok(engine) => (engine, None),
                Err(refused) => (Engine::legacy()?, Some(refused)),
            },
        };
        let worker = Rc::new(Worker::new(options).map_err(SetupError::Poller)?);
        let ready_set =
            engine.block_on(async { reactor::register(&worker) }).map_err(SetupError::Poller)?;
        Ok(Runtime { engine, refused, worker, ready_set: Some(ready_set) })
    }

    /// The driver in use, [`Driver::Auto`] resolved.
    pub fn driver(&self) -> Driver {
        match self.engine {
            Engine::Legacy(_) => Driver::Legacy,
            Engine::Uring(_) => Driver::Uring,
        }
    }

    /// Why io_uring is not in use, after [`Driver::Auto`] has tried it.
    pub fn refused(&self) -> Option<&SetupError> {
        self.refused.as_ref()
    }

    /// The worker's counters, which outlive the runtime.
    pub fn counters(&self) -> &Arc<NetCounters> {
        &self.worker.counters
    }

    /// Runs what `main` makes to its end on the current thread, then drops every task still alive.
    ///
    /// # Panics
    /// If `main` or its future panics, with the same panic.
    pub fn run<T, F>(mut self, main: impl FnOnce(PortableNet) -> F) -> T
    where
        F: Future<Output = T>,
    {
        let worker = Rc::clone(&self.worker);
        let ready_set = self.ready_set.take();
        let outcome = self.engine.block_on(async move {
            let reactor =
                ready_set.map(|set| monoio::spawn(reactor::react(Rc::clone(&worker), set)));
            let net = PortableNet { worker: Rc::clone(&worker) };
            let outcome = tasks::run_main(&worker, async { main(net).await }).await;
            worker.close();
            reactor::yield_to_tasks().await;
            // The reactor must let go of its registration while the driver is there.
            if let Some(reactor) = reactor {
                reactor.await;
            }
            outcome
        });
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // A runtime that never ran still holds its registration; monoio's sockets may be dropped
        // inside their runtime only.
        if let Some(ready_set) = self.ready_set.take() {
            self.engine.block_on(async move { drop(ready_set) });
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("driver", &self.driver()).finish_non_exhaustive()
    }
}

impl Engine {
    fn legacy() -> Result<Engine, SetupError> {
        RuntimeBuilder::<LegacyDriver>::new()
            .build()
            .map(Engine::Legacy)
            .map_err(|source| SetupError::Driver { driver: Driver::Legacy, source })
    }

    fn uring() -> Result<Engine, SetupError> {
        let refused = |source| SetupError::Driver { driver: Driver::Uring, source };
        // monoio's builder looks at set-up alone; the operations it needs are probed apart.
        if !monoio::utils::detect_uring() {
            let unsupported = || io::ErrorKind::Unsupported.into();
            let reason = io_uring::IoUring::new(2).err().unwrap_or_else(unsupported);
            return Err(refused(reason));
        }
        RuntimeBuilder::<IoUringDriver>::new().build().map(Engine::Uring).map_err(refused)
    }

    fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        match self {
            Engine::Legacy(runtime) => runtime.block_on(future),
            Engine::Uring(runtime) => runtime.block_on(future),
        }
    }
}

/// The handle that tasks of the portable runtime hold.
#[derive(Clone)]
pub struct PortableNet {
    worker: Rc<Worker>,
}

impl fmt::Debug for PortableNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortableNet").finish_non_exhaustive()
    }
}

impl Net for PortableNet {
    type Stream = PortableStream;
    type Listener = PortableListener;
    type Incoming = PortableIncoming;

    fn now(&self) -> Instant {
        self.worker.now()
    }

    fn unix_us(&self) -> u64 {
        self.worker.unix_us()
    }

    fn random(&self) -> u64 {
        self.worker.random()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        tasks::spawn(&self.worker, task);
    }

    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> {
        Sleep::new(Rc::clone(&self.worker), deadline)
    }

    fn listen(&self, socket: BoundSocket) -> Result<PortableListener, NetError> {
        PortableListener::new(Rc::clone(&self.worker), socket)
    }

    async fn accept(
        &self,
        listener: &PortableListener,
    ) -> Result<(PortableIncoming, Option<SocketAddr>), NetError> {
        listener.accept().await
    }

    fn open(&self, incoming: PortableIncoming) -> Result<PortableStream, NetError> {
        incoming.open(&self.worker)
    }

    async fn connect(
        &self,
        to: &Address,
        options: ConnectOptions,
        deadline: Instant,
    ) -> Result<PortableStream, NetError> {
        dial::connect(&self.worker, to, options, deadline).await
    }

    fn chunk_from(&self, bytes: &[u8]) -> Result<Chunk, NetError> {
        let mut page = self.worker.send_pages.page().ok_or(NetError::BuffersExhausted)?;
        page.fill(bytes);
        Ok(page.freeze())
    }

    fn counters(&self) -> &Arc<NetCounters> {
        &self.worker.counters
    }
}
