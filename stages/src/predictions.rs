//! What the learned router predicts on rows of the feature table, many rows at a time.

use rayon::prelude::*;
use routewright_domain::Seed;
use routewright_router::{Policy, PolicyScratch};
use routewright_table::FeatureTable;

/// Rows that one task predicts at a time: enough that a tree is fetched for many of them, few enough to stay in the second-level cache.
const CHUNK_ROWS: usize = 1024;

/// At most so many rows, evenly spread: one of each stretch, at a place that follows no rhythm of the rows.
pub(crate) fn thinned(rows: &[u32], most: usize) -> Vec<u32> {
    let stretches = rows.chunks(rows.len().div_ceil(most.max(1)).max(1)).enumerate();
    let place = |(number, stretch): (usize, &[u32])| stretch[(Seed(0).derive("thinned", number as u64).0 % stretch.len() as u64) as usize];
    stretches.map(place).collect()
}

/// Makes something of the predictions for each row, in the order of `rows`; equal to [`Policy::predict`] on each row alone, bit for bit.
///
/// `of` gets a position in `rows` and the predictions there, which it may change and take.
pub(crate) fn with_predictions<T: Send>(
    policy: &Policy,
    table: &FeatureTable,
    rows: &[u32],
    of: impl Fn(usize, &mut PolicyScratch) -> T + Sync,
) -> Vec<T> {
    let n_columns = table.features.len();
    let of_chunk = |(buffer, predictions): &mut (Vec<f32>, Vec<PolicyScratch>), (chunk, rows): (usize, &[u32])| {
        buffer.resize(rows.len() * n_columns, f32::NAN);
        for (column, feature) in table.features.iter().enumerate() {
            for (line, &row) in buffer.chunks_exact_mut(n_columns).zip(rows) {
                line[column] = feature.values[row as usize];
            }
        }
        policy.predict_rows(buffer, n_columns, predictions);
        let first = chunk * CHUNK_ROWS;
        predictions.iter_mut().enumerate().map(|(offset, predictions)| of(first + offset, predictions)).collect::<Vec<T>>()
    };
    let chunks = rows.par_chunks(CHUNK_ROWS).enumerate().map_init(Default::default, of_chunk);
    chunks.collect::<Vec<_>>().into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use routewright_domain::{Arm, Paths};
    use routewright_router::{Calibration, Forest, Node, PolicySettings, Side, SuccessModel, Tree};
    use routewright_table::FeatureColumn;

    use super::*;

    /// A forest of two columns that says one number up to a threshold of the second, and another above it.
    fn stump(threshold: f32, low: f32, high: f32) -> Forest {
        let nodes = vec![Node::split(1, threshold, Side::Right, 1, 2.0), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
        Forest::new(2, 1, &[Tree { nodes, values: vec![low, high], sets: Vec::new() }]).unwrap()
    }

    #[test]
    fn thinned_rows_are_spread_and_follow_no_rhythm() {
        let rows: Vec<u32> = (0..4_000).collect();
        let found = thinned(&rows, 1_000);
        assert!(found.len() == 1_000 && found.iter().enumerate().all(|(stretch, row)| *row as usize / 4 == stretch));
        for rest in 0..4 {
            let share = found.iter().filter(|row| **row % 4 == rest).count();
            assert!((150..350).contains(&share), "{share} of 1000 rows leave {rest} of 4");
        }
        assert_eq!(thinned(&rows, 4_000), rows);
    }

    #[test]
    fn many_rows_together_are_as_each_alone() {
        let success = |forest| Some(SuccessModel { forest, calibration: Calibration::Identity });
        let policy = Policy {
            paths: Paths::from_names(["a", "b"]),
            success: vec![success(stump(0.5, 0.9, 0.2)), success(stump(0.3, 0.4, 0.8))],
            latency: vec![Some(stump(0.4, 3.0, 4.0)), None],
            cost: vec![None, Some(0.5)],
            classifier: None,
            support: vec![100, 100],
            settings: PolicySettings { min_confidence: 0.0, lambda_latency: 0.01, ..PolicySettings::default() },
        };
        let n_rows = 2 * CHUNK_ROWS + 77;
        let column = |name: &str, of: fn(usize) -> f32| FeatureColumn { name: name.to_owned(), values: (0..n_rows).map(of).collect() };
        let table = FeatureTable {
            paths: policy.paths.clone(),
            features: vec![
                column("x", |row| row as f32),
                column("y", |row| if row % 7 == 0 { f32::NAN } else { (row % 10) as f32 / 10.0 }),
            ],
            ..FeatureTable::default()
        };
        let rows: Vec<u32> = (0..n_rows as u32).rev().step_by(2).chain([5, 5]).collect();
        let static_arm = |position: usize| (!position.is_multiple_of(3)).then_some(Arm((position % 2) as u16));
        let together = with_predictions(&policy, &table, &rows, |position, predictions| policy.decide(static_arm(position), predictions));
        let (mut row, mut scratch) = (vec![0.0; 2], PolicyScratch::default());
        for (position, (&number, found)) in rows.iter().zip(&together).enumerate() {
            table.copy_row(number as usize, &mut row);
            assert_eq!(*found, policy.choose(&row, static_arm(position), &mut scratch), "row {number}");
        }
        assert_eq!(together.len(), rows.len());
        assert!(together.iter().any(|choice| choice.arm == Some(Arm(0))) && together.iter().any(|choice| choice.arm == Some(Arm(1))));
    }
}
