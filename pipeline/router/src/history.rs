//! What happened to earlier queries, as of a point in time: one incremental index for the batch and for the online router.
//!
//! Outcomes enter through [`History::observe`], wait until their time, and are seen from [`History::advance`] on, in an order that
//! depends on their contents alone. A success rate is estimated in steps, each shrunk towards the one before: all paths → this path →
//! its rate on the query's type → its rate in the topics near the query → its rate on the most similar queries.

mod format;
mod neighbours;
mod tally;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use routewright_domain::{Arm, Decision, Paths, Timestamp};
use serde::{Deserialize, Serialize};

use crate::encoder::QuerySketch;
use crate::schema::Schema;
use neighbours::Neighbours;
use tally::{Tally, shrink};

pub(crate) use neighbours::Probe;

/// Settings of the index. Its memory is bounded by `max_cells` × (`cell_size` members of about 90 bytes + a tally per path).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistorySettings {
    /// Cells of the embedding space, at most; each is a topic.
    pub max_cells: usize,
    /// Latest queries kept per cell; a full cell is split while cells are left, then forgets its oldest.
    pub cell_size: usize,
    /// Cells that a query looks into.
    pub n_probes: usize,
    /// How fast a similar query's weight falls with its distance: weight = exp(sharpness · (cosine − 1)).
    pub sharpness: f64,
    /// Decisions' worth of trust in the coarser rate when a path or a query type is shrunk towards it.
    pub prior_strength: f64,
    /// The same for topics towards the rate of the query type.
    pub topic_prior_strength: f64,
    /// The same for similar queries towards their topics, in units of weight.
    pub similar_prior_strength: f64,
    /// Half-life of a topic's evidence, in days.
    pub topic_half_life_days: f64,
    /// Half-life of a query type's evidence, in days.
    pub type_half_life_days: f64,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            max_cells: 1024,
            cell_size: 64,
            n_probes: 8,
            sharpness: 10.0,
            prior_strength: 10.0,
            topic_prior_strength: 20.0,
            similar_prior_strength: 4.0,
            topic_half_life_days: 30.0,
            type_half_life_days: 14.0,
        }
    }
}

impl HistorySettings {
    /// Checks the ranges.
    pub(crate) fn check(&self) -> Result<(), String> {
        let counts = [("max_cells", self.max_cells, 65_536), ("cell_size", self.cell_size, 65_536), ("n_probes", self.n_probes, 1024)];
        for (name, count, largest) in counts {
            if !(1..=largest).contains(&count) {
                return Err(format!("`{name}` must be in 1 to {largest}, found {count}"));
            }
        }
        let numbers = [
            ("sharpness", self.sharpness),
            ("prior_strength", self.prior_strength),
            ("topic_prior_strength", self.topic_prior_strength),
            ("similar_prior_strength", self.similar_prior_strength),
            ("topic_half_life_days", self.topic_half_life_days),
            ("type_half_life_days", self.type_half_life_days),
        ];
        match numbers.iter().find(|(_, number)| !(number.is_finite() && *number > 0.0)) {
            Some((name, number)) => Err(format!("`{name}` must be positive, found {number}")),
            None => Ok(()),
        }
    }
}

/// The outcome of one decision, and when it became known.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// When the outcome became known: queries at this time or before do not see it.
    pub visible_at: Timestamp,
    /// Orders outcomes that became known at the same time: a hash of the row's identity.
    pub id: u64,
    /// The path that ran.
    pub arm: Arm,
    /// Whether it succeeded.
    pub success: bool,
    /// How long it took, where logged; finite, not negative.
    pub latency_ms: Option<f64>,
    /// What was asked.
    pub sketch: QuerySketch,
}

impl Observation {
    /// The outcome of a decision, known from its time plus its latency on; `None` while it is pending or its path is not in the list.
    pub fn from_decision(decision: &Decision, paths: &Paths, sketch: QuerySketch) -> Option<Self> {
        let latency_ms = decision.latency_ms.filter(|latency| latency.is_finite()).map(|latency| latency.max(0.0));
        Some(Self {
            visible_at: decision.timestamp.plus_millis(latency_ms.unwrap_or(0.0)),
            id: stable_id(&decision.trace_id),
            arm: paths.arm(&decision.path)?,
            success: decision.success?,
            latency_ms,
            sketch,
        })
    }

