//! Days that are written while later ones are read: most logs stand in the order of time, so a day is whole long before the last row is
//! read, and its rows need not wait. A day that turns out not to have been whole, or to have lost a row to another one, is written again
//! from the log.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Ingest;
use crate::error::TableError;
use crate::ingest::IngestPlaces;
use crate::spill::Spill;
use crate::write::{Kept, Written, remove_day};

/// Days that may turn out not to have been whole before no more are written early: then the log is in no order of time.
const MAX_REOPENED: usize = 8;

/// The days that were written early.
#[derive(Default)]
pub(super) struct Early {
    days: BTreeMap<i64, EarlyDay>,
    /// Of these, days that got more rows.
    reopened: BTreeSet<i64>,
    /// Days that a day must lie behind the newest one, as far as rows came late so far.
    lag: i64,
}

/// A day that was written early.
struct EarlyDay {
    written: Written,
    /// Rows from this place in the order of reading on came too late.
    end: u64,
}

impl Early {
    /// Days whose rows seem to be all there. `is_known`: days of which an earlier ingest has rows.
    pub(super) fn choose(&mut self, spill: &Spill, is_known: impl Fn(i64) -> bool) -> Vec<i64> {
        let newest = spill.days().last().copied().unwrap_or(0);
        for day in self.days.keys().filter(|day| spill.has(**day)) {
            if self.reopened.insert(*day) {
                self.lag = self.lag.max(newest.saturating_sub(*day).saturating_add(1));
            }
        }
        if self.reopened.len() > MAX_REOPENED {
            return Vec::new();
        }
        let behind = spill.days_behind(self.lag.max(1));
        behind.into_iter().filter(|day| !self.days.contains_key(day) && !is_known(*day)).collect()
    }

    /// Takes note of days that were written, and takes their rows out of `spill`.
    pub(super) fn take(&mut self, days: &[i64], written: Vec<Written>, kept: &Kept, spill: &mut Spill) {
        for (day, written) in days.iter().zip(written) {
            spill.remove(*day);
            self.days.insert(*day, EarlyDay { written, end: kept.n_rows() });
        }
    }

    /// The days that have to be written again, of which `kept_rows` says how many rows they have now; their files are removed.
    pub(super) fn stale(
        &self,
        kept_rows: &BTreeMap<i64, u64>,
        left_out: &HashSet<u64>,
        ingest: &Ingest<'_>,
    ) -> Result<BTreeSet<i64>, TableError> {
        let is_whole = |day: i64, early: &EarlyDay| {
            let n_rows = early.written.days.values().sum();
            !ingest.spill.has(day) && !ingest.kept.is_thinned(day) && left_out.is_empty() && kept_rows.get(&day) == Some(&n_rows)
        };
        let stale: BTreeSet<i64> = self.days.iter().filter(|(day, early)| !is_whole(**day, early)).map(|(day, _)| *day).collect();
        stale.iter().try_for_each(|day| remove_day(*day, ingest.places))?;
        Ok(stale)
    }

    /// Whether a row is no longer held because its day was written early.
    pub(super) fn holds(&self, day: i64, sequence: u64) -> bool {
        self.days.get(&day).is_some_and(|early| sequence < early.end)
    }

    /// The days that stay as they were written, and what they have.
    pub(super) fn whole(self, stale: &BTreeSet<i64>) -> (BTreeSet<i64>, Written) {
        let (mut days, mut all) = (BTreeSet::new(), Written::default());
        for (day, early) in self.days.into_iter().filter(|(day, _)| !stale.contains(day)) {
            days.insert(day);
            all.add(early.written);
        }
        (days, all)
    }

    /// Removes everything that was written.
    pub(super) fn remove(&self, places: &IngestPlaces) -> Result<(), TableError> {
        self.days.keys().try_for_each(|day| remove_day(*day, places))
    }
}
