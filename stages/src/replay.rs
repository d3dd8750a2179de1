//! `replay`: what each policy would have earned on the held-out window, and how far the log can be trusted to say so.

mod held_out;
mod logged;
mod paired;
mod policies;
mod segments;

use std::collections::BTreeSet;

use rayon::prelude::*;
use routewright_domain::Arm;
use routewright_engine::{Context, Stage, StageError};
use routewright_ope::{Gate, GateName, Identification, enough_decisions, identify, pending_outcomes, time_split};
use routewright_router::{Policy, PolicyScratch};
use routewright_table::{FeatureTable, Window};
use serde::{Deserialize, Serialize};

use self::held_out::{HeldOut, group};
use self::logged::LoggedRows;
use self::paired::Cells;
use self::policies::{Choices, POLICIES, Setting, TrainingMeans, classify, training_means};
use self::segments::Regime;
use crate::artifacts::{
    Bounded, DisagreementResult, Features, Models, PolicyResult, RatePair, ReplayReport, Role, ThresholdPoint, UpliftResult,
};
use crate::train::{MIN_DECISIONS, Rules};

/// Fallback thresholds whose effect is shown.
const THRESHOLDS: &[f64] = &[0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95];

/// Share of held-out rows without a known static path above which nothing is said about the rest.
const MAX_WITHOUT_STATIC: f64 = 0.01;

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
    const VERSION: u32 = 1;
    const USES_SEED: bool = true;
    type Params = ReplayParams;
    type Inputs = (Features, Models);
    type Outputs = (ReplayReport,);

    fn run(
        params: &ReplayParams,
        (Features(table), models): (Features, Models),
        context: &Context<'_>,
    ) -> Result<(ReplayReport,), StageError> {
        let training = training_means(&table, &table.training_rows());
        let (fixed, static_source) = static_rule(params, &table, &training)?;
        let mut held_out = group(&table, table.held_out_rows().as_slice(), fixed);
        held_out.static_source = static_source;
        if held_out.queries.is_empty() {
            return Err(StageError::data("the held-out window has no decision whose outcome and static path are known"));
        }
        let learned = choose(&models.policy, &table, &held_out);
        let classified = classify(&models.policy, &table, &held_out);
        let judge = Judge {
            table: &table,
            held_out: &held_out,
            training: &training,
            learned: &learned,
            classified: &classified,
            rules: Rules(&models.policy),
        };
        let report = judge.report(context.seed()).map_err(StageError::other)?;
        if let Some(gap) = report.gap_closed {
            let par10 = gap.par10.map(|share| format!(", {:.1} % in PAR10", 100.0 * share)).unwrap_or_default();
            context.note(&format!("gap from best single path to oracle closed: {:.1} % in success{par10}", 100.0 * gap.success));
        }
        Ok((report,))
    }
}

/// The static choice: as logged; or, where the log names none, as configured or the best single path of the training window.
fn static_rule(params: &ReplayParams, table: &FeatureTable, training: &TrainingMeans) -> Result<(Option<Arm>, String), StageError> {
    let rows = table.held_out_rows();
    let n_known = rows.as_slice().iter().filter(|row| table.outcomes.static_arms[**row as usize].is_some()).count();
    if !params.static_path.is_empty() {
        let arm = table.paths.require(&params.static_path).map_err(StageError::settings)?;
        return Ok((Some(arm), format!("`{}`, as set by `replay.static_path`", params.static_path)));
    }
    if n_known > 0 {
        return Ok((None, "as logged".to_owned()));
    }
    let best = training.best().ok_or_else(|| StageError::data("no path has an outcome in the training window"))?;
    Ok((Some(best), format!("`{}`, the best single path of the training window, since the log names none", table.paths.name(best))))
}

/// The learned router's choices, one per query, in parallel.
fn choose(policy: &Policy, table: &FeatureTable, held_out: &HeldOut) -> Vec<Learned> {
    let decide = |(row, scratch): &mut (Vec<f32>, PolicyScratch), query: &held_out::Query| {
        table.copy_row(query.row, row);
        let choice = policy.choose(row, Some(query.static_arm), scratch);
        Learned { arm: choice.arm.unwrap_or(query.static_arm), predictions: scratch.clone() }
    };
    held_out.queries.par_iter().map_init(|| (vec![0.0; table.features.len()], PolicyScratch::default()), decide).collect()
}

