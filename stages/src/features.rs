//! `features`: what was known when each decision was made. No row sees its own or a later outcome.

mod selection;
mod sentences;
mod static_rules;

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;
use routewright_domain::{Arm, Decision, Paths, Seed, Timestamp};
use routewright_engine::{Context, Stage, StageError};
use routewright_router::{Encoder, History, Moment, Observation, QuerySketch, Request, Schema, SchemaSettings, Scratch};
use routewright_table::{Decisions, FeatureColumn, FeatureTable, Outcomes, Window, known_at_decision};
use serde::{Deserialize, Serialize};

use self::selection::SelectionParams;
use self::sentences::EmbeddingParams;
use self::static_rules::StaticRules;
use crate::artifacts::{DecisionTable, FeatureReport, FeatureSchema, Features, Finding, FrozenHistory};

pub(crate) use sentences::Sentences;
pub use sentences::{QueryEmbedder, SentenceError, check_embedder};

/// Most training decisions that dictionaries and the embedder are fitted on, taken evenly over the window: more would not change them.
const MAX_FIT_ROWS: usize = 50_000;

/// Name of the query type of decisions that log none.
const NO_QUERY_TYPE: &str = "(none)";

/// Feedback that counts as satisfied, and as not; anything else is no answer.
const SATISFIED: &[&str] = &["positive", "good", "thumbs_up", "satisfied", "up", "yes"];
const DISSATISFIED: &[&str] = &["negative", "bad", "thumbs_down", "dissatisfied", "down", "no"];

/// Settings of `[features]`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FeaturesParams {
    /// Share of the queries, in time order, that models learn from; the rest is held out.
    pub train_share: f64,
    /// Rules (`rules.toml`) of the static router, relative to the project: what it would have chosen where the log does not say; empty for none.
    pub static_rules: String,
    /// Which features, and how they are fitted.
    pub schema: SchemaSettings,
    /// What turns texts into vectors.
    pub embedding: EmbeddingParams,
    /// Which columns are reported, and which left out.
    pub selection: SelectionParams,
}

impl Default for FeaturesParams {
    fn default() -> Self {
        Self {
            train_share: 0.7,
            static_rules: String::new(),
            schema: SchemaSettings::default(),
            embedding: EmbeddingParams::default(),
            selection: SelectionParams::default(),
        }
    }
}

/// The stage.
pub(crate) struct BuildFeatures;

impl Stage for BuildFeatures {
    const NAME: &'static str = "features";
    const SUMMARY: &'static str = "computes what was known when each decision was made, and splits the log by time";
    const VERSION: u32 = 5;
    const USES_SEED: bool = true;
    type Params = FeaturesParams;
    type Inputs = (DecisionTable,);
    type Outputs = (Features, FeatureSchema, FrozenHistory, FeatureReport);

    fn check(params: &FeaturesParams) -> Result<(), (&'static str, String)> {
        let share = params.train_share;
        if !(0.0 < share && share < 1.0) {
            return Err(("train_share", format!("must lie between 0 and 1, found {share}")));
        }
        params.embedding.check().map_err(|reason| ("embedding", reason))?;
        params.selection.check().map_err(|reason| ("selection", reason))
    }

    fn sources(params: &FeaturesParams) -> Vec<String> {
        let rules = Some(&params.static_rules).filter(|place| !place.is_empty());
        params.embedding.sources().into_iter().chain(rules.cloned()).collect()
    }

