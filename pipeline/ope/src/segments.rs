//! Segments: where learned routing is worth using although it is not everywhere, and where it does harm.
//!
//! Segments are chosen on fold A and confirmed on fold B with Holm's correction, so that the best of many by chance is not taken for real.

use serde::{Deserialize, Serialize};

use crate::decision::{CandidateUplift, UpliftPoints};
use crate::error::check_length;
use crate::stats::{Confidence, holm};
use crate::{Comparison, OpeError};

/// One segment's uplift, in points of its own success rate, as measured on fold B.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// Share of rows in it.
    pub weight: f64,
    /// Uplift in points.
    pub uplift_points: f64,
    /// One-sided 95 % lower bound, in points.
    pub lower: f64,
    /// One-sided 95 % upper bound, in points.
    pub upper: f64,
    /// Whether it was chosen on fold A and confirmed on fold B.
    pub use_learned: bool,
}

impl Segment {
    /// Whether nothing differs there: the routers choose alike, or what they choose does alike on every query. An uplift of nothing for certain is then
    /// no measurement.
    pub fn is_without_difference(&self) -> bool {
        [self.uplift_points, self.lower, self.upper] == [0.0; 3]
    }
}

/// The folds of a segment search: `true` marks fold B. Rows of one query belong on one side.
#[derive(Clone, Copy, Debug)]
pub struct SegmentFolds<'a> {
    /// One segment per row.
    pub segments: &'a [u32],
    /// Names by segment number.
    pub names: &'a [String],
    /// Whether the row is in fold B.
    pub confirm: &'a [bool],
}

/// What a segment search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentSearch {
    /// All segments, in the order of their numbers.
    pub segments: Vec<Segment>,
    /// Learned in the confirmed segments, static elsewhere; `None` when none was confirmed.
    pub composed: Option<CandidateUplift>,
}

/// A segment is a candidate when its one-sided p-value on fold A is below this: few candidates keep Holm's price on fold B low.
pub const CHOOSE_LEVEL: f64 = 0.2;

/// Looks for segments in which learned beats static.
///
/// The composed policy's bounds are sums of the segments' bounds at α divided by the number of candidates, so they hold however the segments
/// were picked among the candidates. `alpha` is the one-sided error, 0.05 for the decision.
///
/// # Errors
/// [`OpeError`] when there is not one segment and fold per row.
pub fn search_segments(comparison: &Comparison<'_>, folds: SegmentFolds<'_>, alpha: f64) -> Result<SegmentSearch, OpeError> {
    let n = comparison.log().n_rows();
    check_length("segments", n, folds.segments.len())?;
    check_length("folds", n, folds.confirm.len())?;
    let n_segments = folds.segments.iter().max().map_or(0, |&last| last as usize + 1);
    check_length("segment names", n_segments, folds.names.len().min(n_segments))?;
    let tally = |segment: usize, confirm: bool| {
        comparison.tally_of((0..n).filter(|&row| folds.segments[row] as usize == segment && folds.confirm[row] == confirm))
    };
    let confirming: Vec<_> = (0..n_segments).map(|segment| tally(segment, true)).collect();
    let chosen: Vec<usize> = (0..n_segments).filter(|&segment| tally(segment, false).p_value_of_gain() < CHOOSE_LEVEL).collect();
    let p_values: Vec<f64> = chosen.iter().map(|&segment| confirming[segment].p_value_of_gain()).collect();
    let adjusted = holm(&p_values);
    let confirmed: Vec<usize> = chosen.iter().zip(adjusted).filter(|(_, p)| *p < alpha).map(|(&segment, _)| segment).collect();

    let n_confirming = confirming.iter().map(crate::Tally::n_rows).sum::<usize>().max(1) as f64;
    let segments = confirming
        .iter()
        .enumerate()
        .map(|(segment, tally)| {
            let points = UpliftPoints::from(tally.uplift(Confidence::ONE_SIDED_95).estimate);
            Segment {
                name: folds.names[segment].clone(),
                weight: tally.n_rows() as f64 / n_confirming,
                uplift_points: points.points,
                lower: points.lower,
                upper: points.upper,
                use_learned: confirmed.contains(&segment),
            }
        })
        .collect();
    if confirmed.is_empty() {
        return Ok(SegmentSearch { segments, composed: None });
    }
    let simultaneous = Confidence::one_sided(1.0 - alpha / chosen.len() as f64)?;
    let mut uplift = UpliftPoints { points: 0.0, lower: 0.0, upper: 0.0 };
    for &segment in &confirmed {
        let weight = confirming[segment].n_rows() as f64 / n_confirming;
        let points = UpliftPoints::from(confirming[segment].uplift(simultaneous).estimate);
        uplift.points += weight * points.points;
        uplift.lower += weight * points.lower;
        uplift.upper += weight * points.upper;
    }
    let names: Vec<&str> = confirmed.iter().map(|&segment| folds.names[segment].as_str()).collect();
    Ok(SegmentSearch { segments, composed: Some(CandidateUplift { name: names.join(", "), uplift, latency: None }) })
}

