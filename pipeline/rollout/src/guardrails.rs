//! The guardrails: what stops a rollout, by tests that hold at every look together.
//!
//! Each compares the two groups within nights, so that neither good days nor a growing share can mislead it; the fallbacks are held against a limit and
//! the group sizes against the declared share. The risk of a false alarm is split among them (Bonferroni): half for success, the rest evenly.

use routewright_ope::stats::{Alternative, OddsEvidence, TwoGroups};
use serde::Serialize;

use crate::nights::{Count, GroupNight, Night};
use crate::settings::RolloutSettings;

/// What is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailName {
    /// Success must not fall.
    Success,
    /// The p95 latency must not rise beyond the margin.
    LatencyP95,
    /// Answers must not be made up more often.
    Hallucinations,
    /// Errors must not become more frequent.
    Errors,
    /// The learned router must not fall back more often than the limit says.
    Fallbacks,
    /// The groups must be as large as declared.
    SampleRatio,
    /// Outcomes must be missing equally often in both groups.
    MissingOutcomes,
}

/// Every guardrail, in the order in which it is told.
pub const GUARDRAILS: [GuardrailName; 7] = [
    GuardrailName::Success,
    GuardrailName::LatencyP95,
    GuardrailName::Hallucinations,
    GuardrailName::Errors,
    GuardrailName::Fallbacks,
    GuardrailName::SampleRatio,
    GuardrailName::MissingOutcomes,
];

/// A guardrail after some nights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guardrail {
    /// What is guarded.
    pub name: GuardrailName,
    /// What was counted in the artifact's group.
    pub treatment: Count,
    /// What was counted in the baseline's group; nothing where there is a limit instead.
    pub control: Count,
    /// Probability of a false alarm over all looks.
    pub level: f64,
    /// Smallest anytime-valid p-value so far: the guardrail is breached at or below the level.
    pub p_value: f64,
    /// The day (since 1970) after which it was breached.
    pub breached_on: Option<i64>,
}

impl GuardrailName {
    /// As people say it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::LatencyP95 => "p95 latency",
            Self::Hallucinations => "hallucinations",
            Self::Errors => "errors",
            Self::Fallbacks => "fallbacks",
            Self::SampleRatio => "sample ratio",
            Self::MissingOutcomes => "missing outcomes",
        }
    }

    /// Its part of the risk of a false alarm.
    fn level(self, false_alarms: f64) -> f64 {
        let others = GUARDRAILS.len() as f64 - 1.0;
        if self == Self::Success { false_alarms / 2.0 } else { false_alarms / 2.0 / others }
    }

    fn alternative(self) -> Alternative {
        match self {
            Self::Success => Alternative::Lower,
            Self::SampleRatio | Self::MissingOutcomes => Alternative::Other,
            _ => Alternative::Higher,
        }
    }

    fn of(self, night: &GroupNight) -> Count {
        match self {
            Self::Success => night.successes,
            Self::LatencyP95 => night.slow,
            Self::Hallucinations => night.hallucinations,
            Self::Errors => night.errors,
            Self::Fallbacks => night.fallbacks,
            Self::SampleRatio | Self::MissingOutcomes => night.missing,
        }
    }

    /// Adds a night's counts to the evidence, and gives what was counted.
    fn add(self, night: &Night, limit: f64, evidence: &mut OddsEvidence) -> (Count, Count) {
        let (treatment, control) = (self.of(&night.treatment), self.of(&night.control));
        match self {
            Self::Fallbacks => {
                evidence.add_counts(treatment.hits, treatment.trials, limit);
                (treatment, Count::default())
            }
            Self::SampleRatio => {
                let tasks = treatment.trials + control.trials;
                if 0.0 < night.share && night.share < 1.0 {
                    evidence.add_counts(treatment.trials, tasks, night.share);
                }
                (Count { hits: treatment.trials, trials: tasks }, Count::default())
            }
            _ => {
                let table = TwoGroups { hits: [treatment.hits, control.hits], trials: [treatment.trials, control.trials] };
                evidence.add_groups(table);
                (treatment, control)
            }
        }
    }
}

