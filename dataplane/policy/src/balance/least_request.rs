//! The endpoint with the fewest requests under way for its weight; equals are drawn at random.

use super::Candidates;

pub(super) fn pick(candidates: &Candidates<'_>, random: u64) -> Option<usize> {
    let cost = |load: &super::EndpointLoad| {
        (u64::from(load.in_flight) + 1) * 1_000_000 / u64::from(load.weight.max(1))
    };
    let least = candidates.iter().map(|(_, load)| cost(load)).min()?;
    let ties = candidates.iter().filter(|(_, load)| cost(load) == least).count() as u64;
    let chosen = random.checked_rem(ties)? as usize;
    candidates.iter().filter(|(_, load)| cost(load) == least).nth(chosen).map(|(index, _)| index)
}
