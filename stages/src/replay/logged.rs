//! Judging on a log of single runs: what each policy would have earned follows from the rows on which its path ran.

use routewright_domain::{Arm, Log, LogError, Propensity, Target};
use routewright_ope::{
    CandidateUplift, Comparison, Confidence, Diagnostics, ESTIMATORS, Gate, GateName, LogFacts, Needs, OpeError, PropensitySource, Sample,
    StratifiedValue, UpliftPoints, aa_replay, counterfactual_quantile, counterfactual_ratio, deterministic_bounds, diagnostics, estimator,
    exploration_matches, exploration_share, mean_weight, mean_weight_per_path, mean_weight_per_slice, paired_difference,
    propensity_classes, propensity_source, supported_choices, unsupported_mass, uplift_bounds,
};
use routewright_table::FeatureTable;

use super::held_out::HeldOut;
use super::policies::Choices;
use crate::artifacts::{Answer, Bounded, RatePair, RatioResult, UpliftResult};

/// Share of rows that may lack a propensity before the log counts as having none; the few that do are left out and counted.
const MAX_MISSING_PROPENSITIES: f64 = 0.01;

/// Classes of equal propensity that strata are made from at most; beyond, classes are quantiles with weights inside.
const MAX_CLASSES: usize = 16;

/// Exploration matches needed before any verdict is called proven (STATISTICS.md, section 5).
const MIN_EXPLORATION_MATCHES: usize = 10;

/// Share of the disagreement that may lie where the log has no support.
const MAX_UNSUPPORTED: f64 = 0.05;

/// The columns of a log of single runs.
pub(super) struct LoggedRows {
    /// Rows of the feature table.
    pub rows: Vec<usize>,
    /// Position of each row's query among the held-out queries.
    pub queries: Vec<usize>,
    arms: Vec<Arm>,
    rewards: Vec<f64>,
    propensities: Vec<Propensity>,
    /// Whole vectors of propensities: logged, or completed by [`assumed_vectors`]; empty without propensities.
    vectors: Vec<f64>,
    /// Whether the vectors were logged.
    logged_vectors: bool,
    /// Where the propensities come from.
    pub source: PropensitySource,
    n_arms: usize,
    /// Rows left out for want of a propensity.
    pub rows_without_propensity: usize,
}

impl LoggedRows {
    /// Collects the rows of the held-out queries.
    pub fn of_queries(table: &FeatureTable, held_out: &HeldOut) -> Self {
        let pairs = held_out.queries.iter().enumerate().flat_map(|(position, query)| query.rows.iter().map(move |row| (*row, position)));
        Self::collect(table, pairs.collect())
    }

    /// Collects rows of the table that are judged one by one.
    pub fn of_rows(table: &FeatureTable, rows: &[usize]) -> Self {
        Self::collect(table, rows.iter().enumerate().map(|(position, row)| (*row, position)).collect())
    }

    fn collect(table: &FeatureTable, mut pairs: Vec<(usize, usize)>) -> Self {
        let outcomes = &table.outcomes;
        let n_missing = pairs.iter().filter(|(row, _)| outcomes.propensities[*row].is_none()).count();
        // Few rows in all can be every failed exploration there is: each kind of row must have its propensities.
        let kinds = [(false, false), (false, true), (true, false), (true, true)];
        let logged = kinds.iter().all(|(deviates, success)| {
            let kind = |row: usize| (outcomes.static_arms[row] != Some(outcomes.arms[row]), outcomes.successes[row] == Some(true));
            let rows = pairs.iter().filter(|(row, _)| kind(*row) == (*deviates, *success));
            let n_missing = rows.clone().filter(|(row, _)| outcomes.propensities[*row].is_none()).count();
            n_missing as f64 <= MAX_MISSING_PROPENSITIES * rows.count() as f64
        });
        if logged {
            pairs.retain(|(row, _)| outcomes.propensities[*row].is_some());
        }
        let rows: Vec<usize> = pairs.iter().map(|(row, _)| *row).collect();
        let n_arms = table.paths.len();
        let vectors: Vec<f64> = if outcomes.propensities_of_all.is_empty() {
            Vec::new()
        } else {
            rows.iter().flat_map(|row| &outcomes.propensities_of_all[row * n_arms..(row + 1) * n_arms]).copied().collect()
        };
        let logged_vectors = !vectors.is_empty() && vectors.iter().all(|propensity| propensity.is_finite());
        let vectors = if logged_vectors {
            vectors
        } else if logged {
            assumed_vectors(table, &rows)
        } else {
            Vec::new()
        };
        Self {
            logged_vectors,
            arms: rows.iter().map(|row| outcomes.arms[*row]).collect(),
            rewards: rows.iter().map(|row| outcomes.successes[*row].map_or(0.0, |success| f64::from(u8::from(success)))).collect(),
            propensities: rows.iter().map(|row| outcomes.propensities[*row].unwrap_or(Propensity::CERTAIN)).collect(),
            vectors,
            source: if logged { PropensitySource::Logged } else { PropensitySource::Absent },
            n_arms,
            rows_without_propensity: if logged { n_missing } else { 0 },
            queries: pairs.into_iter().map(|(_, query)| query).collect(),
            rows,
        }
    }

