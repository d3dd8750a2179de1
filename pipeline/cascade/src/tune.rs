//! Thresholds chosen jointly by replaying the cascade, moved only where the log proves that it pays.

use std::ops::Range;

use routewright_domain::Interval;
use routewright_ope::stats::Confidence;
use serde::{Deserialize, Serialize};

use crate::analysis::tidy;
use crate::replay::{Cases, Outcome, Replayed, Worth};
use crate::scope::Scope;
use crate::settings::TuneSettings;

/// Pieces that the largest move of a threshold is cut into.
const GRID: i32 = 5;

/// Smallest piece of a move: finer thresholds would follow chance.
const FINE: f64 = 0.01;

/// Layers up to which every combination of full moves is tried; deeper cascades are searched layer by layer.
const JOINT_LAYERS: usize = 6;

/// Rounds of the search layer by layer.
const MAX_ROUNDS: usize = 8;

/// Held-out events whose answer must change before an improvement counts as proven.
const MIN_CHANGED: usize = 30;

/// Share of the logged answers that a replay of the present thresholds must give back.
const MIN_REPRODUCED: f64 = 0.95;

/// What tuning found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Events of the window.
    pub events: usize,
    /// Of those with a known verdict, which are replayed.
    pub outcomes: usize,
    /// Of those the ones whose logged answer is what the present thresholds give.
    pub reproduced: usize,
    /// How far a threshold could move.
    pub max_move: f64,
    /// The layers, in the order of the cascade.
    pub layers: Vec<LayerTuning>,
    /// Whether any threshold moves.
    pub changed: bool,
    /// Why it does, or why none does.
    pub reason: String,
    /// The best candidate on the events it was chosen on.
    pub chosen_on: Option<Effect>,
    /// The same candidate on later events: what the decision is made on.
    pub held_out: Option<Effect>,
}

/// What tuning found about one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerTuning {
    /// Its name.
    pub layer: String,
    /// The present threshold.
    pub from: f64,
    /// The proposed one; the present one where it stays.
    pub to: f64,
    /// Outcomes among its attempts, where the candidate was chosen.
    pub samples: u64,
    /// What became of it, in words.
    pub note: String,
    /// What raising it by one step would do: known only as far as later layers ran.
    pub raise: Option<RaiseBounds>,
}

/// What is known of a higher threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RaiseBounds {
    /// The higher threshold.
    pub to: f64,
    /// Events that it would pass on and no later layer has seen.
    pub unknown: usize,
    /// Events in its place that later layers have seen.
    pub seen: usize,
    /// Change of the accuracy over all events: every unknown event wrong, every one right.
    pub accuracy_change: Interval,
    /// Whether enough were seen for the change to count as known.
    pub identified: bool,
}

/// What other thresholds change, on the same events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Events.
    pub events: usize,
    /// Events whose answer changes.
    pub changed: usize,
    /// Change of `accuracy − lambda · seconds − cost · asked`, paired.
    pub value_change: f64,
    /// Its interval at 95 %.
    pub interval: Interval,
    /// Accuracy before and after.
    pub accuracy: [f64; 2],
    /// Mean latency before and after, in milliseconds.
    pub latency_ms: [f64; 2],
    /// Share of events that ask the user, before and after.
    pub clarification: [f64; 2],
}

/// A window that is searched.
struct Search<'a> {
    cases: &'a Cases,
    range: Range<usize>,
    present: Replayed,
    worth: Worth,
    settings: &'a TuneSettings,
    /// Layers that may move.
    movable: Vec<usize>,
    max_clarification: f64,
    step: f64,
}

