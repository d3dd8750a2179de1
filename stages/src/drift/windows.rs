//! The two windows: their rows and days, and the arrangements of the days.

use std::collections::BTreeMap;

use routewright_domain::{Seed, Timestamp};
use routewright_ope::stats::Windows;
use routewright_table::FeatureTable;

use super::{DriftParams, verdict};
use crate::artifacts::DriftWindow;
use crate::predictions::thinned;

/// Rows of a window below which nothing is compared.
const MIN_ROWS: usize = 100;

/// Days of the current window, and of the reference window, below which nothing is compared.
const MIN_DAYS: [usize; 2] = [3, 6];

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The rows of both windows, in the order of time.
pub(super) struct Compared<'a> {
    pub params: &'a DriftParams,
    pub table: &'a FeatureTable,
    pub seed: Seed,
    /// Rows of the feature table.
    pub rows: Vec<u32>,
    /// Whether each row is in the current window.
    pub is_current: Vec<bool>,
    /// Position of each row's day among the days.
    pub day: Vec<u32>,
    /// Days with rows, counted from 1970.
    pub days: Vec<i64>,
    /// Which days are current, and which may change places.
    pub windows: Windows,
    /// Arrangements of the days.
    pub permutations: Vec<Vec<bool>>,
}

impl<'a> Compared<'a> {
    /// The newest days of a table against those before.
    pub fn new(params: &'a DriftParams, table: &'a FeatureTable, seed: Seed) -> Self {
        let times = &table.outcomes.timestamps;
        let last = times.iter().map(|time| time.day()).max().unwrap_or_default();
        let boundary = last - i64::from(params.current_days);
        let first = if params.reference_days == 0 { i64::MIN } else { boundary - i64::from(params.reference_days) };
        let rows: Vec<u32> = (0..table.n_rows() as u32).filter(|row| first < times[*row as usize].day()).collect();
        let own_day = |row: &u32| times[*row as usize].day();
        let numbers: BTreeMap<i64, u32> = rows.iter().map(|row| (own_day(row), 0)).collect();
        let days: Vec<i64> = numbers.into_keys().collect();
        let day = rows.iter().map(|row| days.partition_point(|day| *day < own_day(row)) as u32).collect();
        let strata = days.iter().map(|day| u32::from(Timestamp(day * DAY).weekday())).collect();
        let level = params.level / verdict::N_FAMILIES;
        let windows = Windows::new(days.iter().map(|day| *day > boundary).collect(), strata, level);
        let permutations = windows.permutations(params.permutations, &mut seed.derive("days", 0).rng());
        let is_current = rows.iter().map(|row| own_day(row) > boundary).collect();
        Self { params, table, seed, rows, is_current, day, days, windows, permutations }
    }

    /// Why nothing can be compared; `None` where it can.
    pub fn too_short(&self) -> Option<String> {
        let (current, reference) = (self.window(true), self.window(false));
        let [least_current, least_reference] = MIN_DAYS;
        if current.days < least_current || reference.days < least_reference {
            return Some(format!(
                "{} days against {} before them say nothing: {least_current} and {least_reference} are needed",
                current.days, reference.days
            ));
        }
        if current.rows < MIN_ROWS || reference.rows < MIN_ROWS {
            return Some(format!("{} decisions against {} say nothing: {MIN_ROWS} of each are needed", current.rows, reference.rows));
        }
        let smallest = self.windows.smallest_p() * verdict::N_FAMILIES;
        (self.params.level < smallest).then(|| {
            format!(
                "the days of these windows have so few arrangements that no p-value falls below {smallest:.3}, where {} is asked for",
                self.params.level
            )
        })
    }

    /// One of the windows in short.
    pub fn window(&self, current: bool) -> DriftWindow {
        let days: Vec<i64> =
            self.days.iter().zip(self.windows.current()).filter(|(_, own)| **own == current).map(|(day, _)| *day).collect();
        DriftWindow {
            first: days.first().copied().map(date).unwrap_or_default(),
            last: days.last().copied().map(date).unwrap_or_default(),
            days: days.len(),
            rows: self.is_current.iter().filter(|own| **own == current).count(),
        }
    }

    /// At most so many positions of each window, evenly spread, the reference's first: a window that has few keeps all of them.
    pub fn thinned(&self, positions: &[u32], most: usize) -> Vec<u32> {
        let (current, reference): (Vec<u32>, Vec<u32>) = positions.iter().partition(|at| self.is_current[**at as usize]);
        [thinned(&reference, most), thinned(&current, most)].concat()
    }

    /// Positions among the rows of the first row of every query: what was asked counts once.
    pub fn queries(&self) -> Vec<usize> {
        let mut seen = std::collections::BTreeSet::new();
        (0..self.rows.len()).filter(|position| seen.insert(self.table.outcomes.query_ids[self.rows[*position] as usize].as_str())).collect()
    }
}

/// A day counted from 1970 as a date.
pub(super) fn date(day: i64) -> String {
    crate::time::day(day.saturating_mul(DAY))
}

#[cfg(test)]
mod tests {
    use routewright_table::Outcomes;

    use super::*;

    #[test]
    fn a_window_with_few_rows_keeps_all_of_them() {
        // One row a day for four weeks, then a hundred.
        let rows_of = |day: i64| if day < 28 { 1 } else { 100 };
        let timestamps: Vec<Timestamp> = (0..35).flat_map(|day| (0..rows_of(day)).map(move |row| Timestamp(day * DAY + row))).collect();
        let arms = vec![routewright_domain::Arm(0); timestamps.len()];
        let table = FeatureTable { outcomes: Outcomes { arms, timestamps, ..Outcomes::default() }, ..FeatureTable::default() };
        let params = DriftParams::default();
        let compared = Compared::new(&params, &table, Seed(1));
        let all: Vec<u32> = (0..compared.rows.len() as u32).collect();
        let found = compared.thinned(&all, 70);
        assert_eq!((found[..28].to_vec(), found.len()), ((0..28).collect(), 98));
        assert!(found[28..].iter().all(|at| compared.is_current[*at as usize]));
        assert_eq!(compared.thinned(&all, 1_000), all);
    }
}