    fn run(
        params: &FeaturesParams,
        (DecisionTable(decisions),): (DecisionTable,),
        context: &Context<'_>,
    ) -> Result<Self::Outputs, StageError> {
        let paths = decisions.paths().clone();
        let rules = StaticRules::read(&params.static_rules, &paths, context.project())?;
        let (outcomes, origins, sample) = read_outcomes(&decisions, &paths, (params.train_share, rules), context)?;
        let sentences = Sentences::of_log(&params.embedding, &decisions, context)?;
        let requests = sample.iter().map(|decision| request(decision, sentences.as_ref()));
        let (source, seed) = (sentences.as_ref().map(Sentences::source), Seed(context.seed()).derive("features", 0));
        let schema = Schema::fit_with(&paths, requests, &params.schema, source, seed).map_err(StageError::settings)?;
        let encoder = Encoder::new(Arc::new(schema));
        let (columns, history) = encode(&decisions, &encoder, &origins, sentences.as_ref(), context)?;
        let report = selection::judge(encoder.schema().columns(), &columns, &outcomes, &params.selection);
        for name in report.with(Finding::Leaking) {
            context.note(&format!(
                "`{name}` alone predicts success nearly always: was it logged before the path ran? see reports/features.json"
            ));
        }
        let kept = columns.into_iter().zip(&report.columns).filter(|(_, column)| !column.dropped);
        let features = kept.map(|(values, column)| FeatureColumn { name: column.name.clone(), values }).collect();
        let dropped: Vec<String> = report.columns.iter().filter(|column| column.dropped).map(|column| column.name.clone()).collect();
        let schema = encoder.schema().as_ref().clone().without(&dropped);
        Ok((Features(FeatureTable { paths, features, outcomes }), FeatureSchema(schema), FrozenHistory::of(&history), report))
    }
}

/// A decision as the router sees it, with the vector of its text where one is needed.
pub(crate) fn request<'a>(decision: &'a Decision, sentences: Option<&'a Sentences>) -> Request<'a> {
    Request { sentence: sentences.and_then(|sentences| sentences.get(&decision.query)), ..Request::from(decision) }
}

/// Reads what happened to every decision, in time order. The second part gives each row the first row of its query,
/// whose features it shares: rows that ran one query on several paths must not see each other's outcomes. The third are training decisions,
/// evenly over their window, about [`MAX_FIT_ROWS`] at most.
fn read_outcomes(
    decisions: &Decisions,
    paths: &Paths,
    (train_share, mut rules): (f64, Option<StaticRules>),
    context: &Context<'_>,
) -> Result<(Outcomes, Vec<usize>, Vec<Decision>), StageError> {
    let seed = Seed(context.seed());
    let mut outcomes = Outcomes::default();
    let mut any_propensities = false;
    let n_training = decisions.days().map(|(_, count)| count as f64).sum::<f64>() * train_share;
    let every = (n_training / MAX_FIT_ROWS as f64).ceil().max(1.0) as usize;
    let mut sample: Vec<(usize, Decision)> = Vec::new();
    for_each_day(decisions.iter().map(|day| day.map(as_of_decision)), |day| {
        for decision in day {
            any_propensities |= !decision.propensities.is_empty();
            let row = outcomes.trace_ids.len();
            append(&mut outcomes, &decision, paths);
            if let Some(rules) = &mut rules {
                rules.ask(&decision);
            }
            if row.is_multiple_of(every) {
                sample.push((row, decision));
            }
        }
    })?;
    if outcomes.trace_ids.is_empty() {
        return Err(StageError::data("no decision carries a query, so there is nothing to learn a route from"));
    }
    if !any_propensities {
        outcomes.propensities_of_all.clear();
    }
    outcomes.query_ids = experiments(&outcomes);
    let origins = first_rows(&outcomes.query_ids);
    resolve_static_paths(&mut outcomes, &origins);
    if let Some(rules) = rules {
        context.note(&rules.fill(&mut outcomes.static_arms));
    }
    outcomes.windows = split(&outcomes, &origins, train_share, seed);
    sample.retain(|(row, _)| outcomes.windows[*row] == Window::Training);
    Ok((outcomes, origins, sample.into_iter().map(|(_, decision)| decision).collect()))
}

/// Takes day after day, while the next one is made.
fn for_each_day<T: Send, E: Send>(mut days: impl Iterator<Item = Result<T, E>> + Send, mut take: impl FnMut(T) + Send) -> Result<(), E> {
    let mut next = days.next().transpose()?;
    while let Some(day) = next {
        let ((), following) = rayon::join(|| take(day), || days.next().transpose());
        next = following?;
    }
    Ok(())
}