/// What the learned router decides on one query.
#[derive(Clone, Debug)]
struct Learned {
    /// The path it takes.
    arm: Arm,
    /// What it predicted.
    predictions: PolicyScratch,
}

/// Everything that is needed to judge.
struct Judge<'a> {
    table: &'a FeatureTable,
    held_out: &'a HeldOut,
    training: &'a TrainingMeans,
    learned: &'a [Learned],
    classified: &'a [Arm],
    rules: Rules<'a>,
}

impl Judge<'_> {
    /// Judges every policy.
    fn report(&self, seed: u64) -> Result<ReplayReport, Box<dyn std::error::Error + Send + Sync>> {
        let cells = Cells::collect(self.table, self.held_out);
        let logged = LoggedRows::of_queries(self.table, self.held_out);
        let baseline = self.held_out.static_choices();
        let learned: Vec<Arm> = self.learned.iter().map(|choice| choice.arm).collect();

        let paired_facts = cells.facts(&learned, &baseline);
        let full_information = identify(&paired_facts) == Identification::FullInformation;
        let overlap = logged.diagnostics(&learned, &baseline)?;
        let supported = logged.supported(&learned, &baseline)?;
        let mut gates = logged.gates(self.table, supported.as_deref(), &learned, &baseline)?;
        let facts = if full_information { paired_facts } else { logged.facts(&overlap) };
        let identification = identify(&facts);
        let identified = !matches!(identification, Identification::NotIdentified);

        let whole: Vec<usize> = (0..self.table.n_rows())
            .filter(|row| {
                self.table.outcomes.successes[*row].is_some() && (full_information || self.table.outcomes.static_arms[*row].is_some())
            })
            .collect();
        let whole_log = LoggedRows::of_rows(self.table, &whole);
        let share_without_static = self.held_out.rows_without_static as f64 / self.table.held_out_rows().as_slice().len().max(1) as f64;
        if full_information {
            gates.clear();
        } else if share_without_static > MAX_WITHOUT_STATIC {
            // The other gates would speak about what is left, which is no fair sample.
            gates = vec![self.static_gate()];
        } else {
            gates.push(self.pending_gate());
        }
        let queries: BTreeSet<&str> = whole.iter().map(|row| self.table.outcomes.query_ids[*row].as_str()).collect();
        gates.insert(0, enough_decisions(queries.len(), MIN_DECISIONS));
        gates.push(self.time_gate(full_information));

        let setting = Setting {
            table: self.table,
            held_out: self.held_out,
            learned: self.learned,
            classified: self.classified,
            training: self.training,
            outcomes: &cells.success,
            full_information,
        };
        let chosen: Vec<(&policies::PolicyEntry, Choices)> =
            POLICIES.iter().filter_map(|entry| (entry.choose)(&setting).map(|choices| (entry, choices))).collect();
        let mut results = Vec::new();
        for (entry, choices) in &chosen {
            results.push(self.result(entry, choices, &cells, &logged, &baseline, (full_information, identified))?);
        }
        let uplift_over = |name: &str, other: &[Arm]| -> Result<UpliftResult, routewright_ope::OpeError> {
            if full_information {
                return Ok(cells.uplift(name, &learned, other)?.unwrap_or_default());
            }
            logged.uplift(name, &learned, other, identified)
        };
        let control = strongest_control(&results, &chosen);
        let model = self.model(&logged);
        let learned_choices = Choices::Fixed(learned.clone());
        let static_choices = Choices::Fixed(baseline.clone());
        let outcomes = &self.table.outcomes;
        let gap_closed = match (find(&chosen, "best_single"), find(&chosen, "oracle")) {
            (Some(single), Some(oracle)) => cells.gap_closed(&learned_choices, single, oracle)?,
            _ => None,
        };
        let regime = match (full_information, identified) {
            (true, _) => Regime::Paired(&cells),
            (false, true) => Regime::Logged(&logged),
            (false, false) => Regime::Unidentified,
        };
        let segments = segments::search(self, &regime, &learned, &baseline, seed)?;
        Ok(ReplayReport {
            identification,
            facts,
            static_source: self.held_out.static_source.clone(),
            n_queries: self.held_out.queries.len(),
            n_rows: self.held_out.queries.iter().map(|query| query.rows.len()).sum(),
            rows_without_static: self.held_out.rows_without_static + logged.rows_without_propensity,
            window_us: self.window(),
            decisions: queries.len(),
            uplift: uplift_over("static", &baseline)?,
            bounds: if full_information { None } else { Some(logged.uplift("static", &learned, &baseline, false)?) },
            control_over_static: match control {
                Some((name, arms)) if full_information => cells.uplift(name, arms, &baseline)?,
                Some((name, arms)) => Some(logged.uplift(name, arms, &baseline, identified)?),
                None => None,
            },
            supported: match &supported {
                Some(arms) if identified && !full_information => Some(logged.supported_uplift(arms, &baseline)?),
                _ => None,
            },
            uplift_over_control: control.map(|(name, arms)| uplift_over(name, arms)).transpose()?,
            estimators: if full_information { Vec::new() } else { logged.answers(&learned_choices, Some(&model))? },
            uplift_estimators: if full_information || !identified {
                Vec::new()
            } else {
                logged.uplift_answers(&learned, &baseline, &model)?
            },
            static_whole_log: if full_information { Vec::new() } else { self.static_whole_log(&whole_log, &whole)? },
            logged_mean: whole_log.mean(),
            latency: if full_information {
                cells.ratio(&cells.latency_ms, &learned, &baseline)?
            } else if identified {
                logged.ratio(&outcomes.latencies_ms, &learned, &baseline)?
            } else {
                None
            },
            cost: if full_information {
                cells.ratio(&cells.cost_usd, &learned, &baseline)?
            } else if identified {
                logged.ratio(&outcomes.costs, &learned, &baseline)?
            } else {
                None
            },
            latency_p95_ms: if full_information {
                cells.p95(&learned, &baseline)
            } else if identified {
                logged.p95(&outcomes.latencies_ms, &learned, &baseline)?
            } else {
                None
            },
            routing_accuracy: self.routing_accuracy(&learned, &baseline),
            hallucination_rate: self.rates(
                &logged,
                |row| outcomes.hallucinations[row],
                &learned,
                &baseline,
                identified && !full_information,
            )?,
            user_satisfaction: self.rates(
                &logged,
                |row| outcomes.satisfactions[row],
                &learned,
                &baseline,
                identified && !full_information,
            )?,
            disagreement: if full_information {
                cells.disagreement(&learned, &baseline)?
            } else {
                disagreement(&logged, &learned, &baseline, identified)?
            },
            diagnostics: (!full_information).then_some(overlap),
            gates,
            segments: segments.segments,
            composed: segments.composed,
            harmed_segments: segments.harmed,
            gap_closed,
            thresholds: self.thresholds(&cells, &logged, &static_choices, full_information, identified)?,
            policies: results,
        })
    }

    /// One policy's results.
    fn result(
        &self,
        entry: &policies::PolicyEntry,
        choices: &Choices,
        cells: &Cells,
        logged: &LoggedRows,
        baseline: &[Arm],
        (full_information, identified): (bool, bool),
    ) -> Result<PolicyResult, routewright_ope::OpeError> {
        let outcomes = &self.table.outcomes;
        let (success, estimator) =
            if full_information { (cells.value(choices)?, "exact") } else { logged.value(choices, baseline, identified)? };
        let is_static = matches!(choices, Choices::Fixed(arms) if arms == baseline);
        let mean = |cells_of: &[f64], column: &[f64]| {
            if full_information {
                Ok(cells.mean_of(cells_of, choices))
            } else if identified || is_static {
                logged.mean_of(column, choices)
            } else {
                Ok(None)
            }
        };
        let shares = choices.shares(self.table.paths.len());
        Ok(PolicyResult {
            name: entry.name.to_owned(),
            role: entry.role,
            success,
            estimator: estimator.to_owned(),
            latency_ms: mean(&cells.latency_ms, &outcomes.latencies_ms)?,
            cost_usd: mean(&cells.cost_usd, &outcomes.costs)?,
            disagreement: match choices {
                Choices::Fixed(arms) => {
                    arms.iter().zip(baseline).filter(|(ours, theirs)| ours != theirs).count() as f64 / arms.len() as f64
                }
                Choices::Mixed(shares) => baseline.iter().map(|arm| 1.0 - shares[arm.index()]).sum::<f64>() / baseline.len() as f64,
            },
            shares: self.table.paths.names().iter().cloned().zip(shares).collect(),
        })
    }

    /// The success model's predictions for every logged row and path: trained before the window, so they are out of sample.
    fn model(&self, logged: &LoggedRows) -> Vec<f64> {
        let fallback = &self.training.success;
        let cell = |(arm, predicted): (usize, &f64)| {
            if predicted.is_finite() { *predicted } else { Some(fallback[arm]).filter(|mean| mean.is_finite()).unwrap_or(0.5) }
        };
        logged.queries.iter().flat_map(|query| self.learned[*query].predictions.success.iter().enumerate().map(cell)).collect()
    }

    /// The static router's value over the whole log by every estimator that needs no model.
    fn static_whole_log(
        &self,
        whole_log: &LoggedRows,
        whole: &[usize],
    ) -> Result<Vec<crate::artifacts::Answer>, routewright_ope::OpeError> {
        let arms: Vec<Arm> = whole.iter().filter_map(|row| self.table.outcomes.static_arms[*row]).collect();
        let choices = Choices::Fixed(arms.clone());
        let mut answers = whole_log.answers(&choices, None)?;
        let (value, name) = whole_log.value(&choices, &arms, true)?;
        answers.insert(0, crate::artifacts::Answer { name: name.to_owned(), estimate: value });
        Ok(answers)
    }

    /// Training before evaluation, no query in both.
    fn time_gate(&self, full_information: bool) -> Gate {
        let outcomes = &self.table.outcomes;
        let mut training: Vec<(&str, i64)> = Vec::new();
        let mut evaluation_start = i64::MAX;
        for row in 0..self.table.n_rows() {
            match outcomes.windows[row] {
                Window::Training => training.push((outcomes.query_ids[row].as_str(), outcomes.timestamps[row].0)),
                Window::HeldOut => evaluation_start = evaluation_start.min(outcomes.timestamps[row].0),
                Window::Embargoed => {}
            }
        }
        if outcomes.timestamps.iter().all(|time| *time == outcomes.timestamps[0]) {
            let detail = "all decisions carry one time: the held-out window is a random part, no time order was tested".to_owned();
            // A benchmark in which every path ran has no before and after; traffic has, and its log must say when.
            return Gate { name: GateName::TimeSplit, passed: full_information, detail };
        }
        let training_end = training.iter().map(|(_, time)| *time).max().unwrap_or(i64::MIN);
        training.sort_unstable();
        let shared = self.held_out.queries.iter().filter(|query| {
            let id = outcomes.query_ids[query.row].as_str();
            training.binary_search_by(|(other, _)| other.cmp(&id)).is_ok()
        });
        time_split(training_end, evaluation_start, shared.count())
    }

    /// Too many rows do not say what the static router would have chosen.
    fn static_gate(&self) -> Gate {
        let detail = format!(
            "{} held-out rows do not name their static path: log `static_path` on every row, explored ones above all",
            self.held_out.rows_without_static
        );
        Gate { name: GateName::PropensitySource, passed: false, detail }
    }

    /// Outcomes must be pending as often on explored rows as on static ones.
    fn pending_gate(&self) -> Gate {
        let outcomes = &self.table.outcomes;
        let (mut on_static, mut explored) = ((0, 0), (0, 0));
        for row in (0..self.table.n_rows()).filter(|row| outcomes.windows[*row] == Window::HeldOut) {
            let Some(fixed) = outcomes.static_arms[row] else { continue };
            let counts = if fixed == outcomes.arms[row] { &mut on_static } else { &mut explored };
            counts.0 += usize::from(outcomes.successes[row].is_none());
            counts.1 += 1;
        }
        pending_outcomes(on_static, explored)
    }

    /// First and last time of the held-out window.
    fn window(&self) -> (i64, i64) {
        let times = self.held_out.queries.iter().map(|query| self.table.outcomes.timestamps[query.row].0);
        (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default())
    }

    /// How often each router takes the path that a reviewer would have taken.
    fn routing_accuracy(&self, learned: &[Arm], baseline: &[Arm]) -> RatePair {
        let rated: Vec<(usize, Arm)> = self
            .held_out
            .queries
            .iter()
            .enumerate()
            .filter_map(|(position, query)| {
                query.rows.iter().find_map(|row| self.table.outcomes.optimal_arms[*row]).map(|arm| (position, arm))
            })
            .collect();
        if rated.is_empty() {
            return RatePair::default();
        }
        let rate = |choices: &[Arm]| {
            let hits = rated.iter().filter(|(position, arm)| choices[*position] == *arm).count();
            let interval = routewright_ope::stats::wilson(hits as f64, rated.len() as f64, routewright_ope::Confidence::TWO_SIDED_95);
            Bounded { value: Some(hits as f64 / rated.len() as f64), lower: interval.lower, upper: interval.upper }
        };
        RatePair { n: rated.len(), static_rate: Some(rate(baseline)), learned_rate: Some(rate(learned)) }
    }

    /// A rate of both routers, where the log identifies it.
    fn rates(
        &self,
        logged: &LoggedRows,
        flag: impl Fn(usize) -> Option<bool>,
        learned: &[Arm],
        baseline: &[Arm],
        identified: bool,
    ) -> Result<RatePair, routewright_ope::OpeError> {
        if identified { logged.rates(self.table, flag, learned, baseline) } else { Ok(RatePair::default()) }
    }

    /// What another fallback threshold would do.
    fn thresholds(
        &self,
        cells: &Cells,
        logged: &LoggedRows,
        static_choices: &Choices,
        full_information: bool,
        identified: bool,
    ) -> Result<Vec<ThresholdPoint>, routewright_ope::OpeError> {
        let Choices::Fixed(baseline) = static_choices else { return Ok(Vec::new()) };
        let mut curve = Vec::new();
        for threshold in THRESHOLDS.iter().copied() {
            let policy = self.rules.with(|settings| settings.min_confidence = threshold);
            let decided: Vec<_> =
                self.learned.iter().zip(baseline).map(|(found, fixed)| policy.decide(Some(*fixed), &found.predictions)).collect();
            let coverage = decided.iter().filter(|choice| choice.fallback.is_none()).count() as f64 / decided.len() as f64;
            let arms: Vec<Arm> = decided.iter().zip(baseline).map(|(choice, fixed)| choice.arm.unwrap_or(*fixed)).collect();
            let choices = Choices::Fixed(arms);
            let success = if full_information { cells.value(&choices)? } else { logged.value(&choices, baseline, identified)?.0 };
            curve.push(ThresholdPoint { threshold, coverage, success: success.value });
        }
        Ok(curve)
    }
}

