//! Metrics against targets: alerts that fire once, and end only when things are clearly better.

use std::collections::BTreeMap;

use routewright_domain::{Interval, Timestamp};
use serde::{Deserialize, Serialize};

use crate::overview::Overview;
use crate::prometheus::Metrics;
use crate::rate::{LatencySummary, Rate};
use crate::settings::{AlertRule, AlertRules, Metric};

/// Whether an alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All is well.
    Ok,
    /// Past the limit, or not back yet.
    Firing,
    /// Too few events to say; a firing alert goes on firing.
    TooFew,
}

/// One rule held against a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertStatus {
    /// The rule's name.
    pub name: String,
    /// What is watched.
    pub metric: Metric,
    /// The layer's name; empty for all events.
    pub layer: String,
    /// Whether it fires.
    pub state: State,
    /// Since when it fires.
    pub since: Option<Timestamp>,
    /// The metric; nothing where there is nothing to make it of.
    pub value: Option<f64>,
    /// Its interval at 95 %, for shares.
    pub interval: Option<Interval>,
    /// Events that it is made of.
    pub count: u64,
    /// Events it needs.
    pub min_count: u64,
    /// Where it should be.
    pub target: f64,
    /// Where it fires.
    pub alert: f64,
    /// Where it ends.
    pub clear: f64,
}

/// The alerts that fire, and since when: what the next look needs for its hysteresis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Firing(pub BTreeMap<String, Timestamp>);

/// What a metric is, and of how many events.
struct Reading {
    value: Option<f64>,
    interval: Option<Interval>,
    count: u64,
}

/// Holds every rule against a window of some hours that ends `now`. `firing`: what fired at the last look.
pub fn alerts(rules: &AlertRules, overview: &Overview, hours: f64, now: Timestamp, firing: &Firing) -> Vec<AlertStatus> {
    let status = |(name, rule): (&String, &AlertRule)| {
        let place = place_of(overview, &rule.layer);
        let reading = read(rule, overview, place, hours, now);
        let since = firing.0.get(name).copied();
        let state = match reading.value {
            Some(value) if reading.count >= rule.min_count => {
                let limit = if since.is_some() { rule.clear_at() } else { rule.alert };
                if rule.is_past(value, limit) { State::Firing } else { State::Ok }
            }
            _ if since.is_some() => State::Firing,
            _ => State::TooFew,
        };
        AlertStatus {
            name: name.clone(),
            metric: rule.metric,
            layer: place.map_or_else(|| rule.layer.clone(), |place| overview.layers[place].layer.clone()),
            state,
            since: (state == State::Firing).then(|| since.unwrap_or(now)),
            value: reading.value,
            interval: reading.interval,
            count: reading.count,
            min_count: rule.min_count,
            target: rule.target,
            alert: rule.alert,
            clear: rule.clear_at(),
        }
    };
    rules.0.iter().map(status).collect()
}

impl Firing {
    /// What fires now.
    pub fn of(alerts: &[AlertStatus]) -> Self {
        Self(alerts.iter().filter_map(|alert| Some((alert.name.clone(), alert.since?))).collect())
    }
}

/// Position of a layer by name, or by place from 1.
fn place_of(overview: &Overview, layer: &str) -> Option<usize> {
    let by_name = overview.layers.iter().position(|known| known.layer == layer);
    by_name.or_else(|| layer.parse::<usize>().ok()?.checked_sub(1).filter(|place| *place < overview.layers.len()))
}

fn read(rule: &AlertRule, overview: &Overview, place: Option<usize>, hours: f64, now: Timestamp) -> Reading {
    let layer = place.map(|place| &overview.layers[place]);
    if layer.is_none() && !rule.layer.is_empty() {
        return Reading { value: None, interval: None, count: 0 };
    }
    let share = |rate: Rate| Reading { value: rate.value, interval: Some(rate.interval), count: rate.n };
    let plain = |value: Option<f64>, count: u64| Reading { value, interval: None, count };
    let latency = |of: fn(&LatencySummary) -> f64| {
        let summary = layer.map_or(overview.latency, |layer| layer.latency);
        plain(summary.as_ref().map(of), summary.map_or(0, |summary| summary.n))
    };
    match rule.metric {
        Metric::Accuracy => share(layer.map_or(overview.accuracy, |layer| layer.accuracy)),
        Metric::SuccessRate => share(overview.success),
        Metric::Capture => share(layer.map_or(Rate::of(0, 0), |layer| layer.captured)),
        Metric::LayerSuccess => share(layer.map_or(Rate::of(0, 0), |layer| layer.success)),
        Metric::ClarificationRate => share(overview.clarification),
        Metric::CacheHitRate => share(layer.map_or(overview.cache, |layer| layer.cache)),
        Metric::LatencyMean => latency(|summary| summary.mean),
        Metric::LatencyP50 => latency(|summary| summary.p50),
        Metric::LatencyP95 => latency(|summary| summary.p95),
        Metric::LatencyP99 => latency(|summary| summary.p99),
        Metric::EventsPerHour => plain((hours > 0.0).then(|| overview.events as f64 / hours), u64::MAX),
        Metric::HoursSinceEvent => plain(overview.last.map(|last| (now.0.saturating_sub(last.0)) as f64 / 3.6e9), u64::MAX),
        Metric::SplitP => plain(
            overview.groups.as_ref().map(|groups| groups.split_p),
            overview.groups.as_ref().map_or(0, |groups| groups.groups.iter().map(|(_, count)| count).sum()),
        ),
    }
}

