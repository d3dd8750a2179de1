//! The tracker of a cascade: from `start_routing` over the layers to `finalize_routing`, and `record_outcome` when the task is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use routewright_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clock::{self, EventIds, Stopwatch};
use super::feedback::LearningFeedback;
use super::journal::{Journal, LogSettings, TrackerError, amount, named, share};
use super::log_file::FileName;
use super::queue::LogCounts;

/// A layer of the cascade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Confidence from which its answer is taken.
    pub threshold: f64,
}

/// How a tracker logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackerSettings {
    /// How the log is written.
    pub log: LogSettings,
    /// The cascade, cheapest layer first: at most five, as the log's format has them.
    pub layers: Vec<Layer>,
}

impl Default for TrackerSettings {
    /// The five layers of Cortex with their thresholds.
    fn default() -> Self {
        let layer = |(name, threshold): (&str, f64)| Layer { name: name.to_owned(), threshold };
        let layers = [("keyword", 0.85), ("semantic", 0.70), ("rag", 0.85), ("pytorch", 0.90), ("clarification", 1.00)];
        Self { log: LogSettings::default(), layers: layers.into_iter().map(layer).collect() }
    }
}

/// What a layer answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerAnswer<'a> {
    /// The layer's name.
    pub layer_name: &'a str,
    /// How sure it is, in [0, 1].
    pub confidence: f64,
    /// The path it would take.
    pub selected_master: Option<&'a str>,
    /// Whether its answer was taken.
    pub success: bool,
    /// Anything else about it.
    pub metadata: Map<String, Value>,
}

/// A layer as it stands in the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct LayerRecord {
    layer_id: usize,
    layer_name: String,
    attempted: bool,
    success: bool,
    confidence: f64,
    threshold: f64,
    selected_master: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: Map<String, Value>,
}

/// A routing under way: the layers that were tried so far. It belongs to one thread; a tracker has any number of them at a time.
#[derive(Clone, Debug)]
pub struct Routing {
    event_id: String,
    timestamp: Timestamp,
    clock: Stopwatch,
    task_description: String,
    task_id: Option<String>,
    task_metadata: Map<String, Value>,
    layers: Vec<LayerRecord>,
    layer_started: Option<(String, Stopwatch)>,
}

impl Routing {
    /// The identifier under which the outcome is recorded later.
    pub fn event_id(&self) -> &str {
        &self.event_id
    }

    /// Starts the clock of a layer.
    pub fn mark_layer_start(&mut self, layer_name: &str) {
        self.layer_started = Some((layer_name.to_owned(), Stopwatch::start()));
    }
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Done.
    Completed,
    /// Given up.
    Failed,
    /// Still running: the outcome stays pending.
    InProgress,
    /// Nobody knows: the outcome stays pending.
    Unknown,
}

/// How a task ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Whether the task was completed.
    pub task_completed: bool,
    /// Where it stands; by default what `task_completed` says.
    pub task_status: Option<TaskStatus>,
    /// Whether the right path was selected.
    pub was_correct_master: Option<bool>,
    /// The path a person chose instead.
    pub user_corrected_to: Option<String>,
    /// Minutes that the task took.
    pub completion_time_minutes: Option<f64>,
    /// How good the result is, in [0, 1].
    pub quality_score: Option<f64>,
}

/// An event as it stands in the log, before its outcome.
#[derive(Serialize)]
struct Event<'a> {
    event_id: &'a str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<&'a str>,
    task_description: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    task_metadata: &'a Map<String, Value>,
    routing_layers: &'a [LayerRecord],
    final_decision: FinalDecision<'a>,
    total_latency_ms: f64,
}

#[derive(Serialize)]
struct FinalDecision<'a> {
    selected_master: &'a str,
    routing_layer: &'a str,
    confidence: f64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    all_probabilities: &'a BTreeMap<String, f64>,
}

/// Logs the routings of a cascade; shared by threads. Dropping it writes what waits.
#[derive(Debug)]
pub struct Tracker {
    journal: Journal,
    ids: EventIds,
    layers: Vec<Layer>,
}

impl Tracker {
    /// Opens a log for appending; its folder is made where it is not there.
    ///
    /// # Errors
    /// [`TrackerError`] for a folder that cannot be written, a cascade of more than five layers, or a threshold outside [0, 1].
    pub fn open(path: &Path, settings: TrackerSettings) -> Result<Self, TrackerError> {
        let shown = || path.display().to_string();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| TrackerError::Path { path: shown() })?;
        let n_layers = settings.layers.len();
        if LARGEST_CASCADE < n_layers {
            return Err(TrackerError::Number { name: "layers", expected: "at most five layers", found: n_layers as f64 });
        }
        for layer in &settings.layers {
            named("layer_name", &layer.name)?;
            share("threshold", layer.threshold)?;
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let journal = Journal::open(folder, FileName::Fixed(name.to_owned()), "event_id", &settings.log)?;
        Ok(Self { journal, ids: EventIds::new(), layers: settings.layers })
    }

