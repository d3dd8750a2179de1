//! Where the time goes: percentiles per path, layer and backend, throughput, caches, and who makes the tail.

use std::collections::BTreeMap;

use routewright_domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::changes::{Change, changes};
use crate::rate::{Counter, LatencySummary, Rate, quantile};
use crate::scope::{Scope, settled};

/// Rows of each table of a profile; what serves fewer events comes last.
const MAX_ROWS: usize = 50;

/// Attempts below which a recommendation says nothing about a layer.
const MIN_ATTEMPTS: u64 = 30;

/// Share of the tail's extra time from which a layer is its bottleneck.
const BOTTLENECK: f64 = 0.5;

/// Hit rate below which a cache is called small.
const LOW_HIT_RATE: f64 = 0.3;

/// p99 of so many medians is a long tail.
const LONG_TAIL: f64 = 4.0;

/// Where the time goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Events.
    pub events: u64,
    /// Time to the decision.
    pub latency: Option<LatencySummary>,
    /// Events per hour.
    pub throughput: Throughput,
    /// Latency by layer, in the order of the cascade.
    pub layers: Vec<ProfileRow>,
    /// Latency by path, most frequent first.
    pub paths: Vec<ProfileRow>,
    /// Latency by backend, most frequent first; empty where none is logged.
    pub backends: Vec<ProfileRow>,
    /// Answers from a cache, where that is logged.
    pub cache: Rate,
    /// Which layers the slowest events spend their extra time in, most first.
    pub bottlenecks: Vec<Bottleneck>,
    /// When latencies changed, compared with the week before.
    pub changes: Vec<Change>,
    /// What to do, with the reason.
    pub recommendations: Vec<String>,
}

/// Events over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Mean events per hour of the window.
    pub per_hour: f64,
    /// Events of the busiest hour.
    pub busiest_hour: u64,
    /// Events of the busiest minute.
    pub busiest_minute: u64,
}

/// The latency of one layer, path or backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileRow {
    /// Its name.
    pub name: String,
    /// Its latencies, in milliseconds.
    pub latency: LatencySummary,
    /// Answers from a cache, where that is logged.
    pub cache: Rate,
    /// Share of all time spent.
    pub share_of_time: f64,
}

/// What a layer adds to the slowest events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// The layer.
    pub layer: String,
    /// Share of the extra time of the slowest events (slower than 95 %), against the mean of all events, that is spent in it.
    pub share_of_tail: f64,
    /// Mean time spent in it by the slowest events, in milliseconds.
    pub tail_ms: f64,
    /// Mean time spent in it by all events, in milliseconds.
    pub mean_ms: f64,
}

/// Latencies of one name.
#[derive(Clone, Default)]
struct Sums {
    latencies: Vec<f64>,
    cache: Counter,
}

/// Profiles a window. `before`: positions of the events of the week before it; `hours`: length of the window.
pub fn profile(scope: &Scope<'_>, before: std::ops::Range<usize>, hours: f64) -> Profile {
    let log = scope.log();
    let mut layers = vec![Sums::default(); scope.layers().len()];
    let (mut paths, mut backends): (BTreeMap<_, Sums>, BTreeMap<_, Sums>) = (BTreeMap::new(), BTreeMap::new());
    let (mut all, mut cache) = (Vec::new(), Counter::default());
    for event in scope.events() {
        all.extend(event.latency_ms);
        cache.add_known(event.cache_hit);
        let path = paths.entry(event.path).or_default();
        path.latencies.extend(event.latency_ms);
        path.cache.add_known(event.cache_hit);
        if let Some(backend) = event.backend {
            let backend = backends.entry(backend).or_default();
            backend.latencies.extend(event.latency_ms);
            backend.cache.add_known(event.cache_hit);
        }
        let attempts = log.attempts(event);
        // What is asked in shadow keeps nobody waiting.
        for attempt in attempts.iter().take(settled(event, attempts).map_or(0, |settled| settled + 1)) {
            let layer = &mut layers[scope.layer_of(attempt)];
            layer.latencies.extend(attempt.latency_ms);
            layer.cache.add_known(attempt.cache_hit);
            cache.add_known(attempt.cache_hit);
            if let Some(backend) = attempt.backend {
                let backend = backends.entry(backend).or_default();
                backend.latencies.extend(attempt.latency_ms);
                backend.cache.add_known(attempt.cache_hit);
            }
        }
    }
    let total: f64 = all.iter().sum();
    let named = |sums: BTreeMap<_, Sums>| {
        let mut rows: Vec<ProfileRow> = sums.into_iter().filter_map(|(name, sums)| sums.finish(log.text(name), total)).collect();
        rows.sort_by(|one, other| (other.latency.n, &one.name).cmp(&(one.latency.n, &other.name)));
        rows.truncate(MAX_ROWS);
        rows
    };
    let layers = scope.layers().iter().zip(layers).filter_map(|(layer, sums)| sums.finish(&layer.name, total)).collect();
    let mut profile = Profile {
        events: scope.events().len() as u64,
        bottlenecks: bottlenecks(scope, &mut all.clone()),
        latency: LatencySummary::of(&mut all),
        throughput: throughput(scope, hours),
        layers,
        paths: named(paths),
        backends: named(backends),
        cache: cache.rate(),
        changes: changes(scope, before),
        recommendations: Vec::new(),
    };
    profile.recommendations = recommendations(&profile);
    profile
}

