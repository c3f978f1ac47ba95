//! The life of the control thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use config::order::Order;
use config::snapshot::{NameTable, Snapshot};
use config::{Document, Slots};
use net::{BoundSocket, Mailbox, Net, NetCounters, Post};
use telemetry::access_log::AccessLog;
use telemetry::{WorkerMetrics, WorkerStatus};

use crate::listening::Bound;
use crate::page::RuntimeLabel;
use crate::publish::{Published, Publisher, Rejected};
use crate::resolve::{Resolver, names_in};
use crate::source::Source;
use crate::{say, server};

/// How often retired snapshots are freed and postponed orders are tried again.
const TICK: Duration = Duration::from_millis(100);
/// How long a change waits for every worker to serve it. A worker takes orders between turns, so
/// only one that hangs in a turn needs longer.
const SERVED_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at whether every worker serves a generation.
const SERVED_CHECK: Duration = Duration::from_millis(2);

/// What can happen to the control thread.
#[derive(Debug)]
pub enum Event {
    /// SIGTERM or SIGINT: drain, or end at once if draining already.
    Terminate,
    /// Drain; asked once more it changes nothing.
    Drain,
    /// Read the source again, open the access log anew.
    Reload,
    /// Names have other addresses now.
    Names(Arc<NameTable>),
    /// A worker's thread has ended.
    WorkerEnded(usize),
}

/// The control thread's end of one worker.
pub struct WorkerLink {
    /// Its mailbox.
    pub orders: Post<Order<BoundSocket>>,
    /// Its counters.
    pub metrics: Arc<WorkerMetrics>,
    /// Its state.
    pub status: Arc<WorkerStatus>,
    /// Its runtime's counters.
    pub counters: Arc<NetCounters>,
    /// The CPU that it is pinned to, if any.
    pub cpu: Option<usize>,
}

/// All that the control thread begins with; the workers serve `snapshot` already.
pub struct Setup {
    /// Where the configuration comes from.
    pub source: Source,
    /// The document of the first snapshot.
    pub document: Document,
    /// The first snapshot.
    pub snapshot: Arc<Snapshot>,
    /// The slots given out for it.
    pub slots: Slots,
    /// Where its listeners are bound.
    pub bound: Bound,
    /// The workers.
    pub workers: Vec<WorkerLink>,
    /// What they know of names.
    pub names: Arc<NameTable>,
    /// Where snapshots come back to be freed.
    pub retired: Receiver<Arc<Snapshot>>,
    /// The access log, if one is written.
    pub access_log: Option<AccessLog>,
    /// What happens.
    pub events: Mailbox<Event>,
    /// The other end of `events`.
    pub post: Post<Event>,
    /// Keeps names resolved.
    pub resolver: Resolver,
    /// Sockets of the admin interface.
    pub admin: Vec<BoundSocket>,
    /// What the workers run on.
    pub runtime: RuntimeLabel,
}

/// Why the control thread has ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every worker has drained.
    Drained,
    /// The operator did not want to wait for the drain.
    Forced,
    /// A worker ended without being told to; the process cannot serve as configured.
    WorkerLost(usize),
}

/// What the admin interface and the event loop share.
pub(crate) struct Agent {
    pub(crate) publisher: RefCell<Publisher>,
    pub(crate) source: Source,
    pub(crate) runtime: RuntimeLabel,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) post: Post<Event>,
    pub(crate) is_draining: Cell<bool>,
    resolver: Resolver,
}

/// Runs the control thread until every worker has drained. The access log comes back to be closed
/// when the workers' threads are gone.
pub async fn run<N: Net>(net: N, setup: Setup) -> (Ended, Option<AccessLog>) {
    let Setup { source, runtime, access_log, post, resolver, mut events, .. } = setup;
    let publisher = Publisher::new(
        setup.document,
        source.name(),
        setup.snapshot,
        setup.slots,
        setup.bound,
        setup.workers,
        setup.names,
        setup.retired,
        net.unix_us(),
    );
    let agent = Rc::new(Agent {
        publisher: RefCell::new(publisher),
        source,
        runtime,
        access_log,
        post,
        is_draining: Cell::new(false),
        resolver,
    });
    for socket in setup.admin {
        match net.listen(socket) {
            Ok(listener) => net.spawn(server::accept_all(net.clone(), Rc::clone(&agent), listener)),
            Err(error) => say(&format!("the admin interface cannot listen: {error}")),
        }
    }
    net.spawn(tick(net.clone(), Rc::clone(&agent)));
    let ended = obey(&net, &agent, &mut events).await;
    agent.publisher.borrow().unlink_sockets();
    (ended, Rc::into_inner(agent).and_then(|agent| agent.access_log))
}