/// Tunes the thresholds of a window. `present`: threshold of every layer of the scope; `max_move`: how far each may move.
pub fn tune(scope: &Scope<'_>, present: &[f64], max_move: f64, settings: &TuneSettings) -> Tuning {
    let cases = Cases::new(scope, present.to_vec());
    let worth = Worth { lambda_latency: settings.lambda_latency, clarification_cost: settings.clarification_cost };
    let split = cases.len() - (cases.len() as f64 * settings.held_out) as usize;
    let layers = (0..cases.n_layers).map(|layer| LayerTuning {
        layer: scope.layers()[layer].name.clone(),
        from: present[layer],
        to: present[layer],
        samples: cases.n_attempts(layer, 0..split),
        note: String::new(),
        raise: None,
    });
    let mut tuning = Tuning {
        events: cases.n_events,
        outcomes: cases.len(),
        reproduced: cases.n_reproduced,
        max_move,
        layers: layers.collect(),
        changed: false,
        reason: String::new(),
        chosen_on: None,
        held_out: None,
    };
    if let Some(refusal) = refusal(&cases, settings) {
        tuning.reason = refusal;
        return tuning;
    }
    for layer in &mut tuning.layers {
        let at = scope.layers().iter().position(|known| known.name == layer.layer).unwrap_or(0);
        layer.note = match (cases.is_fixed(at), layer.samples) {
            (true, _) => "ends the cascade".to_owned(),
            (false, n) if n < settings.min_samples => format!("stays: {n} outcomes, {} are needed", settings.min_samples),
            _ => "stays".to_owned(),
        };
    }
    let movable =
        (0..cases.n_layers).filter(|&layer| !cases.is_fixed(layer) && tuning.layers[layer].samples >= settings.min_samples).collect();
    let replayed = cases.replay(0..split, present, worth);
    let asked = mean(&replayed, |outcome| outcome.asked);
    let search = Search {
        cases: &cases,
        range: 0..split,
        present: replayed,
        worth,
        settings,
        movable,
        max_clarification: settings.max_clarification.max(asked),
        step: max_move,
    };
    for &layer in &search.movable {
        tuning.layers[layer].raise = search.raise_bounds(layer);
    }
    let best = search.pruned(search.best());
    if best == present {
        tuning.reason = "no other thresholds within the step are worth more on the events they are chosen on".to_owned();
        return tuning;
    }
    tuning.chosen_on = Some(search.effect(&best));
    let last = Search { range: split..cases.len(), present: cases.replay(split..cases.len(), present, worth), ..search };
    let held_out = last.effect(&best);
    let is_known = last.is_known(&cases.replay(last.range.clone(), &best, worth));
    let proven = held_out.changed >= MIN_CHANGED && held_out.interval.lower > 0.0 && is_known;
    tuning.reason = if proven {
        format!("the improvement holds on {} later events: {}", held_out.events, points(&held_out))
    } else if held_out.changed < MIN_CHANGED {
        format!(
            "the best candidate changes {} of {} later events, {MIN_CHANGED} are needed to prove anything",
            held_out.changed, held_out.events
        )
    } else if !is_known {
        "the best candidate passes on later events that too few later layers have seen".to_owned()
    } else {
        format!("the improvement is not proven on {} later events: {}", held_out.events, points(&held_out))
    };
    for (layer, &to) in tuning.layers.iter_mut().zip(&best).filter(|(layer, to)| layer.from != **to) {
        layer.note = if proven { "moves".to_owned() } else { format!("stays: {to} is not proven") };
        layer.to = if proven { to } else { layer.from };
    }
    tuning.changed = proven;
    tuning.held_out = Some(held_out);
    tuning
}

/// Why nothing can be tuned.
fn refusal(cases: &Cases, settings: &TuneSettings) -> Option<String> {
    if (cases.len() as u64) < settings.min_samples {
        return Some(format!("{} events with a verdict, {} are needed", cases.len(), settings.min_samples));
    }
    let reproduced = cases.n_reproduced as f64 / cases.len() as f64;
    (reproduced < MIN_REPRODUCED).then(|| {
        format!(
            "the present thresholds give back {:.1} % of the logged answers, {:.0} % are needed; {} routes passed on an answer that reaches its \
             threshold: the log comes from another configuration, or confidences are not all that decides",
            reproduced * 100.0,
            MIN_REPRODUCED * 100.0,
            cases.n_passed_on
        )
    })
}

fn points(effect: &Effect) -> String {
    format!(
        "value {:+.2} points [{:+.2}, {:+.2}]",
        effect.value_change * 100.0,
        effect.interval.lower * 100.0,
        effect.interval.upper * 100.0
    )
}