/// Appends one decision's outcome.
fn append(outcomes: &mut Outcomes, decision: &Decision, paths: &Paths) {
    let cluster = decision.session_id.as_ref().or(decision.user_id.as_ref()).unwrap_or(&decision.query_id);
    let arm_of = |name: &Option<String>| name.as_deref().and_then(|name| paths.arm(name));
    outcomes.trace_ids.push(decision.trace_id.clone());
    outcomes.query_ids.push(decision.query_id.clone());
    outcomes.clusters.push(cluster.clone());
    outcomes.timestamps.push(decision.timestamp);
    outcomes.arms.push(paths.arm(&decision.path).unwrap_or(Arm(0)));
    outcomes.static_arms.push(arm_of(&decision.static_path));
    outcomes.propensities.push(decision.propensity);
    outcomes.propensities_of_all.extend(paths.names().iter().map(|name| match decision.propensities.get(name) {
        Some(propensity) => *propensity,
        None if decision.propensities.is_empty() => f64::NAN,
        None => 0.0,
    }));
    outcomes.candidates.push(decision.candidates.iter().filter_map(|name| paths.arm(name)).collect());
    outcomes.explored.push(decision.explored);
    outcomes.successes.push(decision.success);
    outcomes.latencies_ms.push(decision.latency_ms.unwrap_or(f64::NAN));
    outcomes.costs.push(decision.cost.unwrap_or(f64::NAN));
    outcomes.query_types.push(decision.query_type.clone().unwrap_or_else(|| NO_QUERY_TYPE.to_owned()));
    outcomes.hallucinations.push(decision.hallucination_detected);
    outcomes.satisfactions.push(decision.user_feedback.as_deref().and_then(satisfied));
    outcomes.optimal_arms.push(arm_of(&decision.optimal_path));
}

/// What a user's feedback says.
fn satisfied(feedback: &str) -> Option<bool> {
    let feedback = feedback.to_lowercase();
    if SATISFIED.contains(&feedback.as_str()) {
        Some(true)
    } else if DISSATISFIED.contains(&feedback.as_str()) {
        Some(false)
    } else {
        None
    }
}

/// Rows of one query are one experiment when each path ran once and all ran within this time: later runs met another world.
const EXPERIMENT_MICROS: i64 = 3_600_000_000;

/// The queries' identities, told apart where rows of one `query_id` are not one experiment: the same question asked again is another query,
/// and its outcomes on other paths at other times say nothing about what these paths would have earned now.
fn experiments(outcomes: &Outcomes) -> Vec<String> {
    let mut open: HashMap<&str, (Timestamp, Vec<Arm>, usize)> = HashMap::new();
    let mut ids = Vec::with_capacity(outcomes.query_ids.len());
    for (row, query_id) in outcomes.query_ids.iter().enumerate() {
        let (time, arm) = (outcomes.timestamps[row], outcomes.arms[row]);
        let experiment = open.entry(query_id).or_insert_with(|| (time, Vec::new(), 0));
        if experiment.1.contains(&arm) || time.0 - experiment.0.0 > EXPERIMENT_MICROS {
            *experiment = (time, Vec::new(), experiment.2 + 1);
        }
        experiment.1.push(arm);
        ids.push(if experiment.2 == 0 { query_id.clone() } else { format!("{query_id}#{}", experiment.2 + 1) });
    }
    ids
}

/// For every row the first row with the same query.
fn first_rows(query_ids: &[String]) -> Vec<usize> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    query_ids.iter().enumerate().map(|(row, query_id)| *first.entry(query_id).or_insert(row)).collect()
}

/// Where the log names no static path: a row that did not explore ran it, unless its query ran on several paths (then nobody knows).
fn resolve_static_paths(outcomes: &mut Outcomes, origins: &[usize]) {
    let mut rows_of_query = vec![0_u32; origins.len()];
    for origin in origins {
        rows_of_query[*origin] += 1;
    }
    for (row, origin) in origins.iter().enumerate() {
        let alone = rows_of_query[*origin] == 1;
        if outcomes.static_arms[row].is_none() && alone && outcomes.explored[row] != Some(true) {
            outcomes.static_arms[row] = Some(outcomes.arms[row]);
        }
    }
}

