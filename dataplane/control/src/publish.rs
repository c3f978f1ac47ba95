//! Generations: compiled here, posted to every worker, freed when the last user is gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use config::order::Order;
use config::snapshot::{Listener, NameTable, Snapshot};
use config::{Diagnostic, Document, Slots};
use net::{BoundSocket, PostError};
use telemetry::SlotNames;

use crate::WorkerLink;
use crate::listening::{Bound, bind, unlink};

/// Generations that are remembered.
const HISTORY_MAX: usize = 16;
/// Orders that wait for a worker which takes none; beyond it changes are refused.
const POSTPONED_MAX: usize = 256;

/// What publishing came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// The same document as before: nothing was sent to anybody.
    Unchanged(u64),
    /// A new generation is on its way to the workers.
    New(u64),
}

/// Why a document was not published. Nothing has changed.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// What is wrong with it.
    Problems(Vec<Diagnostic>),
    /// The host refused a listener.
    Host(String),
    /// A worker takes no orders.
    Busy(usize),
    /// There is no generation to go back to.
    NoHistory,
}

impl Rejected {
    /// One sentence per problem.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Rejected::Problems(problems) => problems.iter().map(Diagnostic::to_string).collect(),
            Rejected::Host(what) => vec![what.clone()],
            Rejected::Busy(worker) => vec![format!("worker {worker} takes no orders")],
            Rejected::NoHistory => vec!["there is no earlier generation".to_owned()],
        }
    }
}

/// One generation of the past or the present.
pub(crate) struct Entry {
    pub(crate) generation: u64,
    pub(crate) hash: String,
    /// Where it came from.
    pub(crate) origin: String,
    pub(crate) unix_us: u64,
    document: Arc<Document>,
}

/// The last document that was refused.
pub(crate) struct LastRejected {
    pub(crate) unix_us: u64,
    pub(crate) lines: Vec<String>,
}

/// A listener to be bound, and its socket for each worker.
type Added = (Arc<Listener>, Vec<BoundSocket>);

struct Worker {
    link: WorkerLink,
    /// Orders for which its mailbox had no room, oldest first.
    postponed: VecDeque<Order<BoundSocket>>,
}

/// All that publishing knows.
pub(crate) struct Publisher {
    workers: Vec<Worker>,
    slots: Slots,
    bound: Bound,
    current: Arc<Snapshot>,
    names: Arc<NameTable>,
    history: VecDeque<Entry>,
    retired: Receiver<Arc<Snapshot>>,
    freed: u64,
    started: Arc<Snapshot>,
    last_rejected: Option<LastRejected>,
}

impl Publisher {
    #[expect(clippy::too_many_arguments, reason = "the parts of a setup, each used once")]
    pub(crate) fn new(
        document: Document,
        origin: String,
        snapshot: Arc<Snapshot>,
        slots: Slots,
        bound: Bound,
        workers: Vec<WorkerLink>,
        names: Arc<NameTable>,
        retired: Receiver<Arc<Snapshot>>,
        unix_us: u64,
    ) -> Publisher {
        let first = Entry {
            generation: snapshot.generation,
            hash: snapshot.hash.clone(),
            origin,
            unix_us,
            document: Arc::new(document),
        };
        let worker = |link| Worker { link, postponed: VecDeque::new() };
        Publisher {
            workers: workers.into_iter().map(worker).collect(),
            slots,
            bound,
            current: Arc::clone(&snapshot),
            names,
            history: VecDeque::from([first]),
            retired,
            freed: 0,
            started: snapshot,
            last_rejected: None,
        }
    }

    /// Compiles a document, binds what it adds, and posts it to every worker.
    ///
    /// # Errors
    /// [`Rejected`]; then nothing has changed.
    pub(crate) fn publish(
        &mut self,
        document: Document,
        origin: &str,
        unix_us: u64,
    ) -> Result<Published, Rejected> {
        if document.hash() == self.current.hash {
            return Ok(Published::Unchanged(self.current.generation));
        }
        self.send(Arc::new(document), origin, unix_us)
    }

    /// Publishes the document of the generation before once more, under a new number. Done twice in
    /// a row it undoes itself.
    ///
    /// # Errors
    /// [`Rejected`]; then nothing has changed.
    pub(crate) fn roll_back(&mut self, unix_us: u64) -> Result<Published, Rejected> {
        let before = self.history.len().checked_sub(2).and_then(|at| self.history.get(at));
        let Some(before) = before else { return Err(Rejected::NoHistory) };
        let origin = format!("rollback to generation {}", before.generation);
        self.send(Arc::clone(&before.document), &origin, unix_us)
    }

    fn send(
        &mut self,
        document: Arc<Document>,
        origin: &str,
        unix_us: u64,
    ) -> Result<Published, Rejected> {
        if let Some(busy) = self.workers.iter().position(|w| w.postponed.len() >= POSTPONED_MAX) {
            return Err(Rejected::Busy(busy));
        }
        let generation = self.current.generation + 1;
        let snapshot = config::compile(&document, generation, &mut self.slots)
            .map_err(Rejected::Problems)
            .map(Arc::new)?;
        let added = self.bind_added(&snapshot)?;
        for worker in &mut self.workers {
            worker.send(Order::Serve(Arc::clone(&snapshot)));
        }
        self.unlisten_gone(&snapshot);
        for (listener, sockets) in added {
            self.bound.insert(&listener);
            for (worker, socket) in self.workers.iter_mut().zip(sockets) {
                worker.send(Order::Listen(listener.slot, socket));
            }
        }
        self.history.push_back(Entry {
            generation,
            hash: snapshot.hash.clone(),
            origin: origin.to_owned(),
            unix_us,
            document,
        });
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
        self.current = snapshot;
        self.last_rejected = None;
        Ok(Published::New(generation))
    }

