//! Sharing traffic between the static rules and the learned router, and the log of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::prelude::*;
use routewright_router::{
    Ask, Environment, Execution, Fallback, GatewayDecision, GatewaySettings, Learned, LogSettings, Quality, RouterScratch, RulesScratch,
};

use crate::router::{Asked, Handed, Router};
use crate::{invalid, tracking};

/// Shares traffic; shared by threads.
#[pyclass(frozen, module = "routewright._native")]
pub(crate) struct Gateway(routewright_router::Gateway);

/// A decision with its propensities.
#[pyclass(frozen, module = "routewright._native")]
pub(crate) struct Shared {
    decision: GatewayDecision,
    names: Vec<String>,
    static_path: Option<String>,
    policy_id: String,
}

impl Shared {
    fn name(&self, position: usize) -> Option<String> {
        self.names.get(position).cloned()
    }
}

#[pymethods]
impl Shared {
    #[getter]
    fn path(&self) -> Option<String> {
        self.decision.arm.and_then(|arm| self.name(arm.index())).or_else(|| self.static_path.clone())
    }

    #[getter]
    fn learned_path(&self) -> Option<String> {
        self.decision.learned_arm.and_then(|arm| self.name(arm.index()))
    }

    #[getter]
    fn group(&self) -> &'static str {
        self.decision.group.name()
    }

    #[getter]
    fn method(&self) -> &'static str {
        if self.decision.source.is_static() { "rule-based" } else { "ml" }
    }

    #[getter]
    fn propensity(&self) -> f64 {
        self.decision.propensity
    }

    #[getter]
    fn propensities(&self) -> BTreeMap<String, f64> {
        self.names.iter().cloned().zip(self.decision.propensities.iter().copied()).collect()
    }

    #[getter]
    fn confidence(&self) -> f64 {
        self.decision.confidence
    }

    #[getter]
    fn fallback(&self) -> Option<&'static str> {
        self.decision.fallback.map(Fallback::name)
    }
}

#[pymethods]
impl Gateway {
    /// `settings`: JSON of the gateway's settings; the seed's environment variables come on top where asked for.
    #[new]
    fn new(settings: &str, use_environment: bool) -> PyResult<Self> {
        let mut settings: GatewaySettings = serde_json::from_str(settings).map_err(invalid)?;
        if use_environment {
            settings = Environment::read(|name| std::env::var(name).ok()).map_err(invalid)?.apply(settings);
        }
        routewright_router::Gateway::new(settings).map(Self).map_err(invalid)
    }

    /// JSON of the settings in force.
    fn settings(&self) -> PyResult<String> {
        serde_json::to_string(self.0.settings()).map_err(invalid)
    }

    fn group(&self, unit: &str) -> &'static str {
        self.0.group(unit).name()
    }

    fn decide(&self, router: &Router, handed: Handed, unit: &str, trace_id: &str) -> PyResult<Shared> {
        let asked = Asked::new(handed)?;
        let (request, mut scratch, mut decision) = (asked.request(), RouterScratch::default(), GatewayDecision::default());
        let paths = &router.0.policy().paths;
        let static_arm = request.static_path.and_then(|name| paths.arm(name));
        let learned = if self.0.settings().use_learned_model { Some(router.0.decide(&request, &mut scratch)) } else { None };
        let ask = Ask {
            unit,
            trace_id,
            n_paths: paths.len(),
            static_arm,
            // A static path that the router does not know cannot be compared: it is kept.
            learned: match learned {
                Some(decided) if static_arm.is_some() || request.static_path.is_none() => Learned::Path(decided.arm),
                _ => Learned::Absent,
            },
            candidates: &[],
            confidence: learned.map_or(0.0, |decided| decided.confidence),
            fallback: learned.and_then(|decided| decided.fallback),
        };
        self.0.decide(&ask, &mut decision);
        let policy_id = router.0.digest().to_owned();
        Ok(Shared { decision, names: paths.names().to_vec(), static_path: asked.static_path, policy_id })
    }
}

/// Logs decisions with their propensities; shared by threads.
#[pyclass(frozen, module = "routewright._native")]
pub(crate) struct OutcomeLog(routewright_router::OutcomeLog);

#[pymethods]
impl OutcomeLog {
    /// `settings`: JSON of the log's settings.
    #[new]
    fn new(folder: PathBuf, settings: &str) -> PyResult<Self> {
        let settings: LogSettings = serde_json::from_str(settings).map_err(invalid)?;
        routewright_router::OutcomeLog::open(&folder, &settings).map(Self).map_err(tracking)
    }

    fn record(&self, trace_id: &str, handed: Handed, router: &Router, decision: &Shared) -> PyResult<()> {
        let asked = Asked::new(handed)?;
        let paths = &router.0.policy().paths;
        self.0.record(trace_id, &asked.request(), paths, &decision.decision, &decision.policy_id).map_err(tracking)
    }

    /// `execution`, `quality`: JSON.
    fn record_outcome(&self, py: Python<'_>, trace_id: &str, execution: &str, quality: &str) -> PyResult<()> {
        let execution: Execution = serde_json::from_str(execution).map_err(invalid)?;
        let quality: Quality = serde_json::from_str(quality).map_err(invalid)?;
        py.detach(|| self.0.record_outcome(trace_id, &execution, &quality)).map_err(tracking)
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.flush()).map_err(tracking)
    }
}

/// The static router from `rules.toml`.
#[pyclass(frozen, module = "routewright._native")]
pub(crate) struct Rules(routewright_router::Rules);

#[pymethods]
impl Rules {
    /// `toml`: the rules; without them, the keyword cascade.
    #[new]
    #[pyo3(signature = (toml = None))]
    fn new(toml: Option<&str>) -> PyResult<Self> {
        let rules = toml.map_or_else(routewright_router::Rules::keyword_cascade, routewright_router::Rules::parse);
        rules.map(Self).map_err(invalid)
    }

    #[staticmethod]
    fn three_stages() -> PyResult<Self> {
        routewright_router::Rules::three_stages().map(Self).map_err(invalid)
    }

    /// Path, confidence, rule and matched words.
    fn route(&self, handed: Handed) -> PyResult<(String, f64, String, Vec<String>)> {
        let (asked, mut scratch) = (Asked::new(handed)?, RulesScratch::default());
        let found = self.0.route(&asked.request(), &mut scratch);
        let matched = self.0.matched(&found, &scratch).into_iter().map(str::to_owned).collect();
        Ok((found.path.to_owned(), found.confidence, found.rule.to_owned(), matched))
    }
}
