//! Replays a cascade under other thresholds, on the attempts that were logged.
//!
//! What a lower threshold would have answered earlier is known: the layer's answer is in the log. What a higher one would have passed on is
//! known only where later layers ran all the same: in shadow runs, or while a threshold was higher. The mean of such events stands for the
//! others that the same layer would have passed on; where there are too few of them, nothing is known and [`Replayed::unknown`] says of how
//! many events.
//!
//! That is sound where it is chance, or time, and not the query that decided whether later layers ran.

use crate::scope::{Scope, is_right, settled};

/// What thresholds are judged by: `right − lambda · seconds − clarification_cost · asked`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Worth {
    pub(crate) lambda_latency: f64,
    pub(crate) clarification_cost: f64,
}

/// What an event comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// 1 for a right path.
    pub(crate) right: f64,
    pub(crate) latency_ms: f64,
    /// 1 where the user was asked.
    pub(crate) asked: f64,
}

impl Outcome {
    pub(crate) fn value(self, worth: Worth) -> f64 {
        self.right - worth.lambda_latency * self.latency_ms / 1000.0 - worth.clarification_cost * self.asked
    }

    fn plus(self, other: Self) -> Self {
        Self { right: self.right + other.right, latency_ms: self.latency_ms + other.latency_ms, asked: self.asked + other.asked }
    }

    fn over(self, n: f64) -> Self {
        Self { right: self.right / n, latency_ms: self.latency_ms / n, asked: self.asked / n }
    }
}

/// One layer's answer to an event.
#[derive(Clone, Copy, Debug)]
struct Step {
    layer: u16,
    confidence: f64,
    latency_ms: f64,
    /// Nothing where the path that ran was wrong, nobody said which is right, and this layer said another one.
    right: Option<bool>,
}

/// An event with a known verdict and what every layer said that was asked, in shadow or not.
#[derive(Clone, Copy, Debug)]
struct Case {
    first: u32,
    n_steps: u16,
}

/// The events of a window that have a known verdict, ready to be replayed.
#[derive(Clone, Debug)]
pub(crate) struct Cases {
    cases: Vec<Case>,
    steps: Vec<Step>,
    pub(crate) n_layers: usize,
    clarification: Option<usize>,
    /// The present thresholds.
    pub(crate) present: Vec<f64>,
    /// Events of the window, with or without a verdict.
    pub(crate) n_events: usize,
    /// Cases whose logged answer is what the present thresholds give.
    pub(crate) n_reproduced: usize,
    /// Cases that passed on an answer which reaches its present threshold.
    pub(crate) n_passed_on: usize,
    /// What asking the user comes to: share of right answers, and mean time.
    user: Outcome,
}

/// A replay of some cases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replayed {
    /// Outcome of every case; of an unknown one the mean of those that stand for it.
    pub(crate) outcomes: Vec<Outcome>,
    /// Cases whose outcome is not known, by the layer that would pass them on.
    pub(crate) unknown: Vec<usize>,
    /// Cases that stand for them, by the same layer.
    pub(crate) seen: Vec<usize>,
    /// Variance of the value that standing in for others adds to a mean over all cases.
    pub(crate) stand_in_variance: f64,
    /// Cases whose answer was not rated: they count as wrong.
    pub(crate) unrated: usize,
}

/// How one case ends.
enum End {
    Known(Outcome),
    /// The layer whose answer would no longer be taken, and the time until then.
    PassedOn(usize, f64),
}

impl Cases {
    /// The cases of a window. `present`: threshold of every layer.
    pub(crate) fn new(scope: &Scope<'_>, present: Vec<f64>) -> Self {
        let (mut cases, mut steps, mut n_reproduced, mut n_passed_on) = (Vec::new(), Vec::new(), 0, 0);
        let (mut asked, mut asked_right, mut asked_ms) = (0_u64, 0_u64, 0.0);
        let clarification = scope.clarification();
        for event in scope.events() {
            let attempts = scope.log().attempts(event);
            if event.right.is_none() || attempts.is_empty() || attempts.len() > usize::from(u16::MAX) {
                continue;
            }
            let first = steps.len();
            steps.extend(attempts.iter().map(|attempt| Step {
                layer: scope.layer_of(attempt) as u16,
                confidence: attempt.confidence,
                latency_ms: attempt.latency_ms.unwrap_or(0.0),
                right: is_right(event, attempt),
            }));
            let own = &steps[first..];
            let taken = settled(event, attempts);
            if let Some(user) = taken.map(|row| own[row]).filter(|step| Some(usize::from(step.layer)) == clarification) {
                asked += 1;
                asked_right += u64::from(user.right == Some(true));
                asked_ms += user.latency_ms;
            }
            let answering = answering(own, &present, clarification, scope.layers().len());
            n_reproduced += usize::from(taken.is_some() && answering == taken);
            n_passed_on += usize::from(answering.is_some() && answering < taken);
            cases.push(Case { first: first as u32, n_steps: attempts.len() as u16 });
        }
        // Nobody asked so far: the user knows what he wants.
        let n = asked.max(1) as f64;
        let right = if asked == 0 { 1.0 } else { asked_right as f64 / n };
        Self {
            cases,
            steps,
            n_layers: scope.layers().len(),
            clarification,
            present,
            n_events: scope.events().len(),
            n_reproduced,
            n_passed_on,
            user: Outcome { right, latency_ms: asked_ms / n, asked: 1.0 },
        }
    }

