//! The layers: how confident they are, and how right they are at a confidence.

use routewright_domain::Rng;

use crate::draw::{factor, rounded, uniform};

/// A layer of the cascade.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Name of the layer.
    pub name: &'static str,
    /// Threshold in use, where the settings say nothing.
    pub threshold: f64,
    /// Lowest confidence.
    pub lowest: f64,
    /// Highest confidence.
    pub highest: f64,
    /// Exponents (a, b) of the confidence's distribution between its ends: F(x) = 1 − (1 − xᵃ)ᵇ (Kumaraswamy 1980).
    pub shape: (f64, f64),
    /// Probability of being right at the lowest confidence; it rises in a straight line.
    pub right_at_lowest: f64,
    /// Probability of being right at the highest confidence.
    pub right_at_highest: f64,
    /// Mean time, in milliseconds.
    pub latency_ms: f64,
}

/// Every layer, in the order they are asked; the last one asks the user and is always right.
pub(crate) const LAYERS: [Layer; 5] = [
    Layer {
        name: "keyword",
        threshold: 0.85,
        lowest: 0.50,
        highest: 0.98,
        shape: (1.8, 1.5),
        right_at_lowest: 0.45,
        right_at_highest: 0.99,
        latency_ms: 3.2,
    },
    Layer {
        name: "semantic",
        threshold: 0.70,
        lowest: 0.40,
        highest: 0.99,
        shape: (1.6, 1.5),
        right_at_lowest: 0.50,
        right_at_highest: 0.99,
        latency_ms: 34.0,
    },
    Layer {
        name: "rag",
        threshold: 0.85,
        lowest: 0.60,
        highest: 0.99,
        shape: (3.0, 1.3),
        right_at_lowest: 0.70,
        right_at_highest: 0.99,
        latency_ms: 125.0,
    },
    Layer {
        name: "pytorch",
        threshold: 0.90,
        lowest: 0.70,
        highest: 0.995,
        shape: (2.6, 1.4),
        right_at_lowest: 0.78,
        right_at_highest: 0.995,
        latency_ms: 240.0,
    },
    Layer {
        name: "clarification",
        threshold: 1.0,
        lowest: 1.0,
        highest: 1.0,
        shape: (1.0, 1.0),
        right_at_lowest: 1.0,
        right_at_highest: 1.0,
        latency_ms: 0.0,
    },
];

/// Position of the layer that asks the user.
pub(crate) const CLARIFICATION: usize = LAYERS.len() - 1;

impl Layer {
    /// The confidence below which a share of the queries lies.
    pub fn quantile(&self, share: f64) -> f64 {
        let (a, b) = self.shape;
        let within = (1.0 - (1.0 - share).powf(1.0 / b)).powf(1.0 / a);
        self.lowest + (self.highest - self.lowest) * within
    }

    /// Probability that the layer is right at a confidence.
    pub fn right_at(&self, confidence: f64) -> f64 {
        if self.highest <= self.lowest {
            return self.right_at_highest;
        }
        let within = (confidence - self.lowest) / (self.highest - self.lowest);
        self.right_at_lowest + (self.right_at_highest - self.right_at_lowest) * within
    }

    /// Draws confidence (to three decimals), whether the answer is right, and the time in milliseconds.
    pub fn answer(&self, rng: &mut Rng) -> (f64, bool, f64) {
        let confidence = rounded(self.quantile(uniform(rng)), 1000.0);
        let right = uniform(rng) < self.right_at(confidence);
        (confidence, right, rounded(self.latency_ms * factor(rng, 0.25), 100.0))
    }
}

#[cfg(test)]
mod tests {
    use routewright_domain::Seed;

    use super::*;

    #[test]
    fn a_more_confident_layer_is_more_often_right() {
        let mut rng = Seed(1).rng();
        for layer in &LAYERS[..CLARIFICATION] {
            let answers: Vec<_> = (0..20_000).map(|_| layer.answer(&mut rng)).collect();
            let middle = layer.quantile(0.5);
            let right = |high: bool| {
                let part: Vec<_> = answers.iter().filter(|answer| (answer.0 >= middle) == high).collect();
                part.iter().filter(|answer| answer.1).count() as f64 / part.len() as f64
            };
            assert!(right(false) + 0.03 < right(true), "{}", layer.name);
            assert!(answers.iter().all(|answer| (layer.lowest - 1e-9..=layer.highest + 1e-9).contains(&answer.0) && answer.2 > 0.0));
        }
    }

    #[test]
    fn the_user_is_always_right() {
        assert_eq!(LAYERS[CLARIFICATION].answer(&mut Seed(2).rng()), (1.0, true, 0.0));
    }
}
