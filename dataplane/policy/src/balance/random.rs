//! Any endpoint, by weight.

use super::Candidates;

pub(super) fn pick(candidates: &Candidates<'_>, random: u64) -> Option<usize> {
    let total: u64 = candidates.iter().map(|(_, load)| u64::from(load.weight)).sum();
    let mut ticket = random.checked_rem(total)?;
    for (index, load) in candidates.iter() {
        match ticket.checked_sub(u64::from(load.weight)) {
            None => return Some(index),
            Some(rest) => ticket = rest,
        }
    }
    None
}
