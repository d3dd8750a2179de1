//! Figures: numbers in, PNG and SVG bytes out; the only crate that draws.
//!
//! One file per figure, one function per file: it takes a plain struct of slices and returns a [`Figure`]. Equal input gives equal bytes.
//! What cannot be drawn (no rows, NaN, nothing finite) becomes a note on the page that says so; only slices whose lengths contradict
//! each other are a [`PlotError`].
//!
//! Titles say the finding, so the caller writes them. Rates go in as shares in 0..=1 and are drawn in percent, uplifts in percentage points.
//! Names of any length and number are taken: they are shortened in the middle (an SVG shows the whole name on hover), the canvas grows.
//!
//! ```
//! use routewright_plot::{IntervalRow, Role, Controls, controls};
//!
//! let policies = [
//!     IntervalRow { name: "static", n: Some(5_000), value: 0.90, low: 0.88, high: 0.92, role: Role::Static },
//!     IntervalRow { name: "learned", n: Some(5_000), value: 0.95, low: 0.93, high: 0.97, role: Role::Learned },
//! ];
//! let figure = controls(&Controls { title: "The learned router is 5 points ahead", subtitle: None, policies: &policies })?;
//! assert!(figure.svg.contains("learned"));
//! # Ok::<(), routewright_plot::PlotError>(())
//! ```

mod figure;
mod palette;

mod axes;
mod cells;
mod curves;
mod page;
mod raster;
mod rows;
mod scale;
mod scene;
mod text;
mod vector;

mod calibration;
mod confusion;
mod controls;
mod cost_quality;
mod drift;
mod importance;
mod latency;
mod learning_curve;
mod partial_dependence;
mod risk_coverage;
mod success_heatmap;
mod uplift_by_estimator;
mod uplift_by_segment;
mod weight_overlap;

pub use calibration::{Calibration, CalibrationBin, CalibrationSeries, calibration};
pub use confusion::{ConfusionMatrix, confusion_matrix};
pub use controls::{Controls, controls};
pub use cost_quality::{CostQuality, CostQualityPoint, cost_quality};
pub use curves::Curve;
pub use drift::{Drift, DriftSeries, Threshold, drift};
pub use figure::{Figure, PlotError, Role};
pub use importance::{FeatureImportance, Importance, importance};
pub use latency::{LatencyByPath, PathLatency, latency_by_path};
pub use learning_curve::{LearningCurve, learning_curve};
pub use partial_dependence::{PartialDependence, partial_dependence, value_bins};
pub use risk_coverage::{OperatingPoint, RiskCoverage, risk_coverage};
pub use rows::IntervalRow;
pub use success_heatmap::{SuccessHeatmap, success_heatmap};
pub use uplift_by_estimator::{UPLIFT_THRESHOLDS, UpliftByEstimator, uplift_by_estimator};
pub use uplift_by_segment::{UpliftBySegment, uplift_by_segment};
pub use weight_overlap::{PathOverlap, WeightOverlap, weight_overlap};
