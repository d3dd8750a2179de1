//! Numbers for names.

use std::collections::HashMap;
use std::hash::Hash;

/// Distinct values numbered in ascending order, and the value of each number.
pub(crate) fn numbered<T: Ord + Hash + Clone>(values: impl Iterator<Item = T>) -> (Vec<u32>, Vec<T>) {
    let mut seen: HashMap<T, u32> = HashMap::new();
    let in_order_of_appearance: Vec<u32> = values
        .map(|value| {
            let next = seen.len() as u32;
            *seen.entry(value).or_insert(next)
        })
        .collect();
    let mut distinct: Vec<(T, u32)> = seen.into_iter().collect();
    distinct.sort_unstable();
    let mut rank = vec![0; distinct.len()];
    distinct.iter().enumerate().for_each(|(position, (_, appeared))| rank[*appeared as usize] = position as u32);
    let numbers = in_order_of_appearance.into_iter().map(|appeared| rank[appeared as usize]).collect();
    (numbers, distinct.into_iter().map(|(value, _)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_numbers_in_the_order_of_the_values() {
        assert_eq!(numbered(["b", "a", "b"].into_iter()), (vec![1, 0, 1], vec!["a", "b"]));
    }
}