async fn obey<N: Net>(net: &N, agent: &Rc<Agent>, events: &mut Mailbox<Event>) -> Ended {
    let mut left = agent.publisher.borrow().workers().len();
    loop {
        match events.take().await {
            Event::Terminate if agent.is_draining.get() => return Ended::Forced,
            Event::Terminate | Event::Drain => drain(agent),
            Event::Reload => reload(net, agent),
            Event::Names(names) => agent.publisher.borrow_mut().adopt_names(names),
            Event::WorkerEnded(_) if agent.is_draining.get() => {
                left = left.saturating_sub(1);
                if left == 0 {
                    return Ended::Drained;
                }
            }
            Event::WorkerEnded(index) => return Ended::WorkerLost(index),
        }
    }
}

async fn tick<N: Net>(net: N, agent: Rc<Agent>) {
    loop {
        net.sleep_until(net.now() + TICK).await;
        agent.publisher.borrow_mut().tend();
    }
}

fn drain(agent: &Agent) {
    if agent.is_draining.replace(true) {
        return;
    }
    say("draining: no new connections, open exchanges go on; once more ends at once");
    agent.publisher.borrow_mut().drain();
}

/// Reads the source again. A document with problems changes nothing.
fn reload<N: Net>(net: &N, agent: &Rc<Agent>) {
    if let Some(log) = &agent.access_log {
        log.reopen();
    }
    let loaded = agent.source.load().map_err(Rejected::Problems);
    let result = loaded.and_then(|document| agent.publish(document, &agent.source.name(), net));
    match result {
        Ok(Published::Unchanged(generation)) => {
            say(&format!("reload: nothing has changed, generation {generation} stays"));
        }
        Ok(Published::New(generation)) => {
            let (net, agent) = (net.clone(), Rc::clone(agent));
            net.clone().spawn(async move {
                if agent.served(&net, generation).await {
                    say(&format!("reload: generation {generation} is served by all workers"));
                } else {
                    say(&format!("reload: not every worker serves generation {generation} yet"));
                }
            });
        }
        Err(rejected) => {
            for line in rejected.lines() {
                say(&line);
            }
            let generation = agent.publisher.borrow().current().generation;
            say(&format!("reload: refused, generation {generation} stays in force"));
            agent.publisher.borrow_mut().note_rejected(&rejected, net.unix_us());
        }
    }
}

impl Agent {
    /// Publishes a document to all workers.
    pub(crate) fn publish(
        &self,
        document: Document,
        origin: &str,
        net: &impl Net,
    ) -> Result<Published, Rejected> {
        let published = self.publisher.borrow_mut().publish(document, origin, net.unix_us())?;
        self.resolver.want(names_in(self.publisher.borrow().current()));
        Ok(published)
    }

    /// Back to the generation before.
    pub(crate) fn roll_back(&self, net: &impl Net) -> Result<Published, Rejected> {
        let published = self.publisher.borrow_mut().roll_back(net.unix_us())?;
        self.resolver.want(names_in(self.publisher.borrow().current()));
        Ok(published)
    }

    /// Waits until every worker serves this generation or a later one; false if one does not within
    /// [`SERVED_WITHIN`].
    pub(crate) async fn served<N: Net>(&self, net: &N, generation: u64) -> bool {
        let until = net.now() + SERVED_WITHIN;
        loop {
            if self.publisher.borrow().generation_served() >= generation {
                return true;
            }
            if net.now() >= until {
                return false;
            }
            net.sleep_until(net.now() + SERVED_CHECK).await;
        }
    }
}
