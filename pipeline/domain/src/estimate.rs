//! What an estimator says.

use serde::{Deserialize, Serialize};

/// A two-sided interval, in the unit of what it bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

impl Interval {
    /// Whether a value lies inside, ends included.
    pub fn contains(self, value: f64) -> bool {
        self.lower <= value && value <= self.upper
    }
}

/// A point estimate with its uncertainty, in the unit of the reward.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Standard error of the estimate.
    pub std_error: f64,
    /// Interval at the level that was asked for.
    pub interval: Interval,
}