    /// Begins a routing and starts its clock.
    pub fn start_routing(&self, task_description: &str, task_id: Option<&str>, task_metadata: Map<String, Value>) -> Routing {
        let timestamp = clock::now();
        Routing {
            event_id: self.ids.next(timestamp),
            timestamp,
            clock: Stopwatch::start(),
            task_description: task_description.to_owned(),
            task_id: task_id.map(str::to_owned),
            task_metadata,
            layers: Vec::new(),
            layer_started: None,
        }
    }

    /// Notes what a layer answered. Its latency is counted from the mark of its start, and unknown without one.
    ///
    /// # Errors
    /// [`TrackerError`] for a layer that the cascade does not have, or a confidence outside [0, 1].
    pub fn record_layer_attempt(&self, routing: &mut Routing, answer: LayerAnswer<'_>) -> Result<(), TrackerError> {
        let known = || self.layers.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>().join(", ");
        let position = self.layers.iter().position(|layer| layer.name == answer.layer_name);
        let position = position.ok_or_else(|| TrackerError::Layer { name: answer.layer_name.to_owned(), known: known() })?;
        let confidence = share("confidence", answer.confidence)?;
        let started = routing.layer_started.take().filter(|(name, _)| name == answer.layer_name);
        routing.layers.push(LayerRecord {
            layer_id: position + 1,
            layer_name: answer.layer_name.to_owned(),
            attempted: true,
            success: answer.success,
            confidence,
            threshold: self.layers[position].threshold,
            selected_master: answer.selected_master.map(str::to_owned),
            latency_ms: started.map(|(_, clock)| clock.elapsed_ms()),
            metadata: answer.metadata,
        });
        Ok(())
    }

    /// Ends a routing and logs it; returns its identifier. `all_probabilities`: scores per path, which are no propensities.
    ///
    /// # Errors
    /// [`TrackerError`] for an empty name, a confidence outside [0, 1], or a log that cannot be written.
    pub fn finalize_routing(
        &self,
        routing: Routing,
        selected_master: &str,
        routing_layer: &str,
        confidence: f64,
        all_probabilities: &BTreeMap<String, f64>,
    ) -> Result<String, TrackerError> {
        for &probability in all_probabilities.values() {
            share("all_probabilities", probability)?;
        }
        let event = Event {
            event_id: &routing.event_id,
            timestamp: clock::rfc3339(routing.timestamp),
            task_id: routing.task_id.as_deref(),
            task_description: &routing.task_description,
            task_metadata: &routing.task_metadata,
            routing_layers: &routing.layers,
            final_decision: FinalDecision {
                selected_master: named("selected_master", selected_master)?,
                routing_layer: named("routing_layer", routing_layer)?,
                confidence: share("confidence", confidence)?,
                all_probabilities,
            },
            total_latency_ms: routing.clock.elapsed_ms(),
        };
        self.journal.append(&routing.event_id, &event)?;
        Ok(routing.event_id)
    }

    /// Adds an outcome to an event, whenever it comes and whichever process logged the event: the event is logged again, complete with
    /// what it teaches, and `ingest` keeps the newer line.
    ///
    /// # Errors
    /// [`TrackerError`] for an event that the log does not have, or numbers out of range.
    pub fn record_outcome(&self, event_id: &str, outcome: &Outcome) -> Result<LearningFeedback, TrackerError> {
        outcome.quality_score.map_or(Ok(0.0), |score| share("quality_score", score))?;
        outcome.completion_time_minutes.map_or(Ok(0.0), |minutes| amount("completion_time_minutes", minutes))?;
        outcome.user_corrected_to.as_deref().map_or(Ok(""), |path| named("user_corrected_to", path))?;
        let by_completion = if outcome.task_completed { TaskStatus::Completed } else { TaskStatus::Failed };
        let complete = Outcome { task_status: Some(outcome.task_status.unwrap_or(by_completion)), ..outcome.clone() };
        let said = serde_json::to_value(&complete)?;
        let mut feedback = LearningFeedback::default();
        let mut written = Ok(());
        self.journal.amend(event_id, |event| {
            feedback = LearningFeedback::new(event, &complete);
            event.insert("outcome".to_owned(), said);
            written = serde_json::to_value(&feedback).map(|feedback| event.insert("learning_feedback".to_owned(), feedback)).map(drop);
        })?;
        written?;
        Ok(feedback)
    }

    /// The last events of the log, the oldest first, whoever wrote them, each as it was last written.
    ///
    /// # Errors
    /// [`TrackerError`] for a log that cannot be read.
    pub fn recent_events(&self, limit: usize) -> Result<Vec<Map<String, Value>>, TrackerError> {
        self.journal.recent(limit)
    }

    /// Waits until everything handed over before is in the file.
    ///
    /// # Errors
    /// [`TrackerError`], the first since the last flush.
    pub fn flush(&self) -> Result<(), TrackerError> {
        self.journal.flush()
    }

