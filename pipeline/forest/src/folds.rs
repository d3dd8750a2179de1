//! Which rows train and which rows judge: folds that keep groups together, and origins that roll through time.

use std::collections::HashMap;

use routewright_domain::{Seed, Timestamp};

/// Folds of a table: every row is in exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    n_folds: usize,
    fold_of: Vec<u16>,
}

/// Rows before a point in time, and rows of the stretch after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeFold {
    /// Rows to train on, in the order of the table.
    pub train: Vec<u32>,
    /// Rows to judge on, in the order of the table; all later than those to train on.
    pub test: Vec<u32>,
}

/// Rows that make no folds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// Fewer than two folds, or more than there are groups or points in time.
    #[error("{n_folds} folds of {n_groups} groups: at least 2 folds are needed and a group for each")]
    Count {
        /// Folds asked for.
        n_folds: usize,
        /// Groups, or points in time, that there are.
        n_groups: usize,
    },
    /// A list of another length than the rows.
    #[error("`{list}` has {found} entries for {expected} rows")]
    Length {
        /// The list.
        list: &'static str,
        /// Number of rows.
        expected: usize,
        /// Its length.
        found: usize,
    },
}

/// A group on its way into a fold.
struct Group {
    stratum: u16,
    /// The seed's draw for the key: the order in which groups of a stratum are dealt out.
    draw: u64,
    key: u64,
    n_rows: usize,
}

impl Folds {
    /// Deals groups out to folds of about equal size, each group as a whole.
    ///
    /// `groups`: one key per row, such as a hash of the query; `strata`: one class per row, whose shares the folds should keep (a group counts
    /// with its most frequent class). Depends on the seed, the keys and how many rows share them, not on the order of the rows.
    ///
    /// # Errors
    /// [`FoldError`] when there are fewer groups than folds, or lists of different length.
    pub fn grouped(groups: &[u64], strata: Option<&[u16]>, n_folds: usize, seed: Seed) -> Result<Self, FoldError> {
        if let Some(strata) = strata.filter(|strata| strata.len() != groups.len()) {
            return Err(FoldError::Length { list: "strata", expected: groups.len(), found: strata.len() });
        }
        let mut rows: Vec<(u64, u16)> =
            groups.iter().enumerate().map(|(row, &key)| (key, strata.map_or(0, |strata| strata[row]))).collect();
        rows.sort_unstable();
        let mut dealt: Vec<Group> = rows
            .chunk_by(|one, other| one.0 == other.0)
            .map(|rows| {
                let classes = rows.chunk_by(PartialEq::eq).map(|run| (run[0].1, run.len()));
                let frequent = classes.fold((0, 0), |best, (class, count)| if count > best.1 { (class, count) } else { best });
                let key = rows[0].0;
                Group { stratum: frequent.0, draw: seed.derive("fold", key).0, key, n_rows: rows.len() }
            })
            .collect();
        if n_folds < 2 || dealt.len() < n_folds || usize::from(u16::MAX) < n_folds {
            return Err(FoldError::Count { n_folds, n_groups: dealt.len() });
        }
        // Large groups first, so that small ones can even out what they leave.
        dealt.sort_by_key(|group| (group.stratum, std::cmp::Reverse(group.n_rows), group.draw, group.key));
        let mut fold_of_group = HashMap::with_capacity(dealt.len());
        let mut n_rows = vec![0; n_folds];
        for stratum in dealt.chunk_by(|one, other| one.stratum == other.stratum) {
            let mut n_stratum_rows = vec![0; n_folds];
            for group in stratum {
                let fold = (0..n_folds).min_by_key(|&fold| (n_stratum_rows[fold], n_rows[fold])).unwrap_or_default();
                n_stratum_rows[fold] += group.n_rows;
                n_rows[fold] += group.n_rows;
                fold_of_group.insert(group.key, fold as u16);
            }
        }
        Ok(Self { n_folds, fold_of: groups.iter().map(|key| fold_of_group[key]).collect() })
    }

    /// Number of folds.
    pub fn n_folds(&self) -> usize {
        self.n_folds
    }

    /// The fold of each row.
    pub fn fold_of(&self) -> &[u16] {
        &self.fold_of
    }

