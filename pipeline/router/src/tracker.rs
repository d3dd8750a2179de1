//! Logs of routing events, written safely from many threads and processes, in the formats that `ingest` reads.
//!
//! * [`Tracker`]: decisions of a cascade of layers, `performance.jsonl`.
//! * [`OutcomeLog`]: decisions with their propensities, `YYYY-MM-DD-routing-outcomes.jsonl`.
//! * [`GatewayLog`]: which side of an A/B test decided, `ml-router-metrics.jsonl`.
//!
//! This is the one part of the crate that touches files and a clock.

mod cascade;
mod clock;
mod feedback;
mod gateway_log;
mod journal;
mod log_file;
mod outcome_log;
mod queue;

pub use cascade::{Layer, LayerAnswer, Outcome, Routing, TaskStatus, Tracker, TrackerSettings};
pub use feedback::LearningFeedback;
pub use gateway_log::GatewayLog;
pub use journal::{LogSettings, TrackerError};
pub use outcome_log::{Execution, OutcomeLog, Quality};
pub use queue::{LogCounts, WhenFull};