impl Sums {
    fn finish(mut self, name: &str, total: f64) -> Option<ProfileRow> {
        let sum: f64 = self.latencies.iter().sum();
        let latency = LatencySummary::of(&mut self.latencies)?;
        Some(ProfileRow {
            name: name.to_owned(),
            latency,
            cache: self.cache.rate(),
            share_of_time: if total > 0.0 { sum / total } else { 0.0 },
        })
    }
}

fn throughput(scope: &Scope<'_>, hours: f64) -> Throughput {
    const MINUTE: i64 = 60_000_000;
    let busiest = |width: i64| {
        let step = |timestamp: Timestamp| timestamp.0.div_euclid(width);
        scope
            .events()
            .chunk_by(|one, other| step(one.timestamp) == step(other.timestamp))
            .map(|chunk| chunk.len() as u64)
            .max()
            .unwrap_or(0)
    };
    Throughput {
        per_hour: if hours > 0.0 { scope.events().len() as f64 / hours } else { 0.0 },
        busiest_hour: busiest(60 * MINUTE),
        busiest_minute: busiest(MINUTE),
    }
}

/// Splits the extra time of the slowest events over the layers. `latencies`: of the events, reordered.
fn bottlenecks(scope: &Scope<'_>, latencies: &mut [f64]) -> Vec<Bottleneck> {
    let slow_from = quantile(latencies, 0.95);
    let n_layers = scope.layers().len();
    let (mut mean, mut tail) = (vec![0.0; n_layers], vec![0.0; n_layers]);
    let (mut n, mut n_slow) = (0.0, 0.0);
    for event in scope.events() {
        let Some(latency) = event.latency_ms else { continue };
        let is_slow = latency > slow_from;
        n += 1.0;
        n_slow += f64::from(u8::from(is_slow));
        let attempts = scope.log().attempts(event);
        for attempt in attempts.iter().take(settled(event, attempts).map_or(0, |settled| settled + 1)) {
            let spent = attempt.latency_ms.unwrap_or(0.0);
            mean[scope.layer_of(attempt)] += spent;
            if is_slow {
                tail[scope.layer_of(attempt)] += spent;
            }
        }
    }
    if n_slow == 0.0 {
        return Vec::new();
    }
    let extra: Vec<f64> = (0..n_layers).map(|layer| (tail[layer] / n_slow - mean[layer] / n).max(0.0)).collect();
    let total: f64 = extra.iter().sum();
    let row = |layer: usize| Bottleneck {
        layer: scope.layers()[layer].name.clone(),
        share_of_tail: if total > 0.0 { extra[layer] / total } else { 0.0 },
        tail_ms: tail[layer] / n_slow,
        mean_ms: mean[layer] / n,
    };
    let mut rows: Vec<Bottleneck> = (0..n_layers).map(row).filter(|row| row.share_of_tail > 0.0).collect();
    rows.sort_by(|one, other| other.share_of_tail.total_cmp(&one.share_of_tail));
    rows
}

