//! One event of the cascade: what every layer would have said, and the object that is logged.

use routewright_domain::{Rng, Timestamp};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::layers::{CLARIFICATION, LAYERS};
use super::tasks::{MASTERS, NO_KEYWORD, description, keyword};
use crate::draw::{factor, position, rounded, uniform, weighted};
use crate::record::rfc3339;
use crate::world::share_around;

/// Relative frequency of the masters that tasks belong to, in the order of [`MASTERS`].
const MASTER_SHARES: [f64; 5] = [0.28, 0.22, 0.22, 0.23, 0.05];

/// Share of events whose task is still going on.
const IN_PROGRESS: f64 = 0.04;

/// Share of events whose end nobody recorded.
const UNKNOWN: f64 = 0.02;

/// Share of wrong masters that a user puts right.
const CORRECTED: f64 = 0.9;

/// What a layer would have said.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Answer {
    confidence: f64,
    master: usize,
    latency_ms: f64,
}

/// An event with every layer's answer, asked or not.
#[derive(Clone, Debug)]
pub(super) struct Event {
    event_id: String,
    index: u64,
    timestamp: Timestamp,
    task: String,
    true_master: usize,
    answers: [Answer; LAYERS.len()],
    /// The layer whose answer was taken.
    settled_by: usize,
    /// What every layer's confidence was compared with.
    thresholds: [f64; LAYERS.len()],
}

/// Draws an event.
pub(super) fn draw(index: u64, timestamp: Timestamp, thresholds: [f64; LAYERS.len()], rng: &mut Rng) -> Event {
    let true_master = weighted(rng, &MASTER_SHARES);
    let task = description(true_master, rng);
    let answers = LAYERS.each_ref().map(|layer| {
        let (confidence, right, latency_ms) = layer.answer(rng);
        let other = (true_master + 1 + position(rng, MASTERS.len() - 1)) % MASTERS.len();
        Answer { confidence, master: if right { true_master } else { other }, latency_ms }
    });
    let sure = |row: &usize| answers[*row].confidence >= thresholds[*row];
    let settled_by = (0..CLARIFICATION).find(sure).unwrap_or(CLARIFICATION);
    Event { event_id: event_id(index, timestamp), index, timestamp, task, true_master, answers, settled_by, thresholds }
}

/// `route-<date>-<time>-<eight hex digits>`.
fn event_id(index: u64, timestamp: Timestamp) -> String {
    let time = jiff::Timestamp::from_microsecond(timestamp.0).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("route-{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{:08x}", index & 0xffff_ffff)
}

#[derive(Serialize)]
struct Record<'a> {
    event_id: &'a str,
    #[serde(serialize_with = "rfc3339")]
    timestamp: Timestamp,
    task_id: String,
    task_description: &'a str,
    task_metadata: TaskMetadata,
    routing_layers: Vec<LayerRecord>,
    final_decision: FinalDecision,
    total_latency_ms: f64,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_feedback: Option<Feedback>,
}

#[derive(Serialize)]
struct TaskMetadata {
    priority: &'static str,
    source: &'static str,
    user_id: String,
}

