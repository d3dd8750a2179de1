//! The true values of a world, and the calibration that gives it the uplift that was asked for.

use rayon::prelude::*;
use serde::Serialize;

use crate::settings::SettingsError;
use crate::surface::{Cast, FALL, Terms};

/// Success rate of the static router while the uplift leaves room for it.
const STATIC_SUCCESS: f64 = 0.88;

/// Success rate of the best path per query that the level aims at, at most.
const BEST_SUCCESS: f64 = 0.955;

/// Largest gain tried, in probability of success.
const MAX_GAIN: f64 = 2.0;

/// Halvings of the gain's interval: down to 2⁻⁴⁰.
const N_HALVINGS: u32 = 40;

/// How far the calibrated uplift may be from the request before the request counts as out of reach, in points.
const TOLERANCE_POINTS: f64 = 0.01;

/// The expected values of policies in a world, over its distribution of queries; Monte Carlo error about 0.05 points.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// Expected success of the static router, in [0, 1].
    pub static_success: f64,
    /// Expected success of the best path per query, given what is logged.
    pub best_success: f64,
    /// Their difference, in points.
    pub uplift_points: f64,
    /// Expected latency of the static router, in milliseconds.
    pub static_latency_ms: f64,
    /// Expected latency of the best path per query.
    pub best_latency_ms: f64,
    /// Share of queries on which the best path is not the static one.
    pub disagreement: f64,
    /// The policies that always take one path, in the order of [`World::paths`](crate::World::paths).
    pub single: Vec<PathTruth>,
}

/// The expected values of always taking one path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathTruth {
    /// Name of the path.
    pub path: String,
    /// Expected success, in [0, 1].
    pub success: f64,
    /// Expected latency, in milliseconds.
    pub latency_ms: f64,
}

/// One query of the calibration sample.
#[derive(Clone, Debug)]
pub(crate) struct Sampled {
    /// What decides on success.
    pub terms: Terms,
    /// Expected latency of every path, in milliseconds.
    pub latencies_ms: Vec<f64>,
}

/// Gain and level of a world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Strength {
    /// Gap between the better and the static path inside a region of strength 1, before the head start.
    pub gain: f64,
    /// Usual probability of success of the static path.
    pub level: f64,
}

/// Finds the gain that gives the uplift on a sample, by bisection: the uplift grows with the gain, and the sample stays the same.
///
/// # Errors
/// [`SettingsError::Uplift`] when even the largest gain gives less.
pub(crate) fn calibrate(sample: &[Sampled], uplift_points: f64) -> Result<Strength, SettingsError> {
    let uplift = uplift_points / 100.0;
    let n = sample.len() as f64;
    let mean_deviation = sample.iter().map(|row| row.terms.deviation).sum::<f64>() / n;
    let level = STATIC_SUCCESS.min(BEST_SUCCESS - uplift) + FALL * uplift - mean_deviation;
    if uplift_points == 0.0 {
        return Ok(Strength { gain: 0.0, level });
    }
    let reached = |gain| 100.0 * mean_gap(sample, Strength { gain, level });
    let (mut low, mut high) = (0.0, MAX_GAIN);
    for _ in 0..N_HALVINGS {
        let middle = 0.5 * (low + high);
        if reached(middle) < uplift_points { low = middle } else { high = middle }
    }
    let reachable = reached(high);
    if reachable < uplift_points - TOLERANCE_POINTS {
        return Err(SettingsError::Uplift { requested: uplift_points, reachable });
    }
    Ok(Strength { gain: high, level })
}

/// Rows summed together; sums are added in order, so they do not depend on threads.
const BLOCK: usize = 4_096;

/// Mean over the sample of the best path's success minus the static path's.
fn mean_gap(sample: &[Sampled], strength: Strength) -> f64 {
    let block_sum = |block: &[Sampled]| {
        let mut success = Vec::new();
        let gap = |row: &Sampled| {
            row.terms.success(strength.gain, strength.level, &mut success);
            best(&success) - success[row.terms.chosen.index()]
        };
        block.iter().map(gap).sum::<f64>()
    };
    let sums: Vec<f64> = sample.par_chunks(BLOCK).map(block_sum).collect();
    sums.iter().sum::<f64>() / sample.len() as f64
}

/// The largest of some probabilities.
fn best(success: &[f64]) -> f64 {
    success.iter().copied().fold(0.0, f64::max)
}

/// The best path, the static one where it is as good as any other.
pub(crate) fn best_arm(success: &[f64], chosen: usize) -> usize {
    (0..success.len()).fold(chosen, |best, arm| if success[arm] > success[best] { arm } else { best })
}

/// The expected values over a sample.
pub(crate) fn truth(cast: &Cast, sample: &[Sampled], strength: Strength) -> Truth {
    let n = sample.len() as f64;
    let n_paths = cast.paths().len();
    let (mut of_static, mut of_best) = ([0.0; 2], [0.0; 2]);
    let mut single = vec![[0.0; 2]; n_paths];
    let mut differing = 0_u64;
    let mut success = Vec::new();
    for row in sample {
        row.terms.success(strength.gain, strength.level, &mut success);
        let chosen = row.terms.chosen.index();
        let best = best_arm(&success, chosen);
        differing += u64::from(best != chosen);
        let add = |sum: &mut [f64; 2], arm: usize| {
            sum[0] += success[arm] / n;
            sum[1] += row.latencies_ms[arm] / n;
        };
        add(&mut of_static, chosen);
        add(&mut of_best, best);
        single.iter_mut().enumerate().for_each(|(arm, sum)| add(sum, arm));
    }
    let path_truth = |(path, sum): (&String, &[f64; 2])| PathTruth { path: path.clone(), success: sum[0], latency_ms: sum[1] };
    Truth {
        static_success: of_static[0],
        best_success: of_best[0],
        uplift_points: 100.0 * (of_best[0] - of_static[0]),
        static_latency_ms: of_static[1],
        best_latency_ms: of_best[1],
        disagreement: differing as f64 / n,
        single: cast.paths().names().iter().zip(&single).map(path_truth).collect(),
    }
}

#[cfg(test)]
mod tests {
    use routewright_domain::Seed;

    use crate::{World, WorldSettings};

    fn world(uplift_points: f64) -> World {
        World::new(&WorldSettings { uplift_points, n_decisions: 100_000, ..WorldSettings::default() }, Seed(7)).unwrap()
    }

    #[test]
    fn the_static_router_is_the_best_policy_without_uplift() {
        let truth = world(0.0).truth().clone();
        assert_eq!(truth.uplift_points, 0.0);
        assert_eq!(truth.disagreement, 0.0);
        assert!((0.85..=0.90).contains(&truth.static_success), "{truth:?}");
    }

    #[test]
    fn the_uplift_is_the_one_asked_for() {
        for uplift_points in [0.5, 3.0, 8.0, 15.0, 25.0] {
            let truth = world(uplift_points).truth().clone();
            assert!((truth.uplift_points - uplift_points).abs() < 0.01, "{truth:?}");
            assert!(truth.single.iter().all(|path| path.success < truth.best_success));
            if uplift_points <= 8.0 {
                assert!((0.85..=0.90).contains(&truth.static_success), "{truth:?}");
            }
        }
    }

    #[test]
    fn the_better_path_is_not_slower_on_average() {
        let truth = world(8.0).truth().clone();
        let ratio = truth.best_latency_ms / truth.static_latency_ms;
        assert!((0.9..=1.0).contains(&ratio), "{ratio} {truth:?}");
    }
}
