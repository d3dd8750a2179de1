//! Outcomes counted by night and group: what guardrails look at.
//!
//! A night is a UTC day at one share of the traffic. It counts once it is complete, so that a look never changes what an earlier one saw.

use std::collections::{BTreeMap, VecDeque};

use routewright_domain::Timestamp;
use routewright_ope::stats::quantile;
use routewright_router::Group;
use serde::Serialize;

use crate::settings::RolloutSettings;
use crate::time::{DAY, HOUR};

/// Days of the baseline's latencies that its p95 is taken from.
const LATENCY_DAYS: i64 = 7;

/// Latencies of the baseline below which there is no p95 to compare with.
const MIN_LATENCIES: usize = 100;

/// A task that the gateway put into a group, with what is known of its outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// When the gateway decided.
    pub timestamp: Timestamp,
    /// The group, whatever ran in the end.
    pub group: Group,
    /// Whether it succeeded; unknown while it runs.
    pub success: Option<bool>,
    /// Time to the outcome, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Whether the answer was made up.
    pub hallucination: Option<bool>,
    /// Whether an error was raised.
    pub error: Option<bool>,
    /// Whether the learned router kept the static path for want of confidence, support or a model.
    pub fallback: Option<bool>,
}

/// A time at one share of the traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Period {
    /// Its first moment.
    pub from: Timestamp,
    /// The moment after it.
    pub to: Timestamp,
    /// Share of the traffic in the treatment group.
    pub share: f64,
}

/// How often something was seen, among how many that could have shown it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How often.
    pub hits: u64,
    /// Among how many.
    pub trials: u64,
}

impl Count {
    /// Counts what is known.
    pub fn add(&mut self, value: Option<bool>) {
        if let Some(hit) = value {
            self.trials += 1;
            self.hits += u64::from(hit);
        }
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, trials: self.trials + other.trials }
    }

    /// The share; none of nothing.
    pub fn rate(self) -> Option<f64> {
        (self.trials > 0).then(|| self.hits as f64 / self.trials as f64)
    }
}

/// What a group did in a night.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupNight {
    /// Tasks without an outcome, among all.
    pub missing: Count,
    /// Successes, among tasks with an outcome.
    pub successes: Count,
    /// Tasks slower than the baseline's p95 of the days before; of the treatment group, slower by more than the margin.
    pub slow: Count,
    /// Made-up answers.
    pub hallucinations: Count,
    /// Errors.
    pub errors: Count,
    /// Fallbacks to the static path.
    pub fallbacks: Count,
}

/// A complete night.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Night {
    /// Days since 1970.
    pub day: i64,
    /// Position of the period.
    pub period: usize,
    /// Share of the traffic in the treatment group.
    pub share: f64,
    /// The artifact's group.
    pub treatment: GroupNight,
    /// The baseline's group.
    pub control: GroupNight,
    /// The baseline's p95 latency of the days before, in milliseconds; none while there are too few.
    pub baseline_p95_ms: Option<f64>,
}

