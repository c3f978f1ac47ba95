//! What one core owns, and its life.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use config::order::Order;
use config::snapshot::{Listener, NameTable, Snapshot};
use net::{BoundSocket, Mailbox, Net, Post};
use telemetry::access_log::AccessLogWriter;
use telemetry::{Outcome, WorkerMetrics, WorkerStatus};
use wire::{HeadLimits, ResponseHead};

use crate::acceptor::{Handed, accept_all, open_handed};
use crate::drain::WaitList;
use crate::half::Request;
use crate::snapshot::SnapshotHandle;
use crate::upstream::UpstreamState;

/// How often the access log is handed over and the status refreshed.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two sweeps of the idle connections.
const SWEEP_TICKS: u64 = 10;
/// Requests and buffers kept for reuse.
const POOLED_MAX: usize = 256;
/// Largest buffer kept for reuse.
const POOLED_BYTES_MAX: usize = 16 * 1024;
/// A sibling is less busy if we have more than 5/4 of its connections and this many more.
const REHOME_SLACK: u32 = 8;

/// Listeners counted each for itself: twice what one configuration may hold.
const LISTENER_SLOTS: usize = 8192;

/// Orders from the control thread.
pub type Orders = Order<BoundSocket>;

/// The load of every worker, for re-homing at accept.
///
/// And what listeners have open on all workers together: written when a connection comes or goes,
/// never by a request.
pub struct Balance<I: Send> {
    loads: Vec<Load>,
    by_listener: Box<[AtomicU32]>,
    posts: Vec<Post<Handed<I>>>,
}

/// Open connections of one worker, on a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
struct Load(AtomicU32);

impl<I: Send> Balance<I> {
    /// For workers that take what is handed to them through `posts`.
    pub fn new(posts: Vec<Post<Handed<I>>>) -> Arc<Balance<I>> {
        let loads = posts.iter().map(|_| Load::default()).collect();
        let by_listener = (0..LISTENER_SLOTS).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Balance { loads, by_listener, posts })
    }

    /// Connections open on all workers; exact but for those that come at this very moment.
    fn open(&self) -> u32 {
        let loads = self.loads.iter().map(|load| load.0.load(Ordering::Relaxed));
        loads.fold(0, u32::saturating_add)
    }

    /// The count of a listener. Slots beyond the table share its last place.
    fn listener(&self, slot: u32) -> Option<&AtomicU32> {
        self.by_listener.get((slot as usize).min(LISTENER_SLOTS - 1))
    }
}

/// All that a worker is made of.
pub struct WorkerSetup<N: Net> {
    /// Which of the workers it is.
    pub index: usize,
    /// The first snapshot.
    pub snapshot: Arc<Snapshot>,
    /// Names resolved so far.
    pub names: Arc<NameTable>,
    /// Listening sockets by listener slot.
    pub sockets: Vec<(u32, BoundSocket)>,
    /// Orders from the control thread.
    pub orders: Mailbox<Orders>,
    /// Connections handed over by siblings.
    pub handed: Mailbox<Handed<N::Incoming>>,
    /// The load of all workers.
    pub balance: Arc<Balance<N::Incoming>>,
    /// Where snapshots go that are no longer used.
    pub retire: Sender<Arc<Snapshot>>,
    /// This worker's counters.
    pub metrics: Arc<WorkerMetrics>,
    /// This worker's state, for the control thread.
    pub status: Arc<WorkerStatus>,
    /// The access log, if one is written.
    pub access_log: Option<AccessLogWriter>,
}

/// One core's state. Nothing in it is shared with other threads but counters and mailboxes.
pub(crate) struct Worker<N: Net> {
    pub(crate) net: N,
    pub(crate) metrics: Arc<WorkerMetrics>,
    pub(crate) status: Arc<WorkerStatus>,
    pub(crate) idle_sessions: WaitList,
    pub(crate) listener_stops: WaitList,
    pub(crate) response_head: RefCell<ResponseHead>,
    pub(crate) edits: RefCell<filters::Edits>,
    pub(crate) scratch: RefCell<Vec<u8>>,
    pub(crate) upstream_limits: HeadLimits,
    index: usize,
    snapshot: RefCell<SnapshotHandle>,
    names: RefCell<Arc<NameTable>>,
    retire: Sender<Arc<Snapshot>>,
    upstreams: RefCell<Vec<Option<Rc<UpstreamState<N>>>>>,
    connections_open: Cell<u32>,
    connections_max: Cell<u32>,
    /// Listeners that accept, each by its slot and a serial number: a listener may come back on
    /// another address before the task of the old one has noticed.
    listeners: RefCell<Vec<(u32, u64)>>,
    listener_serial: Cell<u64>,
    balance: Arc<Balance<N::Incoming>>,
    #[expect(clippy::vec_box, reason = "sessions hold them boxed, so moving one in is a pointer")]
    requests: RefCell<Vec<Box<Request>>>,
    buffers: RefCell<Vec<Vec<u8>>>,
    access_log: Option<RefCell<AccessLogWriter>>,
    is_draining: Cell<bool>,
}

