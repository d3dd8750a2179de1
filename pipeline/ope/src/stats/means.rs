//! Means and ratios of means.

use routewright_domain::Interval;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Confidence, normal_sf, student_quantile};
use crate::OpeError;
use crate::error::check_length;

/// A ratio of two means with an interval on the log scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Mean above the line, in its own unit.
    pub numerator: f64,
    /// Mean below the line, in the same unit.
    pub denominator: f64,
    /// Their ratio.
    pub ratio: f64,
    /// Standard error of the ratio's logarithm.
    pub log_std_error: f64,
    /// Interval of the ratio.
    pub interval: Interval,
}

impl Ratio {
    /// The ratio of two means, from the standard error of its logarithm and the half-width in standard errors.
    pub(crate) fn on_log_scale(numerator: f64, denominator: f64, log_std_error: f64, half_width: f64) -> Self {
        let ratio = numerator / denominator;
        let factor = (half_width * log_std_error).exp();
        Self { numerator, denominator, ratio, log_std_error, interval: Interval { lower: ratio / factor, upper: ratio * factor } }
    }

    /// One-sided test that the ratio is at least `margin`: the z statistic and its p-value. Small p: the ratio is below the margin.
    pub fn noninferiority(&self, margin: f64) -> (f64, f64) {
        let z = (self.ratio.ln() - margin.ln()) / self.log_std_error;
        (z, normal_sf(-z))
    }
}

/// Welch's t test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WelchTest {
    /// Difference of the means, first minus second.
    pub difference: f64,
    /// The t statistic.
    pub t: f64,
    /// Degrees of freedom (Welch, Satterthwaite).
    pub degrees: f64,
    /// Interval of the difference.
    pub interval: Interval,
}

impl WelchTest {
    /// Two-sided p-value.
    pub fn p_value(&self) -> f64 {
        StudentsT::new(0.0, 1.0, self.degrees).map_or(f64::NAN, |student| 2.0 * student.cdf(-self.t.abs()))
    }
}

/// Welch's comparison of two groups; `None` with fewer than two values in one of them.
pub fn welch(first: &[f64], second: &[f64], confidence: Confidence) -> Option<WelchTest> {
    if first.len() < 2 || second.len() < 2 {
        return None;
    }
    let (a, b) = (sample_variance(first) / first.len() as f64, sample_variance(second) / second.len() as f64);
    let std_error = (a + b).sqrt();
    let difference = mean(first) - mean(second);
    let degrees = (a + b) * (a + b) / (a * a / (first.len() as f64 - 1.0) + b * b / (second.len() as f64 - 1.0));
    let half = student_quantile(0.5 + confidence.level() / 2.0, degrees) * std_error;
    let interval = Interval { lower: difference - half, upper: difference + half };
    Some(WelchTest { difference, t: difference / std_error, degrees, interval })
}

/// Ratio of the means of two independent groups; `None` with fewer than two values or a mean that is not positive.
///
/// Golden values: the delta method on the log scale, sample variances.
pub fn ratio_of_means(numerator: &[f64], denominator: &[f64], confidence: Confidence) -> Option<Ratio> {
    if numerator.len() < 2 || denominator.len() < 2 {
        return None;
    }
    let (above, below) = (mean(numerator), mean(denominator));
    if above <= 0.0 || below <= 0.0 {
        return None;
    }
    let log_variance = sample_variance(numerator) / (numerator.len() as f64 * above * above)
        + sample_variance(denominator) / (denominator.len() as f64 * below * below);
    Some(Ratio::on_log_scale(above, below, log_variance.sqrt(), confidence.z()))
}

/// Fieller's interval for the ratio of the means of two independent groups; `None` where it is not bounded.
pub fn fieller(numerator: &[f64], denominator: &[f64], confidence: Confidence) -> Option<Interval> {
    if numerator.len() < 2 || denominator.len() < 2 {
        return None;
    }
    let (above, below, z2) = (mean(numerator), mean(denominator), confidence.z() * confidence.z());
    let above_variance = sample_variance(numerator) / numerator.len() as f64;
    let below_variance = sample_variance(denominator) / denominator.len() as f64;
    let (a, b, c) = (below * below - z2 * below_variance, above * below, above * above - z2 * above_variance);
    let discriminant = b * b - a * c;
    (a > 0.0 && discriminant >= 0.0).then(|| Interval { lower: (b - discriminant.sqrt()) / a, upper: (b + discriminant.sqrt()) / a })
}