impl Guardrail {
    /// Whether it was breached at any look.
    pub fn is_breached(&self) -> bool {
        self.breached_on.is_some()
    }
}

/// Holds every guardrail against the nights, in their order.
pub fn guardrails(nights: &[Night], settings: &RolloutSettings) -> Vec<Guardrail> {
    let of = |name: GuardrailName| {
        let level = name.level(settings.false_alarms);
        let mut evidence = OddsEvidence::new(0.0, name.alternative());
        let (mut treatment, mut control) = (Count::default(), Count::default());
        let mut breached_on = None;
        // Nights without traffic for the artifact say nothing about it.
        for night in nights.iter().filter(|night| night.share > 0.0) {
            let counted = name.add(night, settings.max_fallbacks, &mut evidence);
            treatment = treatment.plus(counted.0);
            control = control.plus(counted.1);
            if breached_on.is_none() && evidence.refutes(level) {
                breached_on = Some(night.day);
            }
        }
        Guardrail { name, treatment, control, level, p_value: (-evidence.ln_peak()).exp().min(1.0), breached_on }
    };
    GUARDRAILS.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::night;

    fn breached(nights: &[Night]) -> Vec<GuardrailName> {
        let found = guardrails(nights, &RolloutSettings::default());
        found.iter().filter(|guardrail| guardrail.is_breached()).map(|guardrail| guardrail.name).collect()
    }

    /// Ten nights of 100 tasks against 900, with a change.
    fn nights(change: fn(&mut Night)) -> Vec<Night> {
        (0..10)
            .map(|day| {
                let mut night = night(day, 0.1, [80, 100], [720, 900]);
                change(&mut night);
                night
            })
            .collect()
    }

    #[test]
    fn the_levels_add_up_to_the_risk_that_was_set() {
        let sum: f64 = GUARDRAILS.iter().map(|name| name.level(0.05)).sum();
        assert!((sum - 0.05).abs() < 1e-15);
    }

    #[test]
    fn a_harmless_rollout_breaches_nothing() {
        assert_eq!(breached(&nights(|_| {})), []);
    }

    #[test]
    fn each_harm_breaches_its_own_guardrail() {
        assert_eq!(breached(&nights(|night| night.treatment.successes.hits = 65)), [GuardrailName::Success]);
        assert_eq!(breached(&nights(|night| night.treatment.slow.hits = 15)), [GuardrailName::LatencyP95]);
        assert_eq!(breached(&nights(|night| night.treatment.hallucinations.hits = 12)), [GuardrailName::Hallucinations]);
        assert_eq!(breached(&nights(|night| night.treatment.errors.hits = 12)), [GuardrailName::Errors]);
        assert_eq!(breached(&nights(|night| night.treatment.fallbacks.hits = 70)), [GuardrailName::Fallbacks]);
        assert_eq!(breached(&nights(|night| night.treatment.missing = Count { hits: 3, trials: 150 })), [GuardrailName::SampleRatio]);
        assert_eq!(breached(&nights(|night| night.treatment.missing.hits = 12)), [GuardrailName::MissingOutcomes]);
    }

    #[test]
    fn a_better_artifact_breaches_nothing() {
        let better = nights(|night| {
            night.treatment.successes.hits = 99;
            night.treatment.slow.hits = 0;
            night.treatment.fallbacks.hits = 0;
        });
        assert_eq!(breached(&better), []);
    }

    /// The share was raised on the better day: pooled, the artifact would look worse.
    #[test]
    fn days_that_differ_do_not_mislead() {
        let days: Vec<Night> =
            (0..10).flat_map(|day| [night(2 * day, 0.1, [95, 100], [855, 900]), night(2 * day + 1, 0.5, [250, 500], [250, 500])]).collect();
        assert_eq!(breached(&days), []);
    }

    #[test]
    fn a_breach_is_not_forgotten() {
        let mut rows = nights(|night| night.treatment.successes.hits = 60);
        rows.extend((10..40).map(|day| night(day, 0.1, [90, 100], [720, 900])));
        let found = guardrails(&rows, &RolloutSettings::default());
        assert!(found[0].breached_on.is_some_and(|day| day < 10) && found[0].p_value < 0.025, "{:?}", found[0]);
    }
}
