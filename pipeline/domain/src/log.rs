//! The columns an off-policy estimator needs, borrowed and checked once.

use crate::{Arm, Propensity};

/// Logged decisions as columns of equal length: which path ran, what it earned, how probable the choice was.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a> {
    n_arms: usize,
    arms: &'a [Arm],
    rewards: &'a [f64],
    propensities: &'a [Propensity],
}

/// Columns that do not make a log, or probabilities that do not make a target.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LogError {
    /// Columns of different length.
    #[error("column `{column}` has {found} rows where the log has {expected}")]
    Length {
        /// The column.
        column: &'static str,
        /// Rows of the first column.
        expected: usize,
        /// Rows of this one.
        found: usize,
    },
    /// No rows at all.
    #[error("the log has no rows")]
    Empty,
    /// A path position past the number of paths.
    #[error("row {row}: path {found} where there are {n_arms}")]
    Arm {
        /// The row, from 0.
        row: usize,
        /// The position found.
        found: usize,
        /// The number of paths.
        n_arms: usize,
    },
    /// A number that is not finite.
    #[error("row {row}: `{column}` is not finite")]
    NotFinite {
        /// The row, from 0.
        row: usize,
        /// The column.
        column: &'static str,
    },
    /// Target probabilities that are negative or do not sum to 1.
    #[error("row {row}: target probabilities must be in [0, 1] and sum to 1, found a sum of {sum}")]
    Probabilities {
        /// The row, from 0.
        row: usize,
        /// Their sum.
        sum: f64,
    },
}

impl<'a> Log<'a> {
    /// Checks and borrows the columns: at least one row, equal lengths, arms below `n_arms`, finite rewards.
    ///
    /// # Errors
    /// [`LogError`] names the first column or row that does not hold.
    pub fn new(n_arms: usize, arms: &'a [Arm], rewards: &'a [f64], propensities: &'a [Propensity]) -> Result<Self, LogError> {
        if arms.is_empty() {
            return Err(LogError::Empty);
        }
        check_length("rewards", arms.len(), rewards.len())?;
        check_length("propensities", arms.len(), propensities.len())?;
        if let Some(row) = arms.iter().position(|arm| arm.index() >= n_arms) {
            return Err(LogError::Arm { row, found: arms[row].index(), n_arms });
        }
        if let Some(row) = rewards.iter().position(|reward| !reward.is_finite()) {
            return Err(LogError::NotFinite { row, column: "rewards" });
        }
        Ok(Self { n_arms, arms, rewards, propensities })
    }

    /// Number of decisions.
    pub fn n_rows(&self) -> usize {
        self.arms.len()
    }

    /// Number of paths.
    pub fn n_arms(&self) -> usize {
        self.n_arms
    }

    /// The path that ran, per row.
    pub fn arms(&self) -> &'a [Arm] {
        self.arms
    }

    /// What it earned, per row.
    pub fn rewards(&self) -> &'a [f64] {
        self.rewards
    }

    /// The logged probability of that choice, per row.
    pub fn propensities(&self) -> &'a [Propensity] {
        self.propensities
    }
}

/// A target policy on the rows of a log: n × k probabilities, row after row, each row summing to 1.
#[derive(Clone, Debug)]
pub struct Target {
    n_arms: usize,
    probabilities: Vec<f64>,
}

/// How far a row of target probabilities may be from a sum of 1: rounding of k double additions.
const SUM_TOLERANCE: f64 = 1e-6;

impl Target {
    /// Checks n × k probabilities given row after row.
    ///
    /// # Errors
    /// [`LogError`] when the length is no multiple of `n_arms`, or a row is no distribution.
    pub fn new(n_arms: usize, probabilities: Vec<f64>) -> Result<Self, LogError> {
        if n_arms == 0 || !probabilities.len().is_multiple_of(n_arms) {
            return Err(LogError::Length { column: "target", expected: n_arms, found: probabilities.len() });
        }
        for (row, chunk) in probabilities.chunks_exact(n_arms).enumerate() {
            let sum: f64 = chunk.iter().sum();
            let valid = chunk.iter().all(|p| (0.0..=1.0 + SUM_TOLERANCE).contains(p));
            if !(valid && (sum - 1.0).abs() <= SUM_TOLERANCE) {
                return Err(LogError::Probabilities { row, sum });
            }
        }
        Ok(Self { n_arms, probabilities })
    }

    /// The policy that always takes one path per row.
    ///
    /// # Errors
    /// [`LogError::Arm`] when a position is past `n_arms`.
    pub fn deterministic(n_arms: usize, choices: &[Arm]) -> Result<Self, LogError> {
        let mut probabilities = vec![0.0; n_arms * choices.len()];
        for (row, arm) in choices.iter().enumerate() {
            if arm.index() >= n_arms {
                return Err(LogError::Arm { row, found: arm.index(), n_arms });
            }
            probabilities[row * n_arms + arm.index()] = 1.0;
        }
        Ok(Self { n_arms, probabilities })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.probabilities.len() / self.n_arms
    }

    /// Number of paths.
    pub fn n_arms(&self) -> usize {
        self.n_arms
    }

    /// The probabilities of one row, one per path.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.probabilities[row * self.n_arms..(row + 1) * self.n_arms]
    }
}

/// Whether a column is as long as the first one.
fn check_length(column: &'static str, expected: usize, found: usize) -> Result<(), LogError> {
    if expected == found { Ok(()) } else { Err(LogError::Length { column, expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_names_the_column_that_is_too_short() {
        let error = Log::new(1, &[Arm(0)], &[], &[Propensity::CERTAIN]).unwrap_err();
        assert_eq!(error.to_string(), "column `rewards` has 0 rows where the log has 1");
    }

    #[test]
    fn a_log_refuses_what_is_not_finite() {
        let error = Log::new(1, &[Arm(0)], &[f64::NAN], &[Propensity::CERTAIN]).unwrap_err();
        assert_eq!(error, LogError::NotFinite { row: 0, column: "rewards" });
    }

    #[test]
    fn a_target_row_sums_to_one() {
        assert!(Target::new(2, vec![0.25, 0.75]).is_ok());
        assert!(Target::new(2, vec![0.25, 0.7]).is_err());
        assert!(Target::new(2, vec![-0.25, 1.25]).is_err());
        assert_eq!(Target::deterministic(2, &[Arm(1)]).unwrap().row(0), [0.0, 1.0]);
    }
}
