//! One worker's view of an upstream: its endpoints, their loads, their idle connections.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use config::snapshot::{DelayedAck, EndpointAddress, NameTable, Upstream};
use net::{Address, Instant, Net, Stream};
use policy::balance::{Balancer, EndpointLoad};

/// An upstream as one worker keeps it over generations of the configuration.
pub(crate) struct UpstreamState<N: Net> {
    plan: RefCell<Arc<Upstream>>,
    members: RefCell<Members<N>>,
    /// Connections in use by exchanges, connecting ones included.
    in_use: Cell<u32>,
    /// Exchanges that wait for one of them, first come, first served.
    waiting: RefCell<Waiting>,
    /// Whether sockets keep TCP's delayed ACKs; see [`net::ConnectOptions::delayed_ack`].
    delayed_ack: Cell<bool>,
    stalls: Cell<u8>,
}

/// Who waits, by ticket; tickets ascend.
#[derive(Default)]
struct Waiting {
    next_ticket: u64,
    queue: VecDeque<(u64, Waker)>,
}

/// A place in the queue for a connection; given up when dropped.
pub(crate) struct Waiter<'a, N: Net> {
    upstream: &'a UpstreamState<N>,
    ticket: Option<u64>,
}

struct Members<N: Net> {
    endpoints: Vec<Rc<Endpoint<N>>>,
    loads: Vec<EndpointLoad>,
    balancer: Option<Balancer>,
}

/// One address of an upstream.
pub(crate) struct Endpoint<N: Net> {
    pub(crate) address: Address,
    /// The address as text, for the access log.
    pub(crate) label: String,
    /// Place in `Members`, while it is a member.
    index: Cell<Option<usize>>,
    idle: RefCell<Vec<Idle<N::Stream>>>,
}

struct Idle<S> {
    stream: S,
    since: Instant,
}

impl<N: Net> UpstreamState<N> {
    pub(crate) fn new(plan: Arc<Upstream>, names: &NameTable) -> UpstreamState<N> {
        let delayed_ack = plan.delayed_ack != DelayedAck::Off;
        let state = UpstreamState {
            plan: RefCell::new(Arc::clone(&plan)),
            members: RefCell::new(Members {
                endpoints: Vec::new(),
                loads: Vec::new(),
                balancer: None,
            }),
            in_use: Cell::new(0),
            waiting: RefCell::default(),
            delayed_ack: Cell::new(delayed_ack),
            stalls: Cell::new(0),
        };
        state.update(plan, names);
        state
    }

    pub(crate) fn plan(&self) -> Arc<Upstream> {
        Arc::clone(&self.plan.borrow())
    }

    pub(crate) fn slot(&self) -> u32 {
        self.plan.borrow().slot
    }

    /// Takes over a new plan or newly resolved names. Endpoints that stay keep their connections
    /// and what is known of their load.
    pub(crate) fn update(&self, plan: Arc<Upstream>, names: &NameTable) {
        let mut members = self.members.borrow_mut();
        let old = std::mem::take(&mut members.endpoints);
        let old_loads = std::mem::take(&mut members.loads);
        for (address, weight) in addresses(&plan, names) {
            if members.endpoints.iter().any(|endpoint| endpoint.address == address) {
                continue;
            }
            let known = old.iter().position(|endpoint| endpoint.address == address);
            let (endpoint, load) = match known {
                Some(at) => (
                    Rc::clone(&old[at]),
                    EndpointLoad { weight, ..old_loads.get(at).copied().unwrap_or_default() },
                ),
                None => (
                    Rc::new(Endpoint::new(address)),
                    EndpointLoad { weight, ..EndpointLoad::default() },
                ),
            };
            members.endpoints.push(endpoint);
            members.loads.push(load);
        }
        for endpoint in &old {
            endpoint.index.set(None);
        }
        for (index, endpoint) in members.endpoints.iter().enumerate() {
            endpoint.index.set(Some(index));
        }
        for endpoint in old.iter().filter(|endpoint| endpoint.index.get().is_none()) {
            endpoint.idle.borrow_mut().clear();
        }
        let weights: Vec<u32> = members.loads.iter().map(|load| load.weight).collect();
        let identities: Vec<u64> = members
            .endpoints
            .iter()
            .map(|endpoint| policy::balance::stable_hash(endpoint.label.as_bytes()))
            .collect();
        members.balancer = Some(Balancer::new(plan.balance.kind, &weights, &identities));
        drop(members);
        let is_same_ack = self.plan.borrow().delayed_ack == plan.delayed_ack;
        if !is_same_ack {
            self.delayed_ack.set(plan.delayed_ack != DelayedAck::Off);
            self.stalls.set(0);
        }
        *self.plan.borrow_mut() = plan;
        // There may be more places than before.
        self.wake_first();
    }