/// Names of the pre-registered segments with at least `min_weight` of the rows in which learned is worse than static, with Holm's correction.
///
/// # Errors
/// [`OpeError`] when there is not one segment per row.
pub fn harmed_segments(
    comparison: &Comparison<'_>,
    segments: &[u32],
    names: &[String],
    min_weight: f64,
    alpha: f64,
) -> Result<Vec<String>, OpeError> {
    let tallies = comparison.tally_by_segment(segments)?;
    let n = comparison.log().n_rows() as f64;
    let large: Vec<_> = tallies.iter().filter(|(_, tally)| tally.n_rows() as f64 >= min_weight * n).collect();
    let p_values: Vec<f64> = large.iter().map(|(_, tally)| tally.p_value_of_harm()).collect();
    let harmed = large.iter().zip(holm(&p_values)).filter(|(_, p)| *p < alpha);
    Ok(harmed.map(|((segment, _), _)| names.get(**segment as usize).cloned().unwrap_or_else(|| segment.to_string())).collect())
}

#[cfg(test)]
mod tests {
    use routewright_domain::{Arm, Log, Propensity};

    use super::*;

    /// Two segments of 2,000 rows each, half explored: learned gains 40 points in the first and loses 40 in the second.
    fn search() -> (SegmentSearch, Vec<String>) {
        let n = 4_000;
        let segments: Vec<u32> = (0..n).map(|row| u32::from(row >= n / 2)).collect();
        let arms: Vec<Arm> = (0..n).map(|row| Arm(u16::from(row % 2 == 0))).collect();
        let rewards: Vec<f64> = (0..n)
            .map(|row| {
                let good = (arms[row].0 == 1) == (segments[row] == 0);
                f64::from(u8::from(row / 4 % 10 < if good { 9 } else { 5 }))
            })
            .collect();
        let propensities = vec![Propensity::try_from(0.5).unwrap(); n];
        let log = Log::new(2, &arms, &rewards, &propensities).unwrap();
        let (learned, baseline) = (vec![Arm(1); n], vec![Arm(0); n]);
        let comparison = Comparison::new(log, &learned, &baseline).unwrap();
        let names = ["gains".to_owned(), "loses".to_owned()];
        let confirm: Vec<bool> = (0..n).map(|row| row % 4 >= 2).collect();
        let folds = SegmentFolds { segments: &segments, names: &names, confirm: &confirm };
        (search_segments(&comparison, folds, 0.05).unwrap(), harmed_segments(&comparison, &segments, &names, 0.05, 0.05).unwrap())
    }

    #[test]
    fn the_segment_that_gains_is_confirmed_and_the_one_that_loses_is_named() {
        let (search, harmed) = search();
        assert_eq!(search.segments.iter().map(|segment| segment.use_learned).collect::<Vec<_>>(), [true, false]);
        assert_eq!(harmed, ["loses"]);
        let composed = search.composed.unwrap();
        assert_eq!(composed.name, "gains");
        assert!((composed.uplift.points - 20.0).abs() < 0.5 && composed.uplift.lower > 0.0, "{composed:?}");
    }
}
