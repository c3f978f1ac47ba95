//! Times in buckets that double: enough for dashboards and alarms, 27 numbers small.

use crate::Counter;

/// Upper bounds are 2^n microseconds from 16 us to about 537 s, then infinity.
const FIRST_SHIFT: u32 = 4;
const BUCKETS: usize = 27;

/// A histogram of durations with one writer.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_us: Counter,
}

impl Histogram {
    /// Counts one duration. Only the owning thread may call it.
    pub fn record(&self, us: u64) {
        let bits = u64::BITS - us.saturating_sub(1).leading_zeros();
        let index = (bits.saturating_sub(FIRST_SHIFT) as usize).min(BUCKETS - 1);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.add(1);
        }
        self.sum_us.add(us);
    }

    /// Upper bound in seconds (`None`: infinity) and count up to it, for each bucket.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<f64>, u64)> + '_ {
        let mut total = 0;
        self.buckets.iter().enumerate().map(move |(index, bucket)| {
            total += bucket.value();
            let bound = (1u64 << (FIRST_SHIFT + index as u32)) as f64 / 1e6;
            ((index + 1 < BUCKETS).then_some(bound), total)
        })
    }

    /// Sum of all durations in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_us.value() as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_whose_bound_is_not_below_them() {
        for us in [0, 1, 16, 17, 32, 33, 1_000, 1 << 29, (1 << 29) + 1, u64::MAX] {
            let histogram = Histogram::default();
            histogram.record(us);
            let first = histogram.cumulative().find(|(_, count)| *count == 1).unwrap();
            let seconds = us as f64 / 1e6;
            assert!(first.0.is_none_or(|bound| bound >= seconds), "{us} in {first:?}");
            assert!(first.0.is_none_or(|bound| bound <= 0.000_016 || bound < 2.0 * seconds));
        }
    }
}
