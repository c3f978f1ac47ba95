//! A histogram of delays: 32 steps in each power of two, so within 3 % of the truth.

/// Delays in nanoseconds.
#[derive(Debug)]
pub(crate) struct Delays {
    counts: Vec<u64>,
    total: u64,
    max_ns: u64,
}

const STEPS_LOG2: u32 = 5;
const STEPS: u64 = 1 << STEPS_LOG2;

impl Delays {
    pub(crate) fn new() -> Delays {
        Delays { counts: vec![0; step(u64::MAX) + 1], total: 0, max_ns: 0 }
    }

    pub(crate) fn record(&mut self, delay_ns: u64) {
        if let Some(count) = self.counts.get_mut(step(delay_ns)) {
            *count += 1;
        }
        self.total += 1;
        self.max_ns = self.max_ns.max(delay_ns);
    }

    /// The delay that the fraction `share` of all stays at or below, in microseconds; zero if
    /// nothing was recorded.
    pub(crate) fn percentile_us(&self, share: f64) -> f64 {
        let rank = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (step, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return ceiling(step).min(self.max_ns) as f64 / 1000.0;
            }
        }
        0.0
    }

    pub(crate) fn max_us(&self) -> f64 {
        self.max_ns as f64 / 1000.0
    }
}

fn step(value: u64) -> usize {
    let value = value.max(STEPS);
    let power = value.ilog2() - STEPS_LOG2;
    (u64::from(power) * STEPS + (value >> power) - STEPS) as usize
}

/// The largest value that falls into a step.
fn ceiling(step: usize) -> u64 {
    let (power, within) = (step as u64 / STEPS, step as u64 % STEPS);
    (((STEPS + within + 1) as u128) << power).saturating_sub(1).min(u64::MAX.into()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_a_thirtieth_of_its_step() {
        for value in (5..63).flat_map(|power| [1 << power, (1 << power) + 1, (2 << power) - 1]) {
            let ceiling = ceiling(step(value));
            assert!(ceiling >= value && ceiling - value <= value / 30, "{value} {ceiling}");
        }
    }

    #[test]
    fn percentiles_of_a_known_spread() {
        let mut delays = Delays::new();
        (1..=1000u64).for_each(|value| delays.record(value * 1000));
        assert!((delays.percentile_us(0.5) - 500.0).abs() < 20.0);
        assert!((delays.percentile_us(0.99) - 990.0).abs() < 35.0);
        assert!((delays.max_us() - 1000.0).abs() < f64::EPSILON);
    }

    #[test]
    fn nothing_recorded_is_zero() {
        assert!(Delays::new().percentile_us(0.99).abs() < f64::EPSILON);
    }
}