/// Splits by time: the first queries train, the later ones are held out; rows of one query stay together.
fn split(outcomes: &Outcomes, origins: &[usize], train_share: f64, seed: Seed) -> Vec<Window> {
    let mut queries: Vec<usize> = (0..origins.len()).filter(|row| origins[*row] == *row).collect();
    // Queries of the same moment are ordered by a hash, not by name, so that a log without real times is split at random.
    queries.sort_by_cached_key(|row| (outcomes.timestamps[*row], seed.derive(&outcomes.query_ids[*row], 0).0, *row));
    let n_training = ((queries.len() as f64 * train_share).round() as usize).min(queries.len());
    let boundary = queries.get(n_training).map_or(Timestamp(i64::MAX), |row| outcomes.timestamps[*row]);
    let mut trains = vec![false; origins.len()];
    for row in &queries[..n_training] {
        trains[*row] = true;
    }
    let window = |(row, origin): (usize, &usize)| {
        if !trains[*origin] {
            return Window::HeldOut;
        }
        // A log that carries one time only has no order that an embargo could keep.
        if outcomes.timestamps[queries[0]] == boundary {
            return Window::Training;
        }
        let known_at = outcomes.timestamps[row].plus_millis(outcomes.latencies_ms[row].max(0.0));
        if known_at <= boundary { Window::Training } else { Window::Embargoed }
    };
    origins.iter().enumerate().map(window).collect()
}

/// Takes away what the log learnt only after the decision, so that no feature can see it.
pub(crate) fn as_of_decision(mut decisions: Vec<Decision>) -> Vec<Decision> {
    for decision in &mut decisions {
        decision.extras.retain(|key, _| known_at_decision(key));
    }
    decisions
}

/// A day on its way through the encoder: rows whose history is not written yet.
struct Day {
    decisions: Vec<Decision>,
    /// Decisions × columns.
    matrix: Vec<f32>,
    sketches: Vec<QuerySketch>,
}

/// Encodes every decision in time order: the query's own columns in parallel, the history's in parallel between two filings of the index. The next
/// day's queries are encoded while the history, which has an order, takes a day.
fn encode(
    decisions: &Decisions,
    encoder: &Encoder,
    origins: &[usize],
    sentences: Option<&Sentences>,
    context: &Context<'_>,
) -> Result<(Vec<Vec<f32>>, History), StageError> {
    let (n_rows, n_columns) = (origins.len(), encoder.n_columns());
    let mut columns: Vec<Vec<f32>> = (0..n_columns).map(|_| Vec::with_capacity(n_rows)).collect();
    let mut history = History::new(encoder.schema());
    let mut first = 0;
    let days = decisions.iter().map(|day| day.map(|decisions| encode_queries(encoder, as_of_decision(decisions), sentences)));
    for_each_day(days, |mut day| {
        encode_history(encoder, &day.decisions, &day.sketches, &mut history, &mut day.matrix);
        for (offset, numbers) in day.matrix.chunks_exact(n_columns.max(1)).enumerate() {
            let row = first + offset;
            for (value, column) in numbers.iter().zip(&mut columns) {
                let shared = if origins[row] < row { column[origins[row]] } else { *value };
                column.push(shared);
            }
        }
        first += day.decisions.len();
        context.advance("decisions encoded", first as u64, n_rows as u64);
    })?;
    history.advance(Timestamp(history.now().0.saturating_add(1)));
    Ok((columns, history))
}

/// The columns that follow from the queries alone.
fn encode_queries(encoder: &Encoder, decisions: Vec<Decision>, sentences: Option<&Sentences>) -> Day {
    let n_columns = encoder.n_columns();
    let mut matrix = vec![f32::NAN; decisions.len() * n_columns];
    let sketches = matrix
        .par_chunks_mut(n_columns.max(1))
        .zip(&decisions)
        .map_init(Scratch::default, |scratch, (row, decision)| encoder.encode_query(&request(decision, sentences), scratch, row))
        .collect();
    Day { decisions, matrix, sketches }
}

