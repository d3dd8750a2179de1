//! Which decisions fall on which day, and when on that day.

use jiff::{civil::Date, tz::TimeZone};
use routewright_domain::Timestamp;

/// Microseconds of a day.
const MICROS_PER_DAY: f64 = 86_400_000_000.0;

/// Traffic per hour of the day (UTC), relative: few at night, most in working hours, many in the evening.
const TRAFFIC: [f64; 24] =
    [1.4, 1.0, 0.8, 0.7, 0.7, 1.0, 1.8, 3.2, 5.0, 6.4, 6.8, 6.5, 5.6, 6.0, 6.6, 6.4, 5.8, 5.4, 5.0, 4.8, 4.6, 4.0, 3.0, 2.0];

/// Traffic of a Saturday or Sunday, relative to a working day.
const WEEKEND: f64 = 0.6;

/// The days of a world: `first_row[day]..first_row[day + 1]` are the decisions of a day, in order of time.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    first_day: Date,
    first_micros: i64,
    first_row: Vec<u64>,
    /// Cumulative share of the traffic before each day; one more entry than days.
    before: Vec<f64>,
    /// Cumulative share of a day's traffic before each hour.
    before_hour: [f64; 25],
}

/// A point in a world's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    /// The day, from 0.
    pub day: u32,
    /// The time.
    pub timestamp: Timestamp,
    /// Share of the days that has passed, in [0, 1).
    pub progress: f64,
}

impl Calendar {
    /// Spreads `n_rows` over `n_days` days, weekends carrying less.
    pub fn new(n_rows: u64, n_days: u32, first_day: Date) -> Self {
        let first_micros = first_day.to_zoned(TimeZone::UTC).map_or(0, |midnight| midnight.timestamp().as_microsecond());
        let first = Timestamp(first_micros).day();
        let weight = |day: u32| if Timestamp((first + i64::from(day)) * MICROS_PER_DAY as i64).weekday() >= 5 { WEEKEND } else { 1.0 };
        let total: f64 = (0..n_days).map(weight).sum();
        let mut before = vec![0.0];
        let mut sum = 0.0;
        for day in 0..n_days {
            sum += weight(day);
            before.push(sum / total);
        }
        let mut first_row: Vec<u64> = before.iter().map(|share| (share * n_rows as f64).round() as u64).collect();
        if let Some(last) = first_row.last_mut() {
            *last = n_rows;
        }
        let day_total: f64 = TRAFFIC.iter().sum();
        let mut before_hour = [0.0; 25];
        for hour in 0..24 {
            before_hour[hour + 1] = before_hour[hour] + TRAFFIC[hour] / day_total;
        }
        Self { first_day, first_micros, first_row, before, before_hour }
    }

    /// The decisions of a day, as positions in the world; empty past the last day.
    pub fn rows(&self, day: u32) -> std::ops::Range<u64> {
        let day = day as usize;
        match (self.first_row.get(day), self.first_row.get(day + 1)) {
            (Some(&start), Some(&end)) => start..end,
            _ => 0..0,
        }
    }

    /// The date of a day; the last date there is for a day past the calendar.
    pub fn date(&self, day: u32) -> Date {
        self.first_day.saturating_add(jiff::Span::new().days(i64::from(day)))
    }

    /// When the decision at a position happens: rows are in order of time, `jitter` in [0, 1) moves each within its turn.
    pub fn moment(&self, row: u64, jitter: f64) -> Moment {
        let day = self.first_row.partition_point(|&first| first <= row).saturating_sub(1).min(self.first_row.len() - 2);
        let (start, end) = (self.first_row[day], self.first_row[day + 1]);
        let share = ((row - start) as f64 + jitter) / (end - start).max(1) as f64;
        self.at(day as u32, share)
    }

    /// The moment at a share of the whole world's traffic, in [0, 1).
    pub fn moment_at(&self, share: f64) -> Moment {
        let day = self.before.partition_point(|&before| before <= share).saturating_sub(1).min(self.before.len() - 2);
        let (start, end) = (self.before[day], self.before[day + 1]);
        self.at(day as u32, (share - start) / (end - start))
    }

    /// The moment at a share of a day's traffic, in [0, 1).
    fn at(&self, day: u32, share: f64) -> Moment {
        let hour = self.before_hour.partition_point(|&before| before <= share).saturating_sub(1).min(23);
        let within = (share - self.before_hour[hour]) / (self.before_hour[hour + 1] - self.before_hour[hour]);
        let of_day = ((hour as f64 + within) / 24.0).clamp(0.0, 1.0 - 1e-9);
        let micros = self.first_micros + i64::from(day) * MICROS_PER_DAY as i64 + (of_day * MICROS_PER_DAY) as i64;
        let n_days = (self.before.len() - 1) as f64;
        Moment { day, timestamp: Timestamp(micros), progress: (f64::from(day) + of_day) / n_days }
    }
}

/// Load of the system by time of day, in [0, 1]: the traffic of the hour relative to the busiest one.
pub(crate) fn load(hour: f64) -> f64 {
    TRAFFIC[(hour as usize).min(23)] / 6.8
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_falls_on_its_day_in_order(n_rows in 1_u64..3_000, n_days in 1_u32..40) {
            let calendar = Calendar::new(n_rows, n_days, date(2026, 1, 1));
            let mut previous = Timestamp(i64::MIN);
            let mut next = 0;
            for day in 0..n_days {
                for row in calendar.rows(day) {
                    prop_assert_eq!(row, next);
                    next += 1;
                    let moment = calendar.moment(row, 0.5);
                    prop_assert_eq!(moment.day, day);
                    prop_assert_eq!(moment.timestamp.day(), 20_454 + i64::from(day));
                    prop_assert!(previous <= moment.timestamp);
                    prop_assert!((0.0..1.0).contains(&moment.progress));
                    previous = moment.timestamp;
                }
            }
            prop_assert_eq!(next, n_rows);
        }
    }

    #[test]
    fn weekends_are_quieter() {
        let calendar = Calendar::new(28_000, 28, date(2026, 1, 1));
        let size = |day| calendar.rows(day).end - calendar.rows(day).start;
        assert_eq!(calendar.date(2).to_string(), "2026-01-03");
        assert!(size(2) < size(1), "the third day is a Saturday");
    }
}
