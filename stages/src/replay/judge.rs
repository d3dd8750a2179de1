//! Judges every policy on the held-out window and puts the report together.

use std::collections::HashSet;

use rayon::prelude::*;
use routewright_domain::{Arm, Seed};
use routewright_engine::StageError;
use routewright_ope::{Identification, OpeError, enough_decisions, identify};
use routewright_router::Policy;
use routewright_table::FeatureTable;

use super::estimators::{self, RewardModels};
use super::frontier::frontier;
use super::gates;
use super::held_out::{HeldOut, Query};
use super::logged::{LoggedRows, Pair};
use super::looks::nightly;
use super::paired::Cells;
use super::policies::{Choices, Classified, Learned, POLICIES, PolicyEntry, Setting, TrainingMeans};
use super::protocol::seed_protocol;
use super::regime::{Measure, Regime};
use super::retraining::retraining;
use super::segments;
use crate::artifacts::{Answer, Bounded, Look, PolicyResult, RatePair, ReplayReport, Role, SessionsResult, ThresholdPoint};
use crate::train::{MIN_DECISIONS, Rules};

/// Fallback thresholds whose effect is shown.
const THRESHOLDS: &[f64] = &[0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95];

/// Everything that is needed to judge.
pub(super) struct Judge<'a> {
    pub table: &'a FeatureTable,
    pub held_out: &'a HeldOut,
    pub training: &'a TrainingMeans,
    pub policy: &'a Policy,
    pub learned: &'a [Learned],
    pub classified: &'a [Classified],
    /// Query types in which the learned router gains, by the training window.
    pub helped_types: &'a [String],
    /// Outcomes of queries × paths.
    pub cells: &'a Cells,
    /// The same window as single runs.
    pub logged: &'a LoggedRows<'a>,
    /// Learned against static on these single runs.
    pub pair: &'a Pair,
    /// The learned choices, one per query.
    pub arms: &'a [Arm],
    /// The static choices, one per query.
    pub fixed: &'a [Arm],
    pub seed: Seed,
}

/// A policy with what it does.
type Chosen<'a> = (&'a PolicyEntry, Choices);