    /// Moves the log to the archive beside it and returns where; nothing where there is no log yet.
    ///
    /// # Errors
    /// [`TrackerError`] for a file that cannot be moved.
    pub fn rotate(&self) -> Result<Option<PathBuf>, TrackerError> {
        self.journal.rotate()
    }

    /// Lines accepted, written and lost so far.
    pub fn counts(&self) -> LogCounts {
        self.journal.counts()
    }
}

/// Layers that the log's format can tell apart.
const LARGEST_CASCADE: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn route(tracker: &Tracker, query: &str, selected: &str) -> String {
        let mut routing = tracker.start_routing(query, Some("task-1"), Map::new());
        routing.mark_layer_start("keyword");
        let answer = LayerAnswer { layer_name: "keyword", confidence: 0.8, selected_master: Some("a"), ..LayerAnswer::default() };
        tracker.record_layer_attempt(&mut routing, answer).unwrap();
        let answer = LayerAnswer {
            layer_name: "semantic",
            confidence: 0.9,
            selected_master: Some(selected),
            success: true,
            ..LayerAnswer::default()
        };
        tracker.record_layer_attempt(&mut routing, answer).unwrap();
        tracker.finalize_routing(routing, selected, "semantic", 0.9, &BTreeMap::new()).unwrap()
    }

    fn open(folder: &Path) -> Tracker {
        Tracker::open(&folder.join("routing/performance.jsonl"), TrackerSettings::default()).unwrap()
    }

    #[test]
    fn an_outcome_finds_its_event_in_memory_in_the_file_and_in_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        let tracker = open(folder.path());
        let ids = [route(&tracker, "fix the login", "b"), route(&tracker, "build it", "b"), route(&tracker, "scan it", "b")];
        let done = Outcome { task_completed: true, was_correct_master: Some(true), quality_score: Some(0.95), ..Outcome::default() };
        assert_eq!(tracker.record_outcome(&ids[0], &done).unwrap().correct_routing, Some(true));
        drop(tracker);
        let other = open(folder.path());
        let wrong = Outcome { was_correct_master: Some(false), user_corrected_to: Some("a".into()), ..Outcome::default() };
        let feedback = other.record_outcome(&ids[1], &wrong).unwrap();
        assert_eq!((feedback.layer_should_have_caught.as_deref(), feedback.threshold_too_low), (Some("keyword"), true));
        other.rotate().unwrap().unwrap();
        other.record_outcome(&ids[2], &done).unwrap();
        let events = other.recent_events(10).unwrap();
        let completed = |id: &str| {
            let event = events.iter().find(|event| event["event_id"] == *id).unwrap();
            event["outcome"]["task_completed"].as_bool()
        };
        assert_eq!(ids.each_ref().map(|id| completed(id)), [Some(true), Some(false), Some(true)]);
        assert_eq!(events.len(), 3);
        assert_eq!(other.recent_events(1).unwrap()[0]["event_id"], *ids[2]);
        assert!(matches!(other.record_outcome("route-0", &done), Err(TrackerError::Unknown { .. })));
    }

    #[test]
    fn what_ingest_would_refuse_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let tracker = open(folder.path());
        let mut routing = tracker.start_routing("x", None, Map::new());
        let answer = LayerAnswer { layer_name: "oracle", ..LayerAnswer::default() };
        let error = tracker.record_layer_attempt(&mut routing, answer).unwrap_err();
        assert_eq!(error.to_string(), "unknown layer `oracle`, the cascade has keyword, semantic, rag, pytorch, clarification");
        let answer = LayerAnswer { layer_name: "rag", confidence: f64::NAN, ..LayerAnswer::default() };
        assert_eq!(
            tracker.record_layer_attempt(&mut routing, answer).unwrap_err().to_string(),
            "`confidence` must be in [0, 1], found NaN"
        );
        let error = tracker.finalize_routing(routing, " ", "rag", 0.5, &BTreeMap::new()).unwrap_err();
        assert_eq!(error.to_string(), "`selected_master` must not be empty");
        let long = tracker.start_routing(&"y".repeat(1 << 20), None, Map::new());
        assert!(matches!(tracker.finalize_routing(long, "a", "rag", 0.5, &BTreeMap::new()), Err(TrackerError::Long { .. })));
        assert_eq!(tracker.counts().accepted, 0);
    }

    #[test]
    fn a_layer_without_a_mark_has_no_latency() {
        let folder = tempfile::tempdir().unwrap();
        let tracker = open(folder.path());
        route(&tracker, "fix it", "b");
        let event = &tracker.recent_events(1).unwrap()[0];
        assert!(event["routing_layers"][0]["latency_ms"].is_f64());
        assert_eq!(event["routing_layers"][1].get("latency_ms"), None);
        assert_eq!(
            (event["routing_layers"][1]["layer_id"].as_u64(), event["routing_layers"][1]["threshold"].as_f64()),
            (Some(2), Some(0.7))
        );
    }
}