    /// Number of cases.
    pub(crate) fn len(&self) -> usize {
        self.cases.len()
    }

    /// The layer whose threshold is never moved: the one that asks the user, else the last.
    pub(crate) fn is_fixed(&self, layer: usize) -> bool {
        Some(layer) == self.clarification || layer + 1 == self.n_layers
    }

    /// Cases in which a layer was asked, among some.
    pub(crate) fn n_attempts(&self, layer: usize, range: std::ops::Range<usize>) -> u64 {
        let asked = |case: &Case| self.steps_of(case).iter().any(|step| usize::from(step.layer) == layer);
        self.cases[range].iter().filter(|case| asked(case)).count() as u64
    }

    fn steps_of(&self, case: &Case) -> &[Step] {
        &self.steps[case.first as usize..case.first as usize + usize::from(case.n_steps)]
    }

    /// Replays some cases under thresholds.
    pub(crate) fn replay(&self, range: std::ops::Range<usize>, thresholds: &[f64], worth: Worth) -> Replayed {
        let mut replayed = Replayed {
            outcomes: Vec::with_capacity(range.len()),
            unknown: vec![0; self.n_layers],
            seen: vec![0; self.n_layers],
            ..Replayed::default()
        };
        let mut sums = vec![(Outcome::default(), 0.0, 0.0); self.n_layers];
        let mut pending = Vec::new();
        for case in &self.cases[range] {
            let steps = self.steps_of(case);
            match self.end(steps, thresholds, &mut replayed.unrated) {
                End::Known(outcome) => {
                    // Whoever was passed on by a raised threshold and was seen on stands for those who were not.
                    for layer in steps.iter().take_while(|step| step.confidence < thresholds[usize::from(step.layer)]) {
                        let at = usize::from(layer.layer);
                        if self.present[at] <= layer.confidence && !self.is_fixed(at) {
                            let so_far: f64 =
                                steps.iter().take_while(|step| usize::from(step.layer) != at).map(|step| step.latency_ms).sum();
                            let onward = Outcome { latency_ms: outcome.latency_ms - so_far - layer.latency_ms, ..outcome };
                            let value = onward.value(worth);
                            replayed.seen[at] += 1;
                            sums[at].0 = sums[at].0.plus(onward);
                            sums[at].1 += value;
                            sums[at].2 += value * value;
                        }
                    }
                    replayed.outcomes.push(outcome);
                }
                End::PassedOn(layer, so_far) => {
                    replayed.unknown[layer] += 1;
                    pending.push((replayed.outcomes.len(), layer, so_far));
                    replayed.outcomes.push(Outcome { latency_ms: so_far, ..Outcome::default() });
                }
            }
        }
        for (at, layer, so_far) in pending {
            let n_seen = replayed.seen[layer] as f64;
            if n_seen > 0.0 {
                replayed.outcomes[at] = sums[layer].0.over(n_seen).plus(Outcome { latency_ms: so_far, ..Outcome::default() });
            }
        }
        let n = replayed.outcomes.len().max(1) as f64;
        for (layer, (_, sum, squares)) in sums.iter().enumerate() {
            let (n_seen, share) = (replayed.seen[layer] as f64, replayed.unknown[layer] as f64 / n);
            if n_seen > 1.0 {
                let variance = (squares - sum * sum / n_seen).max(0.0) / (n_seen - 1.0);
                replayed.stand_in_variance += share * share * variance / n_seen;
            }
        }
        replayed
    }

    /// Share of some cases that are known to be right under thresholds; unknown ones count as wrong.
    pub(crate) fn known_right(&self, range: std::ops::Range<usize>, thresholds: &[f64]) -> f64 {
        let (n, mut unrated) = (range.len().max(1) as f64, 0);
        let right = self.cases[range].iter().map(|case| match self.end(self.steps_of(case), thresholds, &mut unrated) {
            End::Known(outcome) => outcome.right,
            End::PassedOn(..) => 0.0,
        });
        right.sum::<f64>() / n
    }