#[derive(Serialize)]
struct LayerRecord {
    layer_id: usize,
    layer_name: &'static str,
    attempted: bool,
    success: bool,
    confidence: f64,
    threshold: f64,
    selected_master: &'static str,
    latency_ms: f64,
    metadata: Metadata,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Metadata {
    Keyword { matched_keywords: [&'static str; 1] },
    Semantic { similarity_score: f64, cluster: &'static str },
    Rag { vector_similarity: f64, retrieved_docs: usize },
    Pytorch { model_version: &'static str, predicted_probabilities: ByMaster },
    Clarification { user_selected: bool },
}

/// A score per master, in the order of [`MASTERS`].
struct ByMaster([f64; MASTERS.len()]);

impl Serialize for ByMaster {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(MASTERS.len()))?;
        for (master, score) in MASTERS.iter().zip(self.0) {
            map.serialize_entry(master, &score)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct FinalDecision {
    selected_master: &'static str,
    routing_layer: &'static str,
    confidence: f64,
    all_probabilities: ByMaster,
}

#[derive(Serialize)]
struct Outcome {
    task_completed: bool,
    task_status: &'static str,
    was_correct_master: Option<bool>,
    user_corrected_to: Option<&'static str>,
    completion_time_minutes: Option<f64>,
    quality_score: Option<f64>,
}

#[derive(Serialize)]
struct Feedback {
    correct_routing: bool,
    should_have_routed_to: Option<&'static str>,
    layer_should_have_caught: Option<&'static str>,
    threshold_too_high: bool,
    threshold_too_low: bool,
}

/// Appends the event as it is logged, without its end. `is_shadowed`: every layer but the user was asked, whoever settled it.
pub(super) fn write_line(event: &Event, is_shadowed: bool, rng: &mut Rng, line: &mut Vec<u8>) -> serde_json::Result<()> {
    let taken = event.answers[event.settled_by];
    let n_asked = if is_shadowed { CLARIFICATION.max(event.settled_by + 1) } else { event.settled_by + 1 };
    let routing_layers = (0..n_asked).map(|row| layer_record(event, row, rng)).collect();
    let outcome = outcome(event, rng);
    let record = Record {
        event_id: &event.event_id,
        timestamp: event.timestamp,
        task_id: format!("task-{:06}", event.index),
        task_description: &event.task,
        task_metadata: TaskMetadata {
            priority: ["low", "medium", "high", "critical"][weighted(rng, &[0.30, 0.40, 0.22, 0.08])],
            source: ["scheduler", "api", "user", "webhook"][position(rng, 4)],
            user_id: format!("u-{:04}", position(rng, 400)),
        },
        routing_layers,
        final_decision: FinalDecision {
            selected_master: MASTERS[taken.master],
            routing_layer: LAYERS[event.settled_by].name,
            confidence: taken.confidence,
            all_probabilities: scores(taken, rng),
        },
        total_latency_ms: rounded(event.answers[..=event.settled_by].iter().map(|answer| answer.latency_ms).sum(), 100.0),
        learning_feedback: outcome.was_correct_master.map(|right| feedback(event, right)),
        outcome,
    };
    serde_json::to_writer(line, &record)
}

/// What is logged of a layer that was asked.
fn layer_record(event: &Event, row: usize, rng: &mut Rng) -> LayerRecord {
    let (layer, answer) = (&LAYERS[row], event.answers[row]);
    let metadata = match row {
        0 if answer.confidence < 0.6 => Metadata::Keyword { matched_keywords: [NO_KEYWORD] },
        0 => Metadata::Keyword { matched_keywords: [keyword(answer.master, rng)] },
        1 => Metadata::Semantic { similarity_score: answer.confidence, cluster: MASTERS[answer.master].trim_end_matches("-master") },
        2 => Metadata::Rag { vector_similarity: answer.confidence, retrieved_docs: 2 + position(rng, 8) },
        3 => Metadata::Pytorch { model_version: "v1.0", predicted_probabilities: scores(answer, rng) },
        _ => Metadata::Clarification { user_selected: true },
    };
    LayerRecord {
        layer_id: row + 1,
        layer_name: layer.name,
        attempted: true,
        success: row == event.settled_by,
        confidence: answer.confidence,
        threshold: event.thresholds[row],
        selected_master: MASTERS[answer.master],
        latency_ms: answer.latency_ms,
        metadata,
    }
}

/// A classifier's scores: the confidence for its answer, the rest spread over the other masters. They are no sampling probabilities.
fn scores(answer: Answer, rng: &mut Rng) -> ByMaster {
    let mut scores = [0.0; MASTERS.len()].map(|_: f64| 0.1 + uniform(rng));
    scores[answer.master] = 0.0;
    let total: f64 = scores.iter().sum();
    for score in &mut scores {
        *score = rounded(*score / total * (1.0 - answer.confidence), 1000.0);
    }
    scores[answer.master] = answer.confidence;
    ByMaster(scores)
}

/// How the task went.
fn outcome(event: &Event, rng: &mut Rng) -> Outcome {
    let right = event.answers[event.settled_by].master == event.true_master;
    let (state, corrected, finished) = (uniform(rng), uniform(rng), uniform(rng));
    let minutes = rounded(45.0 * factor(rng, 0.7), 1.0).max(1.0);
    let quality = share_around(rng, if right { 0.88 } else { 0.58 }, 0.07);
    if state < IN_PROGRESS + UNKNOWN {
        return Outcome {
            task_completed: false,
            task_status: if state < IN_PROGRESS { "in_progress" } else { "unknown" },
            was_correct_master: None,
            user_corrected_to: None,
            completion_time_minutes: None,
            quality_score: None,
        };
    }
    let completed = finished < if right { 0.98 } else { 0.70 };
    Outcome {
        task_completed: completed,
        task_status: if completed { "completed" } else { "failed" },
        was_correct_master: Some(right),
        user_corrected_to: (!right && corrected < CORRECTED).then_some(MASTERS[event.true_master]),
        completion_time_minutes: Some(minutes),
        quality_score: Some(quality),
    }
}

/// What can be learned: an earlier layer that was right but not sure enough, or a layer that was sure and wrong.
fn feedback(event: &Event, right: bool) -> Feedback {
    let earlier = (0..event.settled_by).find(|&row| event.answers[row].master == event.true_master);
    Feedback {
        correct_routing: right,
        should_have_routed_to: (!right).then_some(MASTERS[event.true_master]),
        layer_should_have_caught: earlier.map(|row| LAYERS[row].name),
        threshold_too_high: earlier.is_some(),
        threshold_too_low: !right,
    }
}

#[derive(Serialize)]
struct Oracle<'a> {
    event_id: &'a str,
    true_master: &'static str,
    selected_master: &'static str,
    layers: Vec<OracleLayer>,
}

#[derive(Serialize)]
struct OracleLayer {
    layer_name: &'static str,
    confidence: f64,
    selected_master: &'static str,
    correct: bool,
    latency_ms: f64,
}

/// Appends every layer's answer, asked or not, without the line's end.
pub(super) fn write_oracle(event: &Event, line: &mut Vec<u8>) -> serde_json::Result<()> {
    let layer = |(row, answer): (usize, &Answer)| OracleLayer {
        layer_name: LAYERS[row].name,
        confidence: answer.confidence,
        selected_master: MASTERS[answer.master],
        correct: answer.master == event.true_master,
        latency_ms: answer.latency_ms,
    };
    let oracle = Oracle {
        event_id: &event.event_id,
        true_master: MASTERS[event.true_master],
        selected_master: MASTERS[event.answers[event.settled_by].master],
        layers: event.answers.iter().enumerate().map(layer).collect(),
    };
    serde_json::to_writer(line, &oracle)
}
