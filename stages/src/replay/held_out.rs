//! The held-out window as policies see it: one entry per query, with the feature row and the static choice.

use std::collections::HashMap;

use routewright_domain::Arm;
use routewright_table::FeatureTable;

use crate::numbered::numbered;

/// One held-out query.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// Row of the table that holds its features.
    pub row: usize,
    /// All rows that ran it.
    pub rows: Vec<usize>,
    /// What the static router chose.
    pub static_arm: Arm,
}

/// The held-out queries in time order, and what was left out.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldOut {
    /// The queries.
    pub queries: Vec<Query>,
    /// Rows left out because nobody knows what the static router would have chosen.
    pub rows_without_static: usize,
    /// How the static choice is known.
    pub static_source: String,
}

impl HeldOut {
    /// Rows of the table that hold the queries' features, one per query.
    pub fn feature_rows(&self) -> Vec<u32> {
        self.queries.iter().map(|query| query.row as u32).collect()
    }
}

/// Groups rows by query and finds the static choice: as logged, or one fixed path where the log names none.
pub(super) fn group(table: &FeatureTable, rows: &[u32], fixed: Option<Arm>) -> HeldOut {
    let mut held_out = HeldOut::default();
    let mut position: HashMap<&str, usize> = HashMap::new();
    for row in rows.iter().map(|row| *row as usize) {
        let query_id = table.outcomes.query_ids[row].as_str();
        if let Some(found) = position.get(query_id) {
            held_out.queries[*found].rows.push(row);
            continue;
        }
        let Some(static_arm) = fixed.or(table.outcomes.static_arms[row]) else {
            held_out.rows_without_static += 1;
            continue;
        };
        position.insert(query_id, held_out.queries.len());
        held_out.queries.push(Query { row, rows: vec![row], static_arm });
    }
    held_out
}

impl HeldOut {
    /// Sessions numbered, one per query; `None` where no session has two queries.
    pub fn sessions(&self, table: &FeatureTable) -> Option<Vec<u32>> {
        let (numbers, names) = numbered(self.queries.iter().map(|query| table.outcomes.clusters[query.row].as_str()));
        (names.len() < numbers.len()).then_some(numbers)
    }

    /// The static choices, one per query.
    pub fn static_choices(&self) -> Vec<Arm> {
        self.queries.iter().map(|query| query.static_arm).collect()
    }

    /// The row of the table behind every cell query × path, row after row; `None` where the path did not run. Of repeated runs the first counts.
    pub fn cell_rows(&self, table: &FeatureTable) -> Vec<Option<usize>> {
        let n_arms = table.paths.len();
        let mut cells = vec![None; self.queries.len() * n_arms];
        for (position, query) in self.queries.iter().enumerate() {
            for row in &query.rows {
                cells[position * n_arms + table.outcomes.arms[*row].index()].get_or_insert(*row);
            }
        }
        cells
    }
}
