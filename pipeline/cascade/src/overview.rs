//! What a dashboard shows: who settles how much, how fast and how right, and how that moves.

use std::collections::BTreeMap;

use routewright_domain::{CascadeEvent, Timestamp};
use routewright_ope::stats::sample_ratio;
use serde::{Deserialize, Serialize};

use crate::rate::{Counter, LatencySummary, Rate};
use crate::scope::{Scope, is_right, settled};

/// The numbers of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Events.
    pub events: u64,
    /// First event.
    pub first: Option<Timestamp>,
    /// Last event.
    pub last: Option<Timestamp>,
    /// Share of right paths among events whose outcome says so.
    pub accuracy: Rate,
    /// Share of tasks that succeeded among those that ended.
    pub success: Rate,
    /// Share of events that had to ask the user.
    pub clarification: Rate,
    /// Time to the decision.
    pub latency: Option<LatencySummary>,
    /// Share of answers that came from a cache, where that is logged.
    pub cache: Rate,
    /// The layers, in the order of the cascade.
    pub layers: Vec<LayerOverview>,
    /// Events by path, most frequent first.
    pub paths: Vec<PathShare>,
    /// Groups of a randomised test, where they are logged.
    pub groups: Option<GroupBalance>,
}

/// The numbers of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerOverview {
    /// Its name.
    pub layer: String,
    /// Its place in the cascade, from 1.
    pub place: usize,
    /// Share of all events that it settled.
    pub captured: Rate,
    /// Share of its attempts that it settled.
    pub success: Rate,
    /// Mean confidence of its attempts.
    pub mean_confidence: Option<f64>,
    /// Time spent in it per attempt.
    pub latency: Option<LatencySummary>,
    /// Share of right paths among the events it settled.
    pub accuracy: Rate,
    /// Share of right answers among all it gave, taken or not, asked in shadow or not.
    pub accuracy_of_all: Rate,
    /// Answers that it gave in shadow, after the event was settled; no other number but the one above counts them.
    pub shadow: u64,
    /// Threshold of its last attempt.
    pub threshold: Option<f64>,
    /// Share of its answers that came from a cache, where that is logged.
    pub cache: Rate,
}

/// Events of one path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathShare {
    /// The path.
    pub path: String,
    /// Its share of the events.
    pub share: Rate,
    /// Share of them for which it was right.
    pub accuracy: Rate,
}

/// Whether a randomised test is balanced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupBalance {
    /// Events of each group, in the order of their names.
    pub groups: Vec<(String, u64)>,
    /// Accuracy of each group, in the same order.
    pub accuracy: Vec<Rate>,
    /// Probability of a split at least as far from the declared one (equal shares for more than two groups), if that is how it was drawn.
    pub split_p: f64,
}

/// What one layer adds up.
#[derive(Clone, Default)]
struct LayerSums {
    settled: u64,
    shadow: u64,
    attempts: u64,
    confidence: f64,
    latencies: Vec<f64>,
    accuracy: Counter,
    accuracy_of_all: Counter,
    cache: Counter,
    threshold: Option<f64>,
}

