//! What the classifier learns: the path that ran, or the best one.

use std::collections::BTreeMap;

use routewright_table::FeatureTable;
use serde::{Deserialize, Serialize};

/// What the classifier learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Label {
    /// The best path where every path ran on the query, the logged path elsewhere.
    Auto,
    /// The path that ran: imitates the logger.
    Logged,
    /// The path that ran, of rows that succeeded, weighted by 1/propensity where logged.
    Successful,
    /// The best path of the query: success, then latency, then cost, then the first.
    Best,
}

/// Names of labels in reports.
const LOGGED: &str = "logged path";
const SUCCESSFUL: &str = "successful path";
const BEST: &str = "best path";

impl Label {
    /// The label of a name in a report.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            SUCCESSFUL => Self::Successful,
            BEST => Self::Best,
            _ => Self::Logged,
        }
    }
}

/// What a classifier learns from.
pub(crate) struct Labels {
    /// What the label is.
    pub name: &'static str,
    /// Positions that take part.
    pub positions: Vec<u32>,
    /// The label of every position.
    pub arms: Vec<u16>,
    /// The weight of every position.
    pub weights: Option<Vec<f32>>,
    /// Share of queries with several equally successful paths.
    pub tie_share: Option<f64>,
}

/// The labels of some rows of the table.
pub(crate) fn labels(label: Label, table: &FeatureTable, rows: &[u32]) -> Labels {
    let outcomes = &table.outcomes;
    let mut queries: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (position, row) in rows.iter().enumerate() {
        queries.entry(&outcomes.query_ids[*row as usize]).or_default().push(position as u32);
    }
    let logged: Vec<u16> = rows.iter().map(|row| outcomes.arms[*row as usize].0).collect();
    let everything: Vec<u32> = (0..rows.len() as u32).collect();
    let every_path_ran = queries.values().filter(|positions| positions.len() > 1).count() * 2 > queries.len();
    match label {
        Label::Auto if every_path_ran => labels(Label::Best, table, rows),
        Label::Auto | Label::Logged => Labels { name: LOGGED, positions: everything, arms: logged, weights: None, tie_share: None },
        Label::Successful => {
            let row = |position: &u32| rows[*position as usize] as usize;
            let weights = rows.iter().map(|row| outcomes.propensities[*row as usize].map_or(1.0, |p| (1.0 / p.get()) as f32)).collect();
            let positions = everything.into_iter().filter(|position| outcomes.successes[row(position)] == Some(true)).collect();
            Labels { name: SUCCESSFUL, positions, arms: logged, weights: Some(weights), tie_share: None }
        }
        Label::Best => {
            let mut arms = logged;
            let (mut positions, mut n_ties) = (Vec::new(), 0);
            for runs in queries.values() {
                let row = |position: u32| rows[position as usize] as usize;
                let worth = |position: u32| {
                    let number = |value: f64| if value.is_finite() { value } else { f64::MAX };
                    let row = row(position);
                    (
                        u8::from(outcomes.successes[row] != Some(true)),
                        number(outcomes.latencies_ms[row]),
                        number(outcomes.costs[row]),
                        outcomes.arms[row],
                    )
                };
                let best = runs.iter().copied().min_by(|left, right| {
                    let (left, right) = (worth(*left), worth(*right));
                    left.0.cmp(&right.0).then(left.1.total_cmp(&right.1)).then(left.2.total_cmp(&right.2)).then(left.3.cmp(&right.3))
                });
                let Some(best) = best else { continue };
                n_ties +=
                    usize::from(runs.iter().filter(|run| outcomes.successes[row(**run)] == outcomes.successes[row(best)]).count() > 1);
                arms[runs[0] as usize] = outcomes.arms[row(best)].0;
                positions.push(runs[0]);
            }
            positions.sort_unstable();
            let tie_share = Some(n_ties as f64 / queries.len().max(1) as f64);
            Labels { name: BEST, positions, arms, weights: None, tie_share }
        }
    }
}