    /// Natural logarithm of 1 + milliseconds.
    fn log_latency(&self) -> Option<f32> {
        self.latency_ms.map(|latency| latency.max(0.0).ln_1p() as f32)
    }

    /// What the order of visibility depends on: everything, so that the order of insertion cannot matter.
    fn order_key(&self) -> (Timestamp, u64, Arm, bool, Option<u64>, &QuerySketch) {
        (self.visible_at, self.id, self.arm, self.success, self.latency_ms.map(f64::to_bits), &self.sketch)
    }
}

/// FNV-1a of a row's identity.
fn stable_id(trace_id: &str) -> u64 {
    trace_id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl PartialEq for Observation {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Observation {}

impl PartialOrd for Observation {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Observation {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order_key().cmp(&other.order_key())
    }
}

/// One hour and one day: the half-lives of recent rates.
const HALF_LIFE_HOUR: f64 = 3.6e9;
const HALF_LIFE_DAY: f64 = 24.0 * HALF_LIFE_HOUR;

/// Half-life of a path's overall rate: a quarter of a year, so that it follows drift that lasts.
const HALF_LIFE_QUARTER: f64 = 90.0 * HALF_LIFE_DAY;

/// Tallies of one path.
#[derive(Clone, Copy, Debug, Default)]
struct PathTallies {
    overall: Tally,
    day: Tally,
    hour: Tally,
}

/// The past as of a point in time.
#[derive(Clone, Debug)]
pub struct History {
    settings: HistorySettings,
    n_arms: usize,
    n_types: usize,
    now: Timestamp,
    n_visible: u64,
    pending: BinaryHeap<Reverse<Observation>>,
    paths: Vec<PathTallies>,
    /// Query types × paths, the last type for texts that the dictionary does not hold.
    types: Vec<Tally>,
    neighbours: Neighbours,
}

/// What the past says about one path on one query. NaN where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PathReading {
    pub similar_success: f64,
    pub similar_evidence: f64,
    pub similar_latency_ms: f64,
    pub topic_success: f64,
    pub topic_evidence: f64,
    pub type_success: f64,
    pub day_success: f64,
    pub hour_success: f64,
    pub day_latency_ms: f64,
}

/// What the past says about one query; reused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub paths: Vec<PathReading>,
    pub probe: Probe,
    /// Weight of recent outcomes on all paths, half-life one hour.
    pub recent_load: f64,
}

impl History {
    /// An empty past for the paths and query types of a schema.
    pub fn new(schema: &Schema) -> Self {
        let n_arms = schema.paths().len();
        let n_types = schema.query_types().entries().len() + 1;
        Self {
            settings: schema.history.clone(),
            n_arms,
            n_types,
            now: Timestamp(i64::MIN),
            n_visible: 0,
            pending: BinaryHeap::new(),
            paths: vec![PathTallies::default(); n_arms],
            types: vec![Tally::default(); n_arms * n_types],
            neighbours: Neighbours::new(&schema.history, n_arms),
        }
    }

    /// Takes an outcome, which is seen once [`Self::advance`] has passed its time. An unknown path is ignored.
    pub fn observe(&mut self, observation: Observation) {
        if observation.arm.index() < self.n_arms {
            self.pending.push(Reverse(observation));
        }
    }

    /// Moves to a point in time: every outcome known strictly before it is seen from now on. Time does not run backwards.
    pub fn advance(&mut self, to: Timestamp) {
        self.now = self.now.max(to);
        while let Some(Reverse(observation)) = self.pending.peek().copied() {
            if observation.visible_at >= self.now {
                return;
            }
            self.pending.pop();
            self.learn(&observation);
        }
    }

    /// The point in time that was advanced to last; the smallest there is before the first advance.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Outcomes that are seen.
    pub fn n_visible(&self) -> u64 {
        self.n_visible
    }

    /// Outcomes that wait for their time.
    pub fn n_pending(&self) -> usize {
        self.pending.len()
    }

