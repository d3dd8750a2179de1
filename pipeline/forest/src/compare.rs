//! Whether one model is better than another: a test on repeated cross-validation that knows its folds overlap.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// The mean of paired differences of losses, with its test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedTest {
    /// Mean difference.
    pub mean: f64,
    /// Its standard error, with what overlapping training rows add.
    pub std_error: f64,
    /// Degrees of freedom: differences less one.
    pub degrees: u32,
    /// Two-sided probability of a mean at least as far from 0 where there is no difference.
    pub p_value: f64,
    /// Lower end of the 95 % interval.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// Tests whether paired differences, one per fold and repeat, have a mean of 0.
///
/// `se² = (1/k + n_test/n_train) · s²`: the second part is for the folds' common training rows, without which the plain t-test finds
/// differences where there are none. `test_share`: rows of a fold's judging part for each of its training part, 1/(folds − 1) in
/// cross-validation. `None` for fewer than two differences, or where one is not finite. Equal differences give a p-value of 0, or of 1 where
/// they are all 0.
///
/// Source: Nadeau & Bengio (2003), Bouckaert & Frank (2004).
///
/// ```
/// use routewright_forest::corrected_t_test;
///
/// let gains = [0.011, 0.004, 0.009, 0.001, 0.012, 0.003, 0.008, 0.002, 0.010, 0.005];
/// let test = corrected_t_test(&gains, 1.0 / 4.0).unwrap();
/// assert!(test.p_value < 0.05 && test.lower > 0.0);
/// ```
pub fn corrected_t_test(differences: &[f64], test_share: f64) -> Option<PairedTest> {
    let n = differences.len() as f64;
    if differences.len() < 2 || differences.iter().any(|difference| !difference.is_finite()) {
        return None;
    }
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|difference| (difference - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let std_error = ((1.0 / n + test_share) * variance).sqrt();
    let distribution = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
    let p_value = match (std_error > 0.0, mean == 0.0) {
        (true, _) => 2.0 * distribution.cdf(-(mean / std_error).abs()),
        (false, true) => 1.0,
        (false, false) => 0.0,
    };
    let reach = distribution.inverse_cdf(0.975) * std_error;
    Some(PairedTest { mean, std_error, degrees: differences.len() as u32 - 1, p_value, lower: mean - reach, upper: mean + reach })
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;
    use routewright_domain::Seed;

    use super::*;

    #[test]
    fn numbers_match_the_formula_worked_by_hand() {
        // Mean 2, variance 1, three differences of folds with a tenth of the rows: se = sqrt(1/3 + 1/9) = 2/3, t = 3 with 2 degrees.
        let test = corrected_t_test(&[1.0, 2.0, 3.0], 1.0 / 9.0).unwrap();
        assert!((test.std_error - 2.0 / 3.0).abs() < 1e-12);
        // R 4: 2 * pt(-3, 2) = 0.09546597, qt(0.975, 2) = 4.302653.
        assert!((test.p_value - 0.095_465_97).abs() < 1e-7, "{}", test.p_value);
        assert!((test.upper - (2.0 + 4.302_653 * 2.0 / 3.0)).abs() < 1e-5, "{}", test.upper);
        assert_eq!(corrected_t_test(&[0.0, 0.0], 0.25).unwrap().p_value, 1.0);
        assert_eq!(corrected_t_test(&[1.0, 1.0], 0.25).unwrap().p_value, 0.0);
        assert_eq!(corrected_t_test(&[1.0], 0.25), None);
        assert_eq!(corrected_t_test(&[1.0, f64::NAN], 0.25), None);
    }

    #[test]
    fn folds_that_share_rows_do_not_find_differences_that_are_not_there() {
        // Each fold's difference is the mean over its training rows of noise: what overlapping folds have in common moves them together.
        let (n_rows, n_folds, n_worlds) = (100, 10, 400);
        let (mut n_corrected, mut n_plain) = (0, 0);
        for world in 0..n_worlds {
            let mut rng = Seed(world).rng();
            let noise: Vec<f64> = (0..n_rows).map(|_| rng.random::<f64>() - 0.5).collect();
            let mut differences = Vec::new();
            for _ in 0..10 {
                let mut order: Vec<usize> = (0..n_rows).collect();
                (1..n_rows).rev().for_each(|last| order.swap(last, rng.random_range(0..=last)));
                let test_mean =
                    |fold: usize| (0..n_rows / n_folds).map(|row| noise[order[fold * n_rows / n_folds + row]]).sum::<f64>() / 10.0;
                differences.extend((0..n_folds).map(test_mean));
            }
            n_corrected += usize::from(corrected_t_test(&differences, 1.0 / 9.0).unwrap().p_value < 0.05);
            n_plain += usize::from(corrected_t_test(&differences, 0.0).unwrap().p_value < 0.05);
        }
        assert!(n_corrected <= 32 && n_plain > 100, "corrected {n_corrected}, plain {n_plain} of 400");
    }
}
