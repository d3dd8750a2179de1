//! What `cascade` says.

use routewright_cascade::{AlertStatus, LayerAnalysis, Overview, Profile, Tuning};
use serde::{Deserialize, Serialize};

/// Version of `reports/cascade.json`; rises with any change that an old reader would misread.
pub const CASCADE_SCHEMA_VERSION: u32 = 1;

/// The layers of a cascade: numbers, thresholds, time, alerts.
#[derive(Debug, Serialize, Deserialize)]
pub struct CascadeReport {
    /// [`CASCADE_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Hours up to the last event that the rest is about.
    pub window_hours: f64,
    /// All events together.
    pub overview: Overview,
    /// Each layer with what its threshold does.
    pub layers: Vec<LayerAnalysis>,
    /// Thresholds that replaying the cascade proposes; nothing for a log without layers.
    pub tuning: Option<Tuning>,
    /// Where the time goes.
    pub profile: Profile,
    /// Metrics against their targets.
    pub alerts: Vec<AlertStatus>,
}