    /// Adds a visible outcome to every tally and to the index.
    fn learn(&mut self, observation: &Observation) {
        let (at, success, log_latency) = (observation.visible_at, observation.success, observation.log_latency());
        let arm = observation.arm.index();
        let tallies = &mut self.paths[arm];
        tallies.overall.add(at, HALF_LIFE_QUARTER, success, log_latency);
        tallies.day.add(at, HALF_LIFE_DAY, success, log_latency);
        tallies.hour.add(at, HALF_LIFE_HOUR, success, log_latency);
        if let Some(query_type) = observation.sketch.query_type {
            let row = usize::from(query_type).min(self.n_types - 1);
            let half_life = self.settings.type_half_life_days * HALF_LIFE_DAY;
            self.types[row * self.n_arms + arm].add(at, half_life, success, log_latency);
        }
        self.neighbours.insert(observation, &self.settings);
        self.n_visible += 1;
    }

    /// Reads what is seen about a query, with evidence aged to `now`.
    pub(crate) fn read(&self, sketch: &QuerySketch, now: Timestamp, reading: &mut Reading) {
        reading.paths.clear();
        reading.recent_load = self.paths.iter().map(|tallies| tallies.hour.aged(now, HALF_LIFE_HOUR).weight).sum();
        self.neighbours.probe(&sketch.embedding, now, &self.settings, &mut reading.probe);
        let mut all = Tally::default();
        for tallies in &self.paths {
            all.merge(&tallies.overall.aged(now, HALF_LIFE_QUARTER), 1.0);
        }
        let Some(overall) = all.success_rate() else {
            let nothing = f64::NAN;
            let unknown = PathReading {
                similar_success: nothing,
                similar_latency_ms: nothing,
                topic_success: nothing,
                type_success: nothing,
                day_success: nothing,
                hour_success: nothing,
                day_latency_ms: nothing,
                ..PathReading::default()
            };
            reading.paths.resize(self.n_arms, unknown);
            return;
        };
        for arm in 0..self.n_arms {
            let path_reading = self.read_path(arm, sketch, now, overall, &reading.probe);
            reading.paths.push(path_reading);
        }
    }

    /// The steps of the estimate for one path.
    fn read_path(&self, arm: usize, sketch: &QuerySketch, now: Timestamp, overall: f64, probe: &Probe) -> PathReading {
        let settings = &self.settings;
        let tallies = &self.paths[arm];
        let path = tallies.overall.aged(now, HALF_LIFE_QUARTER);
        let day = tallies.day.aged(now, HALF_LIFE_DAY);
        let hour = tallies.hour.aged(now, HALF_LIFE_HOUR);
        let path_success = shrink(path.successes, path.weight, overall, settings.prior_strength);
        let day_success = shrink(day.successes, day.weight, path_success, settings.prior_strength);
        let type_success = match sketch.query_type {
            Some(query_type) => {
                let row = usize::from(query_type).min(self.n_types - 1);
                let tally = self.types[row * self.n_arms + arm].aged(now, settings.type_half_life_days * HALF_LIFE_DAY);
                shrink(tally.successes, tally.weight, path_success, settings.prior_strength)
            }
            None => path_success,
        };
        let (topic, similar) = (probe.topic(arm), probe.similar(arm));
        let topic_success = shrink(topic.successes, topic.weight, type_success, settings.topic_prior_strength);
        let similar_success = shrink(similar.successes, similar.weight, topic_success, settings.similar_prior_strength);
        let path_latency = path.mean_log_latency();
        let shrink_latency = |tally: &Tally, strength: f64| {
            path_latency.map_or(f64::NAN, |mean| shrink(tally.log_latency, tally.latency_weight, mean, strength).exp_m1())
        };
        PathReading {
            similar_success,
            similar_evidence: similar.weight,
            similar_latency_ms: shrink_latency(&similar, settings.similar_prior_strength),
            topic_success,
            topic_evidence: topic.weight,
            type_success,
            day_success,
            hour_success: shrink(hour.successes, hour.weight, day_success, settings.prior_strength),
            day_latency_ms: shrink_latency(&day, settings.prior_strength),
        }
    }
}
