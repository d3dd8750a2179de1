//! What happened to earlier queries, as of a point in time: one incremental index for the batch and for the online router.
//!
//! Outcomes enter through [`History::observe`], wait until their time, and are seen from [`History::advance`] on, in an order that
//! depends on their contents alone. A success rate is estimated in steps, each shrunk towards the one before: all paths → this path →
//! its rate on the query's type → its rate in the topics near the query → its rate on the most similar queries.
//!
//! Reading has two parts: a [`Moment`], which says what is seen now and takes time order, and the search for similar queries, which
//! may run side by side for all moments until outcomes are filed ([`History::advance_within`]).

mod format;
mod neighbours;
mod observation;
pub(crate) mod partition;
mod sessions;
mod settings;
mod tally;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use routewright_domain::Timestamp;

use crate::encoder::QuerySketch;
use crate::schema::Schema;
use neighbours::Neighbours;
use sessions::{Session, Sessions};
use tally::{Tally, shrink};

pub(crate) use neighbours::Probe;
pub use observation::Observation;
pub(crate) use observation::stable_id;
pub use settings::HistorySettings;

/// One hour and one day: the half-lives of recent rates.
const HALF_LIFE_HOUR: f64 = 3.6e9;
const HALF_LIFE_DAY: f64 = 24.0 * HALF_LIFE_HOUR;

/// Half-life of a path's overall rate: a quarter of a year, so that it follows drift that lasts.
const HALF_LIFE_QUARTER: f64 = 90.0 * HALF_LIFE_DAY;

/// Variance that a success rate is given at least where its drift is measured: a rate of 0 or 1 is not certain.
const MIN_VARIANCE: f64 = 0.0025;

/// Tallies of one path.
#[derive(Clone, Copy, Debug, Default)]
struct PathTallies {
    overall: Tally,
    day: Tally,
    hour: Tally,
}

/// Tallies of one query type on one path.
#[derive(Clone, Copy, Debug, Default)]
struct TypeTallies {
    long: Tally,
    day: Tally,
}

/// The past as of a point in time.
#[derive(Clone, Debug)]
pub struct History {
    settings: HistorySettings,
    n_arms: usize,
    n_types: usize,
    now: Timestamp,
    /// When the latest outcome that is seen became known; filing happens as of then, whoever asked in between.
    latest: Timestamp,
    n_visible: u64,
    pending: BinaryHeap<Reverse<Observation>>,
    paths: Vec<PathTallies>,
    /// Query types × paths, the last type for texts that the dictionary does not hold.
    types: Vec<TypeTallies>,
    sessions: Sessions,
    neighbours: Neighbours,
}

/// What the past says about one path on one query. NaN where nothing is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PathReading {
    pub similar_success: f64,
    pub similar_evidence: f64,
    pub similar_age_days: f64,
    pub similar_latency_ms: f64,
    pub topic_success: f64,
    pub topic_evidence: f64,
    pub type_success: f64,
    pub type_day_success: f64,
    pub day_success: f64,
    pub hour_success: f64,
    pub day_latency_ms: f64,
    pub drift: f64,
}

impl PathReading {
    /// Nothing is known.
    const UNKNOWN: Self = Self {
        similar_success: f64::NAN,
        similar_evidence: 0.0,
        similar_age_days: f64::NAN,
        similar_latency_ms: f64::NAN,
        topic_success: f64::NAN,
        topic_evidence: 0.0,
        type_success: f64::NAN,
        type_day_success: f64::NAN,
        day_success: f64::NAN,
        hour_success: f64::NAN,
        day_latency_ms: f64::NAN,
        drift: f64::NAN,
    };
}

/// What the past says about one query; reused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub paths: Vec<PathReading>,
    pub probe: Probe,
    /// Weight of recent outcomes on all paths, half-life one hour.
    pub recent_load: f64,
    /// Share of failures among recent outcomes on all paths; NaN where nothing is known.
    pub recent_errors: f64,
    pub session_outcomes: f64,
    /// Shrunk towards the rate of all paths; NaN where nothing is known.
    pub session_success: f64,
    pub session_failures_running: f64,
    /// Since the latest outcome of the session; NaN without one.
    pub session_idle_minutes: f64,
}

