//! Eigenvectors of a small symmetric matrix.

/// Sweeps after which the rotations stop; a symmetric matrix of this size needs about ten.
const MAX_SWEEPS: usize = 30;

/// Share of the largest entry below which an off-diagonal entry counts as zero.
const TOLERANCE: f64 = 1e-12;

/// Eigenvalues in falling order, and eigenvectors as columns of a row-major n × n matrix, by Jacobi rotations.
///
/// `matrix`: row-major, symmetric, n × n. Source: Golub & Van Loan, Matrix Computations, section 8.5.
pub(super) fn eigen(mut matrix: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors: Vec<f64> = (0..n * n).map(|entry| if entry / n == entry % n { 1.0 } else { 0.0 }).collect();
    let largest = matrix.iter().fold(0.0_f64, |largest, entry| largest.max(entry.abs()));
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                if matrix[p * n + q].abs() > TOLERANCE * largest {
                    rotate(&mut matrix, &mut vectors, n, p, q);
                    rotated = true;
                }
            }
        }
        if !rotated {
            break;
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| matrix[b * n + b].total_cmp(&matrix[a * n + a]));
    let values = order.iter().map(|&column| matrix[column * n + column]).collect();
    let sorted = (0..n * n).map(|entry| vectors[entry / n * n + order[entry % n]]).collect();
    (values, sorted)
}

/// Turns the plane of two axes so that their common entry becomes zero.
fn rotate(matrix: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let theta = (matrix[q * n + q] - matrix[p * n + p]) / (2.0 * matrix[p * n + q]);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for row in 0..n {
        let (a, b) = (matrix[row * n + p], matrix[row * n + q]);
        matrix[row * n + p] = cosine * a - sine * b;
        matrix[row * n + q] = sine * a + cosine * b;
    }
    for column in 0..n {
        let (a, b) = (matrix[p * n + column], matrix[q * n + column]);
        matrix[p * n + column] = cosine * a - sine * b;
        matrix[q * n + column] = sine * a + cosine * b;
    }
    for row in 0..n {
        let (a, b) = (vectors[row * n + p], vectors[row * n + q]);
        vectors[row * n + p] = cosine * a - sine * b;
        vectors[row * n + q] = sine * a + cosine * b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_a_known_matrix_are_found() {
        let (values, vectors) = eigen(vec![2.0, 1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 5.0], 3);
        for (value, expected) in values.iter().zip([5.0, 3.0, 1.0]) {
            assert!((value - expected).abs() < 1e-12);
        }
        assert!((vectors[2 * 3].abs() - 1.0).abs() < 1e-12);
        assert!((vectors[1] - vectors[3 + 1]).abs() < 1e-12);
    }
}
