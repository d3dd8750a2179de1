//! Points in time.

use serde::{Deserialize, Serialize};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Days since 1970-01-01, UTC.
    pub fn day(self) -> i64 {
        self.0.div_euclid(MICROS_PER_DAY)
    }

    /// Hours since midnight UTC, in [0, 24).
    pub fn hour_of_day(self) -> f64 {
        self.0.rem_euclid(MICROS_PER_DAY) as f64 / 3_600_000_000.0
    }

    /// Day of the week, Monday = 0.
    pub fn weekday(self) -> u8 {
        (self.day() + 3).rem_euclid(7) as u8
    }

    /// This point moved by a number of milliseconds, at the ends of the range held there.
    pub fn plus_millis(self, millis: f64) -> Self {
        Self(self.0.saturating_add((millis * 1000.0) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_was_a_thursday() {
        assert_eq!(Timestamp(0).weekday(), 3);
        assert_eq!(Timestamp(-1).day(), -1);
        assert_eq!(Timestamp(-1).weekday(), 2);
        assert_eq!(Timestamp(MICROS_PER_DAY / 2).hour_of_day(), 12.0);
    }
}
