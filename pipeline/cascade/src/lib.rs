//! Cascades of layers: analysis, threshold tuning, profiles, alerts.
