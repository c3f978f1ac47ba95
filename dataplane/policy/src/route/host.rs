//! The routes of one host.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::RouteQuery;
use super::matcher::{Entry, PathMatcher};

/// Routes up to which looking at each in turn is as fast as an index, and smaller.
const SCAN_MAX: usize = 12;

type PathMap = HashMap<Box<[u8]>, Vec<u32>, FixedState>;

/// Routes of one host, the most specific first.
#[derive(Debug, Default)]
pub(super) struct HostRoutes {
    entries: Box<[Entry]>,
    index: Option<Box<Index>>,
}

/// Places in `entries` by path.
#[derive(Debug, Default)]
struct Index {
    exact: PathMap,
    regexes: Vec<u32>,
    prefixes: PathMap,
    longest_prefix: usize,
    any: Vec<u32>,
}

impl HostRoutes {
    pub(super) fn new(mut entries: Vec<Entry>) -> Arc<HostRoutes> {
        entries.sort_by_cached_key(Entry::rank);
        let index = (entries.len() > SCAN_MAX).then(|| Box::new(Index::new(&entries)));
        Arc::new(HostRoutes { entries: entries.into(), index })
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn find(&self, query: &impl RouteQuery) -> Option<u32> {
        let Some(index) = &self.index else {
            return self.entries.iter().find(|entry| entry.matches(query)).map(|e| e.index);
        };
        let path = query.path();
        let allowed = |places: &[u32]| {
            places
                .iter()
                .filter_map(|&place| self.entries.get(place as usize))
                .find(|entry| entry.allows(query))
                .map(|entry| entry.index)
        };
        if let Some(found) = index.exact.get(path).and_then(|places| allowed(places)) {
            return Some(found);
        }
        let by_regex = index
            .regexes
            .iter()
            .filter_map(|&place| self.entries.get(place as usize))
            .find(|entry| entry.matches(query));
        if let Some(entry) = by_regex {
            return Some(entry.index);
        }
        index.prefixes_of(path).find_map(allowed).or_else(|| allowed(&index.any))
    }
}

impl Index {
    fn new(entries: &[Entry]) -> Index {
        let mut index = Index::default();
        for (place, entry) in entries.iter().enumerate() {
            let place = place as u32;
            match &entry.path {
                PathMatcher::Exact(path) => {
                    index.exact.entry(path.clone()).or_default().push(place);
                }
                PathMatcher::Regex(_) => index.regexes.push(place),
                PathMatcher::Prefix(prefix) => {
                    index.longest_prefix = index.longest_prefix.max(prefix.len());
                    index.prefixes.entry(prefix.clone()).or_default().push(place);
                }
                PathMatcher::Any => index.any.push(place),
            }
        }
        index
    }

    /// The entries of every prefix of `path` that ends with a segment, the longest first.
    fn prefixes_of<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = &'a [u32]> {
        let reach = path.len().min(self.longest_prefix + 1);
        let whole = (path.len() <= self.longest_prefix).then_some(path.len());
        let within = path.get(..reach).unwrap_or(path);
        let ends = whole.into_iter().chain(memchr::memrchr_iter(b'/', within));
        let is_empty = self.prefixes.is_empty();
        ends.take_while(move |_| !is_empty).filter_map(move |end| {
            let prefix = path.get(..end)?;
            self.prefixes.get(prefix).map(Vec::as_slice)
        })
    }
}
