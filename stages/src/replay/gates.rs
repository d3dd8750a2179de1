//! Checks that the log can bear a verdict.

use std::collections::BTreeSet;

use routewright_domain::Arm;
use routewright_ope::{
    Confidence, Gate, GateName, OpeError, PropensitySource, aa_replay, exploration_dependence, exploration_matches, exploration_share,
    independent_draws, mean_weight, mean_weight_per_path, mean_weight_per_slice, pending_outcomes, propensity_source, time_split,
    unsupported_mass,
};
use routewright_table::{FeatureTable, Window};

use super::held_out::HeldOut;
use super::logged::{LoggedRows, Pair};
use crate::numbered::numbered;

/// Exploration matches needed before any verdict is called proven (STATISTICS.md, section 5).
const MIN_EXPLORATION_MATCHES: usize = 10;

/// Share of the disagreement that may lie where the log has no support.
const MAX_UNSUPPORTED: f64 = 0.05;

/// Share of held-out rows without a known static path above which nothing is said about the rest.
const MAX_WITHOUT_STATIC: f64 = 0.01;

/// The gates of a log of single runs. Weights are checked for what the log supports: the `supported` pair, or the whole one.
pub(super) fn of_single_runs(
    table: &FeatureTable,
    held_out: &HeldOut,
    rows: &LoggedRows<'_>,
    whole: &Pair,
    supported: Option<&Pair>,
) -> Result<Vec<Gate>, OpeError> {
    let without_static = held_out.rows_without_static as f64 / table.held_out_rows().as_slice().len().max(1) as f64;
    if without_static > MAX_WITHOUT_STATIC {
        // The other gates would speak about what is left, which is no fair sample.
        return Ok(vec![static_gate(held_out)]);
    }
    let mut gates = vec![propensity_source(rows.source)];
    if rows.source == PropensitySource::Logged {
        gates.extend(of_propensities(table, rows, whole, supported.unwrap_or(whole))?);
    }
    gates.push(pending_gate(table));
    Ok(gates)
}

/// The gates that propensities have to pass.
fn of_propensities(table: &FeatureTable, rows: &LoggedRows<'_>, whole: &Pair, judged: &Pair) -> Result<Vec<Gate>, OpeError> {
    let comparison = judged.comparison(rows)?;
    let uplift = comparison.uplift(Confidence::ONE_SIDED_95);
    let (segments, names) = numbered(rows.rows.iter().map(|row| table.outcomes.query_types[*row].clone()));
    let (days, day_names) = numbered(rows.rows.iter().map(|row| table.outcomes.timestamps[*row].day()));
    let mut gates = vec![
        mean_weight(&comparison),
        mean_weight_per_path(&comparison, &table.paths),
        mean_weight_per_slice(GateName::MeanWeightPerSegment, &comparison, &segments, |slice| names[slice as usize].clone())?,
        mean_weight_per_slice(GateName::MeanWeightPerDay, &comparison, &days, |slice| {
            format!("day {}", day_names[slice as usize] - day_names[0] + 1)
        })?,
    ];
    if rows.logged_vectors {
        let deviations = rows.arms.iter().zip(&rows.baseline).filter(|(ran, chosen)| ran != chosen).count();
        let chance = |(row, arm): (&[f64], &Arm)| 1.0 - row[arm.index()];
        let n_rows = rows.baseline.len();
        let declared = rows.vectors.chunks_exact(rows.n_arms).zip(&rows.baseline).map(chance).sum::<f64>() / n_rows as f64;
        gates.push(exploration_share(deviations, n_rows, independent_draws(&comparison), declared));
    }
    gates.push(exploration_matches(&uplift, MIN_EXPLORATION_MATCHES));
    if let Some(found) = &rows.dependence {
        // Where the routers agree everywhere there is nothing to explore.
        let needed = if uplift.disagreement == 0.0 { 0 } else { MIN_EXPLORATION_MATCHES };
        gates.push(exploration_dependence(found, uplift.exploration_sessions, needed));
    }
    gates.push(unsupported_mass(&whole.comparison(rows)?.uplift(Confidence::ONE_SIDED_95), MAX_UNSUPPORTED));
    gates.push(aa_replay(&comparison, Confidence::TWO_SIDED_95));
    Ok(gates)
}

/// Too many rows do not say what the static router would have chosen.
fn static_gate(held_out: &HeldOut) -> Gate {
    let detail = format!(
        "{} held-out rows do not name their static path: log `static_path` on every row, explored ones above all",
        held_out.rows_without_static
    );
    Gate { name: GateName::PropensitySource, passed: false, detail }
}

/// Outcomes must be pending as often on explored rows as on static ones.
fn pending_gate(table: &FeatureTable) -> Gate {
    let outcomes = &table.outcomes;
    let (mut on_static, mut explored) = ((0, 0), (0, 0));
    for row in (0..table.n_rows()).filter(|row| outcomes.windows[*row] == Window::HeldOut) {
        let Some(fixed) = outcomes.static_arms[row] else { continue };
        let counts = if fixed == outcomes.arms[row] { &mut on_static } else { &mut explored };
        counts.0 += usize::from(outcomes.successes[row].is_none());
        counts.1 += 1;
    }
    pending_outcomes(on_static, explored)
}

/// Training before evaluation, no query in both.
pub(super) fn of_time(table: &FeatureTable, held_out: &HeldOut, full_information: bool) -> Gate {
    let outcomes = &table.outcomes;
    let in_window = |window: Window| (0..table.n_rows()).filter(move |row| outcomes.windows[*row] == window);
    if outcomes.timestamps.iter().all(|time| *time == outcomes.timestamps[0]) {
        let detail = "all decisions carry one time: the held-out window is a random part, no time order was tested".to_owned();
        // A benchmark in which every path ran has no before and after; traffic has, and its log must say when.
        return Gate { name: GateName::TimeSplit, passed: full_information, detail };
    }
    let training_end = in_window(Window::Training).map(|row| outcomes.timestamps[row].0).max().unwrap_or(i64::MIN);
    let evaluation_start = in_window(Window::HeldOut).map(|row| outcomes.timestamps[row].0).min().unwrap_or(i64::MAX);
    let trained: BTreeSet<&str> = in_window(Window::Training).map(|row| outcomes.query_ids[row].as_str()).collect();
    let shared = held_out.queries.iter().filter(|query| trained.contains(outcomes.query_ids[query.row].as_str())).count();
    time_split(training_end, evaluation_start, shared)
}
