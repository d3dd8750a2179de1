//! A world: seeded decisions with the outcome of every path.

use std::ops::Range;

use jiff::civil::Date;
use rayon::prelude::*;
use routewright_domain::{Arm, Paths, Rng, Seed, Timestamp};

use crate::calendar::{Calendar, Moment};
use crate::context::{Context, ContextTable};
use crate::draw::{factor, normal, rounded, uniform};
use crate::features::{self, QueryFeatures, WordCounts};
use crate::kinds;
use crate::router::{self, StaticRoute};
use crate::settings::{Log, SettingsError, WorldSettings};
use crate::surface::{self, Cast};
use crate::truth::{self, Sampled, Strength, Truth};

/// Queries of the calibration sample: a Monte Carlo error of about 0.05 points at an uplift of 8.
const N_CALIBRATION: u64 = 65_536;

/// Standard deviation of the logarithm of a latency around its expected value.
const LATENCY_SPREAD: f64 = 0.35;

/// How much longer a failing attempt takes than a successful one.
const FAILURE_SLOWDOWN: f64 = 1.3;

/// Everything the router sees when it decides, and what its static rules make of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Situation {
    /// When.
    pub timestamp: Timestamp,
    /// Share of the world's days that has passed, in [0, 1).
    pub progress: f64,
    /// The system.
    pub context: Context,
    /// The query text.
    pub query: String,
    /// What is logged about the text.
    pub features: QueryFeatures,
    /// What the static rules decide.
    pub route: StaticRoute,
    /// Words by class.
    pub(crate) words: WordCounts,
}

/// A decision with what every path would have given; per-path values are in the order of [`World::paths`].
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratedDecision {
    /// Position in the world, from 0, in order of time.
    pub index: u64,
    /// Identifies the row in the log and in the oracle's file.
    pub trace_id: String,
    /// What the router saw.
    pub situation: Situation,
    /// The static router's path.
    pub static_arm: Arm,
    /// The path with the highest probability of success; the static one in a tie.
    pub best_arm: Arm,
    /// The path that ran.
    pub arm: Arm,
    /// Probability with which the logger chose it.
    pub propensity: f64,
    /// Probability of success per path.
    pub success_probability: Vec<f64>,
    /// Expected latency per path, in milliseconds.
    pub expected_latency_ms: Vec<f64>,
    /// Whether each path would have succeeded.
    pub success: Vec<bool>,
    /// How long each path would have taken, in milliseconds.
    pub latency_ms: Vec<f64>,
}

/// A generated world: everything about its decisions follows from settings and seed.
#[derive(Clone, Debug)]
pub struct World {
    settings: WorldSettings,
    seed: Seed,
    calendar: Calendar,
    contexts: ContextTable,
    cast: Cast,
    strength: Strength,
    truth: Truth,
    propensities: Vec<Vec<f64>>,
}