impl Search<'_> {
    /// The thresholds with the highest mean value that are known, allowed and within reach.
    fn best(&self) -> Vec<f64> {
        let mut best = (self.cases.present.clone(), self.objective(&self.cases.present).unwrap_or(f64::MIN));
        if self.movable.len() <= JOINT_LAYERS {
            let n_corners = 3_usize.pow(self.movable.len() as u32);
            for corner in 0..n_corners {
                let mut thresholds = self.cases.present.clone();
                let mut rest = corner;
                for &layer in &self.movable {
                    thresholds[layer] = self.moved(layer, [0, -1, 1][rest % 3]);
                    rest /= 3;
                }
                self.improve(&mut best, thresholds);
            }
        }
        let coarse = self.step / f64::from(GRID);
        for piece in [coarse, FINE.min(coarse)] {
            for _ in 0..MAX_ROUNDS {
                let before = best.1;
                for &layer in &self.movable {
                    for pieces in -GRID..=GRID {
                        let mut thresholds = best.0.clone();
                        thresholds[layer] = self.within_reach(layer, best.0[layer] + piece * f64::from(pieces));
                        self.improve(&mut best, thresholds);
                    }
                }
                if best.1 <= before {
                    break;
                }
            }
        }
        best.0
    }

    fn improve(&self, best: &mut (Vec<f64>, f64), thresholds: Vec<f64>) {
        if let Some(value) = self.objective(&thresholds)
            && value > best.1
        {
            *best = (thresholds, value);
        }
    }

    /// The present threshold moved all the way up, all the way down, or not at all.
    fn moved(&self, layer: usize, direction: i32) -> f64 {
        self.within_reach(layer, self.cases.present[layer] + self.step * f64::from(direction))
    }

    /// The nearest threshold that the layer may have.
    fn within_reach(&self, layer: usize, threshold: f64) -> f64 {
        let present = self.cases.present[layer];
        tidy(threshold.clamp((present - self.step).max(0.0), (present + self.step).min(1.0)))
    }

    /// Mean value; nothing where it is not known, or where too many events would ask the user.
    fn objective(&self, thresholds: &[f64]) -> Option<f64> {
        self.allowed(thresholds).map(|replayed| mean(&replayed, |outcome| outcome.value(self.worth)))
    }

    /// A replay that is known, and in which no more users are asked than may be.
    fn allowed(&self, thresholds: &[f64]) -> Option<Replayed> {
        let replayed = self.cases.replay(self.range.clone(), thresholds, self.worth);
        let is_allowed = mean(&replayed, |outcome| outcome.asked) <= self.max_clarification && self.is_known(&replayed);
        is_allowed.then_some(replayed)
    }

    fn is_known(&self, replayed: &Replayed) -> bool {
        replayed.unknown.iter().zip(&replayed.seen).all(|(&unknown, &seen)| unknown == 0 || seen as u64 >= self.settings.min_seen)
    }

    /// Takes back, weakest first, every move that does not pay on its own and is not what keeps the users from being asked too often.
    fn pruned(&self, mut thresholds: Vec<f64>) -> Vec<f64> {
        loop {
            let moved: Vec<usize> = self.movable.iter().copied().filter(|&layer| thresholds[layer] != self.cases.present[layer]).collect();
            let with = self.cases.replay(self.range.clone(), &thresholds, self.worth);
            let weakest = moved
                .into_iter()
                .filter_map(|layer| {
                    let mut without = thresholds.clone();
                    without[layer] = self.cases.present[layer];
                    let without = self.allowed(&without)?;
                    Some((layer, self.difference(&without, &with, Confidence::ONE_SIDED_95).1.lower))
                })
                .min_by(|one, other| one.1.total_cmp(&other.1));
            match weakest {
                Some((layer, lower)) if lower <= 0.0 => thresholds[layer] = self.cases.present[layer],
                _ => return thresholds,
            }
        }
    }

    /// Mean value of one replay minus that of another, and its interval.
    fn difference(&self, before: &Replayed, after: &Replayed, confidence: Confidence) -> (f64, Interval) {
        let differences: Vec<f64> =
            before.outcomes.iter().zip(&after.outcomes).map(|(before, after)| after.value(self.worth) - before.value(self.worth)).collect();
        let n = differences.len().max(2) as f64;
        let centre = differences.iter().sum::<f64>() / n;
        let variance = differences.iter().map(|difference| (difference - centre).powi(2)).sum::<f64>() / (n - 1.0) / n;
        let half = confidence.z() * (variance + before.stand_in_variance + after.stand_in_variance).sqrt();
        (centre, Interval { lower: centre - half, upper: centre + half })
    }

    fn effect(&self, thresholds: &[f64]) -> Effect {
        let after = self.cases.replay(self.range.clone(), thresholds, self.worth);
        let (value_change, interval) = self.difference(&self.present, &after, Confidence::TWO_SIDED_95);
        let both = |of: fn(&Outcome) -> f64| [mean(&self.present, of), mean(&after, of)];
        Effect {
            events: after.outcomes.len(),
            changed: self.present.outcomes.iter().zip(&after.outcomes).filter(|(before, after)| before != after).count(),
            value_change,
            interval,
            accuracy: both(|outcome| outcome.right),
            latency_ms: both(|outcome| outcome.latency_ms),
            clarification: both(|outcome| outcome.asked),
        }
    }

    fn raise_bounds(&self, layer: usize) -> Option<RaiseBounds> {
        let to = self.moved(layer, 1);
        if to <= self.cases.present[layer] {
            return None;
        }
        let mut thresholds = self.cases.present.clone();
        thresholds[layer] = to;
        let replayed = self.cases.replay(self.range.clone(), &thresholds, self.worth);
        let (unknown, seen) = (replayed.unknown[layer], replayed.seen[layer]);
        let n = replayed.outcomes.len().max(1) as f64;
        let known = self.cases.known_right(self.range.clone(), &thresholds);
        let base = known - mean(&self.present, |outcome| outcome.right);
        Some(RaiseBounds {
            to,
            unknown,
            seen,
            accuracy_change: Interval { lower: base, upper: base + unknown as f64 / n },
            identified: unknown == 0 || seen as u64 >= self.settings.min_seen,
        })
    }
}

