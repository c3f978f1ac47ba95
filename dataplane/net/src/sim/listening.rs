//! Who is bound where, connecting to them, and accepting.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::clock::Sleep;
use super::faults::Faults;
use super::link::Link;
use super::stream::SimStream;
use super::trace::Event;
use super::world::{Host, Place, World};
use crate::{Address, BindOptions, BoundSocket, Instant, NetError};

/// Pause before the next attempt when there is no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// First port given to sockets bound to port 0, and to connecting clients.
const PORT_MIN: u16 = 10_000;

/// Addresses in use. Cheap to clone; may outlive the runtimes on it.
#[derive(Clone, Debug, Default)]
pub struct Network {
    shared: Rc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    backlogs: RefCell<HashMap<Address, u32>>,
    ports: Cell<u16>,
}

impl Network {
    /// Binds a socket: connections queue from now on. Port 0 is replaced by a free one.
    pub fn bind(&self, address: &Address, options: &BindOptions) -> BoundSocket {
        let address = match address {
            Address::Tcp(at) if at.port() == 0 => {
                let port = self.shared.ports.get().max(PORT_MIN) + 1;
                self.shared.ports.set(port);
                Address::Tcp(SocketAddr::new(at.ip(), port))
            }
            other => other.clone(),
        };
        self.shared.backlogs.borrow_mut().insert(address.clone(), options.backlog);
        BoundSocket::simulated(address)
    }

    fn backlog(&self, address: &Address) -> Option<u32> {
        self.shared.backlogs.borrow().get(address).copied()
    }

    fn release(&self, address: &Address) {
        self.shared.backlogs.borrow_mut().remove(address);
    }
}

/// A bound address and the connections that wait to be accepted there.
pub(super) struct Bound {
    address: Address,
    backlog: usize,
    queue: RefCell<VecDeque<(Rc<Link>, Option<SocketAddr>)>>,
    acceptor: Cell<Option<Waker>>,
    /// Connects that found the queue full.
    waiting: RefCell<Vec<Waker>>,
}

impl World {
    fn bound_at(&self, address: &Address) -> Option<Rc<Bound>> {
        if let Some(bound) = self.bound.borrow().get(address) {
            return Some(Rc::clone(bound));
        }
        let backlog = self.network.backlog(address)?;
        Some(self.bind(address, backlog))
    }

    fn bind(&self, address: &Address, backlog: u32) -> Rc<Bound> {
        let bound = Rc::new(Bound {
            address: address.clone(),
            backlog: backlog as usize,
            queue: RefCell::default(),
            acceptor: Cell::new(None),
            waiting: RefCell::default(),
        });
        self.bound.borrow_mut().insert(address.clone(), Rc::clone(&bound));
        bound
    }
}

// === Connecting ===

pub(super) async fn connect(
    world: &Rc<World>,
    host: &Rc<Host>,
    to: &Address,
    deadline: Instant,
) -> Result<SimStream, NetError> {
    let connected = attempt(world, host, to, deadline).await;
    if connected.is_err() {
        world.note(Event::ConnectFailed, 0, 0);
    }
    connected
}

async fn attempt(
    world: &Rc<World>,
    host: &Rc<Host>,
    to: &Address,
    deadline: Instant,
) -> Result<SimStream, NetError> {
    let place = Place::take(world, host).ok_or(NetError::Exhausted)?;
    host.counters.connects.add(1);
    let until = world.timer_for(host, deadline);
    let sleep = |until| Sleep::new(Rc::clone(world), until, until);
    if world.dice.hits(host.faults.unanswered) {
        sleep(until).await;
        return Err(NetError::TimedOut);
    }
    let answered = world.now() + world.dice.duration(host.faults.latency_max);
    sleep(answered.min(until)).await;
    if world.now() >= deadline {
        return Err(NetError::TimedOut);
    }
    if world.dice.hits(host.faults.refuse) {
        return Err(NetError::Refused);
    }
    let bound = world.bound_at(to).ok_or(NetError::Refused)?;
    let mut expiry = pin!(sleep(until));
    std::future::poll_fn(|cx| {
        // As in the kernel, a queue of length n holds n + 1.
        if bound.queue.borrow().len() <= bound.backlog {
            return Poll::Ready(Ok(()));
        }
        bound.waiting.borrow_mut().push(cx.waker().clone());
        expiry.as_mut().poll(cx).map(|()| Err(NetError::TimedOut))
    })
    .await?;
    let id = world.next_link();
    let link = Link::new(world, id);
    world.note(Event::Connect, id, 0);
    let peer = match to {
        Address::Tcp(at) => {
            let port = PORT_MIN + (id % u64::from(u16::MAX - PORT_MIN)) as u16;
            Some(SocketAddr::new(at.ip(), port))
        }
        Address::Unix(_) => None,
    };
    bound.queue.borrow_mut().push_back((Rc::clone(&link), peer));
    if let Some(acceptor) = bound.acceptor.take() {
        acceptor.wake();
    }
    Ok(SimStream::new(world, place, link, CONNECTING))
}