/// Adds up a window. `declared_split`: share of the first group (in the order of names) in a randomised test, 0.5 for equal groups.
pub fn overview(scope: &Scope<'_>, declared_split: f64) -> Overview {
    let (log, events) = (scope.log(), scope.events());
    let mut layers = vec![LayerSums::default(); scope.layers().len()];
    let (mut accuracy, mut success, mut cache) = (Counter::default(), Counter::default(), Counter::default());
    let mut latencies = Vec::with_capacity(events.len());
    let mut paths: BTreeMap<_, (u64, Counter)> = BTreeMap::new();
    let mut groups: BTreeMap<&str, (u64, Counter)> = BTreeMap::new();
    for event in events {
        accuracy.add_known(event.right);
        success.add_known(event.success);
        cache.add_known(event.cache_hit);
        latencies.extend(event.latency_ms);
        let path = paths.entry(event.path).or_default();
        path.0 += 1;
        path.1.add_known(event.right);
        if let Some(group) = event.group {
            let group = groups.entry(log.text(group)).or_default();
            group.0 += 1;
            group.1.add_known(event.right);
        }
        let attempts = log.attempts(event);
        let settled = settled(event, attempts);
        for (row, attempt) in attempts.iter().enumerate() {
            let sums = &mut layers[scope.layer_of(attempt)];
            sums.accuracy_of_all.add_known(is_right(event, attempt));
            if settled < Some(row) {
                sums.shadow += 1;
                continue;
            }
            sums.attempts += 1;
            sums.confidence += attempt.confidence;
            sums.latencies.extend(attempt.latency_ms);
            sums.threshold = attempt.threshold.or(sums.threshold);
            sums.cache.add_known(attempt.cache_hit);
            if Some(row) == settled {
                sums.settled += 1;
                sums.accuracy.add_known(event.right);
            }
        }
    }
    let n = events.len() as u64;
    let asked = scope.clarification().and_then(|place| layers.get(place)).map_or(0, |sums| sums.settled);
    let mut paths: Vec<PathShare> = paths
        .into_iter()
        .map(|(path, (hits, right))| PathShare { path: log.text(path).to_owned(), share: Rate::of(hits, n), accuracy: right.rate() })
        .collect();
    paths.sort_by(|one, other| (other.share.hits, &one.path).cmp(&(one.share.hits, &other.path)));
    Overview {
        events: n,
        first: events.first().map(|event| event.timestamp),
        last: events.last().map(|event| event.timestamp),
        accuracy: accuracy.rate(),
        success: success.rate(),
        clarification: Rate::of(asked, n),
        latency: LatencySummary::of(&mut latencies),
        cache: cache.rate(),
        layers: scope.layers().iter().zip(layers).enumerate().map(|(row, (layer, sums))| sums.finish(&layer.name, row + 1, n)).collect(),
        paths,
        groups: (groups.len() > 1).then(|| balance(groups, declared_split)),
    }
}

impl LayerSums {
    fn finish(mut self, layer: &str, place: usize, events: u64) -> LayerOverview {
        LayerOverview {
            layer: layer.to_owned(),
            place,
            captured: Rate::of(self.settled, events),
            success: Rate::of(self.settled, self.attempts),
            mean_confidence: (self.attempts > 0).then(|| self.confidence / self.attempts as f64),
            latency: LatencySummary::of(&mut self.latencies),
            accuracy: self.accuracy.rate(),
            accuracy_of_all: self.accuracy_of_all.rate(),
            shadow: self.shadow,
            threshold: self.threshold,
            cache: self.cache.rate(),
        }
    }
}

fn balance(groups: BTreeMap<&str, (u64, Counter)>, declared_split: f64) -> GroupBalance {
    let counts: Vec<(String, u64)> = groups.iter().map(|(name, (count, _))| ((*name).to_owned(), *count)).collect();
    let shares = if counts.len() == 2 { vec![declared_split, 1.0 - declared_split] } else { vec![1.0; counts.len()] };
    let seen: Vec<u64> = counts.iter().map(|(_, count)| *count).collect();
    let p = sample_ratio(&seen, &shares);
    GroupBalance { groups: counts, accuracy: groups.values().map(|(_, right)| right.rate()).collect(), split_p: p }
}

/// How numbers move over a window, in steps of equal length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// Start of the first step.
    pub start: Timestamp,
    /// Length of a step, in seconds.
    pub step_seconds: f64,
    /// Events.
    pub events: Vec<u64>,
    /// Share of right paths; nothing without outcomes.
    pub accuracy: Vec<Option<f64>>,
    /// Mean time to the decision, in milliseconds.
    pub latency_ms: Vec<Option<f64>>,
    /// Share of events that the chosen layer settled; of the first layer where none is chosen.
    pub captured: Vec<Option<f64>>,
}

