//! The few ways of drawing that every part of a world shares.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use routewright_domain::Rng;

/// A uniform number in [0, 1).
pub(crate) fn uniform(rng: &mut Rng) -> f64 {
    rng.random::<f64>()
}

/// A standard normal number.
pub(crate) fn normal(rng: &mut Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// A position below `n`, uniformly; 0 for an empty range.
pub(crate) fn position(rng: &mut Rng, n: usize) -> usize {
    ((uniform(rng) * n as f64) as usize).min(n.saturating_sub(1))
}

/// A position below the number of weights, in proportion to them.
pub(crate) fn weighted(rng: &mut Rng, weights: &[f64]) -> usize {
    let mut left = uniform(rng) * weights.iter().sum::<f64>();
    for (row, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return row;
        }
    }
    weights.len().saturating_sub(1)
}

/// A positive factor with mean 1 whose logarithm has the standard deviation `spread`.
pub(crate) fn factor(rng: &mut Rng, spread: f64) -> f64 {
    (spread * normal(rng) - spread * spread / 2.0).exp()
}

/// A number rounded to `1 / steps`, so that logs stay short and the logged value is the one that acts.
pub(crate) fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use routewright_domain::Seed;

    use super::*;

    #[test]
    fn weights_are_respected() {
        let mut rng = Seed(3).rng();
        let n = 20_000;
        let hits = (0..n).filter(|_| weighted(&mut rng, &[1.0, 0.0, 3.0]) == 2).count();
        assert!((hits as f64 / f64::from(n) - 0.75).abs() < 0.015, "{hits}: five standard errors");
    }

    #[test]
    fn a_factor_has_mean_one() {
        let mut rng = Seed(4).rng();
        let n = 50_000;
        let mean = (0..n).map(|_| factor(&mut rng, 0.35)).sum::<f64>() / f64::from(n);
        assert!((mean - 1.0).abs() < 0.008, "{mean}: five standard errors");
    }
}
