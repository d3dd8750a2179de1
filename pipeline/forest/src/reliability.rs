//! How far predicted probabilities of one outcome can be trusted: Brier score, reliability bins, calibration error, AUC.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::metrics::{LOG_LOSS_MARGIN, MetricError, check_unit};

/// Scores with the outcomes they were meant to predict, borrowed and checked once.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    scores: &'a [f64],
    outcomes: &'a [f64],
}

/// How rows are put into reliability bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binning {
    /// Equally many rows per bin by score, the first bins one more where they do not divide.
    EqualMass,
    /// Equally wide bins of (0, 1], each with its upper end; 0 is in the first.
    EqualWidth,
}

/// One reliability bin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Mean predicted probability.
    pub mean_score: f64,
    /// Mean outcome.
    pub rate: f64,
    /// Rows.
    pub count: u64,
}

/// Predicted against observed rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// The bins that have rows, by score.
    pub bins: Vec<ReliabilityBin>,
    /// Expected calibration error: mean over rows of the distance between their bin's prediction and rate.
    pub expected_error: f64,
    /// The largest of these distances.
    pub largest_error: f64,
    /// Murphy's decomposition of the Brier score.
    pub decomposition: Decomposition,
}

/// Parts of the Brier score (Murphy 1973): reliability − resolution + uncertainty, up to what varies within bins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decomposition {
    /// Mean squared distance between prediction and rate of the bins: 0 is perfect.
    pub reliability: f64,
    /// Variance of the bins' rates: more is better.
    pub resolution: f64,
    /// Variance of the outcome.
    pub uncertainty: f64,
}

impl<'a> Scored<'a> {
    /// Checks scores and outcomes: equally many, at least one, all in [0, 1].
    ///
    /// # Errors
    /// [`MetricError`] names the first row that does not hold.
    pub fn new(scores: &'a [f64], outcomes: &'a [f64]) -> Result<Self, MetricError> {
        if scores.is_empty() {
            return Err(MetricError::Empty);
        }
        if scores.len() != outcomes.len() {
            return Err(MetricError::Length { list: "outcomes", expected: scores.len(), found: outcomes.len() });
        }
        check_unit("scores", scores, 1)?;
        check_unit("outcomes", outcomes, 1)?;
        Ok(Self { scores, outcomes })
    }

    /// The scores.
    pub fn scores(&self) -> &'a [f64] {
        self.scores
    }

    /// The outcomes.
    pub fn outcomes(&self) -> &'a [f64] {
        self.outcomes
    }

    /// Pairs of score and outcome.
    pub fn pairs(&self) -> impl Iterator<Item = (f64, f64)> + use<'a> {
        self.scores.iter().copied().zip(self.outcomes.iter().copied())
    }

    /// Mean squared distance between score and outcome.
    pub fn brier(&self) -> f64 {
        self.pairs().map(|(score, outcome)| (score - outcome).powi(2)).sum::<f64>() / self.scores.len() as f64
    }

    /// Mean of −ln of the probability given to what happened, scores held [`LOG_LOSS_MARGIN`] away from 0 and 1.
    pub fn log_loss(&self) -> f64 {
        let loss = |(score, outcome): (f64, f64)| {
            let score = score.clamp(LOG_LOSS_MARGIN, 1.0 - LOG_LOSS_MARGIN);
            -outcome * score.ln() - (1.0 - outcome) * (1.0 - score).ln()
        };
        self.pairs().map(loss).sum::<f64>() / self.scores.len() as f64
    }

    /// Probability that a success has a higher score than a failure, ties counting half; `None` where one of them never happened.
    ///
    /// An outcome between 0 and 1 counts as a success and a failure in these shares.
    pub fn auc(&self) -> Option<f64> {
        let order = self.order();
        let (mut n_failures, mut wins) = (0.0, 0.0);
        let successes: f64 = self.outcomes.iter().sum();
        for tied in order.chunk_by(|&one, &other| self.scores[one] == self.scores[other]) {
            let n_successes: f64 = tied.iter().map(|&row| self.outcomes[row]).sum();
            let failures = tied.len() as f64 - n_successes;
            wins += n_successes * (n_failures + failures / 2.0);
            n_failures += failures;
        }
        (successes > 0.0 && n_failures > 0.0).then(|| wins / (successes * n_failures))
    }

    /// Predicted against observed rates in `n_bins` bins, at least 1.
    pub fn reliability(&self, n_bins: usize, binning: Binning) -> Reliability {
        let order = self.order();
        let n_bins = n_bins.max(1);
        let bins = match binning {
            Binning::EqualMass => equal_parts(order.len(), n_bins),
            Binning::EqualWidth => self.equal_widths(&order, n_bins),
        };
        let bin = |range: Range<usize>| {
            let rows = &order[range];
            let mean = |list: &[f64]| rows.iter().map(|&row| list[row]).sum::<f64>() / rows.len() as f64;
            ReliabilityBin { mean_score: mean(self.scores), rate: mean(self.outcomes), count: rows.len() as u64 }
        };
        let bins: Vec<ReliabilityBin> = bins.into_iter().filter(|range| !range.is_empty()).map(bin).collect();
        let n_rows = self.scores.len() as f64;
        let rate = self.outcomes.iter().sum::<f64>() / n_rows;
        let mean = |value: &dyn Fn(&ReliabilityBin) -> f64| bins.iter().map(|bin| bin.count as f64 * value(bin)).sum::<f64>() / n_rows;
        let gap = |bin: &ReliabilityBin| (bin.mean_score - bin.rate).abs();
        Reliability {
            expected_error: mean(&gap),
            largest_error: bins.iter().map(gap).fold(0.0, f64::max),
            decomposition: Decomposition {
                reliability: mean(&|bin| gap(bin).powi(2)),
                resolution: mean(&|bin| (bin.rate - rate).powi(2)),
                uncertainty: rate * (1.0 - rate),
            },
            bins,
        }
    }

    /// Rows by score, then outcome, so that the order of the rows does not matter.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        let key = |row: usize| (self.scores[row], self.outcomes[row]);
        order.sort_by(|&one, &other| key(one).0.total_cmp(&key(other).0).then(key(one).1.total_cmp(&key(other).1)));
        order
    }

    /// Runs of the ordered rows that share an equally wide bin.
    fn equal_widths(&self, order: &[usize], n_bins: usize) -> Vec<Range<usize>> {
        let end = |bin: usize| order.partition_point(|&row| self.scores[row] <= (bin + 1) as f64 / n_bins as f64);
        let ends: Vec<usize> = (0..n_bins).map(|bin| if bin + 1 == n_bins { order.len() } else { end(bin) }).collect();
        (0..n_bins).map(|bin| if bin == 0 { 0..ends[0] } else { ends[bin - 1]..ends[bin] }).collect()
    }
}

