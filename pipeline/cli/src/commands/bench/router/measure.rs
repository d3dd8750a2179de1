//! One measurement: how often per second, and how long at the percentiles.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use crate::commands::bench::scheduled_seconds;

/// Static decisions per second that the first implementation reached.
pub(super) const SEED_STATIC: f64 = 41_670.0;

/// Learned decisions per second, by Thompson sampling, that the first implementation reached.
pub(super) const SEED_LEARNED: f64 = 19_995.0;

/// A measurement.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub name: String,
    /// Decisions that were measured.
    pub n: usize,
    /// Decisions per second, without the clock's own time.
    pub per_second: f64,
    /// The same per second of CPU time, where the system tells: what a core does that nothing else runs on.
    pub per_cpu_second: Option<f64>,
    /// Percentiles of single decisions in microseconds; none where decisions were not timed one by one.
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
    pub p999_us: Option<f64>,
    /// Against the number that the first implementation reached.
    pub times_seed: Option<f64>,
}

impl Row {
    /// Compares with the first implementation's decisions per second; by CPU time where it is known, as that one had the machine to itself.
    pub(super) fn against(self, seed_per_second: f64) -> Self {
        Self { times_seed: Some(self.per_cpu_second.unwrap_or(self.per_second) / seed_per_second), ..self }
    }

    /// The row of `n` decisions that were not timed one by one.
    pub(super) fn of_batch(name: &str, n: usize, took: Took) -> Self {
        let rate = |seconds: f64| n as f64 / seconds.max(f64::MIN_POSITIVE);
        let per_cpu_second = took.cpu.map(rate);
        Self {
            name: name.to_owned(),
            n,
            per_second: rate(took.wall),
            per_cpu_second,
            p50_us: None,
            p99_us: None,
            p999_us: None,
            times_seed: None,
        }
    }
}

/// Seconds that something took; of the CPU only where the system tells and there were enough of them to be counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Took {
    pub wall: f64,
    pub cpu: Option<f64>,
}

/// CPU seconds below which the clock of the CPU is too coarse.
const MIN_CPU_SECONDS: f64 = 0.05;

/// How long `act` takes.
pub(super) fn time(act: impl FnOnce()) -> Took {
    let (before, start) = (thread_cpu_seconds(), Instant::now());
    act();
    let wall = start.elapsed().as_secs_f64();
    let cpu = before.zip(thread_cpu_seconds()).map(|(before, after)| after - before).filter(|cpu| *cpu >= MIN_CPU_SECONDS);
    Took { wall, cpu }
}

/// CPU seconds of this thread so far, where the system tells (Linux).
fn thread_cpu_seconds() -> Option<f64> {
    scheduled_seconds(Path::new("/proc/thread-self/schedstat"))
}

/// Measures `act` on positions 0 to n: a tenth to warm up, once without a clock inside, once timed one by one.
pub(super) fn each(name: &str, n: usize, mut act: impl FnMut(usize)) -> Row {
    (0..n.div_ceil(10)).for_each(&mut act);
    let took = time(|| (0..n).for_each(&mut act));
    let mut micros: Vec<f64> = (0..n)
        .map(|position| {
            let start = Instant::now();
            act(position);
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    let row = Row::of_batch(name, n, took);
    micros.sort_unstable_by(f64::total_cmp);
    let (p50_us, p99_us, p999_us) = (percentile(&micros, 0.5), percentile(&micros, 0.99), percentile(&micros, 0.999));
    Row { p50_us, p99_us, p999_us, ..row }
}

/// The smallest value that a share of all values does not exceed. `sorted`: rising.
pub(super) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let position = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(position.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!([0.5, 0.99, 0.999, 1.0].map(|share| percentile(&sorted, share)), [Some(500.0), Some(990.0), Some(999.0), Some(1000.0)]);
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn every_decision_is_measured() {
        let mut calls = 0;
        let row = each("counting", 100, |_| calls += 1);
        assert_eq!((calls, row.n), (210, 100));
        assert!(row.p50_us <= row.p999_us && row.per_second > 0.0);
    }
}
