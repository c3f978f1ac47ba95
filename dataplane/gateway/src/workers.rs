//! Worker threads: each makes its runtime, is given its sockets, and runs until it is drained.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use config::order::Order;
use config::snapshot::{NameTable, Snapshot};
use control::{Event, WorkerLink};
use net::{BoundSocket, Mailbox, NetCounters, Options, Post};
use proxy::{Balance, WorkerSetup};
use telemetry::access_log::AccessLogWriter;
use telemetry::{WorkerMetrics, WorkerStatus};

use crate::failure::Failure;
use crate::runtime_choice::Runtime;

/// Orders that a worker's mailbox holds.
const ORDERS_MAX: usize = 256;
/// Connections handed over by siblings that a worker's mailbox holds.
const HANDED_MAX: usize = 256;

/// What one worker is given when all of them have a runtime.
pub(crate) struct Work {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) names: Arc<NameTable>,
    pub(crate) sockets: Vec<(u32, BoundSocket)>,
    pub(crate) retire: Sender<Arc<Snapshot>>,
    pub(crate) access_log: Option<AccessLogWriter>,
}

/// A worker whose runtime stands and waits for its work.
pub(crate) struct Started {
    begin: Sender<Work>,
    link: WorkerLink,
    thread: JoinHandle<()>,
}

impl Started {
    /// Gives the worker its work.
    pub(crate) fn begin(self, work: Work) -> (WorkerLink, JoinHandle<()>) {
        // A worker that has died meanwhile says so by an event.
        let _ = self.begin.send(work);
        (self.link, self.thread)
    }
}

/// Starts `count` workers, each pinned to a CPU if there are enough of them.
///
/// # Errors
/// The host refuses a thread or a worker's runtime; then all threads have ended.
pub(crate) fn start(
    runtime: Runtime,
    options: &Options,
    count: usize,
    events: &Post<Event>,
) -> Result<Vec<Started>, Failure> {
    match runtime {
        Runtime::Ring => start_all(options, count, events, |options| {
            let runtime = net::native::Runtime::new(options).map_err(|error| error.to_string())?;
            let counters = runtime.counters();
            Ok((counters, move |seat: Seat<_>| runtime.run(|net| proxy::run(net, seat.setup()))))
        }),
        Runtime::Portable => start_all(options, count, events, |options| {
            let driver = net::portable::Driver::Legacy;
            let runtime = net::portable::Runtime::new(options.clone(), driver)
                .map_err(|error| error.to_string())?;
            let counters = Arc::clone(runtime.counters());
            Ok((counters, move |seat: Seat<_>| runtime.run(|net| proxy::run(net, seat.setup()))))
        }),
    }
}

/// A worker's place among the others, and its work.
struct Seat<I: Send> {
    index: usize,
    work: Work,
    orders: Mailbox<Order<BoundSocket>>,
    handed: Mailbox<proxy::Handed<I>>,
    balance: Arc<Balance<I>>,
    metrics: Arc<WorkerMetrics>,
    status: Arc<WorkerStatus>,
}

impl<I: Send> Seat<I> {
    fn setup<N: net::Net<Incoming = I>>(self) -> WorkerSetup<N> {
        WorkerSetup {
            index: self.index,
            snapshot: self.work.snapshot,
            names: self.work.names,
            sockets: self.work.sockets,
            orders: self.orders,
            handed: self.handed,
            balance: self.balance,
            retire: self.work.retire,
            metrics: self.metrics,
            status: self.status,
            access_log: self.work.access_log,
        }
    }
}

fn start_all<I, R>(
    options: &Options,
    count: usize,
    events: &Post<Event>,
    make: impl Fn(&Options) -> Result<(Arc<NetCounters>, R), String> + Copy + Send + 'static,
) -> Result<Vec<Started>, Failure>
where
    I: Send + 'static,
    R: FnOnce(Seat<I>),
{
    let mailboxes: Vec<_> = (0..count).map(|_| net::mailbox(HANDED_MAX)).collect();
    let (posts, handed): (Vec<_>, Vec<_>) = mailboxes.into_iter().unzip();
    let balance = Balance::new(posts);
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    let mut started = Vec::with_capacity(count);
    for (index, handed) in handed.into_iter().enumerate() {
        // More workers than CPUs share them as the kernel likes.
        let cpu = if count <= cpus.len() { cpus.get(index).copied() } else { None };
        let (post, orders) = net::mailbox(ORDERS_MAX);
        let (begin, work) = channel();
        let (tell, told) = channel();
        let metrics = Arc::new(WorkerMetrics::new());
        let status = Arc::new(WorkerStatus::default());
        let link = |counters| WorkerLink {
            orders: post,
            metrics: Arc::clone(&metrics),
            status: Arc::clone(&status),
            counters,
            cpu: cpu.map(|cpu| cpu.id),
        };
        let seat = {
            let (metrics, status) = (Arc::clone(&metrics), Arc::clone(&status));
            let balance = Arc::clone(&balance);
            move |work| Seat { index, work, orders, handed, balance, metrics, status }
        };
        let (options, events) = (options.clone(), events.clone());
        let thread = Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                // Pinned first, so that what the runtime allocates is near its CPU.
                if let Some(cpu) = cpu {
                    core_affinity::set_for_current(cpu);
                }
                work_on(make(&options), &tell, &work, seat, index, &events);
            })
            .map_err(|error| Failure::Host(format!("cannot start a thread: {error}")))?;
        match told.recv() {
            Ok(Ok(counters)) => started.push(Started { begin, link: link(counters), thread }),
            Ok(Err(refused)) => return Err(Failure::Host(refused)),
            Err(_) => return Err(Failure::Host("a worker died while it started".to_owned())),
        }
    }
    Ok(started)
}

/// The thread of one worker.
fn work_on<I: Send, R: FnOnce(Seat<I>)>(
    made: Result<(Arc<NetCounters>, R), String>,
    tell: &Sender<Result<Arc<NetCounters>, String>>,
    work: &Receiver<Work>,
    seat: impl FnOnce(Work) -> Seat<I>,
    index: usize,
    events: &Post<Event>,
) {
    let run = match made {
        Ok((counters, run)) => {
            let _ = tell.send(Ok(counters));
            run
        }
        Err(refused) => {
            let _ = tell.send(Err(refused));
            return;
        }
    };
    // No work comes if another worker could not start.
    let Ok(work) = work.recv() else { return };
    let _ended = EndOfWorker { index, events: events.clone() };
    run(seat(work));
}

/// Tells the control thread that a worker has ended, also when it panicked.
struct EndOfWorker {
    index: usize,
    events: Post<Event>,
}

impl Drop for EndOfWorker {
    fn drop(&mut self) {
        // A closed mailbox means that the process is ending anyway.
        let _ = self.events.post(Event::WorkerEnded(self.index));
    }
}