    /// Sockets for listeners that are new or have moved.
    fn bind_added(&self, snapshot: &Snapshot) -> Result<Vec<Added>, Rejected> {
        let added = snapshot.listeners.iter().filter(|listener| !self.bound.has(listener));
        let mut sockets = Vec::new();
        for listener in added {
            let is_ours = self.bound.has_address(&listener.address);
            match bind(listener, self.workers.len(), is_ours) {
                Ok(bound) => sockets.push((Arc::clone(listener), bound)),
                Err(error) => {
                    return Err(Rejected::Host(format!(
                        "listener {} cannot listen on {}: {error}",
                        listener.name, listener.address
                    )));
                }
            }
        }
        Ok(sockets)
    }

    /// Stops listeners that are gone, and those that are about to come back on another address.
    fn unlisten_gone(&mut self, snapshot: &Snapshot) {
        let mut gone = self.bound.beyond(snapshot.listeners.iter().map(AsRef::as_ref));
        let moved = snapshot.listeners.iter().filter(|listener| !self.bound.has(listener));
        gone.extend(moved.map(|listener| listener.slot));
        for slot in gone {
            let Some(address) = self.bound.remove(slot) else { continue };
            for worker in &mut self.workers {
                worker.send(Order::Unlisten(slot));
            }
            if !snapshot.listeners.iter().any(|listener| listener.address == address) {
                unlink(&address);
            }
        }
    }

    pub(crate) fn adopt_names(&mut self, names: Arc<NameTable>) {
        for worker in &mut self.workers {
            worker.send(Order::Names(Arc::clone(&names)));
        }
        self.names = names;
    }

    pub(crate) fn drain(&mut self) {
        for worker in &mut self.workers {
            worker.send(Order::Drain);
        }
    }

    /// Frees what has come back and tries postponed orders again.
    pub(crate) fn tend(&mut self) {
        self.freed += self.retired.try_iter().count() as u64;
        for worker in &mut self.workers {
            worker.catch_up();
        }
    }

    pub(crate) fn note_rejected(&mut self, rejected: &Rejected, unix_us: u64) {
        self.last_rejected = Some(LastRejected { unix_us, lines: rejected.lines() });
    }

    pub(crate) fn unlink_sockets(&self) {
        self.bound.unlink_all();
    }

    // --- what is known ---

    pub(crate) fn current(&self) -> &Arc<Snapshot> {
        &self.current
    }

    pub(crate) fn names(&self) -> &NameTable {
        &self.names
    }

    pub(crate) fn history(&self) -> impl Iterator<Item = &Entry> {
        self.history.iter()
    }

    pub(crate) fn last_rejected(&self) -> Option<&LastRejected> {
        self.last_rejected.as_ref()
    }

    pub(crate) fn workers(&self) -> impl ExactSizeIterator<Item = &WorkerLink> {
        self.workers.iter().map(|worker| &worker.link)
    }

    /// The generation that every worker serves at least.
    pub(crate) fn generation_served(&self) -> u64 {
        self.workers().map(|worker| worker.status.generation()).min().unwrap_or(0)
    }

    /// Snapshots freed so far.
    pub(crate) fn freed(&self) -> u64 {
        self.freed
    }

    /// Settings of the process that are read at start only and have changed since.
    pub(crate) fn needs_restart(&self) -> Vec<&'static str> {
        let (then, now) = (&self.started, &self.current);
        let changed = [
            ("runtime", then.runtime != now.runtime),
            ("workers", then.workers != now.workers),
            ("admin", then.admin != now.admin),
            ("telemetry.access_log", then.access_log != now.access_log),
            ("limits.buffered_bytes", then.limits.buffered_bytes != now.limits.buffered_bytes),
        ];
        changed.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect()
    }

    /// Names of slots, for the metrics page: objects of the generation in force.
    pub(crate) fn slot_names(&self) -> SlotNames {
        let by_slot = |entries: &mut dyn Iterator<Item = (u32, &String)>| {
            let mut names: Vec<String> = Vec::new();
            for (slot, name) in entries {
                let slot = slot as usize;
                if names.len() <= slot {
                    names.resize(slot + 1, String::new());
                }
                if let Some(place) = names.get_mut(slot) {
                    place.clone_from(name);
                }
            }
            names
        };
        SlotNames {
            listeners: by_slot(&mut self.current.listeners.iter().map(|l| (l.slot, &l.name))),
            routes: by_slot(&mut self.current.routes.iter().map(|r| (r.slot, &r.name))),
            upstreams: by_slot(&mut self.current.upstreams.iter().map(|u| (u.slot, &u.name))),
        }
    }
}

impl Worker {
    /// Posts an order behind those that still wait.
    fn send(&mut self, order: Order<BoundSocket>) {
        self.postponed.push_back(order);
        self.catch_up();
    }

    fn catch_up(&mut self) {
        while let Some(order) = self.postponed.pop_front() {
            match self.link.orders.post(order) {
                Ok(()) => {}
                Err(PostError::Full(order)) => {
                    self.postponed.push_front(order);
                    return;
                }
                // A worker that is gone needs no orders; its end is an event of its own.
                Err(PostError::Closed(_)) => {}
            }
        }
    }
}