impl Judge<'_> {
    /// The learned choices, one per query.
    pub fn learned_arms(&self) -> &[Arm] {
        self.arms
    }

    /// The static choices, one per query.
    pub fn baseline(&self) -> &[Arm] {
        self.fixed
    }

    /// The learned router's choices where every path costs its price times a factor, without any fallback.
    pub fn with_prices(&self, prices: &[f64], factor: f64) -> Vec<Arm> {
        let rules = Rules(self.policy).with(|settings| (settings.min_confidence, settings.min_gain) = (0.0, 0.0));
        let decide = |(found, fixed): (&Learned, &Arm)| {
            let mut predictions = found.predictions.clone();
            let cells = predictions.utility.iter_mut().zip(&found.predictions.success).zip(prices);
            for ((utility, success), price) in cells.filter(|((utility, _), _)| utility.is_finite()) {
                *utility = success - factor * price;
            }
            rules.decide(Some(*fixed), &predictions).arm.unwrap_or(*fixed)
        };
        self.learned.iter().zip(self.fixed).map(decide).collect()
    }

    /// Judges every policy.
    pub fn report(&self) -> Result<ReplayReport, StageError> {
        let outcomes = &self.table.outcomes;
        let overlap = self.logged.diagnostics(self.pair)?;
        let paired_facts = self.cells.facts(self.arms, self.fixed);
        let full_information = identify(&paired_facts) == Identification::FullInformation;
        let facts = if full_information { paired_facts } else { self.logged.facts(&overlap) };
        let identification = identify(&facts);
        let regime = match identification {
            Identification::FullInformation => Regime::Paired(self.cells),
            Identification::NotIdentified => Regime::Bounded(self.logged),
            _ => Regime::Logged(self.logged),
        };
        let supported = match regime {
            Regime::Paired(_) => None,
            Regime::Logged(_) | Regime::Bounded(_) => self.logged.supported(self.pair)?,
        };
        let supported_pair = supported.map(|arms| self.logged.pair_of_rows(arms, self.pair.baseline.clone())).transpose()?;
        let chosen = self.chosen(full_information, supported_pair.as_ref())?;
        let policies = chosen.par_iter().map(|(entry, choices)| self.result(entry, choices, regime)).collect::<Result<Vec<_>, _>>()?;
        let uplift = regime.uplift("static", self.arms, self.fixed)?;
        let control = strongest_control(&policies, &chosen);
        let whole = self.whole_log(full_information);
        let decisions = whole.iter().map(|row| outcomes.query_ids[*row].as_str()).collect::<HashSet<_>>().len();
        let of_single_runs = || match full_information {
            true => Ok(Vec::new()),
            false => gates::of_single_runs(self.table, self.held_out, self.logged, self.pair, supported_pair.as_ref()),
        };
        // What takes long and follows from one thing after another goes side by side.
        let ((estimated, of_single_runs), (whole_log, segments)) = rayon::join(
            || (self.estimated(regime), of_single_runs()),
            || (self.static_whole_log(regime, &whole), segments::search(self, regime, self.pair, self.seed.0)),
        );
        let (estimated, (static_whole_log, logged_mean), segments) = (estimated?, whole_log?, segments?);
        let mut gates = vec![enough_decisions(decisions, MIN_DECISIONS)];
        gates.extend(of_single_runs?);
        gates.push(gates::of_time(self.table, self.held_out, full_information));
        let find = |name: &str| find(&chosen, name);
        Ok(ReplayReport {
            identification,
            facts,
            static_source: self.held_out.static_source.clone(),
            n_queries: self.held_out.queries.len(),
            n_rows: self.held_out.queries.iter().map(|query| query.rows.len()).sum(),
            rows_without_static: self.held_out.rows_without_static + self.logged.rows_without_propensity,
            window_us: self.window(),
            decisions,
            bounds: match regime {
                Regime::Paired(_) => None,
                Regime::Logged(rows) | Regime::Bounded(rows) => Some(rows.bounded_uplift("static", self.pair)?),
            },
            control_over_static: control.map(|(name, arms)| regime.uplift(name, arms, self.fixed)).transpose()?,
            supported: match (regime, &supported_pair) {
                (Regime::Logged(rows), Some(pair)) => Some(rows.supported_uplift(pair)?),
                _ => None,
            },
            uplift_over_control: control.map(|(name, arms)| regime.uplift(name, self.arms, arms)).transpose()?,
            estimators: estimated.values,
            uplift_estimators: estimated.uplifts,
            static_whole_log,
            logged_mean,
            latency: regime.ratio(Measure::Latency, self.arms, self.fixed)?,
            cost: regime.ratio(Measure::Cost, self.arms, self.fixed)?,
            latency_p95_ms: regime.p95(self.arms, self.fixed)?,
            routing_accuracy: self.routing_accuracy(),
            hallucination_rate: regime.rates(&outcomes.hallucinations, self.arms, self.fixed)?,
            user_satisfaction: regime.rates(&outcomes.satisfactions, self.arms, self.fixed)?,
            disagreement: regime.disagreement(&uplift, self.arms, self.fixed)?,
            diagnostics: (!full_information).then_some(overlap),
            gates,
            segments: segments.segments,
            composed: segments.composed,
            harmed_segments: segments.harmed,
            gap_closed: match (find("learned"), find("best_single"), find("oracle")) {
                (Some(learned), Some(single), Some(oracle)) => self.cells.gap_closed(learned, single, oracle)?,
                _ => None,
            },
            thresholds: self.thresholds(regime)?,
            looks: estimated.looks,
            frontier: frontier(self, regime)?,
            seed_protocol: seed_protocol(self, regime)?,
            sessions: self.logged.dependence.map(|found| SessionsResult {
                sessions: found.sessions,
                rows: self.logged.rows.len(),
                exploration_unit: found.unit,
                exploration_correlation: found.correlation,
            }),
            retraining: retraining(self, regime)?,
            uplift,
            policies,
        })
    }

    /// Every policy of the list that can be made from this log.
    fn chosen(&self, full_information: bool, supported: Option<&Pair>) -> Result<Vec<Chosen<'static>>, StageError> {
        // A query whose rows are not all supported stays static.
        let supported = supported.map(|pair| {
            let mut arms = self.arms.to_vec();
            for (query, arm) in self.logged.queries.iter().zip(&pair.learned) {
                if *arm != self.arms[*query] {
                    arms[*query] = self.fixed[*query];
                }
            }
            arms
        });
        let setting = Setting {
            table: self.table,
            held_out: self.held_out,
            policy: self.policy,
            learned: self.learned,
            classified: self.classified,
            helped_types: self.helped_types,
            supported: supported.as_deref(),
            training: self.training,
            outcomes: &self.cells.success,
            full_information,
            seed: self.seed,
        };
        let mut chosen = Vec::new();
        for entry in POLICIES {
            if let Some(choices) = (entry.choose)(&setting)? {
                chosen.push((entry, self.allowed(choices)));
            }
        }
        Ok(chosen)
    }

    /// Choices among the logged candidates: the static path in place of one that was not allowed.
    fn allowed(&self, choices: Choices) -> Choices {
        let Choices::Fixed(arms) = choices else { return choices };
        let rows = self.held_out.queries.iter().zip(self.fixed);
        let allowed = |(arm, (query, fixed)): (Arm, (&Query, &Arm))| {
            if self.table.outcomes.allows(query.row, arm) { arm } else { *fixed }
        };
        Choices::Fixed(arms.into_iter().zip(rows).map(allowed).collect())
    }

    /// One policy's results.
    fn result(&self, entry: &PolicyEntry, choices: &Choices, regime: Regime<'_>) -> Result<PolicyResult, OpeError> {
        let (success, estimator) = regime.value(choices)?;
        let shares = choices.shares(self.table.paths.len());
        Ok(PolicyResult {
            name: entry.name.to_owned(),
            role: entry.role,
            success,
            estimator: estimator.to_owned(),
            latency_ms: regime.mean_of(Measure::Latency, choices)?,
            cost_usd: regime.mean_of(Measure::Cost, choices)?,
            disagreement: match choices {
                Choices::Fixed(arms) => {
                    arms.iter().zip(self.fixed).filter(|(ours, theirs)| ours != theirs).count() as f64 / arms.len() as f64
                }
                Choices::Mixed(shares) => self.fixed.iter().map(|arm| 1.0 - shares[arm.index()]).sum::<f64>() / self.fixed.len() as f64,
            },
            shares: self.table.paths.names().iter().cloned().zip(shares).collect(),
        })
    }

    /// Every estimator, and the uplift as it was seen night by night.
    fn estimated(&self, regime: Regime<'_>) -> Result<Estimated, StageError> {
        let days = |position: usize| self.table.outcomes.timestamps[self.held_out.queries[position].row].day();
        let rows = match regime {
            Regime::Paired(cells) => {
                let differences: Vec<(usize, f64)> = cells.differences(self.arms, self.fixed).collect();
                let of_days: Vec<i64> = differences.iter().map(|(position, _)| days(*position)).collect();
                let sessions = self.held_out.sessions(self.table);
                let sessions: Option<Vec<u32>> =
                    sessions.map(|sessions| differences.iter().map(|(position, _)| sessions[*position]).collect());
                let differences: Vec<f64> = differences.into_iter().map(|(_, difference)| difference).collect();
                return Ok(Estimated { looks: nightly(&differences, &of_days, sessions.as_deref()), ..Estimated::default() });
            }
            Regime::Logged(rows) | Regime::Bounded(rows) => rows,
        };
        let regressors = self.regressors(rows);
        let is_logged = matches!(regime, Regime::Logged(_));
        let mrdr = if is_logged { estimators::mrdr_model(self, rows, &regressors).map_err(StageError::other)? } else { None };
        let models = RewardModels { regressors: &regressors, mrdr: mrdr.as_deref() };
        let choices = Choices::Fixed(self.arms.to_vec());
        let values = estimators::values(rows, &choices, Some(models), self.seed.derive("bootstrap", 0))?;
        if !is_logged {
            return Ok(Estimated { values, ..Estimated::default() });
        }
        let terms = estimators::uplift_terms(rows, self.arms, self.fixed, models)?.unwrap_or_default();
        let of_days: Vec<i64> = rows.rows.iter().map(|row| self.table.outcomes.timestamps[*row].day()).collect();
        let looks = nightly(&terms, &of_days, rows.sessions.as_deref());
        Ok(Estimated { values, uplifts: estimators::uplifts(rows, self.arms, self.fixed, models)?, looks })
    }

    /// The success regressors' predictions for every logged row and path: trained before the window, so they are out of sample.
    fn regressors(&self, rows: &LoggedRows<'_>) -> Vec<f64> {
        let fallback = &self.training.success;
        let cell = |(arm, predicted): (usize, &f64)| {
            if predicted.is_finite() { *predicted } else { Some(fallback[arm]).filter(|mean| mean.is_finite()).unwrap_or(0.5) }
        };
        rows.queries.iter().flat_map(|query| self.learned[*query].predictions.success.iter().enumerate().map(cell)).collect()
    }

    /// Rows of both windows with an outcome; on single runs also with a static choice.
    fn whole_log(&self, full_information: bool) -> Vec<usize> {
        let outcomes = &self.table.outcomes;
        let is_known = |row: &usize| outcomes.successes[*row].is_some() && (full_information || outcomes.static_arms[*row].is_some());
        (0..self.table.n_rows()).filter(is_known).collect()
    }

    /// The static router's value over the whole log by every estimator that needs no model, and the share of successes in it.
    fn static_whole_log(&self, regime: Regime<'_>, whole: &[usize]) -> Result<(Vec<Answer>, f64), StageError> {
        let fixed: Vec<Arm> = match regime {
            Regime::Paired(_) => whole.iter().map(|row| self.table.outcomes.arms[*row]).collect(),
            Regime::Logged(_) | Regime::Bounded(_) => whole.iter().filter_map(|row| self.table.outcomes.static_arms[*row]).collect(),
        };
        let rows = LoggedRows::of_rows(self.table, whole, &fixed)?;
        if matches!(regime, Regime::Paired(_)) || rows.rows.is_empty() {
            return Ok((Vec::new(), rows.mean()));
        }
        let choices = Choices::Fixed(fixed);
        let mut answers = estimators::values(&rows, &choices, None, self.seed.derive("static", 0))?;
        let (value, name) = rows.value(&choices)?;
        answers.insert(0, Answer { name: name.to_owned(), estimate: value, bootstrap: None, limit: None });
        Ok((answers, rows.mean()))
    }

    /// First and last time of the held-out window.
    fn window(&self) -> (i64, i64) {
        let times = self.held_out.queries.iter().map(|query| self.table.outcomes.timestamps[query.row].0);
        (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default())
    }

    /// How often each router takes the path that a reviewer would have taken.
    fn routing_accuracy(&self) -> RatePair {
        let reviewed = |query: &Query| query.rows.iter().find_map(|row| self.table.outcomes.optimal_arms[*row]);
        let rated: Vec<(usize, Arm)> =
            self.held_out.queries.iter().enumerate().filter_map(|(position, query)| reviewed(query).map(|arm| (position, arm))).collect();
        if rated.is_empty() {
            return RatePair::default();
        }
        let rate = |choices: &[Arm]| {
            let hits = rated.iter().filter(|(position, arm)| choices[*position] == *arm).count();
            let interval = routewright_ope::stats::wilson(hits as f64, rated.len() as f64, routewright_ope::Confidence::TWO_SIDED_95);
            Bounded { value: Some(hits as f64 / rated.len() as f64), lower: interval.lower, upper: interval.upper }
        };
        RatePair { n: rated.len(), static_rate: Some(rate(self.fixed)), learned_rate: Some(rate(self.arms)) }
    }

    /// What another fallback threshold would do.
    fn thresholds(&self, regime: Regime<'_>) -> Result<Vec<ThresholdPoint>, OpeError> {
        let point = |threshold: &f64| {
            let threshold = *threshold;
            let policy = Rules(self.policy).with(|settings| settings.min_confidence = threshold);
            let decided: Vec<_> =
                self.learned.iter().zip(self.fixed).map(|(found, fixed)| policy.decide(Some(*fixed), &found.predictions)).collect();
            let coverage = decided.iter().filter(|choice| choice.fallback.is_none()).count() as f64 / decided.len() as f64;
            let arms: Vec<Arm> = decided.iter().zip(self.fixed).map(|(choice, fixed)| choice.arm.unwrap_or(*fixed)).collect();
            let success = regime.value(&Choices::Fixed(arms))?.0;
            Ok(ThresholdPoint { threshold, coverage, success: success.value })
        };
        THRESHOLDS.par_iter().map(point).collect()
    }
}

/// What the estimators said.
#[derive(Default)]
struct Estimated {
    values: Vec<Answer>,
    uplifts: Vec<Answer>,
    looks: Vec<Look>,
}

/// The control with the highest success rate that takes one path per query.
fn strongest_control<'a>(results: &'a [PolicyResult], chosen: &'a [Chosen<'_>]) -> Option<(&'a str, &'a [Arm])> {
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
fn find<'a>(chosen: &'a [Chosen<'_>], name: &str) -> Option<&'a Choices> {
    chosen.iter().find(|(entry, _)| entry.name == name).map(|(_, choices)| choices)
}
