//! Is each layer's threshold where it should be? Answers below and above it, and what moving it would change.

use routewright_domain::Interval;
use routewright_ope::stats::{Confidence, bonett_price, newcombe};
use serde::{Deserialize, Serialize};

use crate::overview::{LayerOverview, Overview};
use crate::rate::Rate;
use crate::scope::{Scope, is_right, settled};

/// Outcomes that a recommendation needs on each side of what it compares.
pub const MIN_OUTCOMES: u64 = 20;

/// Loss of accuracy that earlier answers may bring, as a share of the events that are answered earlier.
const MARGIN: f64 = 0.02;

/// Share of the answers above a threshold that must have been taken for the threshold to count as what decides.
const FOLLOWS: f64 = 0.95;

/// What there is to say about a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerAnalysis {
    /// Its numbers.
    pub layer: LayerOverview,
    /// Its answers on both sides of the threshold; nothing where no threshold was logged, or for the layer that asks the user.
    pub threshold: Option<ThresholdAnalysis>,
    /// What to do.
    pub recommendation: Recommendation,
}

/// Answers on both sides of a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThresholdAnalysis {
    /// The threshold of the last attempt.
    pub threshold: f64,
    /// Thresholds that attempts were compared with in this window.
    pub thresholds_seen: Vec<f64>,
    /// Attempts with less confidence than their threshold.
    pub below: u64,
    /// Of those whose rightness is known: would have been correct.
    pub would_have_been_right: Rate,
    /// Attempts that reached their threshold.
    pub above: u64,
    /// Of those, the ones whose answer was taken: fewer where the router decides by more than confidences.
    pub above_settled: u64,
    /// Of those whose rightness is known: were incorrect.
    pub were_wrong: Rate,
    /// What a threshold one step lower changes: known from the log, because the layer's answers are.
    pub one_step_lower: Option<StepLower>,
    /// What a threshold one step higher changes: only what it would pass on is known, not what later layers would have said.
    pub one_step_higher: Option<StepHigher>,
}

/// Events between a lower threshold and the present one, which the lower one would settle here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepLower {
    /// The lower threshold.
    pub threshold: f64,
    /// Events that would be settled here.
    pub events: u64,
    /// Of those with a known right path: right here.
    pub right_here: Rate,
    /// Of the same events: right as they were settled later.
    pub right_later: Rate,
    /// Share right here minus share right later, paired, at 95 %.
    pub difference: Interval,
    /// Mean time that these events would have saved, in milliseconds.
    pub saved_ms: Option<f64>,
}

/// Events between the present threshold and a higher one, which the higher one would pass on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepHigher {
    /// The higher threshold.
    pub threshold: f64,
    /// Events that would be passed on.
    pub events: u64,
    /// Of those with a known right path: right here.
    pub right_here: Rate,
    /// Accuracy of all events that this layer did pass on: less sure ones, so a hint and no estimate.
    pub right_later_of_others: Rate,
    /// Mean time that passing on took for those, in milliseconds.
    pub costs_ms: Option<f64>,
}

/// What to do with a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Lower it: earlier answers are as right as later ones.
    Lower,
    /// Raise it: answers just above it are less right than later ones.
    Raise,
    /// Leave it.
    Keep,
    /// The router does not follow the threshold.
    NotFollowed,
    /// Too few outcomes to say.
    TooFew,
    /// Nothing to move.
    None,
}

/// What to do, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// What to do.
    pub action: Action,
    /// The threshold it leads to.
    pub to: Option<f64>,
    /// One sentence with the numbers behind it.
    pub reason: String,
    /// Expected change of the share of right paths, over all events of the window; an interval at 95 %.
    pub accuracy_change: Option<Interval>,
    /// Expected change of the mean latency over all events of the window, in milliseconds.
    pub latency_change_ms: Option<f64>,
}

/// Answers of one layer with what became of their events.
struct Answer {
    confidence: f64,
    threshold: f64,
    right_here: Option<bool>,
    right_in_the_end: Option<bool>,
    /// Time spent after this layer until the decision.
    later_ms: Option<f64>,
    /// Whether this layer settled the event.
    settled: bool,
}