fn mean(replayed: &Replayed, of: impl Fn(&Outcome) -> f64) -> f64 {
    replayed.outcomes.iter().map(of).sum::<f64>() / replayed.outcomes.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::uniform_log;

    const WIDE: TuneSettings = TuneSettings {
        step: 0.3,
        aggressive: 1.0,
        min_samples: 100,
        lambda_latency: 1.0,
        clarification_cost: 0.2,
        max_clarification: 1.0,
        held_out: 0.3,
        min_seen: 30,
    };

    fn tuned(n: usize, thresholds: [f64; 2], shadow: f64, seed: u64) -> Tuning {
        let log = uniform_log(n, thresholds, shadow, seed);
        let scope = Scope::new(&log, 0..n, "");
        tune(&scope, &[thresholds[0], thresholds[1], 1.0], WIDE.step, &WIDE)
    }

    /// Expected value of thresholds in [`uniform_log`] under [`WIDE`]: accuracy (1 + t)/2 above t, 20 ms per layer, the user 0.8.
    fn truth(first: f64, second: f64) -> f64 {
        let onward = |t: f64, below: f64| (1.0 - t) * (1.0 + t) / 2.0 + t * below - 0.02;
        onward(first, onward(second, 0.8))
    }

    #[test]
    fn thresholds_that_are_too_high_come_down_to_the_best_ones_without_shadow_runs() {
        // The best second threshold is what the user is worth, 0.8; the best first what going on is worth: 0.82 − 0.02 = 0.80.
        let tuning = tuned(30_000, [0.98, 0.98], 0.0, 1);
        assert!(tuning.changed, "{}", tuning.reason);
        let (first, second) = (tuning.layers[0].to, tuning.layers[1].to);
        assert!(truth(0.8, 0.8) - truth(first, second) < 0.005, "{first} {second}");
        assert!(tuning.held_out.unwrap().interval.lower > 0.0);
    }

    #[test]
    fn a_higher_threshold_needs_later_layers_that_ran() {
        let blind = tuned(30_000, [0.6, 0.8], 0.0, 2);
        assert_eq!(blind.layers[0].to, 0.6);
        let bounds = blind.layers[0].raise.clone().unwrap();
        assert!(!bounds.identified && bounds.accuracy_change.lower < 0.0 && bounds.accuracy_change.upper > 0.0);
        let shadowed = tuned(30_000, [0.6, 0.8], 0.2, 2);
        assert!(shadowed.changed, "{}", shadowed.reason);
        assert!((0.7..=0.9).contains(&shadowed.layers[0].to), "{}", shadowed.layers[0].to);
        assert!(shadowed.layers[0].raise.clone().unwrap().identified);
    }

    #[test]
    fn thin_evidence_moves_nothing() {
        for (n, words) in [(50, "50 events with a verdict"), (150, "")] {
            let tuning = tuned(n, [0.85, 0.82], 0.1, 3);
            assert!(!tuning.changed && tuning.reason.contains(words), "{}", tuning.reason);
            assert!(tuning.layers.iter().all(|layer| layer.to == layer.from));
        }
    }

    #[test]
    fn thresholds_at_their_best_stay() {
        for seed in 10..15 {
            let tuning = tuned(8_000, [0.8, 0.8], 0.2, seed);
            let (first, second) = (tuning.layers[0].to, tuning.layers[1].to);
            assert!(truth(0.8, 0.8) - truth(first, second) < 0.004, "{first} {second}: {}", tuning.reason);
        }
    }

    #[test]
    fn a_log_of_another_configuration_is_refused() {
        let log = uniform_log(2_000, [0.6, 0.7], 0.0, 5);
        let tuning = tune(&Scope::new(&log, 0..2_000, ""), &[0.9, 0.7, 1.0], 0.05, &WIDE);
        assert!(!tuning.changed && tuning.reason.contains("another configuration"), "{}", tuning.reason);
    }

    #[test]
    fn no_more_users_are_asked_than_allowed() {
        let log = uniform_log(20_000, [0.5, 0.5], 0.3, 6);
        let asked = |max_clarification: f64| {
            let settings = TuneSettings { max_clarification, clarification_cost: 0.0, ..WIDE };
            tune(&Scope::new(&log, 0..20_000, ""), &[0.5, 0.5, 1.0], 0.3, &settings).chosen_on.unwrap().clarification[1]
        };
        // Taking back what does not pay on its own must not break the limit either.
        assert!(asked(0.3) <= 0.3 && asked(0.4) <= 0.4 && asked(1.0) > 0.5, "{} {}", asked(0.4), asked(1.0));
    }
}
