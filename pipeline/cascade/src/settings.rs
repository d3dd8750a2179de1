//! The settings of a cascade's analysis, tuning and alerts, with their ranges.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// Settings of the tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TuneSettings {
    /// How far a threshold moves at most.
    pub step: f64,
    /// How many steps an aggressive tuning may take.
    pub aggressive: f64,
    /// Outcomes among the attempts of a layer below which its threshold stays.
    pub min_samples: u64,
    /// Accuracy that one second of routing is worth.
    pub lambda_latency: f64,
    /// Accuracy that not having to ask the user is worth.
    pub clarification_cost: f64,
    /// Largest share of events that may ask the user, unless more do already.
    pub max_clarification: f64,
    /// Share of the events, the last in time, that the improvement is proven on.
    pub held_out: f64,
    /// Events seen by later layers that a higher threshold needs before what it passes on counts as known.
    pub min_seen: u64,
}

impl Default for TuneSettings {
    fn default() -> Self {
        Self {
            step: 0.05,
            aggressive: 2.0,
            min_samples: 100,
            lambda_latency: 0.02,
            clarification_cost: 0.08,
            max_clarification: 0.10,
            held_out: 0.3,
            min_seen: 30,
        }
    }
}

impl TuneSettings {
    /// Checks every range.
    ///
    /// # Errors
    /// The key of the first setting that does not hold, and what is expected.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        within("step", self.step, 0.001, 0.5)?;
        within("aggressive", self.aggressive, 1.0, 10.0)?;
        within("lambda_latency", self.lambda_latency, 0.0, 100.0)?;
        within("clarification_cost", self.clarification_cost, 0.0, 1.0)?;
        within("max_clarification", self.max_clarification, 0.0, 1.0)?;
        within("held_out", self.held_out, 0.1, 0.9)
    }
}

/// Checks a range, ends included; NaN lies in none.
pub(crate) fn within(key: &'static str, found: f64, lowest: f64, highest: f64) -> Result<(), (&'static str, String)> {
    if (lowest..=highest).contains(&found) { Ok(()) } else { Err((key, format!("must lie in [{lowest}, {highest}], found {found}"))) }
}

/// A number that an alert watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of right paths; of one layer's answers where a layer is named.
    Accuracy,
    /// Share of tasks that succeeded.
    SuccessRate,
    /// Share of all events that a layer settled.
    Capture,
    /// Share of a layer's attempts that it settled.
    LayerSuccess,
    /// Share of events that asked the user.
    ClarificationRate,
    /// Mean latency in milliseconds, of a layer where one is named.
    LatencyMean,
    /// Median latency in milliseconds, of a layer where one is named.
    LatencyP50,
    /// 95th percentile of the latency in milliseconds, of a layer where one is named.
    LatencyP95,
    /// 99th percentile of the latency in milliseconds, of a layer where one is named.
    LatencyP99,
    /// Share of answers from a cache, of a layer where one is named.
    CacheHitRate,
    /// Events per hour.
    EventsPerHour,
    /// Hours since the last event.
    HoursSinceEvent,
    /// Probability of the split of a randomised test, if it was drawn as declared.
    SplitP,
}

/// When a metric is bad.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertRule {
    /// What is watched.
    pub metric: Metric,
    /// Name or place (from 1) of a layer; empty for all events.
    pub layer: String,
    /// Where it should be.
    pub target: f64,
    /// Where it fires: below this where the target is above, above it where the target is below.
    pub alert: f64,
    /// Where a firing alert ends; halfway between `alert` and `target` where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear: Option<f64>,
    /// Events that the metric is made of below which it says nothing.
    pub min_count: u64,
}

/// Events below which a share is no reason to wake somebody.
const MIN_COUNT: u64 = 50;

/// The alerts by name. What `pipeline.toml` says is added to the shipped ones; of a shipped one it changes what it says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct AlertRules(pub BTreeMap<String, AlertRule>);

impl Default for AlertRules {
    fn default() -> Self {
        let rule = |metric, layer: &str, target, alert| AlertRule {
            metric,
            layer: layer.to_owned(),
            target,
            alert,
            clear: None,
            min_count: MIN_COUNT,
        };
        let rules = [
            ("accuracy", rule(Metric::Accuracy, "", 0.95, 0.90)),
            ("capture_1", rule(Metric::Capture, "1", 0.30, 0.20)),
            ("capture_2", rule(Metric::Capture, "2", 0.40, 0.30)),
            ("clarification", rule(Metric::ClarificationRate, "", 0.05, 0.10)),
            ("latency", rule(Metric::LatencyMean, "", 100.0, 200.0)),
        ];
        Self(rules.into_iter().map(|(name, rule)| (name.to_owned(), rule)).collect())
    }
}

/// A rule as it is written: what it does not say is as in the shipped rule of its name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    metric: Option<Metric>,
    layer: Option<String>,
    target: Option<f64>,
    alert: Option<f64>,
    clear: Option<f64>,
    min_count: Option<u64>,
}