    /// Those of `rows` outside a fold, to train on, and those inside, to judge on.
    pub fn split(&self, rows: &[u32], fold: usize) -> (Vec<u32>, Vec<u32>) {
        rows.iter().partition(|&&row| usize::from(self.fold_of[row as usize]) != fold)
    }
}

/// Cuts time into `n_folds + 1` stretches of about equally many rows: each but the first is judged by what came before it.
///
/// Rows of one moment stay together. `times`: one per row, in any order.
///
/// # Errors
/// [`FoldError::Count`] when there are not enough different moments.
pub fn rolling_origin(times: &[Timestamp], n_folds: usize) -> Result<Vec<TimeFold>, FoldError> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let n_stretches = n_folds + 1;
    let mut starts: Vec<Timestamp> =
        (1..n_stretches).filter_map(|stretch| sorted.get(stretch * times.len() / n_stretches).copied()).collect();
    starts.dedup();
    starts.retain(|start| sorted.first() < Some(start));
    if n_folds == 0 || starts.len() < n_folds {
        return Err(FoldError::Count { n_folds, n_groups: starts.len() });
    }
    let rows = |is_inside: &dyn Fn(Timestamp) -> bool| -> Vec<u32> {
        (0..times.len() as u32).filter(|&row| is_inside(times[row as usize])).collect()
    };
    let fold = |fold: usize| {
        let (start, end) = (starts[fold], starts.get(fold + 1).copied());
        TimeFold { train: rows(&|time| time < start), test: rows(&|time| start <= time && end.is_none_or(|end| time < end)) }
    };
    Ok((0..n_folds).map(fold).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folds_keep_the_shares_of_classes() {
        let groups: Vec<u64> = (0..100).collect();
        let strata: Vec<u16> = (0..100).map(|row| u16::from(row % 10 == 0)).collect();
        let folds = Folds::grouped(&groups, Some(&strata), 5, Seed(3)).unwrap();
        for fold in 0..5 {
            let (_, test) = folds.split(&(0..100).collect::<Vec<u32>>(), fold);
            assert_eq!(test.len(), 20);
            assert_eq!(test.iter().filter(|&&row| strata[row as usize] == 1).count(), 2);
        }
    }

    #[test]
    fn too_few_groups_are_refused() {
        assert_eq!(Folds::grouped(&[1, 1, 1], None, 2, Seed(1)).unwrap_err(), FoldError::Count { n_folds: 2, n_groups: 1 });
        assert!(Folds::grouped(&[1, 2], Some(&[0]), 2, Seed(1)).is_err());
    }

    #[test]
    fn time_folds_train_on_the_past_only() {
        let times: Vec<Timestamp> = [5, 1, 2, 2, 3, 4, 6, 0].into_iter().map(Timestamp).collect();
        let folds = rolling_origin(&times, 3).unwrap();
        assert_eq!(folds[0], TimeFold { train: vec![1, 7], test: vec![2, 3] });
        assert_eq!(folds[2], TimeFold { train: vec![1, 2, 3, 4, 5, 7], test: vec![0, 6] });
        assert!(rolling_origin(&[Timestamp(1); 9], 2).is_err());
        assert!(rolling_origin(&[], 2).is_err());
    }

    proptest! {
        #[test]
        fn groups_stay_together_whatever_the_order(keys in prop::collection::vec(0_u64..30, 20..200), n_folds in 2_usize..5, seed: u64, turn in 0_usize..20) {
            let Ok(folds) = Folds::grouped(&keys, None, n_folds, Seed(seed)) else { return Ok(()) };
            let mut turned = keys.clone();
            turned.rotate_left(turn);
            let mut expected = folds.fold_of().to_vec();
            expected.rotate_left(turn);
            let turned = Folds::grouped(&turned, None, n_folds, Seed(seed)).unwrap();
            prop_assert_eq!(turned.fold_of(), expected);
            for (one, &key) in keys.iter().enumerate() {
                let other = keys.iter().position(|&other| other == key).unwrap();
                prop_assert_eq!(folds.fold_of()[one], folds.fold_of()[other]);
            }
            prop_assert!((0..n_folds).all(|fold| folds.fold_of().contains(&(fold as u16))));
        }
    }
}