/// Counts outcomes by night, in the order of days and periods. `periods`: in order of time; `now`: the look.
pub fn nights(outcomes: &[Outcome], periods: &[Period], settings: &RolloutSettings, now: Timestamp) -> Vec<Night> {
    let mut rows: BTreeMap<(i64, usize), Vec<&Outcome>> = BTreeMap::new();
    let settle = (settings.settle_hours * HOUR) as i64;
    for outcome in outcomes {
        let (time, day) = (outcome.timestamp, outcome.timestamp.day());
        let complete_from = day.saturating_add(1).saturating_mul(DAY).saturating_add(settle);
        let period = periods.iter().position(|period| period.from <= time && time < period.to);
        if let Some(period) = period.filter(|_| complete_from <= now.0) {
            rows.entry((day, period)).or_default().push(outcome);
        }
    }
    let mut past: VecDeque<(i64, Vec<f64>)> = VecDeque::new();
    let mut found = Vec::with_capacity(rows.len());
    for ((day, period), rows) in rows {
        while past.front().is_some_and(|(earlier, _)| *earlier + LATENCY_DAYS < day) {
            past.pop_front();
        }
        // Of earlier days only: the bar is known before the night begins.
        let before: Vec<f64> = past.iter().filter(|(earlier, _)| *earlier < day).flat_map(|(_, values)| values).copied().collect();
        let baseline_p95_ms = if before.len() < MIN_LATENCIES { None } else { Some(quantile(&before, 0.95)) };
        let mut night = Night {
            day,
            period,
            share: periods[period].share,
            treatment: GroupNight::default(),
            control: GroupNight::default(),
            baseline_p95_ms,
        };
        let mut latencies = Vec::new();
        for outcome in rows {
            let is_treated = outcome.group == Group::Treatment;
            let factor = if is_treated { settings.latency_margin } else { 1.0 };
            let slow = baseline_p95_ms.zip(outcome.latency_ms).map(|(bar, latency)| latency > bar * factor);
            let side = if is_treated { &mut night.treatment } else { &mut night.control };
            side.missing.add(Some(outcome.success.is_none()));
            side.successes.add(outcome.success);
            side.slow.add(slow);
            side.hallucinations.add(outcome.hallucination);
            side.errors.add(outcome.error);
            side.fallbacks.add(outcome.fallback);
            latencies.extend(outcome.latency_ms.filter(|_| !is_treated));
        }
        past.push_back((day, latencies));
        found.push(night);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::outcome;

    fn period(from: i64, to: i64, share: f64) -> Period {
        Period { from: Timestamp(from * DAY), to: Timestamp(to * DAY), share }
    }

    fn of(outcomes: &[Outcome], periods: &[Period], now: i64) -> Vec<Night> {
        nights(outcomes, periods, &RolloutSettings::default(), Timestamp(now))
    }

    #[test]
    fn a_night_counts_once_it_is_complete() {
        let outcomes = [outcome(0, Group::Control, true), outcome(1, Group::Control, true)];
        let periods = [period(0, 9, 0.1)];
        let hour = HOUR as i64;
        assert_eq!(of(&outcomes, &periods, DAY + hour - 1), []);
        assert_eq!(of(&outcomes, &periods, DAY + hour).len(), 1);
        assert_eq!(of(&outcomes, &periods, 2 * DAY + hour).len(), 2);
    }

    #[test]
    fn a_day_with_two_shares_is_two_nights() {
        let half = |hours: i64| Outcome { timestamp: Timestamp(hours * HOUR as i64), ..outcome(0, Group::Treatment, true) };
        let noon = Period { to: Timestamp(DAY / 2), ..period(0, 1, 0.1) };
        let later = Period { from: Timestamp(DAY / 2 + HOUR as i64), ..period(0, 9, 0.25) };
        let found = of(&[half(1), half(12), half(14)], &[noon, later], 9 * DAY);
        let seen: Vec<_> = found.iter().map(|night| (night.period, night.share, night.treatment.successes.trials)).collect();
        assert_eq!(seen, [(0, 0.1, 1), (1, 0.25, 1)], "the hour of the change does not count");
    }

    #[test]
    fn the_bar_of_latency_is_that_of_earlier_days() {
        let slow = |day: i64, group, latency: f64| Outcome { latency_ms: Some(latency), ..outcome(day, group, true) };
        let mut outcomes: Vec<Outcome> = (0..200).map(|row| slow(0, Group::Control, f64::from(row))).collect();
        outcomes.extend([slow(1, Group::Control, 195.0), slow(1, Group::Treatment, 195.0), slow(1, Group::Treatment, 220.0)]);
        let found = of(&outcomes, &[period(0, 9, 0.5)], 9 * DAY);
        assert_eq!((found[0].baseline_p95_ms, found[0].control.slow.trials), (None, 0));
        assert!((found[1].baseline_p95_ms.unwrap() - 189.05).abs() < 1e-9, "{found:?}");
        assert_eq!(
            (found[1].control.slow.hits, found[1].treatment.slow),
            (1, Count { hits: 1, trials: 2 }),
            "within the margin is not slow"
        );
    }
}