/// Runs a worker until it is drained, or until the drain's time is over.
pub async fn run<N: Net>(net: N, setup: WorkerSetup<N>) {
    let worker = Rc::new(Worker {
        net: net.clone(),
        metrics: setup.metrics,
        status: setup.status,
        idle_sessions: WaitList::default(),
        listener_stops: WaitList::default(),
        response_head: RefCell::default(),
        edits: RefCell::default(),
        scratch: RefCell::default(),
        upstream_limits: HeadLimits::default(),
        index: setup.index,
        snapshot: RefCell::new(SnapshotHandle::new(setup.snapshot, setup.retire.clone())),
        names: RefCell::new(setup.names),
        retire: setup.retire,
        upstreams: RefCell::default(),
        connections_open: Cell::new(0),
        connections_max: Cell::new(u32::MAX),
        listeners: RefCell::default(),
        listener_serial: Cell::new(0),
        balance: setup.balance,
        requests: RefCell::default(),
        buffers: RefCell::default(),
        access_log: setup.access_log.map(RefCell::new),
        is_draining: Cell::new(false),
    });
    worker.fit();
    for (slot, socket) in setup.sockets {
        worker.listen(slot, socket);
    }
    net.spawn(open_handed(Rc::clone(&worker), setup.handed));
    net.spawn(tick(Rc::clone(&worker)));
    obey(&worker, setup.orders).await;
    worker.flush_log();
}

/// Carries out orders; returns when the worker is drained.
async fn obey<N: Net>(worker: &Rc<Worker<N>>, mut orders: Mailbox<Orders>) {
    loop {
        match orders.take().await {
            Order::Serve(snapshot) => worker.adopt(snapshot),
            Order::Names(names) => worker.adopt_names(names),
            Order::Listen(slot, socket) => worker.listen(slot, socket),
            Order::Unlisten(slot) => {
                worker.listeners.borrow_mut().retain(|&(known, _)| known != slot);
                worker.listener_stops.wake_all();
            }
            Order::Drain => return drain(worker).await,
        }
    }
}

async fn drain<N: Net>(worker: &Rc<Worker<N>>) {
    worker.is_draining.set(true);
    worker.status.set_draining();
    worker.listener_stops.wake_all();
    worker.idle_sessions.wake_all();
    let patience = worker.snapshot().get().map_or(Duration::ZERO, |s| s.timeouts_drain);
    let until = worker.net.now() + patience;
    while worker.connections_open.get() > 0 && worker.net.now() < until {
        worker.net.sleep_until(worker.net.now() + TICK / 4).await;
    }
    worker.status.set_drained();
}

async fn tick<N: Net>(worker: Rc<Worker<N>>) {
    let mut ticks: u64 = 0;
    loop {
        worker.net.sleep_until(worker.net.now() + TICK).await;
        ticks += 1;
        worker.flush_log();
        if ticks.is_multiple_of(SWEEP_TICKS) {
            let now = worker.net.now();
            for upstream in worker.upstreams.borrow().iter().flatten() {
                upstream.sweep(now);
                worker.metrics.upstream_idle(upstream.slot(), upstream.idle_count() as u64);
            }
        }
    }
}

impl<N: Net> Worker<N> {
    /// Takes over a snapshot, between turns. Exchanges under way keep theirs; upstreams keep
    /// their connections.
    fn adopt(&self, snapshot: Arc<Snapshot>) {
        let handle = SnapshotHandle::new(snapshot, self.retire.clone());
        drop(self.snapshot.replace(handle));
        self.fit();
    }

    /// Makes upstreams and bounds those of the snapshot in force.
    fn fit(&self) {
        let handle = self.snapshot();
        let Some(snapshot) = handle.get() else { return };
        let names = self.names.borrow().clone();
        {
            let mut upstreams = self.upstreams.borrow_mut();
            let mut kept = Vec::new();
            for plan in &snapshot.upstreams {
                let slot = plan.slot as usize;
                if kept.len() <= slot {
                    kept.resize_with(slot + 1, || None);
                }
                let known = upstreams.get_mut(slot).and_then(Option::take);
                let state = match known {
                    Some(state) => {
                        if !Arc::ptr_eq(&state.plan(), plan) {
                            state.update(Arc::clone(plan), &names);
                        }
                        state
                    }
                    None => Rc::new(UpstreamState::new(Arc::clone(plan), &names)),
                };
                if let Some(place) = kept.get_mut(slot) {
                    *place = Some(state);
                }
            }
            *upstreams = kept;
        }
        self.connections_max.set(snapshot.limits.connections);
        self.status.set_generation(snapshot.generation);
    }