    fn end(&self, steps: &[Step], thresholds: &[f64], unrated: &mut usize) -> End {
        let mut latency_ms = 0.0;
        for step in steps {
            latency_ms += step.latency_ms;
            let layer = usize::from(step.layer);
            let is_user = Some(layer) == self.clarification;
            if is_user || step.confidence >= thresholds[layer] {
                *unrated += usize::from(step.right.is_none());
                return End::Known(Outcome {
                    right: f64::from(u8::from(step.right == Some(true))),
                    latency_ms,
                    asked: f64::from(u8::from(is_user)),
                });
            }
        }
        let last = steps.last().map_or(0, |step| usize::from(step.layer));
        if self.clarification == Some(last + 1) {
            return End::Known(self.user.plus(Outcome { latency_ms, ..Outcome::default() }));
        }
        // The last layer of a cascade without a user answers whatever its confidence.
        if last + 1 >= self.n_layers {
            let right = steps.last().and_then(|step| step.right);
            *unrated += usize::from(right.is_none());
            return End::Known(Outcome { right: f64::from(u8::from(right == Some(true))), latency_ms, asked: 0.0 });
        }
        End::PassedOn(last, latency_ms)
    }
}

/// Position of the step whose answer thresholds take; nothing where they would ask a layer that was not asked.
fn answering(steps: &[Step], thresholds: &[f64], clarification: Option<usize>, n_layers: usize) -> Option<usize> {
    let takes = |step: &Step| Some(usize::from(step.layer)) == clarification || step.confidence >= thresholds[usize::from(step.layer)];
    let is_last = |step: &Step| usize::from(step.layer) + 1 == n_layers;
    steps.iter().position(|step| takes(step) || is_last(step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::uniform_log;

    const WORTH: Worth = Worth { lambda_latency: 0.0, clarification_cost: 0.0 };

    fn mean(replayed: &Replayed, of: impl Fn(&Outcome) -> f64) -> f64 {
        replayed.outcomes.iter().map(of).sum::<f64>() / replayed.outcomes.len() as f64
    }

    #[test]
    fn the_present_thresholds_give_back_the_log() {
        let log = uniform_log(3_000, [0.6, 0.7], 0.2, 1);
        let scope = Scope::new(&log, 0..3_000, "");
        let cases = Cases::new(&scope, vec![0.6, 0.7, 1.0]);
        assert_eq!((cases.len(), cases.n_reproduced), (3_000, 3_000));
        let replayed = cases.replay(0..3_000, &cases.present.clone(), WORTH);
        let right = log.events().iter().filter(|event| event.right == Some(true)).count() as f64 / 3_000.0;
        let latency = log.events().iter().filter_map(|event| event.latency_ms).sum::<f64>() / 3_000.0;
        assert!((mean(&replayed, |outcome| outcome.right) - right).abs() < 1e-12);
        assert!((mean(&replayed, |outcome| outcome.latency_ms) - latency).abs() < 1e-9);
        assert_eq!(replayed.unknown, [0, 0, 0]);
    }

    #[test]
    fn lower_thresholds_are_known_from_any_log() {
        // Accuracy of (a, b): the first layer settles 1 − a with accuracy (1 + a)/2, the second the rest alike, the user is right.
        let log = uniform_log(40_000, [0.6, 0.7], 0.0, 2);
        let cases = Cases::new(&Scope::new(&log, 0..40_000, ""), vec![0.6, 0.7, 1.0]);
        let replayed = cases.replay(0..40_000, &[0.4, 0.5, 1.0], WORTH);
        let truth = 0.6 * 0.7 + 0.4 * (0.5 * 0.75 + 0.5);
        assert_eq!(replayed.unknown, [0, 0, 0]);
        assert!((mean(&replayed, |outcome| outcome.right) - truth).abs() < 0.01, "five standard errors");
    }

    #[test]
    fn higher_thresholds_are_known_only_where_later_layers_ran() {
        let truth = 0.2 * 0.9 + 0.8 * (0.3 * 0.85 + 0.7);
        let blind = uniform_log(40_000, [0.6, 0.7], 0.0, 3);
        let cases = Cases::new(&Scope::new(&blind, 0..40_000, ""), vec![0.6, 0.7, 1.0]);
        let replayed = cases.replay(0..40_000, &[0.8, 0.7, 1.0], WORTH);
        assert!(replayed.unknown[0] > 7_000 && replayed.seen[0] == 0);
        let shadowed = uniform_log(40_000, [0.6, 0.7], 0.1, 4);
        let cases = Cases::new(&Scope::new(&shadowed, 0..40_000, ""), vec![0.6, 0.7, 1.0]);
        let replayed = cases.replay(0..40_000, &[0.8, 0.7, 1.0], WORTH);
        assert!(replayed.seen[0] > 600 && replayed.unknown[0] > 6_000);
        assert!((mean(&replayed, |outcome| outcome.right) - truth).abs() < 0.012, "five standard errors");
    }
}
