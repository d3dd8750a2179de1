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

/// Benjamini and Hochberg's adjusted p-values (1995): the expected share of false rejections stays below the level.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![0.0; p_values.len()];
    let mut smallest = 1.0_f64;
    for (rank, row) in ascending(p_values).into_iter().enumerate().rev() {
        smallest = smallest.min(p_values[row] * p_values.len() as f64 / (rank + 1) as f64);
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
