//! Cascades of layers: analysis, threshold tuning, profiles, alerts; no I/O.
//!
//! * [`Scope`]: the events that are looked at, and the layers of their cascade, whatever their number and names.
//! * [`Overview`], [`LayerAnalysis`], [`Profile`]: what there is to say about them.
//! * [`Tuning`]: thresholds chosen by replaying the cascade, moved only where that is proven to pay.
//! * [`AlertStatus`] and [`Metrics`]: targets, and numbers in Prometheus' text format.
//!
//! ```
//! use routewright_cascade::{Scope, overview};
//! use routewright_domain::{CascadeLog, Decision, LayerAttempt, Timestamp};
//!
//! let layer = LayerAttempt { layer_name: "keyword".into(), layer_id: 1, confidence: 0.9, success: Some(true), ..Default::default() };
//! let decision = Decision { trace_id: "1".into(), timestamp: Timestamp(0), path: "docs".into(), optimal_path: Some("docs".into()), ..Default::default() };
//! let mut log = CascadeLog::default();
//! log.put(&decision, &[layer]);
//! let overview = overview(&Scope::new(&log, 0..1, ""), 0.5);
//! assert_eq!((overview.layers[0].captured.hits, overview.accuracy.hits), (1, 1));
//! ```

mod alerts;
mod analysis;
mod changes;
mod config;
mod overview;
mod profile;
mod prometheus;
mod rate;
mod replay;
mod scope;
mod settings;
mod tune;

#[cfg(test)]
mod samples;

pub use alerts::{AlertStatus, Firing, State, alerts, metrics};
pub use analysis::{Action, LayerAnalysis, MIN_OUTCOMES, Recommendation, StepHigher, StepLower, ThresholdAnalysis, analyze};
pub use changes::Change;
pub use config::{CascadeConfig, CascadeConfigError, ConfiguredLayer, Tracking, with_thresholds};
pub use overview::{GroupBalance, LayerOverview, Overview, PathShare, Trend, overview, trend};
pub use profile::{Bottleneck, Profile, ProfileRow, Throughput, profile};
pub use prometheus::Metrics;
pub use rate::{LatencySummary, Rate};
pub use scope::{Layer, Scope};
pub use settings::{AlertRule, AlertRules, Metric, TuneSettings};
pub use tune::{Effect, LayerTuning, RaiseBounds, Tuning, tune};
