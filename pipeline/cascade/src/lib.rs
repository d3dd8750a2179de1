//! Cascades of layers: analysis, threshold tuning, profiles, alerts; no I/O.
//!
//! * [`Metrics`]: numbers in Prometheus' text format, for node-exporter's textfile collector.
//!
//! ```
//! use routewright_cascade::Metrics;
//!
//! let mut metrics = Metrics::default();
//! metrics.gauge("routewright_accuracy", "Share of right paths.", &[("layer", "keyword")], 0.97);
//! assert!(metrics.text().ends_with("routewright_accuracy{layer=\"keyword\"} 0.97\n"));
//! ```

mod prometheus;

pub use prometheus::Metrics;
