//! Judging on a log of single runs: what each policy would have earned follows from the rows on which its path ran.

use routewright_domain::{Arm, Log, LogError, Propensity, Target};
use routewright_ope::{
    CandidateUplift, Comparison, Confidence, Diagnostics, ExplorationDependence, LogFacts, OpeError, PropensitySource, Sample, Sessions,
    StratifiedValue, UpliftPoints, counterfactual_quantile, counterfactual_ratio, deterministic_bounds, diagnostics, estimator,
    exploration_unit, propensity_classes, supported_choices, uplift_bounds,
};
use routewright_table::FeatureTable;

use super::held_out::HeldOut;
use super::policies::Choices;
use super::regime::Measure;
use crate::artifacts::{Bounded, RatePair, RatioResult, UpliftResult};
use crate::numbered::numbered;

/// Share of rows that may lack a propensity before the log counts as having none; the few that do are left out and counted.
const MAX_MISSING_PROPENSITIES: f64 = 0.01;

/// Classes of equal propensity that strata are made from at most; beyond, classes are quantiles with weights inside.
const MAX_CLASSES: usize = 16;

/// The columns of a log of single runs, with what the static router chose.
pub(super) struct LoggedRows<'a> {
    table: &'a FeatureTable,
    /// Rows of the feature table.
    pub rows: Vec<usize>,
    /// Position of each row's query among the held-out queries.
    pub queries: Vec<usize>,
    pub arms: Vec<Arm>,
    pub rewards: Vec<f64>,
    pub propensities: Vec<Propensity>,
    /// What the static router chose, per row.
    pub baseline: Vec<Arm>,
    /// Whole vectors of propensities: logged, or completed by [`assumed_vectors`]; empty without propensities.
    pub vectors: Vec<f64>,
    /// Whether the vectors were logged.
    pub logged_vectors: bool,
    /// Where the propensities come from.
    pub source: PropensitySource,
    pub n_arms: usize,
    /// Rows left out for want of a propensity.
    pub rows_without_propensity: usize,
    /// Session per row, where sessions have several rows.
    pub sessions: Option<Vec<u32>>,
    /// How exploration goes together within these sessions.
    pub dependence: Option<ExplorationDependence>,
}

/// Two routers on the rows of a log, with strata: made once, used by everything that compares them.
pub(super) struct Pair {
    pub learned: Vec<Arm>,
    pub baseline: Vec<Arm>,
    strata: Vec<u32>,
}

impl Pair {
    /// The comparison on the rows that the pair was made for.
    pub fn comparison<'a>(&'a self, rows: &'a LoggedRows<'_>) -> Result<Comparison<'a>, OpeError> {
        Comparison::new(rows.log()?, &self.learned, &self.baseline)?.with_strata(&self.strata)?.with_sessions(rows.sessions())
    }
}

impl<'a> LoggedRows<'a> {
    /// Collects the rows of the held-out queries.
    pub fn of_queries(table: &'a FeatureTable, held_out: &HeldOut) -> Result<Self, OpeError> {
        let pairs = held_out.queries.iter().enumerate().flat_map(|(position, query)| query.rows.iter().map(move |row| (*row, position)));
        Self::collect(table, pairs.collect(), &held_out.static_choices())
    }

    /// Collects rows of the table that are judged one by one, with their static choices.
    pub fn of_rows(table: &'a FeatureTable, rows: &[usize], baseline: &[Arm]) -> Result<Self, OpeError> {
        Self::collect(table, rows.iter().enumerate().map(|(position, row)| (*row, position)).collect(), baseline)
    }

    fn collect(table: &'a FeatureTable, mut pairs: Vec<(usize, usize)>, static_choices: &[Arm]) -> Result<Self, OpeError> {
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
        let (sessions, names) = numbered(rows.iter().map(|row| outcomes.clusters[*row].as_str()));
        let mut found = Self {
            table,
            logged_vectors,
            arms: rows.iter().map(|row| outcomes.arms[*row]).collect(),
            rewards: rows.iter().map(|row| outcomes.successes[*row].map_or(0.0, |success| f64::from(u8::from(success)))).collect(),
            propensities: rows.iter().map(|row| outcomes.propensities[*row].unwrap_or(Propensity::CERTAIN)).collect(),
            baseline: pairs.iter().map(|(_, query)| static_choices[*query]).collect(),
            vectors,
            source: if logged { PropensitySource::Logged } else { PropensitySource::Absent },
            n_arms,
            rows_without_propensity: if logged { n_missing } else { 0 },
            queries: pairs.into_iter().map(|(_, query)| query).collect(),
            sessions: (names.len() < rows.len()).then_some(sessions),
            dependence: None,
            rows,
        };
        if let Some(sessions) = &found.sessions
            && found.source == PropensitySource::Logged
        {
            let own = found.pair_of_rows(found.baseline.clone(), found.baseline.clone())?;
            let comparison = Comparison::new(found.log()?, &own.learned, &own.baseline)?.with_strata(&own.strata)?;
            found.dependence = Some(exploration_unit(&comparison, sessions)?);
        }
        Ok(found)
    }

