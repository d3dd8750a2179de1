//! Why an estimate cannot be given.

use routewright_domain::LogError;

/// Why an estimate cannot be given.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OpeError {
    /// Columns that do not make a log or a target.
    #[error("the columns do not fit together")]
    Log(#[from] LogError),
    /// A column of another length than the log.
    #[error("`{column}` has {found} values where {expected} are needed")]
    Length {
        /// The column.
        column: &'static str,
        /// Values needed.
        expected: usize,
        /// Values found.
        found: usize,
    },
    /// A number that is not finite.
    #[error("`{column}`, value {row} is not finite")]
    NotFinite {
        /// The column.
        column: &'static str,
        /// Position in the column, from 0.
        row: usize,
    },
    /// A model-based estimator without a reward model.
    #[error("`{estimator}` needs a reward model ({model})")]
    MissingModel {
        /// The estimator.
        estimator: &'static str,
        /// The model it needs.
        model: &'static str,
    },
    /// Replay matching with a policy that randomises.
    #[error("row {row}: replay matching needs a target that takes one path for certain")]
    StochasticTarget {
        /// The row, from 0.
        row: usize,
    },
    /// No row took a path that the target takes.
    #[error("no logged row took a path of the target, so nothing can be learned about it")]
    NoOverlap,
    /// A success outside [0, 1].
    #[error("row {row}: a success must lie in [0, 1], found {found}")]
    NotSuccess {
        /// The row, from 0.
        row: usize,
        /// The value found.
        found: f64,
    },
    /// A setting outside its range.
    #[error("`{name}` must {expected}, found {found}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
        /// The value found.
        found: f64,
    },
}

/// Checks that a column has the length that is needed.
pub(crate) fn check_length(column: &'static str, expected: usize, found: usize) -> Result<(), OpeError> {
    if expected == found { Ok(()) } else { Err(OpeError::Length { column, expected, found }) }
}

/// Checks that every value of a column is finite.
pub(crate) fn check_finite(column: &'static str, values: &[f64]) -> Result<(), OpeError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(row) => Err(OpeError::NotFinite { column, row }),
        None => Ok(()),
    }
}