/// Ratio of the means of two columns measured on the same rows; `None` with fewer than two rows or a mean that is not positive.
///
/// `se(log ρ) = sd(x/mean x − y/mean y) / √n`.
///
/// # Errors
/// [`OpeError::Length`] when the columns differ in length.
pub fn paired_ratio(numerator: &[f64], denominator: &[f64], confidence: Confidence) -> Result<Option<Ratio>, OpeError> {
    check_length("denominator", numerator.len(), denominator.len())?;
    if numerator.len() < 2 {
        return Ok(None);
    }
    let (above, below) = (mean(numerator), mean(denominator));
    if above <= 0.0 || below <= 0.0 {
        return Ok(None);
    }
    let influence: Vec<f64> = numerator.iter().zip(denominator).map(|(x, y)| x / above - y / below).collect();
    let std_error = (sample_variance(&influence) / influence.len() as f64).sqrt();
    Ok(Some(Ratio::on_log_scale(above, below, std_error, confidence.z())))
}

/// Bonett and Price's adjusted Wald interval (2012) for the difference of two paired proportions.
///
/// `only_first` and `only_second`: pairs that succeed on one side only; `pairs`: all of them. [−1, 1] without pairs.
pub fn bonett_price(only_first: f64, only_second: f64, pairs: f64, confidence: Confidence) -> Interval {
    if pairs <= 0.0 {
        return Interval { lower: -1.0, upper: 1.0 };
    }
    let (first, second) = ((only_first + 1.0) / (pairs + 2.0), (only_second + 1.0) / (pairs + 2.0));
    let difference = first - second;
    let half = confidence.z() * ((first + second - difference * difference) / (pairs + 2.0)).sqrt();
    Interval { lower: (difference - half).max(-1.0), upper: (difference + half).min(1.0) }
}

/// CUPED's slope: how much of the outcome's variation a covariate known beforehand explains; 0 for a constant covariate.
///
/// # Errors
/// [`OpeError::Length`] when the columns differ in length.
pub fn cuped(covariate: &[f64], outcome: &[f64]) -> Result<f64, OpeError> {
    check_length("outcome", covariate.len(), outcome.len())?;
    let (x_mean, y_mean) = (mean(covariate), mean(outcome));
    let covariance: f64 = covariate.iter().zip(outcome).map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let variance: f64 = covariate.iter().map(|x| (x - x_mean) * (x - x_mean)).sum();
    Ok(if variance == 0.0 { 0.0 } else { covariance / variance })
}

/// The outcomes without what a covariate known beforehand explains: `y − θ (x − mean x)`, with the same mean and less variance.
///
/// # Errors
/// [`OpeError::Length`] when the columns differ in length.
pub fn cuped_adjusted(covariate: &[f64], outcome: &[f64]) -> Result<Vec<f64>, OpeError> {
    let (slope, centre) = (cuped(covariate, outcome)?, mean(covariate));
    Ok(covariate.iter().zip(outcome).map(|(x, y)| y - slope * (x - centre)).collect())
}

/// The mean; NaN of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The variance with denominator n − 1.
fn sample_variance(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|value| (value - centre) * (value - centre)).sum::<f64>() / (values.len() as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_columns_have_ratio_one_without_error() {
        let ratio = paired_ratio(&[1.0, 2.0, 4.0], &[1.0, 2.0, 4.0], Confidence::TWO_SIDED_95).unwrap().unwrap();
        assert_eq!((ratio.ratio, ratio.log_std_error), (1.0, 0.0));
    }

    #[test]
    fn a_mean_of_zero_has_no_ratio() {
        assert_eq!(ratio_of_means(&[1.0, 2.0], &[0.0, 0.0], Confidence::TWO_SIDED_95), None);
    }
}