    /// The log.
    pub fn log(&self) -> Result<Log<'_>, LogError> {
        Log::new(self.n_arms, &self.arms, &self.rewards, &self.propensities)
    }

    /// The sessions and what exploration was drawn for.
    pub fn sessions(&self) -> Option<Sessions<'_>> {
        let unit = self.dependence.map(|found| found.unit).unwrap_or_default();
        self.sessions.as_ref().map(|of_rows| Sessions { of_rows, unit })
    }

    /// Share of successes.
    pub fn mean(&self) -> f64 {
        self.rewards.iter().sum::<f64>() / self.rewards.len() as f64
    }

    /// Choices per query as choices per row.
    pub fn per_row(&self, choices: &[Arm]) -> Vec<Arm> {
        self.queries.iter().map(|query| choices[*query]).collect()
    }

    /// Two routers, given as choices per query.
    pub fn pair(&self, learned: &[Arm], baseline: &[Arm]) -> Result<Pair, OpeError> {
        self.pair_of_rows(self.per_row(learned), self.per_row(baseline))
    }

    /// Two routers, given as choices per row. Strata are classes of equal propensity, where the whole vectors are known.
    pub fn pair_of_rows(&self, learned: Vec<Arm>, baseline: Vec<Arm>) -> Result<Pair, OpeError> {
        let strata = if self.vectors.is_empty() {
            vec![0; self.rows.len()]
        } else {
            propensity_classes(&Comparison::new(self.log()?, &learned, &baseline)?, &self.vectors, MAX_CLASSES)?
        };
        Ok(Pair { learned, baseline, strata })
    }

    /// Whether choices are those of the static router.
    pub fn is_static(&self, choices: &Choices) -> bool {
        matches!(choices, Choices::Fixed(arms) if self.per_row(arms) == self.baseline)
    }

    /// The log's facts, given its overlap with the learned router.
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

    /// The value of a policy by the estimator that fits it, and that estimator's name.
    pub fn value(&self, choices: &Choices) -> Result<(Bounded, &'static str), OpeError> {
        let Choices::Fixed(arms) = choices else {
            let target = self.target(choices)?;
            let sample = Sample::new(self.log()?, &target)?;
            let snips = estimator("snips").map(|snips| snips.terms(&sample)).transpose();
            let terms = match snips {
                Ok(Some(terms)) => terms,
                Ok(None) | Err(OpeError::NoOverlap) => return Ok((unknown(), "none")),
                Err(error) => return Err(error),
            };
            let estimate = match &self.sessions {
                Some(sessions) => terms.clustered_estimate(sessions, Confidence::TWO_SIDED_95)?,
                None => terms.estimate(Confidence::TWO_SIDED_95),
            };
            return Ok((Bounded::of(estimate), "snips"));
        };
        let pair = self.pair_of_rows(self.per_row(arms), self.baseline.clone())?;
        let value = pair.comparison(self)?.learned_value(Confidence::TWO_SIDED_95);
        Ok((known_value(&value), "stratified"))
    }

    /// The same where paths were not chosen at random: bounds, but for the static router itself.
    pub fn bounded_value(&self, choices: &Choices) -> Result<(Bounded, &'static str), OpeError> {
        if self.is_static(choices) {
            return self.value(choices);
        }
        let Choices::Fixed(arms) = choices else { return Ok((unknown(), "none")) };
        let set = deterministic_bounds(self.log()?, &self.per_row(arms), Confidence::TWO_SIDED_95)?;
        Ok((Bounded { value: None, lower: set.interval.lower.max(0.0), upper: set.interval.upper.min(1.0) }, "bounds"))
    }

    /// The uplift of a pair, in points.
    pub fn uplift(&self, over: &str, pair: &Pair) -> Result<UpliftResult, OpeError> {
        let tally = pair.comparison(self)?.tally();
        Ok(points(over, "stratified", tally.uplift(Confidence::TWO_SIDED_95).estimate, tally.uplift(Confidence::ONE_SIDED_95).estimate))
    }

    /// Bounds of the uplift of a pair that hold without any propensity, in points.
    pub fn bounded_uplift(&self, over: &str, pair: &Pair) -> Result<UpliftResult, OpeError> {
        let comparison = pair.comparison(self)?;
        let two = uplift_bounds(&comparison, Confidence::TWO_SIDED_95)?.interval;
        let one = uplift_bounds(&comparison, Confidence::ONE_SIDED_95)?.interval;
        Ok(UpliftResult {
            over: over.to_owned(),
            points: Bounded { value: None, lower: two.lower, upper: two.upper }.times(100.0),
            lower_one_sided: 100.0 * one.lower,
            upper_one_sided: 100.0 * one.upper,
            estimator: "bounds".to_owned(),
        })
    }

    /// The column of a measure, one number per row of the table.
    fn column(&self, measure: Measure) -> &'a [f64] {
        match measure {
            Measure::Latency => &self.table.outcomes.latencies_ms,
            Measure::Cost => &self.table.outcomes.costs,
        }
    }

    /// Means of latency or cost under both routers and their ratio; rows without the number are left out.
    pub fn ratio(&self, measure: Measure, learned: &[Arm], baseline: &[Arm]) -> Result<Option<RatioResult>, OpeError> {
        let Some(known) = self.known(self.column(measure), learned, baseline) else { return Ok(None) };
        let ratio =
            counterfactual_ratio(known.log()?, &known.learned, &known.baseline, known.sessions.as_deref(), Confidence::ONE_SIDED_95)?;
        Ok(ratio.and_then(RatioResult::of))
    }

    /// The 95th percentile of latency under both routers.
    pub fn p95(&self, learned: &[Arm], baseline: &[Arm]) -> Result<Option<(f64, f64)>, OpeError> {
        let Some(known) = self.known(self.column(Measure::Latency), learned, baseline) else { return Ok(None) };
        let differ: Vec<bool> = known.learned.iter().zip(&known.baseline).map(|(ours, theirs)| ours != theirs).collect();
        let quantile = |choices: &[Arm]| counterfactual_quantile(known.log()?, choices, &differ, 0.95, None, Confidence::TWO_SIDED_95);
        Ok(quantile(&known.baseline)?.zip(quantile(&known.learned)?).map(|(theirs, ours)| (theirs.value, ours.value)))
    }

    /// The mean of a policy's latency or cost by self-normalised weights.
    pub fn mean_of(&self, measure: Measure, choices: &Choices) -> Result<Option<f64>, OpeError> {
        let Choices::Fixed(arms) = choices else {
            return Ok(None);
        };
        let Some(known) = self.known(self.column(measure), arms, arms) else { return Ok(None) };
        let target = Target::deterministic(self.n_arms, &known.learned)?;
        let sample = Sample::new(known.log()?, &target)?;
        Ok(estimator("snips").and_then(|snips| snips.estimate(&sample, Confidence::TWO_SIDED_95).ok()).map(|estimate| estimate.value))
    }

    /// A rate of both routers on the rows where it is known; `flags`: one per row of the table.
    pub fn rates(&self, flags: &[Option<bool>], learned: &[Arm], baseline: &[Arm]) -> Result<RatePair, OpeError> {
        let values: Vec<f64> = flags.iter().map(|flag| flag.map_or(f64::NAN, |flag| f64::from(u8::from(flag)))).collect();
        let Some(known) = self.known(&values, learned, baseline) else { return Ok(RatePair::default()) };
        let unit = self.dependence.map(|found| found.unit).unwrap_or_default();
        let sessions = known.sessions.as_ref().map(|of_rows| Sessions { of_rows, unit });
        let comparison = Comparison::new(known.log()?, &known.learned, &known.baseline)?.with_sessions(sessions)?;
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
            sessions: self.sessions.as_ref().map(|sessions| kept.iter().map(|position| sessions[*position]).collect()),
            learned: choose(learned),
            baseline: choose(baseline),
        })
    }

    /// Choices as probabilities.
    pub fn target(&self, choices: &Choices) -> Result<Target, LogError> {
        match choices {
            Choices::Fixed(arms) => Target::deterministic(self.n_arms, &self.per_row(arms)),
            Choices::Mixed(shares) => {
                Target::new(self.n_arms, shares.iter().copied().cycle().take(self.rows.len() * self.n_arms).collect())
            }
        }
    }

    /// Overlap of the log with the learned router.
    pub fn diagnostics(&self, pair: &Pair) -> Result<Diagnostics, OpeError> {
        Ok(diagnostics(&pair.comparison(self)?))
    }

    /// Per row the learned choice where the log supports it, static elsewhere; `None` where that is the learned choice everywhere, or nowhere.
    pub fn supported(&self, pair: &Pair) -> Result<Option<Vec<Arm>>, OpeError> {
        if self.vectors.is_empty() {
            return Ok(None);
        }
        let supported = supported_choices(&pair.comparison(self)?, &self.vectors, 0.0)?;
        Ok((supported != pair.learned && supported != pair.baseline).then_some(supported))
    }

    /// The uplift of the supported pair, for the rule.
    pub fn supported_uplift(&self, pair: &Pair) -> Result<CandidateUplift, OpeError> {
        let uplift = pair.comparison(self)?.uplift(Confidence::ONE_SIDED_95);
        Ok(CandidateUplift { name: "where the log supports it".to_owned(), uplift: UpliftPoints::from(uplift.estimate), latency: None })
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
    sessions: Option<Vec<u32>>,
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

/// What is known of a policy that no row speaks about.
fn unknown() -> Bounded {
    Bounded { value: None, lower: 0.0, upper: 1.0 }
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
