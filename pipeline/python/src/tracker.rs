//! The tracker of a cascade.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use routewright_router::{LayerAnswer, Outcome, TrackerSettings};
use serde_json::{Map, Value};

use crate::{invalid, tracking};

/// Logs the routings of a cascade; shared by threads.
#[pyclass(frozen, module = "routewright._native")]
pub(crate) struct Tracker(routewright_router::Tracker);

/// A routing under way.
#[pyclass(frozen, module = "routewright._native")]
pub(crate) struct Routing {
    event_id: String,
    under_way: Mutex<Option<routewright_router::Routing>>,
}

impl Routing {
    fn with<T>(&self, act: impl FnOnce(&mut Option<routewright_router::Routing>) -> PyResult<T>) -> PyResult<T> {
        act(&mut self.under_way.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn finished() -> PyErr {
    PyRuntimeError::new_err("this routing is finalized; start another one")
}

#[pymethods]
impl Routing {
    #[getter]
    fn event_id(&self) -> &str {
        &self.event_id
    }

    fn mark_layer_start(&self, layer_name: &str) -> PyResult<()> {
        self.with(|routing| routing.as_mut().ok_or_else(finished).map(|routing| routing.mark_layer_start(layer_name)))
    }
}

#[pymethods]
impl Tracker {
    /// `settings`: JSON of the tracker's settings.
    #[new]
    fn new(path: PathBuf, settings: &str) -> PyResult<Self> {
        let settings: TrackerSettings = serde_json::from_str(settings).map_err(invalid)?;
        routewright_router::Tracker::open(&path, settings).map(Self).map_err(tracking)
    }

    fn start_routing(&self, task_description: &str, task_id: Option<&str>, task_metadata: &str) -> PyResult<Routing> {
        let metadata: Map<String, Value> = serde_json::from_str(task_metadata).map_err(invalid)?;
        let routing = self.0.start_routing(task_description, task_id, metadata);
        Ok(Routing { event_id: routing.event_id().to_owned(), under_way: Mutex::new(Some(routing)) })
    }

    fn record_layer_attempt(
        &self,
        routing: &Routing,
        layer_name: &str,
        confidence: f64,
        selected_master: Option<&str>,
        success: bool,
        metadata: &str,
    ) -> PyResult<()> {
        let metadata: Map<String, Value> = serde_json::from_str(metadata).map_err(invalid)?;
        let answer = LayerAnswer { layer_name, confidence, selected_master, success, metadata };
        routing.with(|routing| self.0.record_layer_attempt(routing.as_mut().ok_or_else(finished)?, answer).map_err(tracking))
    }

    fn finalize_routing(
        &self,
        py: Python<'_>,
        routing: &Routing,
        selected_master: &str,
        routing_layer: &str,
        confidence: f64,
        all_probabilities: BTreeMap<String, f64>,
    ) -> PyResult<String> {
        let ended = routing.with(|routing| routing.take().ok_or_else(finished))?;
        py.detach(|| self.0.finalize_routing(ended, selected_master, routing_layer, confidence, &all_probabilities)).map_err(tracking)
    }

    /// `outcome`: JSON of the outcome; returns JSON of what it teaches.
    fn record_outcome(&self, py: Python<'_>, event_id: &str, outcome: &str) -> PyResult<String> {
        let outcome: Outcome = serde_json::from_str(outcome).map_err(invalid)?;
        let feedback = py.detach(|| self.0.record_outcome(event_id, &outcome)).map_err(tracking)?;
        serde_json::to_string(&feedback).map_err(invalid)
    }

    /// JSON of the last events, the oldest first.
    fn recent_events(&self, py: Python<'_>, limit: usize) -> PyResult<String> {
        let events = py.detach(|| self.0.recent_events(limit)).map_err(tracking)?;
        serde_json::to_string(&events).map_err(invalid)
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.flush()).map_err(tracking)
    }

    fn rotate(&self, py: Python<'_>) -> PyResult<Option<PathBuf>> {
        py.detach(|| self.0.rotate()).map_err(tracking)
    }

    /// JSON of the counts of lines.
    fn counts(&self) -> PyResult<String> {
        serde_json::to_string(&self.0.counts()).map_err(invalid)
    }
}
