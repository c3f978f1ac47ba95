//! The table of all routes: first by host, then by path.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::RouteQuery;
use super::host::HostRoutes;
use super::matcher::{Entry, HostPattern, RouteError, RouteMatch};

/// Longest host name looked up; longer ones match only routes for every host.
const HOST_BYTES_MAX: usize = 255;

type HostMap<T> = HashMap<Box<[u8]>, T, FixedState>;

/// Collects routes.
#[derive(Debug, Default)]
pub struct RouteTableBuilder {
    exact: HostMap<Vec<Entry>>,
    suffixes: HostMap<Vec<Entry>>,
    any: Vec<Entry>,
}

/// Finds routes. Immutable; the routes of each host are behind an [`Arc`].
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HostMap<Arc<HostRoutes>>,
    suffixes: HostMap<Arc<HostRoutes>>,
    any: Arc<HostRoutes>,
}

/// A route that was looked at, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// The route.
    pub index: u32,
    /// Whether it matches.
    pub matches: bool,
    /// Why it does not, or by what it does.
    pub why: String,
}

impl RouteTableBuilder {
    /// An empty table.
    pub fn new() -> RouteTableBuilder {
        RouteTableBuilder::default()
    }

    /// Adds the route that `index` names.
    ///
    /// # Errors
    /// [`RouteError`] if the match cannot be compiled; nothing is added then.
    pub fn add(&mut self, index: u32, wanted: &RouteMatch) -> Result<(), RouteError> {
        let entry = Entry::compile(index, wanted)?;
        if wanted.hosts.is_empty() {
            self.any.push(entry);
            return Ok(());
        }
        for host in &wanted.hosts {
            let (map, name) = match host {
                HostPattern::Exact(name) => (&mut self.exact, name),
                HostPattern::Suffix(name) => (&mut self.suffixes, name),
            };
            map.entry(name.as_bytes().into()).or_default().push(entry.clone());
        }
        Ok(())
    }

    /// The finished table.
    ///
    /// # Errors
    /// None today; conflicts between routes are found where their places in the file are known.
    pub fn build(self) -> Result<RouteTable, RouteError> {
        let finish = |map: HostMap<Vec<Entry>>| {
            map.into_iter().map(|(host, entries)| (host, HostRoutes::new(entries))).collect()
        };
        Ok(RouteTable {
            exact: finish(self.exact),
            suffixes: finish(self.suffixes),
            any: HostRoutes::new(self.any),
        })
    }
}

impl RouteTable {
    /// The most specific route that matches.
    pub fn find(&self, query: &impl RouteQuery) -> Option<u32> {
        let mut buffer = [0; HOST_BYTES_MAX];
        if !(self.exact.is_empty() && self.suffixes.is_empty())
            && let Some(host) = lower(query.host(), &mut buffer)
        {
            let found = self.hosts_of(host).find_map(|(_, routes)| routes.find(query));
            if found.is_some() {
                return found;
            }
        }
        self.any.find(query)
    }

    /// Every route of the hosts that match, in the order in which they are asked.
    pub fn explain(&self, query: &impl RouteQuery) -> Vec<Considered> {
        let mut buffer = [0; HOST_BYTES_MAX];
        let host = lower(query.host(), &mut buffer).unwrap_or_default();
        let named = self.hosts_of(host);
        let all = named.chain(std::iter::once(("any host", &*self.any)));
        let mut considered = Vec::new();
        for (what, routes) in all {
            for entry in routes.entries() {
                let refusal = entry.refusal(query);
                considered.push(Considered {
                    index: entry.index,
                    matches: refusal.is_none(),
                    why: refusal.unwrap_or_else(|| format!("matches by {what}")),
                });
            }
        }
        considered
    }

    /// The sets of routes that the host may take, the most specific first.
    fn hosts_of<'a>(
        &'a self,
        host: &'a [u8],
    ) -> impl Iterator<Item = (&'static str, &'a HostRoutes)> {
        let exact = self.exact.get(host).map(|routes| ("its exact host", &**routes));
        let has_suffixes = !self.suffixes.is_empty();
        let suffixes = memchr::memchr_iter(b'.', host)
            .filter(move |&dot| has_suffixes && dot > 0)
            .filter_map(|dot| self.suffixes.get(host.get(dot..)?))
            .map(|routes| ("a wildcard host", &**routes));
        exact.into_iter().chain(suffixes)
    }
}

/// The host in lower case, without the root's dot.
fn lower<'a>(host: &[u8], buffer: &'a mut [u8; HOST_BYTES_MAX]) -> Option<&'a [u8]> {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let lower = buffer.get_mut(..host.len())?;
    lower.copy_from_slice(host);
    lower.make_ascii_lowercase();
    Some(lower)
}