/// `n_rows` in `n_parts` runs, the first ones one longer where they do not divide.
fn equal_parts(n_rows: usize, n_parts: usize) -> Vec<Range<usize>> {
    let (length, n_longer) = (n_rows / n_parts, n_rows % n_parts);
    let start = |part: usize| part * length + part.min(n_longer);
    (0..n_parts).map(|part| start(part)..start(part + 1)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The pairs of `tests/golden/calibration_p_y.csv`, and the numbers that scikit-learn makes of them.
    pub(crate) fn golden() -> (Vec<f64>, Vec<f64>, serde_json::Value) {
        let lines = include_str!("../tests/golden/calibration_p_y.csv").lines().skip(1);
        let pairs = lines.map(|line| line.split_once(',').unwrap());
        let (scores, outcomes) = pairs.map(|(p, y)| (p.parse::<f64>().unwrap(), y.parse::<f64>().unwrap())).unzip();
        (scores, outcomes, serde_json::from_str(include_str!("../tests/golden/calibration.json")).unwrap())
    }

    #[track_caller]
    pub(crate) fn near(found: f64, expected: &serde_json::Value, tolerance: f64) {
        let expected = expected.as_f64().unwrap();
        assert!((found - expected).abs() <= tolerance, "{found} where {expected} was expected");
    }

    #[test]
    fn scores_match_scikit_learn() {
        let (scores, outcomes, expected) = golden();
        let scored = Scored::new(&scores, &outcomes).unwrap();
        near(scored.brier(), &expected["brier"], 1e-12);
        near(scored.log_loss(), &expected["log_loss"], 1e-12);
        near(scored.auc().unwrap(), &expected["roc_auc"], 1e-12);
        for n_bins in [10, 15] {
            let width = scored.reliability(n_bins, Binning::EqualWidth);
            near(width.expected_error, &expected[format!("ece_{n_bins}_equal_width_right_closed")], 1e-12);
            near(width.largest_error, &expected[format!("mce_{n_bins}")], 1e-12);
            near(scored.reliability(n_bins, Binning::EqualMass).expected_error, &expected[format!("ece_{n_bins}_equal_mass")], 1e-12);
        }
    }

    #[test]
    fn bins_and_their_decomposition_match_scikit_learn() {
        let (scores, outcomes, expected) = golden();
        let reliability = Scored::new(&scores, &outcomes).unwrap().reliability(10, Binning::EqualWidth);
        let rows: Vec<&serde_json::Value> = expected["reliability_10"].as_array().unwrap().iter().filter(|row| row[1] != 0).collect();
        assert_eq!(reliability.bins.len(), rows.len());
        for (bin, row) in reliability.bins.iter().zip(rows) {
            assert_eq!(bin.count, row[1].as_u64().unwrap());
            near(bin.mean_score, &row[2], 1e-12);
            near(bin.rate, &row[3], 1e-12);
        }
        near(reliability.decomposition.reliability, &expected["murphy_10"]["reliability"], 1e-12);
        near(reliability.decomposition.resolution, &expected["murphy_10"]["resolution"], 1e-12);
        near(reliability.decomposition.uncertainty, &expected["murphy_10"]["uncertainty"], 1e-12);
    }

    #[test]
    fn ties_count_half_and_one_sided_outcomes_have_no_auc() {
        assert_eq!(Scored::new(&[0.5, 0.5, 0.2, 0.9], &[0.0, 1.0, 0.0, 1.0]).unwrap().auc(), Some(0.875));
        assert_eq!(Scored::new(&[0.5, 0.2], &[1.0, 1.0]).unwrap().auc(), None);
    }

    #[test]
    fn more_bins_than_rows_leave_empty_ones_out() {
        let reliability = Scored::new(&[0.5], &[1.0]).unwrap().reliability(10, Binning::EqualMass);
        assert_eq!(reliability.bins, [ReliabilityBin { mean_score: 0.5, rate: 1.0, count: 1 }]);
        assert_eq!(reliability.expected_error, 0.5);
    }
}