impl<'de> Deserialize<'de> for AlertRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = BTreeMap::<String, WrittenRule>::deserialize(deserializer)?;
        let mut rules = Self::default();
        for (name, rule) in written {
            let shipped = rules.0.get(&name);
            let missing = |key: &str| serde::de::Error::custom(format!("alert `{name}` has no `{key}`"));
            let rule = AlertRule {
                metric: rule.metric.or(shipped.map(|rule| rule.metric)).ok_or_else(|| missing("metric"))?,
                layer: rule.layer.or(shipped.map(|rule| rule.layer.clone())).unwrap_or_default(),
                target: rule.target.or(shipped.map(|rule| rule.target)).ok_or_else(|| missing("target"))?,
                alert: rule.alert.or(shipped.map(|rule| rule.alert)).ok_or_else(|| missing("alert"))?,
                clear: rule.clear.or(shipped.and_then(|rule| rule.clear)),
                min_count: rule.min_count.or(shipped.map(|rule| rule.min_count)).unwrap_or(MIN_COUNT),
            };
            rules.0.insert(name, rule);
        }
        Ok(rules)
    }
}

impl AlertRules {
    /// Checks that every rule can fire and can end.
    ///
    /// # Errors
    /// The name of the first that cannot, and why.
    pub fn check(&self) -> Result<(), (&str, String)> {
        for (name, rule) in &self.0 {
            if rule.target == rule.alert || !rule.target.is_finite() || !rule.alert.is_finite() {
                return Err((name, format!("`target` and `alert` must be different numbers, found {} and {}", rule.target, rule.alert)));
            }
            let clear = rule.clear_at();
            if !(rule.alert.min(rule.target)..=rule.alert.max(rule.target)).contains(&clear) {
                return Err((name, format!("`clear` must lie between `alert` {} and `target` {}, found {clear}", rule.alert, rule.target)));
            }
            if rule.layer.is_empty() && matches!(rule.metric, Metric::Capture | Metric::LayerSuccess) {
                return Err((name, "needs a `layer`: its name or its place from 1".to_owned()));
            }
        }
        Ok(())
    }
}

impl AlertRule {
    /// Where a firing alert ends.
    pub fn clear_at(&self) -> f64 {
        self.clear.unwrap_or(f64::midpoint(self.alert, self.target))
    }

    /// Whether a value is past a limit, seen from the target.
    pub(crate) fn is_past(&self, value: f64, limit: f64) -> bool {
        if self.target > self.alert { value < limit } else { value > limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_settings_hold() {
        assert_eq!(TuneSettings::default().check(), Ok(()));
        assert_eq!(AlertRules::default().check(), Ok(()));
    }

    #[test]
    fn rules_are_added_to_the_shipped_ones() {
        let text = r#"{"slow_rag":{"metric":"latency_p95","layer":"rag","target":150,"alert":300},"latency":{"metric":"latency_mean","target":50,"alert":80,"min_count":5}}"#;
        let rules: AlertRules = serde_json::from_str(text).unwrap();
        assert_eq!((rules.0.len(), rules.0["latency"].alert, rules.0["slow_rag"].clear_at()), (6, 80.0, 225.0));
        let rules: AlertRules = serde_json::from_str(r#"{"accuracy":{"alert":0.8}}"#).unwrap();
        assert_eq!((rules.0["accuracy"].alert, rules.0["accuracy"].target), (0.8, 0.95));
        let error = serde_json::from_str::<AlertRules>(r#"{"mine":{"metric":"accuracy","alert":0.8}}"#).unwrap_err().to_string();
        assert!(error.starts_with("alert `mine` has no `target`"), "{error}");
    }

    #[test]
    fn a_rule_that_cannot_fire_or_end_is_named() {
        let with = |text: &str| serde_json::from_str::<AlertRules>(text).unwrap().check().map_err(|(name, why)| format!("{name}: {why}"));
        assert!(with(r#"{"x":{"metric":"accuracy","target":0.9,"alert":0.9}}"#).unwrap_err().starts_with("x: `target` and `alert`"));
        assert!(
            with(r#"{"x":{"metric":"accuracy","target":0.9,"alert":0.8,"clear":0.7}}"#).unwrap_err().contains("`clear` must lie between")
        );
        assert!(with(r#"{"x":{"metric":"capture","target":0.3,"alert":0.2}}"#).unwrap_err().contains("needs a `layer`"));
        assert!(serde_json::from_str::<AlertRules>(r#"{"x":{"metric":"mood","target":1,"alert":0}}"#).is_err());
    }

    #[test]
    fn a_range_is_named_by_its_key() {
        let wrong = TuneSettings { step: f64::NAN, ..TuneSettings::default() };
        assert_eq!(wrong.check().unwrap_err().0, "step");
    }
}
