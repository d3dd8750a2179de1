//! Worlds with a known truth, and the whole way from their logs to a verdict.

use rand::RngExt;
use routewright_domain::{Arm, Log, Paths, Propensity, Rng, Seed};
use routewright_ope::{
    Comparison, Confidence, Counts, Decision, Evidence, Explainability, Gate, GateName, Identification, Interval, LatencyRatio, LogFacts,
    OpeError, PropensitySource, Retraining, Rule, Sessions, Uplift, UpliftPoints, aa_replay, counterfactual_ratio, decide, diagnostics,
    enough_decisions, exploration_dependence, exploration_matches, exploration_share, exploration_unit, identify, independent_draws,
    mean_weight, mean_weight_per_path, mean_weight_per_slice, propensity_source, unsupported_mass, uplift_bounds,
};

/// Number of paths.
pub const PATHS: usize = 5;
const DAYS: u32 = 14;
const SEGMENTS: u32 = 4;

/// A world: how routers and queries behave.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// Rows of the log.
    pub rows: usize,
    /// Share of rows on which the log explores, uniformly over all paths.
    pub epsilon: f64,
    /// Share of rows on which the routers disagree.
    pub disagreement: f64,
    /// Success rate of static routing.
    pub baseline: f64,
    /// True uplift, in [0, 1].
    pub uplift: f64,
    /// What is wrong with the log.
    pub fault: Fault,
    /// Who asks.
    pub sessions: Option<SessionKind>,
    /// Mean latency of the learned path over that of the others.
    pub slowness: f64,
    /// How well a shallow tree follows the learned router.
    pub fidelity: f64,
    /// Days after which it has lost a point; `None` where it does not age.
    pub lasts_days: Option<u32>,
}

/// Sessions of a world: rows that come one after the other from one user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionKind {
    /// Rows of a session.
    pub rows: usize,
    /// Whether exploration is drawn once per session, not per row.
    pub sticky: bool,
    /// Share of the sessions in which whatever runs fails: what makes rows of a session alike.
    pub hopeless: f64,
}

/// What a session's rows have in common.
#[derive(Clone, Copy, Default)]
struct Shared {
    number: u32,
    hopeless: bool,
    /// The draw of exploration: whether, and the path.
    explored: Option<Option<Arm>>,
}

/// What is wrong with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Propensities are logged as 1 over the number of paths.
    UniformPropensities,
    /// On one day in seven the logger explored four times as often as it says.
    ShiftedDay,
    /// A tenth of the failures never arrive, whatever the path.
    MissingFailures,
    /// Every second failure of an explored path never arrives.
    MissingExploredFailures,
}

/// The columns of a world's log.
pub struct Columns {
    arms: Vec<Arm>,
    successes: Vec<f64>,
    latencies: Vec<f64>,
    propensities: Vec<Propensity>,
    learned: Vec<Arm>,
    baseline: Vec<Arm>,
    days: Vec<u32>,
    segments: Vec<u32>,
    sessions: Vec<u32>,
}

/// What the product says about a world.
pub struct Judged {
    /// The uplift with one-sided bounds.
    pub uplift: Uplift,
    /// The same as if rows were independent.
    pub by_row: Uplift,
    /// The uplift's two-sided 95 % interval.
    pub interval: Interval,
    /// The gates.
    pub gates: Vec<Gate>,
    /// The verdict.
    pub decision: Decision,
}

impl World {
    /// A world as in STATISTICS.md, section 6: 90 % baseline, 40 % disagreement.
    pub fn standard(rows: usize, epsilon: f64, uplift: f64) -> Self {
        Self {
            rows,
            epsilon,
            disagreement: 0.4,
            baseline: 0.9,
            uplift,
            fault: Fault::None,
            sessions: None,
            slowness: 1.0,
            fidelity: 0.95,
            lasts_days: None,
        }
    }

    /// A log of this world.
    pub fn log(&self, seed: Seed) -> Result<Columns, Box<dyn std::error::Error>> {
        let mut rng = seed.rng();
        let mut columns = Columns {
            arms: Vec::with_capacity(self.rows),
            successes: Vec::with_capacity(self.rows),
            latencies: Vec::with_capacity(self.rows),
            propensities: Vec::with_capacity(self.rows),
            learned: Vec::with_capacity(self.rows),
            baseline: Vec::with_capacity(self.rows),
            days: Vec::with_capacity(self.rows),
            segments: Vec::with_capacity(self.rows),
            sessions: Vec::with_capacity(self.rows),
        };
        let (mut row, mut shared) = (0_usize, Shared::default());
        while columns.arms.len() < self.rows {
            if let Some(kind) = self.sessions.filter(|kind| row.is_multiple_of(kind.rows)) {
                let explored = rng.random::<f64>() < self.epsilon;
                let arm = Arm(rng.random_range(0..PATHS as u16));
                shared = Shared {
                    number: (row / kind.rows) as u32,
                    hopeless: rng.random::<f64>() < kind.hopeless,
                    explored: kind.sticky.then_some(explored.then_some(arm)),
                };
            }
            self.push_row(&mut columns, (row, shared), &mut rng)?;
            row += 1;
        }
        Ok(columns)
    }