/// Success where the routers disagree.
fn disagreement(
    logged: &LoggedRows,
    learned: &[Arm],
    baseline: &[Arm],
    identified: bool,
) -> Result<DisagreementResult, routewright_ope::OpeError> {
    let share = learned.iter().zip(baseline).filter(|(ours, theirs)| ours != theirs).count() as f64 / learned.len() as f64;
    let points = logged.uplift("static", learned, baseline, identified)?.points;
    let difference_points = if share > 0.0 { points.times(1.0 / share) } else { Bounded::default() };
    Ok(DisagreementResult { share, difference_points, gains: None, losses: None })
}

/// The control with the highest success rate that takes one path per query.
fn strongest_control<'a>(results: &'a [PolicyResult], chosen: &'a [(&policies::PolicyEntry, Choices)]) -> Option<(&'a str, &'a [Arm])> {
    let controls = results.iter().filter(|result| result.role == Role::Control && result.success.value.is_some());
    let strongest = controls
        .filter(|result| matches!(find(chosen, &result.name), Some(Choices::Fixed(_))))
        .max_by(|left, right| left.success.value.unwrap_or_default().total_cmp(&right.success.value.unwrap_or_default()))?;
    match find(chosen, &strongest.name)? {
        Choices::Fixed(arms) => Some((strongest.name.as_str(), arms)),
        Choices::Mixed(_) => None,
    }
}

/// A policy's choices by name.
fn find<'a>(chosen: &'a [(&policies::PolicyEntry, Choices)], name: &str) -> Option<&'a Choices> {
    chosen.iter().find(|(entry, _)| entry.name == name).map(|(_, choices)| choices)
}