/// The end of a link that connected, and the one that was accepted.
const CONNECTING: usize = 0;
const ACCEPTED: usize = 1;

// === Accepting ===

/// A listening socket of [`super::SimNet`].
pub struct SimListener {
    world: Rc<World>,
    host: Rc<Host>,
    bound: Rc<Bound>,
}

impl SimListener {
    pub(super) fn new(world: &Rc<World>, host: &Rc<Host>, socket: &BoundSocket) -> SimListener {
        let address = socket.address();
        let bound = world
            .bound_at(address)
            .unwrap_or_else(|| world.bind(address, BindOptions::default().backlog));
        SimListener { world: Rc::clone(world), host: Rc::clone(host), bound }
    }

    pub(super) async fn accept(&self) -> Result<(SimIncoming, Option<SocketAddr>), NetError> {
        loop {
            let (link, peer) = std::future::poll_fn(|cx| {
                let next = self.bound.queue.borrow_mut().pop_front();
                match next {
                    Some(next) => Poll::Ready(next),
                    None => {
                        self.bound.acceptor.set(Some(cx.waker().clone()));
                        Poll::Pending
                    }
                }
            })
            .await;
            if self.world.dice.hits(self.host.faults.no_descriptor) {
                self.bound.queue.borrow_mut().push_front((link, peer));
                self.host.counters.accept_paused.add(1);
                let again = self.world.now() + ACCEPT_PAUSE;
                Sleep::new(Rc::clone(&self.world), again, again).await;
                continue;
            }
            for waiting in self.bound.waiting.take() {
                waiting.wake();
            }
            self.host.counters.accepts.add(1);
            return Ok((self.world.arrivals.keep(link), peer));
        }
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.world.network.release(&self.bound.address);
        let known = self.world.bound.borrow_mut().remove(&self.bound.address);
        drop(known);
        for (link, _) in self.bound.queue.take() {
            link.close(&self.world, ACCEPTED, &Faults::none(), true);
        }
        for waiting in self.bound.waiting.take() {
            waiting.wake();
        }
    }
}

impl fmt::Debug for SimListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimListener").field("address", &self.bound.address).finish_non_exhaustive()
    }
}

// === Accepted and not yet opened ===

/// An accepted connection that is not open yet. It is a number: what it stands for stays with the
/// runtime, so that it may be sent like those of other runtimes.
#[derive(Debug)]
pub struct SimIncoming {
    id: u64,
    abandoned: Arc<Abandoned>,
}

/// Connections that were accepted and neither opened nor dropped.
#[derive(Default)]
pub(super) struct Arrivals {
    links: RefCell<BTreeMap<u64, Rc<Link>>>,
    abandoned: Arc<Abandoned>,
}

#[derive(Debug, Default)]
struct Abandoned {
    ids: Mutex<Vec<u64>>,
}

impl Abandoned {
    /// No code that can panic runs under this lock, so poison carries no news.
    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SimIncoming {
    fn drop(&mut self) {
        self.abandoned.lock().push(self.id);
    }
}

impl Arrivals {
    fn keep(&self, link: Rc<Link>) -> SimIncoming {
        let id = link.id;
        self.links.borrow_mut().insert(id, link);
        SimIncoming { id, abandoned: Arc::clone(&self.abandoned) }
    }

    pub(super) fn open(
        &self,
        world: &Rc<World>,
        host: &Rc<Host>,
        incoming: &SimIncoming,
    ) -> Result<SimStream, NetError> {
        let Some(place) = Place::take(world, host) else {
            world.note(Event::Open, incoming.id, 0);
            return Err(NetError::Exhausted);
        };
        let link = self.links.borrow_mut().remove(&incoming.id).ok_or(NetError::Closed)?;
        world.note(Event::Open, incoming.id, 1);
        Ok(SimStream::new(world, place, link, ACCEPTED))
    }

    /// Closes what was dropped without being opened.
    pub(super) fn close_abandoned(&self, world: &World) {
        let ids = std::mem::take(&mut *self.abandoned.lock());
        for id in ids {
            let link = self.links.borrow_mut().remove(&id);
            if let Some(link) = link {
                link.close(world, ACCEPTED, &Faults::none(), false);
            }
        }
    }

    pub(super) fn clear(&self) {
        drop(self.links.take());
    }
}