/// The numbers of a window and its alerts for Prometheus. Every number is of the window, so all are gauges; times are in seconds.
pub fn metrics(overview: &Overview, alerts: &[AlertStatus], hours: f64) -> Metrics {
    let mut metrics = Metrics::default();
    let gauge = |metrics: &mut Metrics, name: &str, help: &str, labels: &[(&str, &str)], value: Option<f64>| {
        if let Some(value) = value {
            metrics.gauge(&format!("routewright_cascade_{name}"), help, labels, value);
        }
    };
    let m = &mut metrics;
    gauge(m, "window_seconds", "Length of the window that the other numbers are of.", &[], Some(hours * 3600.0));
    gauge(m, "events", "Routed queries in the window.", &[], Some(overview.events as f64));
    gauge(m, "last_event_timestamp_seconds", "Time of the last routed query.", &[], overview.last.map(|last| last.0 as f64 / 1e6));
    gauge(m, "accuracy_ratio", "Share of right paths among queries with a verdict.", &[], overview.accuracy.value);
    gauge(
        m,
        "accuracy_lower_ratio",
        "Lower end of the accuracy's 95 % interval.",
        &[],
        known(overview.accuracy).map(|interval| interval.lower),
    );
    gauge(
        m,
        "accuracy_upper_ratio",
        "Upper end of the accuracy's 95 % interval.",
        &[],
        known(overview.accuracy).map(|interval| interval.upper),
    );
    gauge(m, "outcomes", "Queries with a verdict in the window.", &[], Some(overview.accuracy.n as f64));
    gauge(m, "success_ratio", "Share of tasks that succeeded among those that ended.", &[], overview.success.value);
    gauge(m, "clarification_ratio", "Share of queries that asked the user.", &[], overview.clarification.value);
    for (percentile, value) in percentiles(overview.latency) {
        gauge(m, "latency_seconds", "Time to the decision, by percentile.", &[("percentile", percentile)], Some(value));
    }
    gauge(m, "latency_mean_seconds", "Mean time to the decision.", &[], overview.latency.map(|latency| latency.mean / 1000.0));
    gauge(m, "cache_hit_ratio", "Share of answers from a cache.", &[], overview.cache.value);
    for layer in &overview.layers {
        let name = [("layer", layer.layer.as_str())];
        gauge(m, "layer_attempts", "Queries that asked the layer.", &name, Some(layer.success.n as f64));
        gauge(m, "layer_capture_ratio", "Share of all queries that the layer settled.", &name, layer.captured.value);
        gauge(m, "layer_success_ratio", "Share of its attempts that the layer settled.", &name, layer.success.value);
        gauge(m, "layer_accuracy_ratio", "Share of right paths among the queries that the layer settled.", &name, layer.accuracy.value);
        gauge(m, "layer_confidence_mean", "Mean confidence of the layer's answers.", &name, layer.mean_confidence);
        gauge(m, "layer_threshold", "Threshold of the layer's last attempt.", &name, layer.threshold);
        gauge(m, "layer_latency_mean_seconds", "Mean time spent in the layer.", &name, layer.latency.map(|latency| latency.mean / 1000.0));
        for (percentile, value) in percentiles(layer.latency) {
            let labels = [("layer", layer.layer.as_str()), ("percentile", percentile)];
            gauge(m, "layer_latency_seconds", "Time spent in the layer, by percentile.", &labels, Some(value));
        }
    }
    for path in &overview.paths {
        let name = [("path", path.path.as_str())];
        gauge(m, "path_share_ratio", "Share of the queries that took the path.", &name, path.share.value);
        gauge(m, "path_accuracy_ratio", "Share of them for which the path was right.", &name, path.accuracy.value);
    }
    for (group, count) in overview.groups.iter().flat_map(|groups| &groups.groups) {
        gauge(m, "group_events", "Queries of each group of the randomised test.", &[("group", group)], Some(*count as f64));
    }
    for alert in alerts {
        let labels = [("alert", alert.name.as_str()), ("layer", alert.layer.as_str())];
        gauge(m, "alert_firing", "Whether the alert fires.", &labels, Some(f64::from(u8::from(alert.state == State::Firing))));
    }
    for alert in alerts {
        let labels = [("alert", alert.name.as_str()), ("layer", alert.layer.as_str())];
        gauge(m, "alert_value", "The number that the alert watches, in its own unit.", &labels, alert.value);
    }
    for alert in alerts {
        let labels = [("alert", alert.name.as_str()), ("layer", alert.layer.as_str())];
        gauge(m, "alert_limit", "Where the alert fires.", &labels, Some(alert.alert));
    }
    metrics
}