impl World {
    /// Checks the settings, draws the course of the system and calibrates the uplift. Takes some tenths of a second.
    ///
    /// # Errors
    /// [`SettingsError`] when a setting is out of range or the uplift out of reach.
    pub fn new(settings: &WorldSettings, seed: Seed) -> Result<Self, SettingsError> {
        settings.check()?;
        let calendar = Calendar::new(settings.n_decisions, settings.n_days, settings.first_day);
        let contexts = ContextTable::new(settings.n_days, seed);
        let cast = Cast::new(&settings.paths);
        let sampled = |row: u64| {
            let mut rng = seed.derive("calibration", row).rng();
            let moment = calendar.moment_at((row as f64 + uniform(&mut rng)) / N_CALIBRATION as f64);
            let situation = situation(settings.drift, seed, &contexts, moment, &mut rng);
            let mut latencies_ms = Vec::new();
            surface::latencies(&cast, settings.drift, &situation, &mut latencies_ms);
            Sampled { terms: surface::terms(&cast, settings.drift, &situation), latencies_ms }
        };
        let sample: Vec<Sampled> = (0..N_CALIBRATION).into_par_iter().map(sampled).collect();
        let strength = truth::calibrate(&sample, settings.uplift_points)?;
        let truth = truth::truth(&cast, &sample, strength);
        let propensities = cast.paths().arms().map(|arm| propensities(settings.epsilon, arm, cast.paths())).collect();
        Ok(Self { settings: settings.clone(), seed, calendar, contexts, cast, strength, truth, propensities })
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &WorldSettings {
        &self.settings
    }

    /// The expected values of policies in this world.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// The paths, in alphabetical order.
    pub fn paths(&self) -> &Paths {
        self.cast.paths()
    }

    /// The decisions of a day (from 0), as positions in the world; empty past the last day.
    pub fn rows_of_day(&self, day: u32) -> Range<u64> {
        self.calendar.rows(day)
    }

    /// The date of a day, from 0.
    pub fn date(&self, day: u32) -> Date {
        self.calendar.date(day)
    }

    /// Name of a day's log file.
    pub fn file_name(&self, day: u32) -> String {
        let of = match self.settings.log {
            Log::Outcomes => "routing-outcomes",
            Log::Matrix => "routing-matrix",
            Log::Gateway => "ml-router-metrics",
        };
        format!("{}-{of}.jsonl", self.date(day))
    }

    /// Draws the decision at a position; the same whatever was drawn before.
    ///
    /// Query and context, potential outcomes, and exploration have generators of their own: worlds that differ in uplift or ε alone
    /// have the same queries and the same luck.
    pub fn decision(&self, index: u64) -> GeneratedDecision {
        let mut rng = self.seed.derive("query", index).rng();
        let moment = self.calendar.moment(index, uniform(&mut rng));
        let situation = situation(self.settings.drift, self.seed, &self.contexts, moment, &mut rng);
        let terms = surface::terms(&self.cast, self.settings.drift, &situation);
        let (mut success_probability, mut expected_latency_ms) = (Vec::new(), Vec::new());
        terms.success(self.strength.gain, self.strength.level, &mut success_probability);
        surface::latencies(&self.cast, self.settings.drift, &situation, &mut expected_latency_ms);
        let (success, latency_ms) = self.outcomes(index, &success_probability, &expected_latency_ms);
        let (arm, propensity) = self.choose(index, situation.timestamp, terms.chosen);
        GeneratedDecision {
            index,
            trace_id: trace_id(self.seed, index),
            situation,
            static_arm: terms.chosen,
            best_arm: Arm(truth::best_arm(&success_probability, terms.chosen.index()) as u16),
            arm,
            propensity,
            success_probability,
            expected_latency_ms,
            success,
            latency_ms,
        }
    }

    /// Probability with which the logger takes each path when the static router takes `static_arm`; sums to 1.
    pub fn propensities(&self, static_arm: Arm) -> &[f64] {
        &self.propensities[static_arm.index()]
    }

    /// The user who asks, drawn first of all details: few ask often, most rarely.
    pub(crate) fn user(&self, details: &mut Rng) -> u64 {
        let n_users = (self.settings.n_decisions / 50).clamp(20, 5_000) as f64;
        (n_users * uniform(details).powi(2)) as u64
    }

    /// The session of a user: two hours, or a day where exploration sticks to sessions.
    pub(crate) fn session(&self, user: u64, timestamp: Timestamp) -> String {
        let day = timestamp.day();
        if self.settings.sticky {
            return format!("s-{user:04}-{day}");
        }
        format!("s-{user:04}-{day}-{:02}", (timestamp.hour_of_day() / 2.0) as u64)
    }

    /// The seed of one named part of a decision.
    pub(crate) fn rng(&self, part: &str, index: u64) -> Rng {
        self.seed.derive(part, index).rng()
    }

    /// The paths with their roles.
    pub(crate) fn cast(&self) -> &Cast {
        &self.cast
    }

    /// What every path gives: one uniform number and one normal number per path, whatever the surfaces.
    fn outcomes(&self, index: u64, success_probability: &[f64], expected_latency_ms: &[f64]) -> (Vec<bool>, Vec<f64>) {
        let mut rng = self.rng("outcome", index);
        let outcome = |(&probability, &expected): (&f64, &f64)| {
            let success = uniform(&mut rng) < probability;
            let slowdown = if success { 1.0 } else { FAILURE_SLOWDOWN };
            let mean_slowdown = probability + FAILURE_SLOWDOWN * (1.0 - probability);
            (success, rounded(expected * slowdown / mean_slowdown * factor(&mut rng, LATENCY_SPREAD), 10.0))
        };
        success_probability.iter().zip(expected_latency_ms).map(outcome).unzip()
    }

    /// The logger's choice: the static path, or with probability ε any path uniformly.
    fn choose(&self, index: u64, timestamp: Timestamp, static_arm: Arm) -> (Arm, f64) {
        let mut rng = if self.settings.sticky {
            let user = self.user(&mut self.rng("details", index));
            self.rng(&format!("exploration of {}", self.session(user, timestamp)), 0)
        } else {
            self.rng("exploration", index)
        };
        let explores = uniform(&mut rng) < self.settings.epsilon;
        let n_paths = self.paths().len();
        let any = Arm(crate::draw::position(&mut rng, n_paths) as u16);
        let arm = if explores { any } else { static_arm };
        (arm, self.propensities(static_arm)[arm.index()])
    }
}

/// Every path gets its equal part of ε, the static one what is left.
fn propensities(epsilon: f64, static_arm: Arm, paths: &Paths) -> Vec<f64> {
    let n_paths = paths.len() as f64;
    let others = epsilon / n_paths;
    let chosen = 1.0 - epsilon * (n_paths - 1.0) / n_paths;
    paths.arms().map(|arm| if arm == static_arm { chosen } else { others }).collect()
}

/// Draws what the router sees at a moment, and lets the static rules decide.
fn situation(drift: f64, seed: Seed, contexts: &ContextTable, moment: Moment, rng: &mut Rng) -> Situation {
    let context = contexts.at(moment, rng);
    let query = kinds::draw_text(moment.timestamp.hour_of_day(), moment.progress, drift, seed.derive("popular", 0), rng);
    let (features, words) = features::read(&query);
    let route = router::route(&query, &features, &words);
    Situation { timestamp: moment.timestamp, progress: moment.progress, context, query, features, route, words }
}

/// A version-4 UUID from seed and position.
fn trace_id(seed: Seed, index: u64) -> String {
    let (high, low) = (seed.derive("trace", index).0, seed.derive("trace", index).derive("low", 0).0);
    let version = (high & !0xf000) | 0x4000;
    let variant = (low & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        version >> 32,
        (version >> 16) & 0xffff,
        version & 0xffff,
        variant >> 48,
        variant & 0xffff_ffff_ffff
    )
}

/// Draws a number around a mean that stays within [0, 1].
pub(crate) fn share_around(rng: &mut Rng, mean: f64, spread: f64) -> f64 {
    rounded((mean + spread * normal(rng)).clamp(0.0, 1.0), 1000.0)
}