    /// Chooses an endpoint that is not in `tried`.
    pub(crate) fn pick(
        &self,
        now: Instant,
        random: u64,
        key: Option<u64>,
        tried: u64,
    ) -> Option<Rc<Endpoint<N>>> {
        let mut members = self.members.borrow_mut();
        let Members { endpoints, loads, balancer } = &mut *members;
        if endpoints.len() == 1 {
            return (tried & 1 == 0).then(|| Rc::clone(&endpoints[0]));
        }
        let index = balancer.as_mut()?.pick(loads, now.as_millis(), random, key, tried)?;
        endpoints.get(index).map(Rc::clone)
    }

    /// The endpoint's bit in a mask of tried ones.
    pub(crate) fn bit(endpoint: &Endpoint<N>) -> u64 {
        endpoint.index.get().and_then(|index| 1u64.checked_shl(index as u32)).unwrap_or(0)
    }

    /// Whether names in the plan are still without an address.
    pub(crate) fn has_endpoints(&self) -> bool {
        !self.members.borrow().endpoints.is_empty()
    }

    /// Somebody who wants one of the connections that this worker may have to the upstream.
    pub(crate) fn waiter(&self) -> Waiter<'_, N> {
        Waiter { upstream: self, ticket: None }
    }

    pub(crate) fn leave_place(&self) {
        self.in_use.set(self.in_use.get().saturating_sub(1));
        self.wake_first();
    }

    fn free_places(&self) -> usize {
        let most = self.plan.borrow().limits.connections;
        most.saturating_sub(self.in_use.get()) as usize
    }

    /// Wakes as many of those who wait as there are free connections.
    fn wake_first(&self) {
        let free = self.free_places();
        for (_, waker) in self.waiting.borrow().queue.iter().take(free) {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn begin(&self, endpoint: &Endpoint<N>) {
        self.with_load(endpoint, EndpointLoad::begin);
    }

    pub(crate) fn end(&self, endpoint: &Endpoint<N>, latency_us: u32) {
        self.with_load(endpoint, |load| load.end(latency_us));
    }

    pub(crate) fn succeed(&self, endpoint: &Endpoint<N>) {
        self.with_load(endpoint, EndpointLoad::succeed);
    }

    pub(crate) fn fail(&self, endpoint: &Endpoint<N>, now: Instant) {
        self.with_load(endpoint, |load| load.fail(now.as_millis()));
    }

    fn with_load(&self, endpoint: &Endpoint<N>, change: impl FnOnce(&mut EndpointLoad)) {
        if let Some(index) = endpoint.index.get()
            && let Some(load) = self.members.borrow_mut().loads.get_mut(index)
        {
            change(load);
        }
    }

    /// An idle connection that still stands, the one used last first.
    pub(crate) fn take_idle(&self, endpoint: &Endpoint<N>) -> Option<N::Stream> {
        let mut idle = endpoint.idle.borrow_mut();
        while let Some(Idle { stream, .. }) = idle.pop() {
            if stream.is_idle() {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection for the next exchange, if there is room for it.
    pub(crate) fn keep_idle(&self, endpoint: &Endpoint<N>, stream: N::Stream, now: Instant) {
        let room = self.plan.borrow().keepalive.idle_per_worker as usize;
        let mut idle = endpoint.idle.borrow_mut();
        if endpoint.index.get().is_some() && idle.len() < room {
            stream.set_deadline(None);
            idle.push(Idle { stream, since: now });
        }
    }

    /// Drops idle connections that were closed by their peer or have idled for too long.
    pub(crate) fn sweep(&self, now: Instant) {
        let timeout = self.plan.borrow().keepalive.idle_timeout;
        for endpoint in &self.members.borrow().endpoints {
            endpoint
                .idle
                .borrow_mut()
                .retain(|idle| idle.stream.is_idle() && now.since(idle.since) < timeout);
        }
    }

    /// Idle connections now.
    pub(crate) fn idle_count(&self) -> usize {
        self.members.borrow().endpoints.iter().map(|e| e.idle.borrow().len()).sum()
    }

    pub(crate) fn delayed_ack(&self) -> bool {
        self.delayed_ack.get()
    }

    /// Takes note of the pause before a piece of an answer. A sender that runs Nagle's algorithm
    /// waits for our ACK, so its pauses cluster at the kernel's delayed-ACK time of 40 ms; after
    /// several in a row the delay is given up for new connections to this upstream.
    pub(crate) fn note_pause(&self, pause: Duration) {
        if !self.delayed_ack.get() || self.plan.borrow().delayed_ack != DelayedAck::Auto {
            return;
        }
        let is_suspicious = (38..=46).contains(&pause.as_millis());
        let stalls = if is_suspicious { self.stalls.get() + 1 } else { 0 };
        self.stalls.set(stalls);
        if stalls >= STALLS_MAX {
            self.delayed_ack.set(false);
        }
    }
}

impl<N: Net> Waiter<'_, N> {
    /// Takes a connection as soon as one is free and nobody came earlier. `None`: too many wait
    /// already.
    pub(crate) fn poll_place(&mut self, cx: &Context<'_>) -> Poll<Option<()>> {
        let free = self.upstream.free_places();
        let pending_max = self.upstream.plan.borrow().limits.pending as usize;
        let mut waiting = self.upstream.waiting.borrow_mut();
        let at = match self.ticket {
            None => waiting.queue.len(),
            Some(own) => waiting.queue.partition_point(|&(ticket, _)| ticket < own),
        };
        if at < free {
            if self.ticket.take().is_some() {
                waiting.queue.remove(at);
            }
            self.upstream.in_use.set(self.upstream.in_use.get() + 1);
            return Poll::Ready(Some(()));
        }
        if self.ticket.is_some() {
            if let Some((_, waker)) = waiting.queue.get_mut(at) {
                waker.clone_from(cx.waker());
            }
            return Poll::Pending;
        }
        if at >= pending_max {
            return Poll::Ready(None);
        }
        let ticket = waiting.next_ticket;
        waiting.next_ticket += 1;
        waiting.queue.push_back((ticket, cx.waker().clone()));
        self.ticket = Some(ticket);
        Poll::Pending
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.ticket.is_some()
    }
}

impl<N: Net> Drop for Waiter<'_, N> {
    fn drop(&mut self) {
        if let Some(own) = self.ticket {
            self.upstream.waiting.borrow_mut().queue.retain(|&(ticket, _)| ticket != own);
            // Whoever is next may have to hear what this one was told.
            self.upstream.wake_first();
        }
    }
}

/// Pauses of the delayed-ACK time in a row that convict a sender of Nagle's algorithm.
const STALLS_MAX: u8 = 16;

impl<N: Net> Endpoint<N> {
    fn new(address: Address) -> Endpoint<N> {
        let label = address.to_string();
        Endpoint { address, label, index: Cell::new(None), idle: RefCell::default() }
    }
}

/// Every address of the plan with its weight; names stand for all their addresses.
fn addresses(plan: &Upstream, names: &NameTable) -> Vec<(Address, u32)> {
    let mut addresses = Vec::new();
    for endpoint in &plan.endpoints {
        match &endpoint.address {
            EndpointAddress::Socket(address) => {
                addresses.push((Address::Tcp(*address), endpoint.weight));
            }
            EndpointAddress::Unix(path) => {
                addresses.push((Address::Unix(path.as_path().into()), endpoint.weight));
            }
            EndpointAddress::Name { host, port } => {
                let resolved: &[IpAddr] = names.names.get(host).map_or(&[], Vec::as_slice);
                let each =
                    |ip: &IpAddr| (Address::Tcp(SocketAddr::new(*ip, *port)), endpoint.weight);
                addresses.extend(resolved.iter().map(each));
            }
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use net::sim::SimNet;

    use super::*;

    #[derive(Default)]
    struct Calls(AtomicU32);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One exchange that waits.
    struct Guest<'a> {
        wait: Waiter<'a, SimNet>,
        calls: Arc<Calls>,
    }

    impl Guest<'_> {
        fn poll(&mut self) -> Poll<Option<()>> {
            let waker = Waker::from(Arc::clone(&self.calls));
            self.wait.poll_place(&Context::from_waker(&waker))
        }

        fn calls(&self) -> u32 {
            self.calls.0.load(Ordering::Relaxed)
        }
    }

    fn guest(upstream: &UpstreamState<SimNet>) -> Guest<'_> {
        Guest { wait: upstream.waiter(), calls: Arc::default() }
    }

    /// One place, and two exchanges may wait for it.
    fn upstream() -> UpstreamState<SimNet> {
        let text = "listeners: [ { name: web, address: '127.0.0.1:1' } ]\n\
                    upstreams: [ { name: o, endpoints: [ { address: '127.0.0.1:2' } ], \
                    limits: { connections: 1, pending: 2 } } ]\n\
                    routes: [ { name: all, backends: [ { upstream: o } ] } ]\n";
        let Ok(document) = config::load(text, "t", &|_| None, Path::new(".")) else {
            panic!("the document is right")
        };
        let Ok(snapshot) = config::compile(&document, 1, &mut config::Slots::default()) else {
            panic!("the document compiles")
        };
        UpstreamState::new(Arc::clone(&snapshot.upstreams[0]), &NameTable::default())
    }

    #[test]
    fn polls_in_vain_take_nobodys_turn() {
        let upstream = upstream();
        let [mut first, mut second, mut third] = [(); 3].map(|()| guest(&upstream));
        assert!(first.poll().is_ready());
        for _ in 0..3 {
            assert!(second.poll().is_pending());
        }
        assert!(third.poll().is_pending());
        assert_eq!(guest(&upstream).poll(), Poll::Ready(None), "two wait already");
        upstream.leave_place();
        assert_eq!((second.calls(), third.calls()), (1, 0));
        assert!(second.poll().is_ready());
        upstream.leave_place();
        assert_eq!((second.calls(), third.calls()), (1, 1));
        assert!(third.poll().is_ready());
    }

    #[test]
    fn a_turn_is_kept_from_latecomers_and_passed_on_by_those_who_leave() {
        let upstream = upstream();
        let [mut first, mut second, mut third] = [(); 3].map(|()| guest(&upstream));
        assert!(first.poll().is_ready());
        assert!(second.poll().is_pending() && third.poll().is_pending());
        upstream.leave_place();
        assert_eq!((second.calls(), third.calls()), (1, 0));
        assert!(third.poll().is_pending(), "it is not its turn");
        drop(second);
        assert_eq!(third.calls(), 1, "called in the place of the one who left");
        assert!(third.poll().is_ready());
    }
}
