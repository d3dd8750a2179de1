//! Several tests at once.

/// Bonferroni's adjusted p-values.
pub fn bonferroni(p_values: &[f64]) -> Vec<f64> {
    p_values.iter().map(|p| (p * p_values.len() as f64).min(1.0)).collect()
}

/// Holm's adjusted p-values (1979): the probability of one false rejection stays below the level, whatever the dependence.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, row) in ascending(p_values).into_iter().enumerate() {
        largest = largest.max((p_values[row] * (p_values.len() - rank) as f64).min(1.0));
        adjusted[row] = largest;
    }
    adjusted
}

/// Šidák's adjusted p-values (1967), for independent tests.
pub fn sidak(p_values: &[f64]) -> Vec<f64> {
    p_values.iter().map(|p| -(p_values.len() as f64 * (-p).ln_1p()).exp_m1()).collect()
}

/// Hochberg's adjusted p-values (1988), after Simes: Holm's from the largest down, for tests that are not negatively dependent.
pub fn hochberg(p_values: &[f64]) -> Vec<f64> {
    let n = p_values.len();
    stepping_up(p_values, |rank| (n - rank) as f64)
}

/// Hommel's adjusted p-values (1988): at least as strong as Hochberg's, under the same condition.
pub fn hommel(p_values: &[f64]) -> Vec<f64> {
    let n = p_values.len();
    let order = ascending(p_values);
    let sorted: Vec<f64> = order.iter().map(|row| p_values[*row]).collect();
    let mut strongest = sorted.clone();
    for size in (2..=n).rev() {
        let (others, largest) = sorted.split_at(n - size);
        let simes = |(rank, p): (usize, &f64)| size as f64 * p / (rank + 1) as f64;
        let smallest = largest.iter().enumerate().map(simes).fold(1.0, f64::min);
        for (adjusted, p) in strongest.iter_mut().zip(others) {
            *adjusted = adjusted.max((size as f64 * p).min(smallest));
        }
        strongest[n - size..].iter_mut().for_each(|adjusted| *adjusted = adjusted.max(smallest));
    }
    let mut adjusted = vec![0.0; n];
    for (row, value) in order.into_iter().zip(strongest) {
        adjusted[row] = value;
    }
    adjusted
}

/// Benjamini and Yekutieli's adjusted p-values (2001): the expected share of false rejections stays below the level, whatever the dependence.
pub fn benjamini_yekutieli(p_values: &[f64]) -> Vec<f64> {
    let n = p_values.len();
    let harmonic: f64 = (1..=n).map(|rank| 1.0 / rank as f64).sum();
    stepping_up(p_values, |rank| harmonic * n as f64 / (rank + 1) as f64)
}

/// Benjamini and Hochberg's adjusted p-values (1995): the expected share of false rejections stays below the level.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let n = p_values.len();
    stepping_up(p_values, |rank| n as f64 / (rank + 1) as f64)
}

/// p-values times a factor of their rank (from 0), none above one of a larger p-value or 1.
fn stepping_up(p_values: &[f64], factor: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut adjusted = vec![0.0; p_values.len()];
    let mut smallest = 1.0_f64;
    for (rank, row) in ascending(p_values).into_iter().enumerate().rev() {
        smallest = smallest.min(p_values[row] * factor(rank));
        adjusted[row] = smallest;
    }
    adjusted
}

/// Positions in order of p-value, ties in order of position.
fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    order
}
