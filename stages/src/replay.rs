//! `replay`: what each policy would have earned on the held-out window, and how far the log can be trusted to say so.

mod estimators;
mod frontier;
mod gates;
mod held_out;
mod judge;
mod logged;
mod looks;
mod paired;
mod policies;
mod protocol;
mod regime;
mod retraining;
mod segments;

use routewright_domain::{Arm, Seed};
use routewright_engine::{Context, Stage, StageError};
use routewright_table::FeatureTable;
use serde::{Deserialize, Serialize};

use self::held_out::{HeldOut, group};
use self::judge::Judge;
use self::logged::LoggedRows;
use self::paired::Cells;
use self::policies::{TrainingMeans, choose, classify, training_means};
use crate::artifacts::{Features, Models, ReplayReport, TrainingReport};

/// Draws of a tree of a forest that is no product, so that its cost does not grow with the log.
const MAX_SAMPLE_ROWS: u32 = 10_000;

/// Settings of `[replay]`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReplayParams {
    /// The static path, where the log names none; empty takes the best single path of the training window.
    pub static_path: String,
}

/// The stage.
pub(crate) struct Replay;

impl Stage for Replay {
    const NAME: &'static str = "replay";
    const SUMMARY: &'static str =
        "estimates what the learned router, the static one and the controls would have earned on the held-out window";
    const VERSION: u32 = 8;
    const TRACES: &'static [&'static str] = &["features"];
    const USES_SEED: bool = true;
    type Params = ReplayParams;
    type Inputs = (Features, Models, TrainingReport);
    type Outputs = (ReplayReport,);

    fn run(
        params: &ReplayParams,
        (Features(table), models, trained): (Features, Models, TrainingReport),
        context: &Context<'_>,
    ) -> Result<(ReplayReport,), StageError> {
        let training = training_means(&table, &table.training_rows());
        let rules = context.traced().get("features").and_then(|settings| settings.get("static_rules")?.as_str());
        let (fixed, static_source) = static_rule(params, &table, &training, rules.filter(|place| !place.is_empty()))?;
        let mut held_out = group(&table, table.held_out_rows().as_slice(), fixed);
        if fixed.is_some() {
            keep_to_candidates(&table, &mut held_out, &training);
        }
        held_out.static_source = static_source;
        if held_out.queries.is_empty() {
            return Err(StageError::data("the held-out window has no decision whose outcome and static path are known"));
        }
        let learned = choose(&models.policy, &table, &held_out);
        let classified = classify(&models.policy, &table, &held_out)?;
        let cells = Cells::collect(&table, &held_out);
        let logged = LoggedRows::of_queries(&table, &held_out)?;
        let arms: Vec<Arm> = learned.iter().map(|choice| choice.arm).collect();
        let fixed = held_out.static_choices();
        let judge = Judge {
            table: &table,
            held_out: &held_out,
            training: &training,
            policy: &models.policy,
            learned: &learned,
            classified: &classified,
            helped_types: &trained.helped_query_types,
            cells: &cells,
            logged: &logged,
            pair: &logged.pair(&arms, &fixed)?,
            arms: &arms,
            fixed: &fixed,
            seed: Seed(context.seed()),
        };
        let report = judge.report()?;
        if let Some(gap) = report.gap_closed {
            let par10 = gap.par10.map(|share| format!(", {:.1} % in PAR10", 100.0 * share)).unwrap_or_default();
            context.note(&format!("gap from best single path to oracle closed: {:.1} % in success{par10}", 100.0 * gap.success));
        }
        Ok((report,))
    }
}

/// The static choice: as logged or, by `rules`, filled in where it is not; or, where the log names none, as configured or the best single path of the training window.
fn static_rule(
    params: &ReplayParams,
    table: &FeatureTable,
    training: &TrainingMeans,
    rules: Option<&str>,
) -> Result<(Option<Arm>, String), StageError> {
    let rows = table.held_out_rows();
    let n_known = rows.as_slice().iter().filter(|row| table.outcomes.static_arms[**row as usize].is_some()).count();
    if !params.static_path.is_empty() {
        let arm = table.paths.require(&params.static_path).map_err(StageError::settings)?;
        return Ok((Some(arm), format!("`{}`, as set by `replay.static_path`", params.static_path)));
    }
    if n_known > 0 {
        let rules = rules.map(|place| format!(", and by the rules `{place}` where the log does not say")).unwrap_or_default();
        return Ok((None, format!("as logged{rules}")));
    }
    let best = training.best().ok_or_else(|| StageError::data("no path has an outcome in the training window"))?;
    Ok((Some(best), format!("`{}`, the best single path of the training window, since the log names none", table.paths.name(best))))
}

/// Where one static path stands for all queries, it is the best allowed one where it is not among a query's candidates.
fn keep_to_candidates(table: &FeatureTable, held_out: &mut HeldOut, training: &TrainingMeans) {
    for query in &mut held_out.queries {
        if table.outcomes.allows(query.row, query.static_arm) {
            continue;
        }
        let rate = |arm: &Arm| Some(training.success[arm.index()]).filter(|rate| rate.is_finite());
        let allowed = table.paths.arms().filter(|arm| table.outcomes.allows(query.row, *arm));
        let best =
            allowed.filter_map(|arm| Some((rate(&arm)?, arm))).max_by(|left, right| left.0.total_cmp(&right.0).then(right.1.cmp(&left.1)));
        if let Some((_, arm)) = best {
            query.static_arm = arm;
        }
    }
}

#[cfg(test)]
mod tests {
    use routewright_domain::Paths;
    use routewright_table::Outcomes;

    use super::held_out::Query;
    use super::*;

    #[test]
    fn a_static_path_that_is_not_allowed_gives_way_to_the_best_that_is() {
        let outcomes = Outcomes { candidates: vec![vec![Arm(0), Arm(1)], Vec::new()], ..Outcomes::default() };
        let table = FeatureTable { paths: Paths::from_names(["a", "b", "c"]), outcomes, ..FeatureTable::default() };
        let training = TrainingMeans { success: vec![0.5, 0.7, 0.9], ..TrainingMeans::default() };
        let queries = (0..2).map(|row| Query { row, rows: vec![row], static_arm: Arm(2) }).collect();
        let mut held_out = HeldOut { queries, ..HeldOut::default() };
        keep_to_candidates(&table, &mut held_out, &training);
        assert_eq!(held_out.static_choices(), [Arm(1), Arm(2)]);
    }
}