/// Analyses every layer. `overview`: of the same scope; `step`: how far a threshold is moved.
pub fn analyze(scope: &Scope<'_>, overview: &Overview, step: f64) -> Vec<LayerAnalysis> {
    let mut answers: Vec<Vec<Answer>> = scope.layers().iter().map(|_| Vec::new()).collect();
    for event in scope.events() {
        let attempts = scope.log().attempts(event);
        let settled = settled(event, attempts);
        // Answers in shadow, after the event was settled, say nothing about the threshold.
        for (row, attempt) in attempts.iter().enumerate().take(settled.map_or(0, |settled| settled + 1)) {
            let Some(threshold) = attempt.threshold else { continue };
            let later = settled.and_then(|settled| attempts.get(row + 1..=settled));
            let later_ms = later.and_then(|later| later.iter().map(|attempt| attempt.latency_ms).sum::<Option<f64>>());
            answers[scope.layer_of(attempt)].push(Answer {
                confidence: attempt.confidence,
                threshold,
                right_here: is_right(event, attempt),
                right_in_the_end: event.right,
                later_ms,
                settled: settled == Some(row),
            });
        }
    }
    let layers = overview.layers.iter().zip(&answers).enumerate();
    layers
        .map(|(row, (layer, answers))| {
            let moves = Some(row) != scope.clarification() && row + 1 < scope.layers().len();
            let threshold = if moves { threshold_analysis(layer, answers, step) } else { None };
            let recommendation = recommend(layer, threshold.as_ref(), overview.events);
            LayerAnalysis { layer: layer.clone(), threshold, recommendation }
        })
        .collect()
}

fn threshold_analysis(layer: &LayerOverview, answers: &[Answer], step: f64) -> Option<ThresholdAnalysis> {
    let threshold = layer.threshold?;
    let mut seen: Vec<f64> = answers.iter().map(|answer| answer.threshold).collect();
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    let is_below = |answer: &&Answer| answer.confidence < answer.threshold;
    let below: Vec<&Answer> = answers.iter().filter(is_below).collect();
    let above: Vec<&Answer> = answers.iter().filter(|answer| !is_below(answer)).collect();
    let wrong = rate(above.iter().map(|answer| answer.right_here.map(|right| !right)));
    Some(ThresholdAnalysis {
        threshold,
        thresholds_seen: seen,
        below: below.len() as u64,
        would_have_been_right: rate(below.iter().map(|answer| answer.right_here)),
        above: above.len() as u64,
        above_settled: above.iter().filter(|answer| answer.settled).count() as u64,
        were_wrong: wrong,
        one_step_lower: step_lower(answers, threshold, step),
        one_step_higher: step_higher(answers, threshold, step),
    })
}

fn step_lower(answers: &[Answer], threshold: f64, step: f64) -> Option<StepLower> {
    let lower = tidy((threshold - step).max(0.0));
    let moved: Vec<&Answer> = answers
        .iter()
        .filter(|answer| lower <= answer.confidence && answer.confidence < threshold.min(answer.threshold) && !answer.settled)
        .collect();
    if lower >= threshold {
        return None;
    }
    let known: Vec<(bool, bool)> = moved.iter().filter_map(|answer| Some((answer.right_here?, answer.right_in_the_end?))).collect();
    let only = |here: bool| known.iter().filter(|pair| **pair == (here, !here)).count() as f64;
    Some(StepLower {
        threshold: lower,
        events: moved.len() as u64,
        right_here: rate(known.iter().map(|(here, _)| Some(*here))),
        right_later: rate(known.iter().map(|(_, later)| Some(*later))),
        difference: bonett_price(only(true), only(false), known.len() as f64, Confidence::TWO_SIDED_95),
        saved_ms: mean(moved.iter().filter_map(|answer| answer.later_ms)),
    })
}