    /// Draws one decision, which a fault may lose.
    fn push_row(&self, columns: &mut Columns, (row, shared): (usize, Shared), rng: &mut Rng) -> Result<(), Box<dyn std::error::Error>> {
        let day = (row * DAYS as usize / self.rows.max(1)) as u32 % DAYS;
        let static_arm = Arm(rng.random_range(0..PATHS as u16));
        let differs = rng.random::<f64>() < self.disagreement;
        let other = Arm((static_arm.0 + rng.random_range(1..PATHS as u16)) % PATHS as u16);
        let learned_arm = if differs { other } else { static_arm };
        let busy = if self.fault == Fault::ShiftedDay && day == 6 { 4.0 } else { 1.0 };
        let explores = rng.random::<f64>() < (self.epsilon * busy).min(1.0);
        let arm = match shared.explored {
            Some(drawn) => drawn.unwrap_or(static_arm),
            None if explores => Arm(rng.random_range(0..PATHS as u16)),
            None => static_arm,
        };
        // Learned brings the rows on which it differs up to the level of all others; queries differ by ±5 points around it.
        let level = self.baseline + self.uplift;
        let rate = match (arm == learned_arm, arm == static_arm) {
            (true, _) => level,
            (false, true) => level - self.uplift / self.disagreement,
            (false, false) => level - 0.3,
        };
        // Hopeless sessions fail whatever runs; the others make up for it, so that rates and the uplift stay what they are.
        let hopeless = self.sessions.map_or(0.0, |kind| kind.hopeless);
        let rate = if shared.hopeless { 0.0 } else { (rate / (1.0 - hopeless)).min(1.0) };
        let spread = 0.05_f64.min(1.0 - rate).min(rate).max(0.0);
        let success = rng.random::<f64>() < rate + spread * (2.0 * rng.random::<f64>() - 1.0);
        let lost = match self.fault {
            Fault::MissingFailures => !success && rng.random::<f64>() < 0.1,
            Fault::MissingExploredFailures => !success && arm != static_arm && rng.random::<f64>() < 0.5,
            _ => false,
        };
        if lost {
            return Ok(());
        }
        let explored = self.epsilon / PATHS as f64;
        let propensity = match self.fault {
            Fault::UniformPropensities => 1.0 / PATHS as f64,
            _ if arm == static_arm => 1.0 - self.epsilon + explored,
            _ => explored,
        };
        columns.arms.push(arm);
        columns.successes.push(f64::from(u8::from(success)));
        // Latency: skewed like a log-normal, the same for all paths.
        let noise: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let slowness = if arm == learned_arm && differs { self.slowness } else { 1.0 };
        columns.latencies.push(800.0 * slowness * (0.8 * noise).exp());
        columns.propensities.push(Propensity::try_from(propensity)?);
        columns.learned.push(learned_arm);
        columns.baseline.push(static_arm);
        columns.days.push(day);
        columns.segments.push(rng.random_range(0..SEGMENTS));
        columns.sessions.push(shared.number);
        Ok(())
    }
}

