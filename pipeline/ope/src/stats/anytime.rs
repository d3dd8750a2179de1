//! Bounds that hold at every look at a growing log.

use super::confidence_sequences::two_sided_rho;

/// Half-width of the asymptotic confidence sequence of a mean after `n` rows with sample variance `variance`.
///
/// `tuned_for`: the number of rows at which the sequence is tightest; `alpha`: error probability over all looks together.
///
/// Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2021). Golden values: gbstats.
pub fn asymptotic_half_width(variance: f64, n: f64, tuned_for: f64, alpha: f64) -> f64 {
    let rho2 = asymptotic_tuning(tuned_for, alpha).powi(2);
    let scale = n * rho2 + 1.0;
    variance.sqrt() * (2.0 * scale / (n * n * rho2) * (scale.sqrt() / alpha).ln()).sqrt()
}

/// The tuning ρ of [`asymptotic_half_width`] that is tightest after `tuned_for` rows.
pub fn asymptotic_tuning(tuned_for: f64, alpha: f64) -> f64 {
    let twice_log = -2.0 * alpha.ln();
    ((twice_log + (twice_log + 1.0).ln()) / tuned_for).sqrt()
}

/// The two-sided normal mixture bound of a sub-Gaussian sum with intrinsic time `v`, tightest at `v_opt`.
///
/// Source: Howard, Ramdas, McAuliffe, Sekhon (2021). Golden values: confseq 0.0.11.
pub fn normal_mixture_bound(v: f64, alpha: f64, v_opt: f64) -> f64 {
    let rho = two_sided_rho(v_opt, alpha);
    ((v + rho) * ((v + rho) / (rho * alpha * alpha)).ln()).sqrt()
}

/// The mixture sequential probability ratio test of a difference of 0: likelihood ratio, and the p-value at this look.
///
/// `variance`: of the difference; `mixing_variance`: of the effects expected beforehand.
///
/// Source: Johari, Koomen, Pekelis, Walsh (2022).
pub fn mixture_sprt(difference: f64, variance: f64, mixing_variance: f64) -> (f64, f64) {
    let total = variance + mixing_variance;
    let ratio = (variance / total).sqrt() * (difference * difference * mixing_variance / (2.0 * variance * total)).exp();
    (ratio, (1.0 / ratio).min(1.0))
}