    /// The log.
    pub fn log(&self) -> Result<Log<'_>, LogError> {
        Log::new(self.n_arms, &self.arms, &self.rewards, &self.propensities)
    }

    /// Share of successes.
    pub fn mean(&self) -> f64 {
        self.rewards.iter().sum::<f64>() / self.rewards.len() as f64
    }

    /// Choices per query as choices per row.
    pub fn per_row(&self, choices: &[Arm]) -> Vec<Arm> {
        self.queries.iter().map(|query| choices[*query]).collect()
    }

    /// Strata for a comparison: classes of equal propensity, where the whole vectors are known.
    pub fn strata(&self, comparison: &Comparison<'_>) -> Result<Vec<u32>, OpeError> {
        if self.vectors.is_empty() { Ok(vec![0; self.rows.len()]) } else { propensity_classes(comparison, &self.vectors, MAX_CLASSES) }
    }

    /// The log's facts, given a comparison.
    pub fn facts(&self, diagnostics: &Diagnostics) -> LogFacts {
        LogFacts {
            both_paths_known: 0.0,
            randomised_groups: false,
            propensity_source: self.source,
            uncertain_share: if self.source == PropensitySource::Logged { diagnostics.uncertain_share } else { 0.0 },
            deviation_share: diagnostics.deviation_share,
            disagreement: diagnostics.disagreement,
            unsupported_mass: diagnostics.unsupported_mass,
        }
    }

    /// Every estimator's value of a policy; without logged propensities only those that need none, and they are diagnostics.
    pub fn answers(&self, choices: &Choices, model: Option<&[f64]>) -> Result<Vec<Answer>, OpeError> {
        let target = self.target(choices)?;
        let mut sample = Sample::new(self.log()?, &target)?;
        if let Some(model) = model {
            sample = sample.with_model(model)?;
        }
        let usable = |name: &str| self.source == PropensitySource::Logged || name == "dm" || name == "replay";
        let mut answers = Vec::new();
        for entry in ESTIMATORS.iter().filter(|entry| usable(entry.name) && entry.needs != Needs::MrdrModel) {
            if entry.needs == Needs::Model && model.is_none() {
                continue;
            }
            match entry.estimate(&sample, Confidence::TWO_SIDED_95) {
                Ok(estimate) => answers.push(Answer { name: entry.name.to_owned(), estimate: Bounded::of(estimate) }),
                // A policy that no logged row agrees with has no value here; a randomised one cannot be matched. The others go on.
                Err(OpeError::NoOverlap | OpeError::StochasticTarget { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// Every estimator's uplift of one choice over another, in points, paired row by row.
    pub fn uplift_answers(&self, learned: &[Arm], baseline: &[Arm], model: &[f64]) -> Result<Vec<Answer>, OpeError> {
        let targets = [self.target(&Choices::Fixed(learned.to_vec()))?, self.target(&Choices::Fixed(baseline.to_vec()))?];
        let ours = Sample::new(self.log()?, &targets[0])?.with_model(model)?;
        let theirs = Sample::new(self.log()?, &targets[1])?.with_model(model)?;
        let mut answers = Vec::new();
        for entry in ESTIMATORS.iter().filter(|entry| entry.needs != Needs::MrdrModel) {
            match entry.terms(&ours).and_then(|ours| paired_difference(&ours, &entry.terms(&theirs)?, Confidence::TWO_SIDED_95)) {
                Ok(estimate) => answers.push(Answer { name: entry.name.to_owned(), estimate: Bounded::of(estimate).times(100.0) }),
                Err(OpeError::NoOverlap) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// The value of a policy by the estimator that fits it, and that estimator's name.
    pub fn value(&self, choices: &Choices, baseline: &[Arm], identified: bool) -> Result<(Bounded, &'static str), OpeError> {
        let log = self.log()?;
        let Choices::Fixed(arms) = choices else {
            if !identified {
                return Ok((Bounded { value: None, lower: 0.0, upper: 1.0 }, "none"));
            }
            let answers = self.answers(choices, None)?;
            let snips = answers.into_iter().find(|answer| answer.name == "snips");
            return Ok(snips.map_or((Bounded { value: None, lower: 0.0, upper: 1.0 }, "none"), |answer| (answer.estimate, "snips")));
        };
        let arms = self.per_row(arms);
        if !identified && arms != self.per_row(baseline) {
            let set = deterministic_bounds(log, &arms, Confidence::TWO_SIDED_95)?;
            return Ok((Bounded { value: None, lower: set.interval.lower.max(0.0), upper: set.interval.upper.min(1.0) }, "bounds"));
        }
        let baseline = self.per_row(baseline);
        let comparison = Comparison::new(log, &arms, &baseline)?;
        let strata = self.strata(&comparison)?;
        let value = comparison.with_strata(&strata)?.learned_value(Confidence::TWO_SIDED_95);
        Ok((known_value(&value), "stratified"))
    }

    /// The uplift of one choice over another, in points; bounds where the log does not identify it.
    pub fn uplift(&self, over: &str, learned: &[Arm], baseline: &[Arm], identified: bool) -> Result<UpliftResult, OpeError> {
        let (learned, baseline) = (self.per_row(learned), self.per_row(baseline));
        let comparison = Comparison::new(self.log()?, &learned, &baseline)?;
        if !identified {
            let two = uplift_bounds(&comparison, Confidence::TWO_SIDED_95).interval;
            let one = uplift_bounds(&comparison, Confidence::ONE_SIDED_95).interval;
            let points = Bounded { value: None, lower: two.lower, upper: two.upper }.times(100.0);
            return Ok(UpliftResult {
                over: over.to_owned(),
                points,
                lower_one_sided: 100.0 * one.lower,
                upper_one_sided: 100.0 * one.upper,
                estimator: "bounds".to_owned(),
            });
        }
        let strata = self.strata(&comparison)?;
        let tally = comparison.with_strata(&strata)?.tally();
        Ok(points(over, "stratified", tally.uplift(Confidence::TWO_SIDED_95).estimate, tally.uplift(Confidence::ONE_SIDED_95).estimate))
    }

    /// Means of latency (or cost) under both routers and their ratio; rows without the number are left out.
    pub fn ratio(&self, values: &[f64], learned: &[Arm], baseline: &[Arm]) -> Result<Option<RatioResult>, OpeError> {
        let Some(known) = self.known(values, learned, baseline) else { return Ok(None) };
        let ratio = counterfactual_ratio(known.log()?, &known.learned, &known.baseline, Confidence::ONE_SIDED_95)?;
        Ok(ratio.and_then(RatioResult::of))
    }

    /// The 95th percentile of latency under both routers.
    pub fn p95(&self, values: &[f64], learned: &[Arm], baseline: &[Arm]) -> Result<Option<(f64, f64)>, OpeError> {
        let Some(known) = self.known(values, learned, baseline) else { return Ok(None) };
        let differ: Vec<bool> = known.learned.iter().zip(&known.baseline).map(|(ours, theirs)| ours != theirs).collect();
        let quantile = |choices: &[Arm]| counterfactual_quantile(known.log()?, choices, &differ, 0.95, None, Confidence::TWO_SIDED_95);
        Ok(quantile(&known.baseline)?.zip(quantile(&known.learned)?).map(|(theirs, ours)| (theirs.value, ours.value)))
    }

    /// The mean of a policy's latency (or cost) by self-normalised weights.
    pub fn mean_of(&self, values: &[f64], choices: &Choices) -> Result<Option<f64>, OpeError> {
        let Choices::Fixed(arms) = choices else {
            return Ok(None);
        };
        let Some(known) = self.known(values, arms, arms) else { return Ok(None) };
        let target = Target::deterministic(self.n_arms, &known.learned)?;
        let sample = Sample::new(known.log()?, &target)?;
        Ok(estimator("snips").and_then(|snips| snips.estimate(&sample, Confidence::TWO_SIDED_95).ok()).map(|estimate| estimate.value))
    }

    /// A rate of both routers on the rows where it is known.
    pub fn rates(
        &self,
        table: &FeatureTable,
        flag: impl Fn(usize) -> Option<bool>,
        learned: &[Arm],
        baseline: &[Arm],
    ) -> Result<RatePair, OpeError> {
        let values: Vec<f64> = (0..table.n_rows()).map(|row| flag(row).map_or(f64::NAN, |flag| f64::from(u8::from(flag)))).collect();
        let Some(known) = self.known(&values, learned, baseline) else { return Ok(RatePair::default()) };
        let comparison = Comparison::new(known.log()?, &known.learned, &known.baseline)?;
        Ok(RatePair {
            n: known.rewards.len(),
            static_rate: Some(known_value(&comparison.baseline_value(Confidence::TWO_SIDED_95))),
            learned_rate: Some(known_value(&comparison.learned_value(Confidence::TWO_SIDED_95))),
        })
    }

    /// The rows on which another column is known, with that column as the reward; `values`: one per row of the table.
    fn known(&self, values: &[f64], learned: &[Arm], baseline: &[Arm]) -> Option<KnownRows> {
        let kept: Vec<usize> = (0..self.rows.len()).filter(|position| values[self.rows[*position]].is_finite()).collect();
        let choose = |choices: &[Arm]| kept.iter().map(|position| choices[self.queries[*position]]).collect();
        (!kept.is_empty()).then(|| KnownRows {
            n_arms: self.n_arms,
            arms: kept.iter().map(|position| self.arms[*position]).collect(),
            rewards: kept.iter().map(|position| values[self.rows[*position]]).collect(),
            propensities: kept.iter().map(|position| self.propensities[*position]).collect(),
            learned: choose(learned),
            baseline: choose(baseline),
        })
    }

    /// Choices as probabilities.
    fn target(&self, choices: &Choices) -> Result<Target, LogError> {
        match choices {
            Choices::Fixed(arms) => Target::deterministic(self.n_arms, &self.per_row(arms)),
            Choices::Mixed(shares) => {
                Target::new(self.n_arms, shares.iter().copied().cycle().take(self.rows.len() * self.n_arms).collect())
            }
        }
    }

    /// Overlap of the log with the learned router.
    pub fn diagnostics(&self, learned: &[Arm], baseline: &[Arm]) -> Result<Diagnostics, OpeError> {
        let (learned, baseline) = (self.per_row(learned), self.per_row(baseline));
        let comparison = Comparison::new(self.log()?, &learned, &baseline)?;
        let strata = self.strata(&comparison)?;
        Ok(diagnostics(&comparison.with_strata(&strata)?))
    }

    /// Per row the learned choice where the log supports it, static elsewhere; `None` where that is the learned choice everywhere.
    pub fn supported(&self, learned: &[Arm], baseline: &[Arm]) -> Result<Option<Vec<Arm>>, OpeError> {
        if self.vectors.is_empty() {
            return Ok(None);
        }
        let (learned, baseline) = (self.per_row(learned), self.per_row(baseline));
        let supported = supported_choices(&Comparison::new(self.log()?, &learned, &baseline)?, &self.vectors, 0.0)?;
        Ok((supported != learned && supported != baseline).then_some(supported))
    }

    /// The uplift of choices given per row, for the rule.
    pub fn supported_uplift(&self, choices: &[Arm], baseline: &[Arm]) -> Result<CandidateUplift, OpeError> {
        let baseline = self.per_row(baseline);
        let comparison = Comparison::new(self.log()?, choices, &baseline)?;
        let strata = self.strata(&comparison)?;
        let uplift = comparison.with_strata(&strata)?.uplift(Confidence::ONE_SIDED_95);
        Ok(CandidateUplift { name: "where the log supports it".to_owned(), uplift: UpliftPoints::from(uplift.estimate), latency: None })
    }

    /// The gates that a log of single runs has to pass. Weights are checked for what the log supports: `supported` per row, or the learned choices.
    pub fn gates(&self, table: &FeatureTable, supported: Option<&[Arm]>, learned: &[Arm], baseline: &[Arm]) -> Result<Vec<Gate>, OpeError> {
        let (whole, baseline) = (self.per_row(learned), self.per_row(baseline));
        let learned = supported.unwrap_or(&whole);
        let comparison = Comparison::new(self.log()?, learned, &baseline)?;
        let strata = self.strata(&comparison)?;
        let comparison = comparison.with_strata(&strata)?;
        let uplift = comparison.uplift(Confidence::ONE_SIDED_95);
        let mut gates = vec![propensity_source(self.source)];
        if self.source == PropensitySource::Logged {
            let (segments, names) = numbered(self.rows.iter().map(|row| table.outcomes.query_types[*row].clone()));
            let (days, day_names) = numbered(self.rows.iter().map(|row| table.outcomes.timestamps[*row].day()));
            gates.push(mean_weight(&comparison));
            gates.push(mean_weight_per_path(&comparison, &table.paths));
            gates.push(mean_weight_per_slice(GateName::MeanWeightPerSegment, &comparison, &segments, |slice| {
                names[slice as usize].clone()
            })?);
            gates.push(mean_weight_per_slice(GateName::MeanWeightPerDay, &comparison, &days, |slice| {
                format!("day {}", day_names[slice as usize] - day_names[0] + 1)
            })?);
            if self.logged_vectors {
                let deviations = self.arms.iter().zip(&baseline).filter(|(ran, chosen)| ran != chosen).count();
                let chance = |(row, arm): (&[f64], &Arm)| 1.0 - row[arm.index()];
                let declared = self.vectors.chunks_exact(self.n_arms).zip(&baseline).map(chance).sum::<f64>() / baseline.len() as f64;
                gates.push(exploration_share(deviations, baseline.len(), declared));
            }
            gates.push(exploration_matches(&uplift, MIN_EXPLORATION_MATCHES));
            let everything = Comparison::new(self.log()?, &whole, &baseline)?;
            let strata = self.strata(&everything)?;
            gates.push(unsupported_mass(&everything.with_strata(&strata)?.uplift(Confidence::ONE_SIDED_95), MAX_UNSUPPORTED));
            gates.push(aa_replay(&comparison, Confidence::TWO_SIDED_95));
        }
        Ok(gates)
    }
}

/// Vectors completed from the propensity of the path that ran, as if the logger explored evenly among the other paths. They sort rows into
/// classes and say where nothing but the static path could run; no weight is made from them.
fn assumed_vectors(table: &FeatureTable, rows: &[usize]) -> Vec<f64> {
    let n_arms = table.paths.len();
    let others = (n_arms.max(2) - 1) as f64;
    let mut vectors = Vec::with_capacity(rows.len() * n_arms);
    for row in rows {
        let (ran, fixed) = (table.outcomes.arms[*row], table.outcomes.static_arms[*row]);
        let propensity = table.outcomes.propensities[*row].map_or(1.0, Propensity::get);
        let explored = if fixed == Some(ran) { (1.0 - propensity) / others } else { propensity };
        vectors.extend(table.paths.arms().map(|arm| match () {
            () if arm == ran => propensity,
            () if fixed == Some(arm) => (1.0 - others * explored).max(explored),
            () => explored,
        }));
    }
    vectors
}

/// The rows on which a column is known.
struct KnownRows {
    n_arms: usize,
    arms: Vec<Arm>,
    rewards: Vec<f64>,
    propensities: Vec<Propensity>,
    learned: Vec<Arm>,
    baseline: Vec<Arm>,
}

impl KnownRows {
    fn log(&self) -> Result<Log<'_>, LogError> {
        Log::new(self.n_arms, &self.arms, &self.rewards, &self.propensities)
    }
}

/// A stratified value; where a stratum has no match there is no estimate, only the interval.
fn known_value(value: &StratifiedValue) -> Bounded {
    let found = Bounded::of(value.estimate);
    if value.partial { Bounded { value: None, ..found } } else { found }
}

/// Distinct values numbered in ascending order, and the value of each number.
pub(super) fn numbered<T: Ord + Clone>(values: impl Iterator<Item = T>) -> (Vec<u32>, Vec<T>) {
    let values: Vec<T> = values.collect();
    let mut distinct = values.clone();
    distinct.sort_unstable();
    distinct.dedup();
    (values.iter().map(|value| distinct.partition_point(|other| other < value) as u32).collect(), distinct)
}

/// An uplift in shares as a result in points.
pub(super) fn points(
    over: &str,
    estimator: &str,
    two_sided: routewright_domain::Estimate,
    one_sided: routewright_domain::Estimate,
) -> UpliftResult {
    UpliftResult {
        over: over.to_owned(),
        points: Bounded::of(two_sided).times(100.0),
        lower_one_sided: 100.0 * one_sided.interval.lower,
        upper_one_sided: 100.0 * one_sided.interval.upper,
        estimator: estimator.to_owned(),
    }
}