/// Sends a log the whole way: gates, uplift, latency, identification, decision.
pub fn judge(world: &World, columns: &Columns) -> Result<Judged, Box<dyn std::error::Error>> {
    let log = Log::new(PATHS, &columns.arms, &columns.successes, &columns.propensities)?;
    let comparison = Comparison::new(log, &columns.learned, &columns.baseline)?;
    let by_row = comparison.uplift(Confidence::ONE_SIDED_95);
    let dependence = world.sessions.map(|_| exploration_unit(&comparison, &columns.sessions)).transpose()?;
    let sessions = dependence.map(|found| Sessions { of_rows: &columns.sessions, unit: found.unit });
    let comparison = comparison.with_sessions(sessions)?;
    let uplift = comparison.uplift(Confidence::ONE_SIDED_95);
    let overlap = diagnostics(&comparison);
    let rule = Rule::default();
    let deviations = (overlap.deviation_share * log.n_rows() as f64).round() as usize;
    let declared = world.epsilon * (PATHS - 1) as f64 / PATHS as f64;
    let mut gates = gates(columns, &comparison, &uplift, deviations, declared, &rule)?;
    gates.extend(dependence.map(|found| exploration_dependence(&found, uplift.exploration_sessions, rule.min_exploration_matches)));
    let latency_log = Log::new(PATHS, &columns.arms, &columns.latencies, &columns.propensities)?;
    let latency = counterfactual_ratio(
        latency_log,
        &columns.learned,
        &columns.baseline,
        sessions.map(|sessions| sessions.of_rows),
        Confidence::ONE_SIDED_95,
    )?;
    let bounds = uplift_bounds(&comparison, Confidence::ONE_SIDED_95)?;
    let middle = f64::midpoint(bounds.bounds.lower, bounds.bounds.upper);
    let identification = identify(&LogFacts {
        both_paths_known: 0.0,
        randomised_groups: false,
        propensity_source: PropensitySource::Logged,
        uncertain_share: overlap.uncertain_share,
        deviation_share: overlap.deviation_share,
        disagreement: overlap.disagreement,
        unsupported_mass: overlap.unsupported_mass,
    });
    let evidence = Evidence {
        identification,
        gates: gates.clone(),
        counts: Counts {
            decisions: log.n_rows(),
            exploration_matches: uplift.exploration_matches,
            disagreement: uplift.disagreement,
            deviation_share: overlap.deviation_share,
            n_paths: PATHS,
            static_success: comparison.baseline_value(Confidence::TWO_SIDED_95).estimate.value,
        },
        uplift: Some(UpliftPoints::from(uplift.estimate)),
        over_static: None,
        control: None,
        bounds: Some(UpliftPoints { points: 100.0 * middle, lower: 100.0 * bounds.interval.lower, upper: 100.0 * bounds.interval.upper }),
        latency: latency.map(LatencyRatio::from),
        explainability: Some(Explainability::judge(world.fidelity, 4, 0.8, &rule)),
        retraining: Some(retraining(world, &rule)),
        segments: Vec::new(),
        harmed_segments: Vec::new(),
        composed: None,
        supported: None,
    };
    let interval = comparison.uplift(Confidence::TWO_SIDED_95).estimate.interval;
    Ok(Judged { uplift, by_row, interval, gates, decision: decide(&evidence, &rule) })
}

/// How soon the learned router of a world needs retraining.
fn retraining(world: &World, rule: &Rule) -> Retraining {
    Retraining::judge(world.lasts_days.unwrap_or(90), world.lasts_days.is_some(), rule)
}

/// What the same rule says to somebody who knows the truth: every number exact, every gate passed.
pub fn oracle(world: &World) -> Decision {
    let rule = Rule::default();
    let exact = |points: f64| UpliftPoints { points, lower: points, upper: points };
    // Latencies differ only on the rows of the disagreement on which the learned path runs.
    let ratio = 1.0 + world.disagreement * (world.slowness - 1.0);
    let evidence = Evidence {
        identification: Identification::FullInformation,
        gates: Vec::new(),
        counts: Counts {
            decisions: usize::MAX,
            exploration_matches: usize::MAX,
            disagreement: world.disagreement,
            deviation_share: world.epsilon,
            n_paths: PATHS,
            static_success: world.baseline,
        },
        uplift: Some(exact(100.0 * world.uplift)),
        over_static: None,
        control: None,
        bounds: None,
        latency: Some(LatencyRatio { static_ms: 1.0, learned_ms: ratio, ratio, lower: ratio, upper: ratio }),
        explainability: Some(Explainability::judge(world.fidelity, 4, 0.8, &rule)),
        retraining: Some(retraining(world, &rule)),
        segments: Vec::new(),
        harmed_segments: Vec::new(),
        composed: None,
        supported: None,
    };
    decide(&evidence, &rule)
}

/// All gates that apply to an exploring log.
fn gates(
    columns: &Columns,
    comparison: &Comparison<'_>,
    uplift: &Uplift,
    deviations: usize,
    declared: f64,
    rule: &Rule,
) -> Result<Vec<Gate>, OpeError> {
    let paths = Paths::from_names((0..PATHS).map(|path| format!("path {path}")));
    Ok(vec![
        enough_decisions(columns.arms.len(), rule.min_decisions),
        propensity_source(PropensitySource::Logged),
        mean_weight(comparison),
        mean_weight_per_path(comparison, &paths),
        mean_weight_per_slice(GateName::MeanWeightPerSegment, comparison, &columns.segments, |segment| format!("segment {segment}"))?,
        mean_weight_per_slice(GateName::MeanWeightPerDay, comparison, &columns.days, |day| format!("day {day}"))?,
        exploration_share(deviations, columns.arms.len(), independent_draws(comparison), declared),
        exploration_matches(uplift, rule.min_exploration_matches),
        unsupported_mass(uplift, rule.max_unsupported_share),
        aa_replay(comparison, Confidence::TWO_SIDED_95),
    ])
}