fn recommendations(profile: &Profile) -> Vec<String> {
    let mut texts = Vec::new();
    if let Some(first) = profile.bottlenecks.first().filter(|first| first.share_of_tail >= BOTTLENECK) {
        texts.push(format!(
            "make `{}` faster, or settle more events before it: {:.0} % of the extra time of the slowest 5 % of events is spent there ({:.0} ms each, {:.0} ms on average)",
            first.layer,
            first.share_of_tail * 100.0,
            first.tail_ms,
            first.mean_ms
        ));
    }
    for row in profile.layers.iter().chain(&profile.backends).filter(|row| row.latency.n >= MIN_ATTEMPTS) {
        let latency = &row.latency;
        if latency.p50 > 0.0 && latency.p99 > LONG_TAIL * latency.p50 {
            texts.push(format!(
                "give `{}` a timeout or pooled connections: its p99 is {:.0} ms, {:.1} times its median of {:.0} ms",
                row.name,
                latency.p99,
                latency.p99 / latency.p50,
                latency.p50
            ));
        }
    }
    let is_small = |cache: Rate| cache.n >= MIN_ATTEMPTS && cache.interval.upper < LOW_HIT_RATE;
    let small: Vec<String> = profile
        .layers
        .iter()
        .filter(|row| is_small(row.cache))
        .map(|row| format!("`{}` ({:.0} % of {} answers)", row.name, 100.0 * row.cache.value.unwrap_or(0.0), row.cache.n))
        .collect();
    if !small.is_empty() {
        texts.push(format!("enlarge the caches that few answers come from: {}", small.join(", ")));
    } else if is_small(profile.cache) {
        texts.push(format!("enlarge the cache: {} of {} answers came from it", profile.cache.hits, profile.cache.n));
    }
    let worse: Vec<&Change> = profile.changes.iter().filter(|change| change.ratio > 1.0).collect();
    let has_cause = worse.iter().any(|change| change.kind != "all");
    for change in worse.into_iter().filter(|change| !has_cause || change.kind != "all") {
        texts.push(format!(
            "look at what changed in the {} `{}` around {}: its typical latency went from {:.1} to {:.1} ms",
            if change.kind == "all" { "whole" } else { &change.kind },
            change.name,
            change.at_text(),
            change.before_ms,
            change.after_ms
        ));
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{answer, log_of, uniform_log};

    #[test]
    fn the_layer_that_only_slow_events_ask_is_the_bottleneck() {
        let slow = [answer("one", 1, 0.1, "a"), routewright_domain::LayerAttempt { latency_ms: Some(900.0), ..answer("two", 2, 0.9, "a") }];
        let quick = [answer("one", 1, 0.9, "a")];
        let events: Vec<(Option<&str>, &[routewright_domain::LayerAttempt])> =
            (0..200).map(|row| (Some("a"), if row % 25 == 0 { &slow[..] } else { &quick[..] })).collect();
        let log = log_of(&events);
        let profile = profile(&Scope::new(&log, 0..200, ""), 0..0, 4.0);
        assert_eq!(
            (profile.bottlenecks.len(), profile.bottlenecks[0].layer.as_str(), profile.bottlenecks[0].share_of_tail),
            (1, "two", 1.0)
        );
        assert_eq!((profile.bottlenecks[0].tail_ms, profile.bottlenecks[0].mean_ms), (900.0, 36.0));
        assert_eq!((profile.throughput.per_hour, profile.throughput.busiest_hour, profile.throughput.busiest_minute), (50.0, 60, 1));
        assert!(profile.recommendations[0].starts_with("make `two` faster"), "{:?}", profile.recommendations);
    }

    #[test]
    fn backends_and_caches_are_profiled_where_they_are_logged() {
        let served =
            routewright_domain::LayerAttempt { backend: Some("QDRANT".into()), cache_hit: Some(false), ..answer("one", 1, 0.9, "a") };
        let log = log_of(&vec![(Some("a"), std::slice::from_ref(&served)); 50]);
        let profile = profile(&Scope::new(&log, 0..50, ""), 0..0, 1.0);
        assert_eq!((profile.backends[0].name.as_str(), profile.backends[0].latency.p95, profile.backends[0].cache.n), ("QDRANT", 10.0, 50));
        assert!(profile.recommendations.iter().any(|text| text.ends_with("`one` (0 % of 50 answers)")), "{:?}", profile.recommendations);
    }

    #[test]
    fn time_is_shared_out_completely() {
        let log = uniform_log(1_000, [0.6, 0.7], 0.0, 1);
        let profile = profile(&Scope::new(&log, 0..1_000, ""), 0..0, 10.0);
        assert!((profile.layers.iter().map(|row| row.share_of_time).sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
