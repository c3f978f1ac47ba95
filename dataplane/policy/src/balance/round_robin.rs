//! Smooth weighted round robin: each endpoint earns its weight in every round, the richest is
//! chosen and pays the round's total. Choices of one endpoint are spread evenly over the cycle.

use super::Candidates;

#[derive(Clone, Debug)]
pub(super) struct RoundRobin {
    credits: Vec<i64>,
}

impl RoundRobin {
    pub(super) fn new(endpoints: usize) -> RoundRobin {
        RoundRobin { credits: vec![0; endpoints] }
    }

    pub(super) fn pick(&mut self, candidates: &Candidates<'_>) -> Option<usize> {
        let mut total = 0;
        let mut richest: Option<(i64, usize)> = None;
        for (index, load) in candidates.iter() {
            let weight = i64::from(load.weight);
            let credit = self.credits.get_mut(index)?;
            *credit += weight;
            total += weight;
            if richest.is_none_or(|(most, _)| *credit > most) {
                richest = Some((*credit, index));
            }
        }
        let (_, index) = richest?;
        if let Some(credit) = self.credits.get_mut(index) {
            *credit -= total;
        }
        Some(index)
    }
}
