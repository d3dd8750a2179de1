//! The best thresholds of the cascade, and what they are worth.

use serde::Serialize;

use super::layers::{CLARIFICATION, LAYERS, Layer};

/// Value lost by asking the user, in units of a right answer.
const CLARIFICATION_COST: f64 = 0.08;

/// Value lost per second of routing, in units of a right answer.
const COST_PER_SECOND: f64 = 0.02;

/// Points of the confidence's distribution that an expectation sums over.
const N_POINTS: u32 = 20_000;

/// What the thresholds of a cascade are worth.
///
/// Value of an event = 1 if the master is right − 0.08 if the user had to be asked − 0.02 per second of routing. Layers err independently of each
/// other given their confidences, so the best rule accepts a layer's answer when it is right at least as often as going on is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CascadeTruth {
    /// Expected value with the logged thresholds.
    pub value: f64,
    /// Expected value with the best thresholds.
    pub best_value: f64,
    /// Share of right masters with the logged thresholds.
    pub accuracy: f64,
    /// Share of right masters with the best thresholds.
    pub best_accuracy: f64,
    /// The layers, in the order they are asked.
    pub layers: Vec<LayerTruth>,
}

/// What is true of one layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerTruth {
    /// Name of the layer.
    pub layer: &'static str,
    /// Threshold in the log.
    pub threshold: f64,
    /// Threshold with the highest expected value, given the best thresholds of the layers after it.
    pub best_threshold: f64,
    /// Share of the events reaching the layer that it settles, at the logged threshold.
    pub settled: f64,
    /// Share of right answers among those it settles, at the logged threshold.
    pub accuracy: f64,
    /// Share of right answers among all it gives.
    pub accuracy_of_all: f64,
}

/// What is expected of the cascade from one layer on.
#[derive(Clone, Copy, Debug)]
struct Onward {
    value: f64,
    accuracy: f64,
}

/// What is expected of the user.
const END: Onward = Onward { value: 1.0 - CLARIFICATION_COST, accuracy: 1.0 };

/// Works out the truth by going backwards from the user, who is always right.
pub(super) fn truth(thresholds: &[f64; LAYERS.len()]) -> CascadeTruth {
    let mut best = END;
    let mut layers = vec![LayerTruth {
        layer: LAYERS[CLARIFICATION].name,
        threshold: thresholds[CLARIFICATION],
        best_threshold: LAYERS[CLARIFICATION].threshold,
        settled: 1.0,
        accuracy: 1.0,
        accuracy_of_all: 1.0,
    }];
    for (layer, &threshold) in LAYERS[..CLARIFICATION].iter().zip(thresholds).rev() {
        let best_threshold = confidence_worth(layer, best.value);
        let (settled, accuracy) = settled(layer, threshold);
        let (_, accuracy_of_all) = self::settled(layer, 0.0);
        best = step(layer, best_threshold, best);
        layers.push(LayerTruth { layer: layer.name, threshold, best_threshold, settled, accuracy, accuracy_of_all });
    }
    layers.reverse();
    let logged = expected(thresholds);
    CascadeTruth { value: logged.value, best_value: best.value, accuracy: logged.accuracy, best_accuracy: best.accuracy, layers }
}

/// Expected value of an event with thresholds.
pub(super) fn value(thresholds: &[f64; LAYERS.len()]) -> f64 {
    expected(thresholds).value
}

fn expected(thresholds: &[f64; LAYERS.len()]) -> Onward {
    let layers = LAYERS[..CLARIFICATION].iter().zip(thresholds);
    layers.rev().fold(END, |onward, (layer, &threshold)| step(layer, threshold, onward))
}

/// The confidence from which a layer is right at least as often as going on is worth.
fn confidence_worth(layer: &Layer, value: f64) -> f64 {
    let slope = (layer.right_at_highest - layer.right_at_lowest) / (layer.highest - layer.lowest);
    (layer.lowest + (value - layer.right_at_lowest) / slope).clamp(layer.lowest, 1.0)
}

/// Share of the answers at or above a threshold, and how many of those are right.
fn settled(layer: &Layer, threshold: f64) -> (f64, f64) {
    let (mut count, mut right) = (0.0, 0.0);
    for confidence in confidences(layer).filter(|&confidence| confidence >= threshold) {
        count += 1.0;
        right += layer.right_at(confidence);
    }
    (count / f64::from(N_POINTS), if count > 0.0 { right / count } else { 0.0 })
}

/// What is expected from a layer on, with a threshold.
fn step(layer: &Layer, threshold: f64, onward: Onward) -> Onward {
    let (share, right) = settled(layer, threshold);
    let time = COST_PER_SECOND * layer.latency_ms / 1000.0;
    Onward { value: share * right + (1.0 - share) * onward.value - time, accuracy: share * right + (1.0 - share) * onward.accuracy }
}

/// Confidences at evenly spaced shares of the distribution.
fn confidences(layer: &Layer) -> impl Iterator<Item = f64> {
    (0..N_POINTS).map(|point| layer.quantile((f64::from(point) + 0.5) / f64::from(N_POINTS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_threshold_is_worth_more() {
        let truth = logged();
        assert!(truth.value < truth.best_value, "{truth:?}");
        let best: [f64; LAYERS.len()] = std::array::from_fn(|row| truth.layers[row].best_threshold);
        assert!((value(&best) - truth.best_value).abs() < 1e-12);
        let value = |changed: usize, by: f64| {
            let mut thresholds = best;
            thresholds[changed] += by;
            value(&thresholds)
        };
        for row in 0..CLARIFICATION {
            for by in [-0.05, -0.02, 0.02, 0.05] {
                assert!(value(row, by) <= value(row, 0.0) + 1e-9, "layer {row} by {by}");
            }
        }
    }

    fn logged() -> CascadeTruth {
        truth(&LAYERS.each_ref().map(|layer| layer.threshold))
    }

    #[test]
    fn some_thresholds_are_off() {
        let off = logged().layers.iter().filter(|layer| (layer.threshold - layer.best_threshold).abs() > 0.03).count();
        assert!(off >= 2, "{:?}", logged());
    }
}
