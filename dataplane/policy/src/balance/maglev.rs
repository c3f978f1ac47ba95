//! Maglev hashing (Eisenbud et al., NSDI 2016): keys spread evenly, and few move when an endpoint
//! comes or goes.

use super::{Candidates, mix};

/// Size of the table: a prime well above a hundred times the endpoints that we expect.
const TABLE_SIZE: usize = 4099;

#[derive(Clone, Debug)]
pub(super) struct Maglev {
    table: Box<[u32]>,
}

impl Maglev {
    pub(super) fn new(weights: &[u32], identities: &[u64]) -> Maglev {
        const EMPTY: u32 = u32::MAX;
        let size = TABLE_SIZE as u64;
        let heaviest = u64::from(weights.iter().copied().max().unwrap_or(0).max(1));
        let mut walks: Vec<Walk> = identities
            .iter()
            .zip(weights)
            .enumerate()
            .filter(|(_, (_, weight))| **weight > 0)
            .map(|(index, (identity, weight))| Walk {
                index: index as u32,
                weight: u64::from(*weight),
                at: mix(*identity) % size,
                skip: mix(identity.wrapping_add(0x9e37_79b9_7f4a_7c15)) % (size - 1) + 1,
                credit: 0,
            })
            .collect();
        let mut table = vec![EMPTY; TABLE_SIZE].into_boxed_slice();
        let mut filled = 0;
        while filled < TABLE_SIZE && !walks.is_empty() {
            for walk in &mut walks {
                walk.credit += walk.weight;
                if walk.credit < heaviest || filled == TABLE_SIZE {
                    continue;
                }
                walk.credit -= heaviest;
                // The skip is prime to the table's size, so the walk meets every place.
                while table[walk.at as usize] != EMPTY {
                    walk.at = (walk.at + walk.skip) % size;
                }
                table[walk.at as usize] = walk.index;
                filled += 1;
            }
        }
        Maglev { table }
    }

    /// The key's endpoint; if it may not be chosen, those of the following hashes of the key.
    pub(super) fn pick(&self, candidates: &Candidates<'_>, key: u64) -> Option<usize> {
        let mut hash = key;
        for _ in 0..64 {
            let index = *self.table.get((hash % TABLE_SIZE as u64) as usize)? as usize;
            if candidates.get(index).is_some() {
                return Some(index);
            }
            hash = mix(hash.wrapping_add(0x9e37_79b9_7f4a_7c15));
        }
        candidates.iter().next().map(|(index, _)| index)
    }
}

/// One endpoint's walk over the table.
struct Walk {
    index: u32,
    weight: u64,
    at: u64,
    skip: u64,
    credit: u64,
}
