//! Centres of embeddings, and how a full set of them is divided in two.

use crate::embedder::{DIMENSIONS, Embedding};

/// Rounds of two-means when a set is divided.
const N_ROUNDS: usize = 4;

/// A division by the nearer centre must leave each half at least one in this many; otherwise the set is cut in its middle instead.
const MAX_IMBALANCE: usize = 8;

/// The direction of the mean of some embeddings.
pub(crate) fn centre<'a>(embeddings: impl Iterator<Item = &'a Embedding>) -> Embedding {
    let mut sums = [0_i32; DIMENSIONS];
    for embedding in embeddings {
        for (sum, number) in sums.iter_mut().zip(&embedding.0) {
            *sum += i32::from(*number);
        }
    }
    let length = sums.iter().map(|&sum| f64::from(sum) * f64::from(sum)).sum::<f64>().sqrt();
    if length == 0.0 { Embedding::ZERO } else { Embedding(sums.map(|sum| (f64::from(sum) / length * 127.0).round() as i16)) }
}

/// Which half each member belongs to, by two-means; `None` where they are all alike.
pub(super) fn halves(members: &[Embedding]) -> Option<Vec<bool>> {
    let whole = centre(members.iter());
    let farthest = |from: &Embedding| members.iter().min_by_key(|member| member.dot(from)).copied();
    let mut centres = [farthest(&farthest(&whole)?)?, farthest(&whole)?];
    let lean =
        |centres: &[Embedding; 2]| -> Vec<i32> { members.iter().map(|member| member.dot(&centres[1]) - member.dot(&centres[0])).collect() };
    let mut leans = lean(&centres);
    for _ in 0..N_ROUNDS {
        for (half, slot) in [false, true].into_iter().zip(&mut centres) {
            *slot = centre(members.iter().zip(&leans).filter(|(_, lean)| (**lean > 0) == half).map(|(member, _)| member));
        }
        leans = lean(&centres);
    }
    let n_second = leans.iter().filter(|lean| **lean > 0).count();
    let is_balanced = n_second.min(members.len() - n_second) * MAX_IMBALANCE >= members.len();
    let cut = if is_balanced { 0 } else { middle(&leans)? };
    Some(leans.into_iter().map(|lean| lean > cut).collect())
}

/// The value after which the sorted numbers are cut nearest to their middle; `None` where they are all equal.
fn middle(numbers: &[i32]) -> Option<i32> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let places = (1..sorted.len()).filter(|&place| sorted[place] != sorted[place - 1]);
    places.min_by_key(|place| place.abs_diff(sorted.len() / 2)).map(|place| sorted[place - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An embedding in the plane of the first two dimensions.
    fn at(first: i16, second: i16) -> Embedding {
        let mut embedding = Embedding::ZERO;
        (embedding.0[0], embedding.0[1]) = (first, second);
        embedding
    }

    #[test]
    fn two_groups_are_told_apart() {
        let members = [at(127, 0), at(126, 5), at(0, 127), at(5, 126), at(127, 3)];
        let side = halves(&members).unwrap();
        assert_eq!(side[0], side[1]);
        assert_eq!(side[2], side[3]);
        assert_ne!(side[0], side[2]);
    }

    #[test]
    fn a_crowd_with_one_outlier_is_cut_in_its_middle_and_equals_stay_together() {
        let mut members: Vec<Embedding> = (0..30).map(|number| at(127, number % 15)).collect();
        members.push(at(-127, 0));
        let side = halves(&members).unwrap();
        let n_second = side.iter().filter(|side| **side).count();
        assert!((10..=21).contains(&n_second), "{n_second}");
        assert!((0..15).all(|number| side[number] == side[number + 15]));
    }

    #[test]
    fn members_that_are_all_alike_are_not_divided() {
        assert_eq!(halves(&[at(3, 4); 10]), None);
    }
}
