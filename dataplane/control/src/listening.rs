//! Sockets for listeners: one per worker where the kernel can spread connections between them.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use config::snapshot::{ListenAddress, Listener};
use net::{Address, BindOptions, BoundSocket};

/// The address in the form that sockets want.
pub fn address_of(address: &ListenAddress) -> Address {
    match address {
        ListenAddress::Tcp(at) => Address::Tcp(*at),
        ListenAddress::Unix(path) => Address::Unix(path.as_path().into()),
    }
}

/// Binds a listener for `workers` workers. With several of them, TCP gets a socket per worker on
/// the same port; unix sockets are shared. `is_ours` says that this process listens there already,
/// under another name: then sharing the port is meant.
///
/// # Errors
/// What the kernel says. A port that another process serves is `AddrInUse`, although SO_REUSEPORT
/// would let us take a share of its connections.
pub fn bind(listener: &Listener, workers: usize, is_ours: bool) -> io::Result<Vec<BoundSocket>> {
    let at = address_of(&listener.address);
    let shares = matches!(at, Address::Tcp(_)) && (workers > 1 || is_ours);
    let options = BindOptions { backlog: listener.backlog, reuse_port: shares };
    if shares && !is_ours {
        drop(BoundSocket::bind(&at, &BindOptions { reuse_port: false, ..options.clone() })?);
    }
    let first = BoundSocket::bind(&at, &options)?;
    // A port that the kernel chose is shared like any other.
    let chosen = first.address().clone();
    let mut sockets = vec![first];
    while sockets.len() < workers {
        let socket = match (&chosen, sockets.first()) {
            (Address::Unix(_), Some(first)) => first.try_clone()?,
            _ => BoundSocket::bind(&chosen, &options)?,
        };
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Tries again for a while where an address is in use: after a kill the kernel takes a moment to
/// close the sockets that a ring held.
///
/// # Errors
/// What the last try came to.
pub fn patiently<T>(mut bind: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..TRIES_MAX {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
    bind()
}

/// Tries before an address in use is an error, and the pause between two of them.
const TRIES_MAX: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Which listener is bound where: the addresses asked for, by slot.
#[derive(Debug, Default)]
pub struct Bound {
    by_slot: HashMap<u32, (ListenAddress, u32)>,
}

impl Bound {
    /// Takes note of a bound listener.
    pub fn insert(&mut self, listener: &Listener) {
        self.by_slot.insert(listener.slot, (listener.address.clone(), listener.backlog));
    }

    /// Whether the listener is bound as it stands.
    pub fn has(&self, listener: &Listener) -> bool {
        self.by_slot
            .get(&listener.slot)
            .is_some_and(|(at, backlog)| *at == listener.address && *backlog == listener.backlog)
    }

    /// Whether any listener is bound to this address.
    pub fn has_address(&self, address: &ListenAddress) -> bool {
        self.by_slot.values().any(|(at, _)| at == address)
    }

    /// Forgets a slot; its address comes back.
    pub fn remove(&mut self, slot: u32) -> Option<ListenAddress> {
        self.by_slot.remove(&slot).map(|(address, _)| address)
    }

    /// Slots that are bound and stand for none of these listeners.
    pub fn beyond<'a>(&self, listeners: impl Iterator<Item = &'a Listener> + Clone) -> Vec<u32> {
        let is_gone = |slot: &&u32| !listeners.clone().any(|listener| listener.slot == **slot);
        self.by_slot.keys().filter(is_gone).copied().collect()
    }

    /// Removes the socket files of unix listeners, at the end of the process.
    pub fn unlink_all(&self) {
        for (address, _) in self.by_slot.values() {
            unlink(address);
        }
    }
}

/// Removes the socket file of a unix address; TCP leaves nothing behind.
pub fn unlink(address: &ListenAddress) {
    if let ListenAddress::Unix(path) = address {
        // Somebody else may have removed it already.
        let _ = std::fs::remove_file(path);
    }
}
