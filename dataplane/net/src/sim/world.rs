//! What all tasks of a simulation share: time, chance, the trace, the hosts and what is on its way
//! between them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::clock::{Clock, Due};
use super::executor::Executor;
use super::faults::{Dice, Faults};
use super::listening::{Arrivals, Bound, Network};
use super::socket::Socket;
use super::trace::{Event, Trace};
use crate::arena::Arena;
use crate::{Address, Instant, NetCounters, Options};

pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) dice: Dice,
    pub(super) trace: Trace,
    pub(super) executor: Executor,
    pub(super) network: Network,
    /// Addresses somebody has listened on, or connected to while bound.
    pub(super) bound: RefCell<HashMap<Address, Rc<Bound>>>,
    pub(super) arrivals: Arrivals,
    /// Streams with bytes queued during this turn.
    pub(super) dirty: RefCell<Vec<Rc<Socket>>>,
    hosts: RefCell<Vec<Rc<Host>>>,
    links: Cell<u64>,
}

impl World {
    pub(super) fn new(seed: u64, network: Network) -> World {
        World {
            clock: Clock::new(),
            dice: Dice::new(seed),
            trace: Trace::new(seed),
            executor: Executor::new(),
            network,
            bound: RefCell::default(),
            arrivals: Arrivals::default(),
            dirty: RefCell::default(),
            hosts: RefCell::default(),
            links: Cell::new(0),
        }
    }

    pub(super) fn add_host(&self, options: Options, faults: Faults) -> Rc<Host> {
        let host = Rc::new(Host::new(options, faults));
        self.hosts.borrow_mut().push(Rc::clone(&host));
        host
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(super) fn note(&self, event: Event, a: u64, b: u64) {
        self.trace.note(self.now(), event, a, b);
    }

    pub(super) fn next_link(&self) -> u64 {
        self.links.set(self.links.get() + 1);
        self.links.get()
    }

    /// When a timer of `host` for `deadline` fires: then, or somewhat late.
    pub(super) fn timer_for(&self, host: &Host, deadline: Instant) -> Instant {
        deadline + self.dice.duration(host.faults.timer_slack_max)
    }

    /// Lets everything happen that is due now.
    pub(super) fn happen(&self) {
        while let Some(due) = self.clock.take_due() {
            match due {
                Due::Wake(waker) => waker.wake(),
                Due::Deadline(socket) => {
                    if let Some(socket) = socket.upgrade() {
                        socket.handle_timer(self);
                    }
                }
                Due::Arrive(link, to, packet) => link.arrive(self, to, packet),
                Due::Room(link, at) => link.offer_room(self, at),
                Due::Receive(link, at) => link.offer_bytes(self, at),
            }
        }
    }

    /// What one turn's tasks have queued leaves; buffers that came back feed those who wait.
    pub(super) fn flush(&self) {
        for socket in self.dirty.take() {
            socket.flush(self);
        }
        self.arrivals.close_abandoned(self);
        self.settle();
    }

    fn settle(&self) {
        for host in self.hosts.borrow().iter() {
            host.settle(self);
        }
    }

    /// Drops every task and everything that would happen. Tasks and what they wait for hold on to
    /// each other, so this cannot be left to reference counts.
    pub(super) fn close(&self) {
        self.executor.close();
        drop(self.dirty.take());
        drop(self.bound.take());
        self.arrivals.clear();
        self.clock.clear();
        self.settle();
    }
}

/// One machine: its bounds, buffers and counters, and what goes wrong there.
pub(super) struct Host {
    pub(super) options: Options,
    pub(super) faults: Faults,
    pub(super) counters: Arc<NetCounters>,
    pub(super) recv_pages: Rc<Arena>,
    pub(super) bulk_pages: Rc<Arena>,
    pub(super) send_pages: Rc<Arena>,
    /// Streams that found no buffer to receive into.
    pub(super) starved: RefCell<Vec<Weak<Socket>>>,
}

impl Host {
    fn new(options: Options, faults: Faults) -> Host {
        let send_pages = options.send_bytes_max / u64::from(options.buffer_bytes.max(1));
        Host {
            counters: Arc::default(),
            recv_pages: Arena::new(options.buffer_bytes, options.recv_buffers.into()),
            bulk_pages: Arena::new(options.bulk_buffer_bytes, options.bulk_buffers.into()),
            send_pages: Arena::new(
                options.buffer_bytes,
                u32::try_from(send_pages).unwrap_or(u32::MAX),
            ),
            starved: RefCell::default(),
            options,
            faults,
        }
    }

    fn settle(&self, world: &World) {
        if !self.starved.borrow().is_empty() && self.recv_pages.available() > 0 {
            for socket in self.starved.take() {
                if let Some(socket) = socket.upgrade() {
                    socket.feed(world);
                }
            }
        }
        let arenas = [&self.recv_pages, &self.bulk_pages, &self.send_pages];
        let leased: u32 = arenas.iter().map(|arena| arena.in_use()).sum();
        self.counters.buffers_leased.set(leased.into());
    }
}

/// A place in a host's table of streams; given back when dropped.
pub(super) struct Place {
    host: Rc<Host>,
}

impl Place {
    /// `None` if the table is full.
    pub(super) fn take(world: &World, host: &Rc<Host>) -> Option<Place> {
        let open = &host.counters.streams_open;
        let is_full = open.value() >= u64::from(host.options.streams_max);
        if is_full || world.dice.hits(host.faults.table_full) {
            return None;
        }
        open.add(1);
        Some(Place { host: Rc::clone(host) })
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.host.counters.streams_open.sub(1);
    }
}