fn step_higher(answers: &[Answer], threshold: f64, step: f64) -> Option<StepHigher> {
    let higher = tidy((threshold + step).min(1.0));
    if higher <= threshold {
        return None;
    }
    let moved: Vec<&Answer> = answers.iter().filter(|answer| answer.settled && answer.confidence < higher).collect();
    let passed: Vec<&Answer> = answers.iter().filter(|answer| !answer.settled && answer.confidence < answer.threshold).collect();
    Some(StepHigher {
        threshold: higher,
        events: moved.len() as u64,
        right_here: rate(moved.iter().map(|answer| answer.right_here)),
        right_later_of_others: rate(passed.iter().map(|answer| answer.right_in_the_end)),
        costs_ms: mean(passed.iter().filter_map(|answer| answer.later_ms)),
    })
}

fn recommend(layer: &LayerOverview, analysis: Option<&ThresholdAnalysis>, events: u64) -> Recommendation {
    let say = |action, reason: String| Recommendation { action, to: None, reason, accuracy_change: None, latency_change_ms: None };
    let Some(analysis) = analysis else {
        let reason = if layer.success.n == 0 {
            "the layer was not asked in this window"
        } else {
            "the layer ends the cascade; it has no threshold to move"
        };
        return say(Action::None, reason.to_owned());
    };
    if analysis.above >= MIN_OUTCOMES && (analysis.above_settled as f64) < FOLLOWS * analysis.above as f64 {
        let passed_on = analysis.above - analysis.above_settled;
        return say(
            Action::NotFollowed,
            format!(
                "{passed_on} of {} answers that reach the threshold were not taken; find out what else decides before moving it",
                analysis.above
            ),
        );
    }
    let share = |moved: u64| if events > 0 { moved as f64 / events as f64 } else { 0.0 };
    if let Some(higher) = &analysis.one_step_higher
        && higher.right_here.n >= MIN_OUTCOMES
        && higher.right_later_of_others.n >= MIN_OUTCOMES
    {
        let (later, here) = (higher.right_later_of_others, higher.right_here);
        let gain = newcombe([later.hits as f64, here.hits as f64], [later.n as f64, here.n as f64], Confidence::TWO_SIDED_95);
        if gain.lower > 0.0 {
            let part = share(higher.events);
            return Recommendation {
                action: Action::Raise,
                to: Some(higher.threshold),
                reason: format!(
                    "answers between {} and {} are right in {} of {}, events that later layers settled in {} of {}; what later layers would say to these events is not in the log",
                    analysis.threshold, higher.threshold, here.hits, here.n, later.hits, later.n
                ),
                accuracy_change: Some(Interval { lower: gain.lower * part, upper: gain.upper * part }),
                latency_change_ms: higher.costs_ms.map(|costs| costs * part),
            };
        }
    }
    let Some(lower) = analysis.one_step_lower.as_ref().filter(|lower| lower.right_here.n >= MIN_OUTCOMES) else {
        let n = analysis.one_step_lower.as_ref().map_or(0, |lower| lower.right_here.n);
        return say(Action::TooFew, format!("{n} outcomes within one step of the threshold, {MIN_OUTCOMES} are needed"));
    };
    let part = share(lower.events);
    let effect = Interval { lower: lower.difference.lower * part, upper: lower.difference.upper * part };
    let counts = format!(
        "{} of {} events just below {} would have been right here, {} were in the end",
        lower.right_here.hits, lower.right_here.n, analysis.threshold, lower.right_later.hits
    );
    if lower.difference.lower > -MARGIN && lower.saved_ms.is_some_and(|saved| saved > 0.0) {
        return Recommendation {
            action: Action::Lower,
            to: Some(lower.threshold),
            reason: format!(
                "{counts}: the same accuracy within {} points, and {:.0} ms earlier each",
                MARGIN * 100.0,
                lower.saved_ms.unwrap_or(0.0)
            ),
            accuracy_change: Some(effect),
            latency_change_ms: lower.saved_ms.map(|saved| -saved * part),
        };
    }
    Recommendation { accuracy_change: Some(effect), ..say(Action::Keep, format!("{counts}: lowering is not shown to cost nothing")) }
}

/// A threshold without the digits that subtraction leaves behind.
pub(crate) fn tidy(threshold: f64) -> f64 {
    (threshold * 1e6).round() / 1e6
}

