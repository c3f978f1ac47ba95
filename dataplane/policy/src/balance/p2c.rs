//! The power of two choices (Mitzenmacher, 2001), with the moving average of the time exchanges
//! take as a factor, so that a slow endpoint gets less before its queue shows it.

use super::{Candidates, EndpointLoad, mix, random};

pub(super) fn pick(candidates: &Candidates<'_>, random: u64) -> Option<usize> {
    let first = random::pick(candidates, random)?;
    let others = Candidates {
        tried: if first < 64 { candidates.tried | 1 << first } else { candidates.tried },
        ..*candidates
    };
    let Some(second) = random::pick(&others, mix(random)) else { return Some(first) };
    let cost = |index: usize| candidates.get(index).map_or(u128::MAX, cost);
    Some(if cost(second) < cost(first) { second } else { first })
}

fn cost(load: &EndpointLoad) -> u128 {
    // Endpoints without a measurement count as fast, so that they are tried. Differences of a few
    // tens of microseconds are noise.
    let time = u128::from(load.ewma_us.max(100));
    u128::from(load.in_flight + 1) * time / u128::from(load.weight.max(1))
}
