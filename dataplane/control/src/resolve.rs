//! Addresses of the names in endpoints, looked up off the data path and again and again.
//!
//! The host's resolver is asked (files, DNS, whatever it is set up for), on threads of its own
//! because it blocks. It tells no time to live, so names are looked up at a fixed pace. A name that
//! cannot be resolved any more keeps the addresses it had: an outage of the name service must not
//! become one of ours.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use config::snapshot::{EndpointAddress, NameTable, Snapshot};
use net::Post;

use crate::{Event, say};

/// How often names are looked up again.
const REFRESH: Duration = Duration::from_secs(10);
/// How often while some name has no address.
const RETRY: Duration = Duration::from_secs(1);
/// Names looked up at the same time.
const PARALLEL_MAX: usize = 16;
/// Addresses taken of one name.
const ADDRESSES_MAX: usize = 64;
/// Sets of names that may wait for the resolver; the newest holds all that is wanted.
const QUEUE: usize = 64;

/// The host's resolver on a thread of its own.
#[derive(Debug)]
pub struct Resolver {
    wanted: SyncSender<BTreeSet<String>>,
}

impl Resolver {
    /// Starts the thread with the names of the first snapshot and what is known of them. Changes
    /// arrive as [`Event::Names`].
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        wanted: BTreeSet<String>,
        known: Arc<NameTable>,
        events: Post<Event>,
    ) -> io::Result<Resolver> {
        let (sender, receiver) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("resolver".into())
            .spawn(move || keep_resolved(wanted, known, &receiver, &events))?;
        Ok(Resolver { wanted: sender })
    }

    /// From now on these names are kept resolved.
    pub fn want(&self, names: BTreeSet<String>) {
        // Full: the resolver hangs in a lookup, and the next change says it all again.
        let _ = self.wanted.try_send(names);
    }
}

/// The names that stand in a snapshot's endpoints.
pub fn names_in(snapshot: &Snapshot) -> BTreeSet<String> {
    let endpoints = snapshot.upstreams.iter().flat_map(|upstream| &upstream.endpoints);
    endpoints
        .filter_map(|endpoint| match &endpoint.address {
            EndpointAddress::Name { host, .. } => Some(host.clone()),
            _ => None,
        })
        .collect()
}

/// Looks all names up once. Those that fail keep what `known` has of them.
pub fn resolve_all(names: &BTreeSet<String>, known: &NameTable) -> NameTable {
    let names: Vec<&String> = names.iter().collect();
    let mut found = HashMap::with_capacity(names.len());
    for group in names.chunks(PARALLEL_MAX) {
        std::thread::scope(|scope| {
            let lookups: Vec<_> =
                group.iter().map(|name| (*name, scope.spawn(|| look_up(name)))).collect();
            for (name, lookup) in lookups {
                let addresses = lookup.join().unwrap_or_default();
                let addresses = match addresses.is_empty() {
                    true => known.names.get(name).cloned().unwrap_or_default(),
                    false => addresses,
                };
                found.insert(name.clone(), addresses);
            }
        });
    }
    NameTable { names: found }
}

/// Sorted, so that the same answer in another order is no change.
fn look_up(name: &str) -> Vec<IpAddr> {
    let Ok(addresses) = (name, 0).to_socket_addrs() else { return Vec::new() };
    let addresses: BTreeSet<IpAddr> = addresses.map(|address| address.ip()).collect();
    addresses.into_iter().take(ADDRESSES_MAX).collect()
}

fn keep_resolved(
    mut wanted: BTreeSet<String>,
    mut known: Arc<NameTable>,
    changes: &Receiver<BTreeSet<String>>,
    events: &Post<Event>,
) {
    loop {
        let is_complete = known.names.values().all(|addresses| !addresses.is_empty());
        let pause = if is_complete { REFRESH } else { RETRY };
        match changes.recv_timeout(pause) {
            Ok(names) => wanted = changes.try_iter().last().unwrap_or(names),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let found = resolve_all(&wanted, &known);
        if found == *known {
            continue;
        }
        for (name, addresses) in &found.names {
            let before = known.names.get(name);
            if before != Some(addresses) {
                let shown: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
                match shown.is_empty() {
                    true => say(&format!("{name} cannot be resolved")),
                    false => say(&format!("{name} is at {}", shown.join(", "))),
                }
            }
        }
        known = Arc::new(found);
        if events.post(Event::Names(Arc::clone(&known))).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_addresses_resolve_to_themselves_and_failures_keep_what_was_known() {
        let names: BTreeSet<String> =
            ["127.0.0.1", "no-such-name.invalid"].into_iter().map(str::to_owned).collect();
        let old: IpAddr = "192.0.2.1".parse().unwrap();
        let known = NameTable {
            names: [("no-such-name.invalid".to_owned(), vec![old])].into_iter().collect(),
        };
        let found = resolve_all(&names, &known);
        assert_eq!(found.names["127.0.0.1"], ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(found.names["no-such-name.invalid"], [old]);
    }
}