fn rate(known: impl Iterator<Item = Option<bool>>) -> Rate {
    let (mut hits, mut n) = (0, 0);
    for hit in known.flatten() {
        hits += u64::from(hit);
        n += 1;
    }
    Rate::of(hits, n)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u64), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overview::overview;
    use crate::samples::{answer, log_of, uniform_log};

    fn analysed(log: &routewright_domain::CascadeLog, step: f64) -> Vec<LayerAnalysis> {
        let scope = Scope::new(log, 0..log.events().len(), "");
        analyze(&scope, &overview(&scope, 0.5), step)
    }

    #[test]
    fn answers_are_counted_on_both_sides_of_the_threshold() {
        let log = log_of(&[
            (Some("a"), &[answer("one", 1, 0.9, "a")][..]),
            (Some("b"), &[answer("one", 1, 0.52, "a")][..]),
            (Some("a"), &[answer("one", 1, 0.48, "a"), answer("two", 2, 0.8, "b")][..]),
            (None, &[answer("one", 1, 0.1, "a"), answer("two", 2, 0.6, "b")][..]),
        ]);
        let one = analysed(&log, 0.05)[0].threshold.clone().unwrap();
        assert_eq!((one.below, one.would_have_been_right.hits, one.would_have_been_right.n), (2, 1, 1));
        assert_eq!((one.above, one.were_wrong.hits, one.were_wrong.n), (2, 1, 2));
        let lower = one.one_step_lower.unwrap();
        assert_eq!(
            (lower.threshold, lower.events, lower.right_here.hits, lower.right_later.hits, lower.saved_ms),
            (0.45, 1, 1, 0, Some(10.0))
        );
        let higher = one.one_step_higher.unwrap();
        assert_eq!((higher.threshold, higher.events, higher.right_here.hits, higher.right_here.n), (0.55, 1, 0, 1));
    }

    #[test]
    fn a_threshold_that_lets_wrong_answers_pass_is_to_be_raised() {
        let analysis = analysed(&uniform_log(4_000, [0.3, 0.9], 0.0, 3), 0.05);
        assert_eq!(analysis[0].recommendation.action, Action::Raise);
        assert_eq!(analysis[0].recommendation.to, Some(0.35));
        assert_eq!(analysis[2].recommendation.action, Action::None);
    }

    #[test]
    fn a_router_that_does_not_follow_its_threshold_is_told_so() {
        let answers = [answer("one", 1, 0.9, "a"), answer("two", 2, 0.9, "a")];
        let mut log = routewright_domain::CascadeLog::default();
        for row in 0..30 {
            let mut layers = answers.to_vec();
            (layers[0].success, layers[1].success) = (Some(row < 10), Some(row >= 10));
            let decision = routewright_domain::Decision {
                trace_id: row.to_string(),
                timestamp: routewright_domain::Timestamp(row),
                path: "a".to_owned(),
                optimal_path: Some("a".to_owned()),
                ..Default::default()
            };
            log.put(&decision, &layers);
        }
        let one = &analysed(&log, 0.05)[0];
        assert_eq!((one.recommendation.action, one.threshold.as_ref().unwrap().above_settled), (Action::NotFollowed, 10));
        assert!(one.recommendation.reason.starts_with("20 of 30 answers"), "{}", one.recommendation.reason);
    }

    #[test]
    fn a_threshold_that_stops_right_answers_is_to_be_lowered() {
        // Answers just below 0.5 are always right, and so are later ones.
        let answers = [answer("one", 1, 0.48, "a"), answer("two", 2, 0.9, "a")];
        let log = log_of(&vec![(Some("a"), &answers[..]); 400]);
        let recommendation = &analysed(&log, 0.05)[0].recommendation;
        assert_eq!((recommendation.action, recommendation.to, recommendation.latency_change_ms), (Action::Lower, Some(0.45), Some(-10.0)));
        let few = log_of(&[(Some("a"), &answers[..]); 5]);
        assert_eq!(analysed(&few, 0.05)[0].recommendation.action, Action::TooFew);
    }
}
