//! Shares with their intervals, and latencies with their percentiles.

use routewright_domain::Interval;
use routewright_ope::stats::{Confidence, wilson};
use serde::{Deserialize, Serialize};

/// A share of events.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Events that count.
    pub hits: u64,
    /// Events that could.
    pub n: u64,
    /// hits / n; nothing without events.
    pub value: Option<f64>,
    /// Wilson's interval at 95 %; [0, 1] without events.
    pub interval: Interval,
}

impl Rate {
    /// So many of so many.
    pub fn of(hits: u64, n: u64) -> Self {
        let value = (n > 0).then(|| hits as f64 / n as f64);
        Self { hits, n, value, interval: wilson(hits as f64, n as f64, Confidence::TWO_SIDED_95) }
    }
}

/// Counts towards a [`Rate`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counter {
    hits: u64,
    n: u64,
}

impl Counter {
    /// Counts an event, as a hit or not.
    pub(crate) fn add(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.n += 1;
    }

    /// Counts an event where it is known.
    pub(crate) fn add_known(&mut self, hit: Option<bool>) {
        if let Some(hit) = hit {
            self.add(hit);
        }
    }

    pub(crate) fn rate(self) -> Rate {
        Rate::of(self.hits, self.n)
    }
}

/// Latencies of some events, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Events with a latency.
    pub n: u64,
    /// Mean.
    pub mean: f64,
    /// Median; between two events linear (type 7 of Hyndman and Fan), as the other percentiles.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl LatencySummary {
    /// The summary of values in any order, which it reorders; nothing without values.
    pub fn of(values: &mut [f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|probability| quantile(values, probability));
        let max = values.iter().copied().fold(f64::MIN, f64::max);
        Some(Self { n: values.len() as u64, mean, p50, p95, p99, max })
    }
}

/// The quantile of values, interpolated linearly (type 7), by selection instead of sorting; NaN of nothing.
pub(crate) fn quantile(values: &mut [f64], probability: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let position = probability.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let (_, low, rest) = values.select_nth_unstable_by(below, f64::total_cmp);
    let low = *low;
    let high = rest.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    low + (high - low) * (position - below as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use routewright_ope::stats;

    use super::*;

    #[test]
    fn nothing_known_says_nothing() {
        let rate = Rate::of(0, 0);
        assert_eq!((rate.value, rate.interval), (None, Interval { lower: 0.0, upper: 1.0 }));
        assert_eq!(LatencySummary::of(&mut []), None);
    }

    proptest! {
        #[test]
        fn selection_finds_what_sorting_finds(values in proptest::collection::vec(0.0..1e4_f64, 1..60), probability in 0.0..=1.0_f64) {
            prop_assert_eq!(quantile(&mut values.clone(), probability), stats::quantile(&values, probability));
        }
    }
}
