//! The probability with which a logger chose what it chose.

use serde::{Deserialize, Serialize};

/// Probability with which the logging policy chose the path that ran: in (0, 1].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Propensity(f64);

/// A number that is no probability of something that happened.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("propensity must lie in (0, 1], found {0}")]
pub struct InvalidPropensity(pub f64);

impl Propensity {
    /// The propensity of a choice that was certain.
    pub const CERTAIN: Self = Self(1.0);

    /// The probability as a number in (0, 1].
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Propensity {
    type Error = InvalidPropensity;

    fn try_from(value: f64) -> Result<Self, InvalidPropensity> {
        if 0.0 < value && value <= 1.0 { Ok(Self(value)) } else { Err(InvalidPropensity(value)) }
    }
}

impl From<Propensity> for f64 {
    fn from(propensity: Propensity) -> Self {
        propensity.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_probabilities_of_something_that_happened_exist() {
        for bad in [0.0, -0.1, 1.000_001, f64::NAN, f64::INFINITY] {
            assert!(Propensity::try_from(bad).is_err(), "{bad}");
        }
        assert_eq!(Propensity::try_from(1.0), Ok(Propensity::CERTAIN));
    }
}
