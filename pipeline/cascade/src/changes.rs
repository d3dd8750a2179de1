//! When latencies changed: the moment that splits a series best, where the split is too large for chance.

use std::collections::BTreeMap;

use routewright_domain::{Name, Timestamp};
use serde::{Deserialize, Serialize};

use crate::scope::Scope;

/// Values on each side of a change.
const MIN_VALUES: f64 = 50.0;

/// Standard errors from which a split counts. Among the 200 hours of a week and a day, chance alone passes 5 about once in 10,000 series.
const MIN_ERRORS: f64 = 5.0;

/// Smallest ratio of typical latencies that is worth a line.
const MIN_RATIO: f64 = 1.1;

/// A change of a latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// `latency`, or the layer, path or backend.
    pub name: String,
    /// What the name is: `all`, `layer`, `path` or `backend`.
    pub kind: String,
    /// Start of the hour from which it is different.
    pub at: Timestamp,
    /// Typical latency (geometric mean) before, in milliseconds.
    pub before_ms: f64,
    /// Typical latency from then on, in milliseconds.
    pub after_ms: f64,
    /// after / before.
    pub ratio: f64,
    /// Difference of the mean logarithms, in standard errors (Welch).
    pub errors: f64,
}

impl Change {
    /// The moment as `YYYY-MM-DD HH:00 UTC`.
    pub fn at_text(&self) -> String {
        let hour = self.at.hour_of_day() as u32;
        let (year, month, day) = civil(self.at.day());
        format!("{year:04}-{month:02}-{day:02} {hour:02}:00 UTC")
    }
}

/// Sums of logarithms in one hour.
#[derive(Clone, Copy, Debug, Default)]
struct Hour {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Hour {
    fn add(&mut self, value: f64) {
        self.n += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn plus(self, other: Self) -> Self {
        Self { n: self.n + other.n, sum: self.sum + other.sum, squares: self.squares + other.squares }
    }

    fn minus(self, other: Self) -> Self {
        Self { n: self.n - other.n, sum: self.sum - other.sum, squares: self.squares - other.squares }
    }

    fn mean(self) -> f64 {
        self.sum / self.n
    }

    /// Squared standard error of the mean.
    fn error2(self) -> f64 {
        ((self.squares - self.sum * self.sum / self.n) / (self.n - 1.0)).max(0.0) / self.n
    }
}

/// Hours of every series, in order; a series without a name is that of all events.
type Series = BTreeMap<(&'static str, Option<Name>), BTreeMap<i64, Hour>>;

/// The changes over the week before a window and the window, largest first. `before`: positions of the events of that week.
pub(crate) fn changes(scope: &Scope<'_>, before: std::ops::Range<usize>) -> Vec<Change> {
    const HOUR: i64 = 3_600_000_000;
    let log = scope.log();
    let mut series = Series::new();
    let range = before.start.min(scope.range().start)..scope.range().end;
    for event in &log.events()[range] {
        let hour = event.timestamp.0.div_euclid(HOUR);
        let mut add = |kind: &'static str, name: Option<Name>, latency: Option<f64>| {
            if let Some(latency) = latency.filter(|latency| *latency > 0.0) {
                series.entry((kind, name)).or_default().entry(hour).or_default().add(latency.ln());
            }
        };
        add("all", None, event.latency_ms);
        add("path", Some(event.path), event.latency_ms);
        add("backend", event.backend, event.latency_ms.filter(|_| event.backend.is_some()));
        for attempt in log.attempts(event) {
            add("layer", Some(attempt.layer), attempt.latency_ms);
            add("backend", attempt.backend, attempt.latency_ms.filter(|_| attempt.backend.is_some()));
        }
    }
    let mut found: Vec<Change> = series
        .into_iter()
        .filter_map(|((kind, name), hours)| {
            let (hour, before, after, errors) = best_split(&hours)?;
            let ratio = (after - before).exp();
            (ratio.max(1.0 / ratio) >= MIN_RATIO).then(|| Change {
                name: name.map_or("latency", |name| log.text(name)).to_owned(),
                kind: kind.to_owned(),
                at: Timestamp(hour * HOUR),
                before_ms: before.exp(),
                after_ms: after.exp(),
                ratio,
                errors,
            })
        })
        .collect();
    found.sort_by(|one, other| other.errors.total_cmp(&one.errors).then_with(|| one.name.cmp(&other.name)));
    found
}

/// The hour that splits a series best: its mean logarithms before and from then on, and their distance in standard errors.
fn best_split(hours: &BTreeMap<i64, Hour>) -> Option<(i64, f64, f64, f64)> {
    let all = hours.values().fold(Hour::default(), |all, hour| all.plus(*hour));
    let mut left = Hour::default();
    let mut best: Option<(i64, f64, f64, f64)> = None;
    for (&hour, sums) in hours {
        let right = all.minus(left);
        if left.n >= MIN_VALUES && right.n >= MIN_VALUES {
            let error = (left.error2() + right.error2()).sqrt().max(1e-12);
            let errors = (right.mean() - left.mean()).abs() / error;
            if errors >= MIN_ERRORS && best.is_none_or(|(_, _, _, known)| errors > known) {
                best = Some((hour, left.mean(), right.mean(), errors));
            }
        }
        left = left.plus(*sums);
    }
    best
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{answer, log_of, uniform_log};

    #[test]
    fn a_layer_that_became_slow_is_found_at_its_hour() {
        let with = |row: usize| {
            let latency = if row < 1_200 { 10.0 } else { 15.0 } + (row % 7) as f64;
            [routewright_domain::LayerAttempt { latency_ms: Some(latency), ..answer("one", 1, 0.9, "a") }]
        };
        let answers: Vec<_> = (0..2_400).map(with).collect();
        let log = log_of(&answers.iter().map(|answers| (Some("a"), &answers[..])).collect::<Vec<_>>());
        let changes = changes(&Scope::new(&log, 2_000..2_400, ""), 0..2_000);
        let layer = changes.iter().find(|change| change.kind == "layer").unwrap();
        assert_eq!((layer.name.as_str(), layer.at), ("one", Timestamp(1_200 * 60_000_000)));
        assert!((1.3..1.5).contains(&layer.ratio));
        assert_eq!(layer.at_text(), "1970-01-01 20:00 UTC");
    }

    #[test]
    fn nothing_is_found_where_nothing_changed() {
        for seed in 0..5 {
            let log = uniform_log(3_000, [0.6, 0.7], 0.0, seed);
            assert_eq!(changes(&Scope::new(&log, 2_000..3_000, ""), 0..2_000), []);
        }
    }

    #[test]
    fn days_have_their_dates() {
        assert_eq!([civil(0), civil(19_782), civil(20_778), civil(-1)], [(1970, 1, 1), (2024, 2, 29), (2026, 11, 21), (1969, 12, 31)]);
    }
}