/// What is seen at one point in time, without the search for similar queries.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    now: Timestamp,
    /// How many of the outcomes that no cell has yet are seen.
    n_fresh: usize,
    /// Per path: aged tallies and, where its type is known, those of the query's type.
    paths: Vec<(PathTallies, Option<TypeTallies>)>,
    session: Session,
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
            latest: Timestamp(i64::MIN),
            n_visible: 0,
            pending: BinaryHeap::new(),
            paths: vec![PathTallies::default(); n_arms],
            types: vec![TypeTallies::default(); n_arms * n_types],
            sessions: Sessions::default(),
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
        while !self.advance_within(to) {
            let path_rates = self.path_rates(self.latest);
            self.neighbours.file(&path_rates, &self.settings);
            self.sessions.forget(self.latest);
        }
    }

    /// Moves to a point in time like [`Self::advance`], but stops where outcomes are due to be filed. Whether it arrived.
    ///
    /// While this answers true, moments that were taken before stay readable; [`Self::advance`] files what is due and ends that.
    pub fn advance_within(&mut self, to: Timestamp) -> bool {
        let to = to.max(self.now);
        while let Some(Reverse(observation)) = self.pending.peek().copied().filter(|first| first.0.visible_at < to) {
            if self.neighbours.is_due() {
                return false;
            }
            self.pending.pop();
            self.latest = self.latest.max(observation.visible_at);
            self.learn(&observation);
        }
        self.now = to;
        true
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

    /// Cosines to the most similar queries that the index finds, at most [`HistorySettings::n_nearest`] of each path, the highest first.
    pub fn nearest_cosines(&self, sketch: &QuerySketch, n_cosines: usize) -> Vec<f64> {
        let mut probe = Probe::default();
        self.neighbours.probe(&sketch.embedding, usize::MAX, self.now, &self.settings, &mut probe);
        probe.cosines(n_cosines)
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
            let half_life = self.type_half_life();
            let tallies = &mut self.types[row * self.n_arms + arm];
            tallies.long.add(at, half_life, success, log_latency);
            tallies.day.add(at, HALF_LIFE_DAY, success, log_latency);
        }
        if let Some(session) = observation.sketch.session {
            self.sessions.add(session, at, success);
        }
        self.neighbours.add(observation);
        self.n_visible += 1;
    }

    /// Half-life of a query type's evidence, in microseconds.
    fn type_half_life(&self) -> f64 {
        self.settings.type_half_life_days * HALF_LIFE_DAY
    }

    /// Success rate per path, shrunk towards that of all paths; one half where nothing is known.
    fn path_rates(&self, now: Timestamp) -> Vec<f64> {
        let aged: Vec<Tally> = self.paths.iter().map(|tallies| tallies.overall.aged(now, HALF_LIFE_QUARTER)).collect();
        let overall = total(aged.iter()).success_rate().unwrap_or(0.5);
        aged.iter().map(|tally| shrink(tally.successes, tally.weight, overall, self.settings.prior_strength)).collect()
    }

    /// What is seen now, with evidence aged to `now`, which is not before [`Self::now`].
    pub fn moment(&self, sketch: &QuerySketch, now: Timestamp) -> Moment {
        let mut moment = Moment::default();
        self.read_moment(sketch, now, &mut moment);
        moment
    }

    /// [`Self::moment`] in place of another one, whose room it takes.
    pub(crate) fn read_moment(&self, sketch: &QuerySketch, now: Timestamp, moment: &mut Moment) {
        let path = |arm: usize| {
            let tallies = &self.paths[arm];
            let aged = PathTallies {
                overall: tallies.overall.aged(now, HALF_LIFE_QUARTER),
                day: tallies.day.aged(now, HALF_LIFE_DAY),
                hour: tallies.hour.aged(now, HALF_LIFE_HOUR),
            };
            let of_type = sketch.query_type.map(|query_type| {
                let tallies = &self.types[usize::from(query_type).min(self.n_types - 1) * self.n_arms + arm];
                TypeTallies { long: tallies.long.aged(now, self.type_half_life()), day: tallies.day.aged(now, HALF_LIFE_DAY) }
            });
            (aged, of_type)
        };
        moment.now = now;
        moment.n_fresh = self.neighbours.fresh_outcomes.len();
        moment.paths.clear();
        moment.paths.extend((0..self.n_arms).map(path));
        moment.session = self.sessions.of(sketch.session, now);
    }

    /// Reads what was seen about a query at a moment since the last filing.
    pub(crate) fn read(&self, sketch: &QuerySketch, moment: &Moment, reading: &mut Reading) {
        self.neighbours.probe(&sketch.embedding, moment.n_fresh, moment.now, &self.settings, &mut reading.probe);
        let (all, recent) = (total(moment.paths.iter().map(|path| &path.0.overall)), total(moment.paths.iter().map(|path| &path.0.hour)));
        let overall = all.success_rate();
        reading.recent_load = recent.weight;
        let strength = self.settings.prior_strength;
        reading.recent_errors = overall.map_or(f64::NAN, |rate| 1.0 - shrink(recent.successes, recent.weight, rate, strength));
        let session = &moment.session;
        reading.session_outcomes = f64::from(session.n_outcomes);
        reading.session_failures_running = f64::from(session.n_failures_running);
        reading.session_success = overall.map_or(f64::NAN, |rate| {
            shrink(f64::from(session.n_successes), f64::from(session.n_outcomes), rate, self.settings.session_prior_strength)
        });
        reading.session_idle_minutes =
            if session.n_outcomes == 0 { f64::NAN } else { moment.now.0.saturating_sub(session.at.0) as f64 / 6e7 };
        reading.paths.clear();
        match overall {
            None => reading.paths.resize(self.n_arms, PathReading::UNKNOWN),
            Some(overall) => {
                let similar_strength = self.neighbours.similar_strength(&self.settings);
                for (arm, path) in moment.paths.iter().enumerate() {
                    let path_reading = self.read_path(arm, path, overall, similar_strength, &reading.probe);
                    reading.paths.push(path_reading);
                }
            }
        }
    }

    /// The steps of the estimate for one path.
    fn read_path(
        &self,
        arm: usize,
        (path, of_type): &(PathTallies, Option<TypeTallies>),
        overall: f64,
        similar_strength: f64,
        probe: &Probe,
    ) -> PathReading {
        let settings = &self.settings;
        let rate = |tally: &Tally, prior: f64, strength: f64| shrink(tally.successes, tally.weight, prior, strength);
        let path_success = rate(&path.overall, overall, settings.prior_strength);
        let day_success = rate(&path.day, path_success, settings.prior_strength);
        let type_success = of_type.map_or(path_success, |tallies| rate(&tallies.long, path_success, settings.prior_strength));
        let (topic, similar) = (probe.topic(arm), probe.similar(arm));
        let looks_for_similar = settings.looks_for_similar();
        let topic_success = rate(&topic, type_success, settings.topic_prior_strength);
        let path_latency = path.overall.mean_log_latency();
        let latency = |tally: &Tally, strength: f64| {
            path_latency.map_or(f64::NAN, |mean| shrink(tally.log_latency, tally.latency_weight, mean, strength).exp_m1())
        };
        let deviation = ((path_success * (1.0 - path_success)).max(MIN_VARIANCE) / path.day.weight.max(1.0)).sqrt();
        PathReading {
            similar_success: rate(&similar, topic_success, similar_strength),
            similar_evidence: similar.weight,
            similar_age_days: probe.age_days(arm),
            similar_latency_ms: if looks_for_similar { latency(&similar, settings.similar_prior_strength) } else { f64::NAN },
            topic_success,
            topic_evidence: topic.weight,
            type_success,
            type_day_success: of_type.map_or(type_success, |tallies| rate(&tallies.day, type_success, settings.prior_strength)),
            day_success,
            hour_success: rate(&path.hour, day_success, settings.prior_strength),
            day_latency_ms: latency(&path.day, settings.prior_strength),
            drift: (day_success - path_success) / deviation,
        }
    }
}

/// The sum of tallies of the same time.
fn total<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Tally {
    let mut total = Tally::default();
    tallies.for_each(|tally| total.merge(tally, 1.0));
    total
}