/// Writes the history's columns of decisions in time order, and takes their outcomes.
///
/// `matrix`: decisions × columns. Moments are taken one after the other; the search for similar queries runs in parallel for all moments
/// until outcomes are filed, which gives the same bits as one after the other.
fn encode_history(encoder: &Encoder, decisions: &[Decision], sketches: &[QuerySketch], history: &mut History, matrix: &mut [f32]) {
    let (n_columns, paths) = (encoder.n_columns().max(1), encoder.schema().paths());
    let (mut rest, mut written) = (matrix, 0);
    let mut moments: Vec<Moment> = Vec::new();
    let mut write = |moments: &mut Vec<Moment>, history: &History| {
        let (rows, left) = std::mem::take(&mut rest).split_at_mut(moments.len() * n_columns);
        rest = left;
        let seen = sketches[written..written + moments.len()].par_iter().zip(&*moments);
        rows.par_chunks_mut(n_columns).zip(seen).for_each_init(Scratch::default, |scratch, (row, (sketch, moment))| {
            encoder.encode_moment(sketch, moment, history, scratch, row);
        });
        written += moments.len();
        moments.clear();
    };
    for (decision, sketch) in decisions.iter().zip(sketches) {
        if !history.advance_within(decision.timestamp) {
            write(&mut moments, history);
            history.advance(decision.timestamp);
        }
        moments.push(history.moment(sketch, decision.timestamp));
        if let Some(observation) = Observation::from_decision(decision, paths, *sketch) {
            history.observe(observation);
        }
    }
    write(&mut moments, history);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(times: &[i64], queries: &[&str], latency_ms: f64) -> Outcomes {
        Outcomes {
            timestamps: times.iter().map(|time| Timestamp(*time)).collect(),
            query_ids: queries.iter().map(|query| (*query).to_owned()).collect(),
            latencies_ms: vec![latency_ms; times.len()],
            ..Outcomes::default()
        }
    }

    #[test]
    fn the_split_follows_time_and_keeps_a_query_on_one_side() {
        let outcomes = outcomes(&[1, 2, 3, 4, 5], &["a", "b", "c", "d", "a"], 0.0);
        let origins = first_rows(&outcomes.query_ids);
        let windows = split(&outcomes, &origins, 0.5, Seed(1));
        assert_eq!(windows, [Window::Training, Window::Training, Window::HeldOut, Window::HeldOut, Window::Embargoed]);
    }

    #[test]
    fn an_outcome_known_after_the_split_trains_nothing() {
        let outcomes = outcomes(&[1, 2, 3, 4], &["a", "b", "c", "d"], 1.0);
        let windows = split(&outcomes, &first_rows(&outcomes.query_ids), 0.5, Seed(1));
        assert_eq!(windows, [Window::Embargoed, Window::Embargoed, Window::HeldOut, Window::HeldOut]);
    }

    #[test]
    fn a_log_that_carries_one_time_only_still_trains() {
        let outcomes = outcomes(&[1, 1, 1, 1], &["a", "b", "c", "d"], 5.0);
        let windows = split(&outcomes, &first_rows(&outcomes.query_ids), 0.5, Seed(1));
        assert_eq!(windows.iter().filter(|window| **window == Window::Training).count(), 2);
    }

    #[test]
    fn a_question_asked_again_is_another_query() {
        let hour = EXPERIMENT_MICROS;
        let mut outcomes = outcomes(&[0, 0, 1, 2 * hour], &["a", "a", "a", "a"], 0.0);
        outcomes.arms = vec![Arm(0), Arm(1), Arm(0), Arm(1)];
        assert_eq!(experiments(&outcomes), ["a", "a", "a#2", "a#3"]);
    }

    #[test]
    fn a_row_that_did_not_explore_ran_the_static_path() {
        let mut outcomes = outcomes(&[1, 2, 3, 3], &["a", "b", "c", "c"], 0.0);
        outcomes.arms = vec![Arm(0), Arm(1), Arm(0), Arm(1)];
        outcomes.static_arms = vec![None; 4];
        outcomes.explored = vec![None, Some(true), None, None];
        let origins = first_rows(&outcomes.query_ids);
        resolve_static_paths(&mut outcomes, &origins);
        assert_eq!(outcomes.static_arms, [Some(Arm(0)), None, None, None]);
    }
}