fn known(rate: Rate) -> Option<Interval> {
    rate.value.map(|_| rate.interval)
}

/// Percentiles in seconds. They are of the window, so they are no summary, and may not be labelled as quantiles of one.
fn percentiles(latency: Option<LatencySummary>) -> Vec<(&'static str, f64)> {
    latency.map_or_else(Vec::new, |latency| vec![("50", latency.p50 / 1000.0), ("95", latency.p95 / 1000.0), ("99", latency.p99 / 1000.0)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overview::overview;
    use crate::samples::{answer, log_of};
    use crate::scope::Scope;

    /// Accuracy of so many percent among some events.
    fn at(percent: usize, n: usize) -> Overview {
        let right = [answer("one", 1, 0.9, "a")];
        let events: Vec<(Option<&str>, &[routewright_domain::LayerAttempt])> =
            (0..n).map(|row| (Some(if row * 100 < n * percent { "a" } else { "b" }), &right[..])).collect();
        let log = log_of(&events);
        overview(&Scope::new(&log, 0..n, ""), 0.5)
    }

    fn accuracy(overview: &Overview, firing: &Firing) -> AlertStatus {
        let all = alerts(&AlertRules::default(), overview, 24.0, Timestamp(7), firing);
        all.into_iter().find(|alert| alert.name == "accuracy").unwrap()
    }

    #[test]
    fn an_alert_fires_below_its_limit_and_ends_halfway_to_the_target() {
        let calm = Firing::default();
        assert_eq!(accuracy(&at(91, 100), &calm).state, State::Ok);
        let fired = accuracy(&at(89, 100), &calm);
        assert_eq!((fired.state, fired.since, fired.value), (State::Firing, Some(Timestamp(7)), Some(0.89)));
        let firing = Firing(BTreeMap::from([("accuracy".to_owned(), Timestamp(3))]));
        assert_eq!((accuracy(&at(91, 100), &firing).state, accuracy(&at(91, 100), &firing).since), (State::Firing, Some(Timestamp(3))));
        assert_eq!(accuracy(&at(93, 100), &firing).state, State::Ok);
    }

    #[test]
    fn few_events_wake_nobody_and_calm_nobody() {
        assert_eq!(accuracy(&at(50, 40), &Firing::default()).state, State::TooFew);
        let firing = Firing(BTreeMap::from([("accuracy".to_owned(), Timestamp(3))]));
        assert_eq!(accuracy(&at(100, 40), &firing).state, State::Firing);
    }

    #[test]
    fn layers_are_watched_by_place_and_missing_ones_say_nothing() {
        let all = alerts(&AlertRules::default(), &at(100, 100), 24.0, Timestamp(0), &Firing::default());
        let named = |name: &str| all.iter().find(|alert| alert.name == name).unwrap();
        assert_eq!((named("capture_1").layer.as_str(), named("capture_1").value, named("capture_1").state), ("one", Some(1.0), State::Ok));
        assert_eq!((named("capture_2").value, named("capture_2").state), (None, State::TooFew));
    }

    #[test]
    fn the_metrics_name_every_alert_and_layer() {
        let overview = at(89, 100);
        let all = alerts(&AlertRules::default(), &overview, 24.0, Timestamp(0), &Firing::default());
        let text = metrics(&overview, &all, 24.0).text();
        assert!(text.contains("routewright_cascade_alert_firing{alert=\"accuracy\",layer=\"\"} 1\n"), "{text}");
        assert!(text.contains("routewright_cascade_layer_capture_ratio{layer=\"one\"} 1\n"), "{text}");
        assert!(text.contains("routewright_cascade_accuracy_ratio 0.89\n"), "{text}");
    }
}
