//! Which endpoint of an upstream serves a request.
//!
//! Each worker balances for itself: its loads are its own, so a choice touches no other core.

mod least_request;
mod maglev;
mod p2c;
mod random;
mod round_robin;
#[cfg(test)]
mod tests;

use maglev::Maglev;
use round_robin::RoundRobin;

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BalanceKind {
    /// In turn, by weight, evenly interleaved.
    RoundRobin,
    /// The better of two drawn at random: fewer requests under way, and faster ones.
    #[default]
    P2c,
    /// The one with the fewest requests under way for its weight.
    LeastRequest,
    /// Any, by weight.
    Random,
    /// By consistent hash of a key; requests without a key fall back to `Random`.
    Maglev,
}

/// What a worker knows of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointLoad {
    /// Its share; an endpoint of weight 0 gets nothing.
    pub weight: u32,
    /// Requests under way.
    pub in_flight: u32,
    /// Moving average of the time an exchange takes.
    pub ewma_us: u32,
    /// It is left out until then.
    pub ejected_until_ms: u64,
    /// Failed connects in a row.
    pub failures: u32,
}

/// First and longest time for which an endpoint is left out after failed connects.
const EJECTION_MS: (u64, u64) = (100, 10_000);

impl EndpointLoad {
    /// An exchange begins.
    pub fn begin(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// An exchange has ended after `latency_us`.
    pub fn end(&mut self, latency_us: u32) {
        self.in_flight = self.in_flight.saturating_sub(1);
        // An eighth of the new value: a handful of exchanges decides, one does not.
        let (old, new) = (u64::from(self.ewma_us), u64::from(latency_us));
        let average = if old == 0 { new } else { (old * 7 + new) / 8 };
        self.ewma_us = u32::try_from(average).unwrap_or(u32::MAX);
    }

    /// A connect succeeded.
    pub fn succeed(&mut self) {
        self.failures = 0;
        self.ejected_until_ms = 0;
    }

    /// A connect failed: the endpoint is left out, twice as long each time.
    pub fn fail(&mut self, now_ms: u64) {
        let rest = EJECTION_MS.0 << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        self.ejected_until_ms = now_ms.saturating_add(rest.min(EJECTION_MS.1));
    }

    fn is_ejected(&self, now_ms: u64) -> bool {
        self.ejected_until_ms > now_ms
    }
}

/// Chooses endpoints by one rule.
#[derive(Clone, Debug)]
pub struct Balancer {
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    RoundRobin(RoundRobin),
    P2c,
    LeastRequest,
    Random,
    Maglev(Maglev),
}

/// The endpoints that may be chosen.
struct Candidates<'a> {
    loads: &'a [EndpointLoad],
    now_ms: u64,
    tried: u64,
    ignore_ejection: bool,
}

impl Candidates<'_> {
    /// The endpoint, if it may be chosen. Endpoints beyond the 64th are never marked as tried.
    fn get(&self, index: usize) -> Option<&EndpointLoad> {
        let load = self.loads.get(index)?;
        let is_tried = index < 64 && self.tried >> index & 1 == 1;
        let is_out = !self.ignore_ejection && load.is_ejected(self.now_ms);
        (load.weight > 0 && !is_tried && !is_out).then_some(load)
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &EndpointLoad)> {
        (0..self.loads.len()).filter_map(|index| Some((index, self.get(index)?)))
    }
}

impl Balancer {
    /// A balancer for endpoints with these weights and identities (see [`stable_hash`]).
    pub fn new(kind: BalanceKind, weights: &[u32], identities: &[u64]) -> Balancer {
        let rule = match kind {
            BalanceKind::RoundRobin => Rule::RoundRobin(RoundRobin::new(weights.len())),
            BalanceKind::P2c => Rule::P2c,
            BalanceKind::LeastRequest => Rule::LeastRequest,
            BalanceKind::Random => Rule::Random,
            BalanceKind::Maglev => Rule::Maglev(Maglev::new(weights, identities)),
        };
        Balancer { rule }
    }

    /// Chooses among `loads`, leaving out those in the bit mask `tried`, of weight 0, and ejected
    /// ones, unless all are ejected: then ejection is ignored. `None`: nothing is left to try.
    pub fn pick(
        &mut self,
        loads: &[EndpointLoad],
        now_ms: u64,
        random: u64,
        key: Option<u64>,
        tried: u64,
    ) -> Option<usize> {
        let mut candidates = Candidates { loads, now_ms, tried, ignore_ejection: false };
        if candidates.iter().next().is_none() {
            candidates.ignore_ejection = true;
        }
        match &mut self.rule {
            Rule::RoundRobin(rule) => rule.pick(&candidates),
            Rule::P2c => p2c::pick(&candidates, random),
            Rule::LeastRequest => least_request::pick(&candidates, random),
            Rule::Random => random::pick(&candidates, random),
            Rule::Maglev(rule) => match key {
                Some(key) => rule.pick(&candidates, key),
                None => random::pick(&candidates, random),
            },
        }
    }
}

/// A hash that stays the same over releases and hosts, so that keys stay with their endpoints:
/// FNV-1a with 64 bits (Fowler, Noll, Vo), finished by the mixer of SplitMix64.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv)
}

fn mix(value: u64) -> u64 {
    let z = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
