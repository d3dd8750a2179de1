//! Settings of `[deploy]`.

use serde::{Deserialize, Serialize};

/// What happens when a guardrail is breached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBreach {
    /// The baseline takes all traffic at once.
    #[default]
    Rollback,
    /// The share stays; nothing is promoted any more.
    Hold,
}

/// Settings of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutSettings {
    /// Verdicts of the gate under which an artifact may take traffic.
    pub accept: Vec<String>,
    /// Whether the nightly run takes steps by itself.
    pub automatic: bool,
    /// What it does when a guardrail is breached.
    pub on_breach: OnBreach,
    /// Days that a step lasts at least.
    pub min_days: f64,
    /// Outcomes that a step needs at least, of each group that has traffic.
    pub min_outcomes: u64,
    /// Points of success by which the artifact must be proven not to be worse before it gets more than the canary's traffic.
    pub harm_points: f64,
    /// Probability of taking that for proven where it is not.
    pub harm_risk: f64,
    /// Probability that any guardrail stops a harmless rollout, over all its looks.
    pub false_alarms: f64,
    /// How many times the baseline's p95 latency the artifact's may be.
    pub latency_margin: f64,
    /// Largest share of the artifact's decisions that may fall back to the static path.
    pub max_fallbacks: f64,
    /// Hours after midnight (UTC) from which a day's outcomes count as complete.
    pub settle_hours: f64,
    /// Minutes after a change of the share that do not count: routers take it up one by one.
    pub grace_minutes: f64,
    /// Hours that the newest outcome may be old when a step is taken.
    pub max_age_hours: f64,
    /// Share of the traffic that stays on the baseline at full, so that guardrails go on comparing.
    pub holdback: f64,
    /// Artifacts that are kept to roll back to, beside those in use.
    pub keep: usize,
    /// Folder of the vector store that the gateway retrieves context from; empty where it retrieves none.
    pub vectorstore: String,
}

impl Default for RolloutSettings {
    fn default() -> Self {
        Self {
            accept: vec!["ADOPT".to_owned(), "HYBRID".to_owned()],
            automatic: false,
            on_breach: OnBreach::Rollback,
            min_days: 7.0,
            min_outcomes: 100,
            harm_points: 5.0,
            harm_risk: 0.05,
            false_alarms: 0.05,
            latency_margin: 1.1,
            max_fallbacks: 0.5,
            settle_hours: 1.0,
            grace_minutes: 15.0,
            max_age_hours: 48.0,
            holdback: 0.0,
            keep: 5,
            vectorstore: String::new(),
        }
    }
}

impl RolloutSettings {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// The key, and what is wrong with its value.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let open = |key, value: f64| within(key, value, 0.0 < value && value < 1.0, "between 0 and 1");
        let amount = |key, value: f64| within(key, value, value.is_finite() && 0.0 <= value, "at least 0");
        amount("min_days", self.min_days)?;
        within("harm_points", self.harm_points, 0.0 < self.harm_points && self.harm_points < 100.0, "between 0 and 100")?;
        open("harm_risk", self.harm_risk)?;
        open("false_alarms", self.false_alarms)?;
        within("latency_margin", self.latency_margin, self.latency_margin.is_finite() && 1.0 <= self.latency_margin, "at least 1")?;
        open("max_fallbacks", self.max_fallbacks)?;
        within("settle_hours", self.settle_hours, (0.0..=720.0).contains(&self.settle_hours), "in [0, 720]")?;
        within("grace_minutes", self.grace_minutes, (0.0..=1440.0).contains(&self.grace_minutes), "in [0, 1440]")?;
        amount("max_age_hours", self.max_age_hours)?;
        within("holdback", self.holdback, (0.0..=0.2).contains(&self.holdback), "in [0, 0.2]")
    }
}

fn within(key: &'static str, value: f64, is_fine: bool, expected: &str) -> Result<(), (&'static str, String)> {
    if is_fine { Ok(()) } else { Err((key, format!("must lie {expected}, found {value}").replace("lie at", "be at"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused() {
        let refused = |settings: RolloutSettings| settings.check().unwrap_err();
        assert_eq!(
            refused(RolloutSettings { false_alarms: 5.0, ..RolloutSettings::default() }),
            ("false_alarms", "must lie between 0 and 1, found 5".to_owned())
        );
        assert_eq!(
            refused(RolloutSettings { latency_margin: 0.9, ..RolloutSettings::default() }),
            ("latency_margin", "must be at least 1, found 0.9".to_owned())
        );
        assert_eq!(refused(RolloutSettings { min_days: f64::NAN, ..RolloutSettings::default() }).0, "min_days");
        assert_eq!(refused(RolloutSettings { holdback: 0.5, ..RolloutSettings::default() }).0, "holdback");
    }
}