/// Adds up steps of a window `[from, to)`. `layer`: position of the layer whose share is followed.
pub fn trend(scope: &Scope<'_>, from: Timestamp, to: Timestamp, n_steps: usize, layer: usize) -> Trend {
    let n_steps = n_steps.max(1);
    let width = ((to.0.saturating_sub(from.0)) as f64 / n_steps as f64).max(1.0);
    let (mut counts, mut rights, mut captured) =
        (vec![0_u64; n_steps], vec![Counter::default(); n_steps], vec![Counter::default(); n_steps]);
    let mut latencies = vec![(0.0, 0_u64); n_steps];
    let step_of = |event: &CascadeEvent| ((event.timestamp.0.saturating_sub(from.0)) as f64 / width) as usize;
    for event in scope.events() {
        let step = step_of(event).min(n_steps - 1);
        counts[step] += 1;
        rights[step].add_known(event.right);
        if let Some(latency) = event.latency_ms {
            latencies[step].0 += latency;
            latencies[step].1 += 1;
        }
        let attempts = scope.log().attempts(event);
        if let Some(row) = settled(event, attempts) {
            captured[step].add(scope.layer_of(&attempts[row]) == layer);
        }
    }
    Trend {
        start: from,
        step_seconds: width / 1e6,
        events: counts,
        accuracy: rights.into_iter().map(|counter| counter.rate().value).collect(),
        latency_ms: latencies.into_iter().map(|(sum, n)| (n > 0).then(|| sum / n as f64)).collect(),
        captured: captured.into_iter().map(|counter| counter.rate().value).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{answer, log_of, uniform_log};

    #[test]
    fn every_event_is_settled_by_one_layer() {
        let log = uniform_log(2_000, [0.6, 0.7], 0.3, 1);
        let overview = overview(&Scope::new(&log, 0..2_000, ""), 0.5);
        assert_eq!(overview.layers.iter().map(|layer| layer.captured.hits).sum::<u64>(), 2_000);
        assert_eq!((overview.layers[0].success.n, overview.layers[0].shadow), (2_000, 0));
        let passed_on = 2_000 - overview.layers[0].captured.hits;
        assert_eq!(overview.layers[1].success.n, passed_on, "answers in shadow are no attempts");
        assert!(overview.layers[1].shadow > 150 && overview.layers[1].accuracy_of_all.n == passed_on + overview.layers[1].shadow);
        assert_eq!(overview.clarification, overview.layers[2].captured);
        assert_eq!(overview.accuracy.n, 2_000);
        assert_eq!(overview.layers.iter().map(|layer| layer.accuracy.hits).sum::<u64>(), overview.accuracy.hits);
    }

    #[test]
    fn a_layer_is_counted_as_the_seed_counts_it() {
        let log = log_of(&[
            (Some("a"), &[answer("one", 1, 0.9, "a")][..]),
            (Some("b"), &[answer("one", 1, 0.9, "a")][..]),
            (Some("a"), &[answer("one", 1, 0.1, "a"), answer("two", 2, 0.8, "b")][..]),
            (None, &[answer("one", 1, 0.3, "a"), answer("two", 2, 0.6, "b")][..]),
        ]);
        let overview = overview(&Scope::new(&log, 0..4, ""), 0.5);
        let one = &overview.layers[0];
        assert_eq!((one.captured.hits, one.success.n, one.accuracy.hits, one.accuracy.n), (2, 4, 1, 2));
        assert_eq!((one.accuracy_of_all.hits, one.accuracy_of_all.n, one.mean_confidence), (2, 3, Some(0.55)));
        assert_eq!((overview.accuracy.hits, overview.accuracy.n), (1, 3));
        assert_eq!(overview.latency.unwrap().mean, 15.0);
    }

    #[test]
    fn steps_of_a_trend_hold_every_event_once() {
        let log = uniform_log(600, [0.6, 0.7], 0.0, 2);
        let scope = Scope::new(&log, 0..600, "");
        let trend = trend(&scope, Timestamp(0), Timestamp(600 * 60_000_000), 24, 0);
        assert_eq!((trend.events.len(), trend.events.iter().sum::<u64>()), (24, 600));
        assert!(trend.events.iter().all(|&events| events == 25));
    }
}