    fn adopt_names(&self, names: Arc<NameTable>) {
        for upstream in self.upstreams.borrow().iter().flatten() {
            upstream.update(upstream.plan(), &names);
        }
        *self.names.borrow_mut() = names;
    }

    fn listen(self: &Rc<Self>, slot: u32, socket: BoundSocket) {
        let (Some(listener), Ok(listening)) = (self.listener(slot), self.net.listen(socket)) else {
            return;
        };
        let serial = self.listener_serial.get();
        self.listener_serial.set(serial + 1);
        self.listeners.borrow_mut().push((slot, serial));
        self.net.spawn(accept_all(Rc::clone(self), listening, listener, serial));
    }

    pub(crate) fn has_listener(&self, slot: u32, serial: u64) -> bool {
        self.listeners.borrow().contains(&(slot, serial))
    }

    /// The listener as the snapshot in force has it.
    pub(crate) fn listener(&self, slot: u32) -> Option<Arc<Listener>> {
        self.snapshot().get()?.listeners.iter().find(|listener| listener.slot == slot).cloned()
    }

    pub(crate) fn snapshot(&self) -> SnapshotHandle {
        self.snapshot.borrow().clone()
    }

    pub(crate) fn upstream(&self, slot: u32) -> Option<Rc<UpstreamState<N>>> {
        self.upstreams.borrow().get(slot as usize)?.clone()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    // --- connections ---

    /// Counts a connection as open until the guard is dropped.
    pub(crate) fn connection_opened(self: &Rc<Self>, slot: u32) -> OpenConnection<N> {
        self.count_connection(slot, 1);
        self.metrics.connection_opened(slot);
        OpenConnection { worker: Rc::clone(self), slot }
    }

    fn count_connection(&self, slot: u32, change: i32) {
        if let Some(count) = self.balance.listener(slot) {
            // Wraps like the subtraction that it stands for.
            count.fetch_add(change as u32, Ordering::Relaxed);
        }
        let open = self.connections_open.get().saturating_add_signed(change);
        self.connections_open.set(open);
        self.status.set_connections(u64::from(open));
        if let Some(load) = self.balance.loads.get(self.index) {
            load.0.store(open, Ordering::Relaxed);
        }
    }

    /// Open connections of a listener, on all workers.
    pub(crate) fn connections(&self, slot: u32) -> u32 {
        self.balance.listener(slot).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Whether the process has as many connections as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.balance.open() >= self.connections_max.get()
    }

    /// A worker that has clearly fewer connections than this one.
    pub(crate) fn less_busy_sibling(&self) -> Option<&Post<Handed<N::Incoming>>> {
        let own = self.connections_open.get();
        if own <= REHOME_SLACK || self.balance.loads.len() < 2 {
            return None;
        }
        let loads = self.balance.loads.iter().map(|load| load.0.load(Ordering::Relaxed));
        let (index, least) = loads.enumerate().min_by_key(|(_, load)| *load)?;
        let is_worth_it = own > least + least / 4 + REHOME_SLACK;
        (is_worth_it && index != self.index).then(|| self.balance.posts.get(index)).flatten()
    }

    // --- pools ---

    pub(crate) fn take_request(&self) -> Box<Request> {
        self.requests.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn return_request(&self, mut request: Box<Request>) {
        request.clear();
        let mut requests = self.requests.borrow_mut();
        if requests.len() < POOLED_MAX {
            requests.push(request);
        }
    }

    /// An empty buffer.
    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(1024))
    }

    pub(crate) fn return_buffer(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == 0 || buffer.capacity() > POOLED_BYTES_MAX {
            return;
        }
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < POOLED_MAX {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    // --- records ---

    pub(crate) fn logs_access(&self) -> bool {
        self.access_log.is_some()
    }

    pub(crate) fn record(&self, outcome: &Outcome<'_>) {
        self.metrics.record(outcome);
        if let Some(log) = &self.access_log {
            log.borrow_mut().write(outcome);
        }
    }

    fn flush_log(&self) {
        if let Some(log) = &self.access_log {
            log.borrow_mut().flush();
        }
    }
}

/// A connection that is counted as open.
pub(crate) struct OpenConnection<N: Net> {
    worker: Rc<Worker<N>>,
    slot: u32,
}

impl<N: Net> Drop for OpenConnection<N> {
    fn drop(&mut self) {
        self.worker.count_connection(self.slot, -1);
        self.worker.metrics.connection_closed(self.slot);
    }
}
