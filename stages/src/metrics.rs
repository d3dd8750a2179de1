//! The numbers of a run that machines follow: for `metrics.prom`, for the record of the run, and for comparing runs.

use std::collections::BTreeMap;

use routewright_table::IngestReport;

use crate::artifacts::{DecisionReport, Evaluation, PolicyResult, ReplayReport};
use crate::report::format::spelled;

/// A number of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name: letters, digits and underscores, with the unit.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Label and what it says; few different ones, never queries or users.
    pub label: Option<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

/// Every metric of a run, in the order of the report.
pub fn of(decision: &DecisionReport, replay: &ReplayReport, evaluation: &Evaluation, ingest: &IngestReport) -> Vec<Metric> {
    let mut metrics = Vec::new();
    let mut single = |name, help, value: Option<f64>| metrics.extend(value.map(|value| Metric { name, help, label: None, value }));
    single("uplift_points", "Success of the learned router minus that of the static one", decision.success.uplift_points);
    single("uplift_lower_points", "One-sided 95 % lower bound of the uplift", Some(decision.success.lower));
    single("uplift_upper_points", "One-sided 95 % upper bound of the uplift", Some(decision.success.upper));
    single("latency_ratio", "Mean latency, learned over static", replay.latency.map(|ratio| ratio.ratio));
    single("cost_ratio", "Mean cost, learned over static", replay.cost.map(|ratio| ratio.ratio));
    single("disagreement_ratio", "Share of queries on which the routers disagree", Some(decision.diagnostics.disagreement));
    single("exploration_matches", "Disagreements on which the learned path ran", Some(decision.diagnostics.exploration_matches as f64));
    single("effective_sample_size", "Effective sample size of the learned router", decision.diagnostics.effective_sample_size);
    single("mean_weight", "Mean importance weight, 1 where propensities are right", decision.diagnostics.mean_weight);
    single("log_loss_nats", "Held-out log loss of predicted success", Some(evaluation.calibrated.log_loss));
    single("calibration_error", "Expected calibration error of predicted success", Some(evaluation.calibrated.ece));
    single("calibration_error_before", "Expected calibration error before the calibration map", Some(evaluation.uncalibrated.ece));
    single("surrogate_fidelity", "Agreement of a shallow tree with the learned router", Some(evaluation.explainability.surrogate_fidelity));
    let interval = decision.retraining.map(|found| f64::from(found.interval_days));
    single("retraining_interval_days", "Days until the router has lost a point", interval);
    let last = ingest.last.map(|time| (time.0 as f64 / 1e6).floor());
    single("last_decision_timestamp_seconds", "Time of the latest decision of the log, since 1970", last);
    let mut labelled = |name, help, label: &'static str, values: Vec<(String, f64)>| {
        metrics.extend(values.into_iter().map(|(text, value)| Metric { name, help, label: Some((label, text)), value }));
    };
    let policies = |value: fn(&PolicyResult) -> Option<f64>| -> Vec<(String, f64)> {
        replay.policies.iter().filter_map(|policy| Some((policy.name.clone(), value(policy)?))).collect()
    };
    labelled("success_ratio", "Success rate on the held-out window", "policy", policies(|policy| policy.success.value));
    labelled("latency_milliseconds", "Mean latency on the held-out window", "policy", policies(|policy| policy.latency_ms));
    let gates = decision.diagnostics.gates.iter().map(|gate| (spelled(&gate.name), f64::from(u8::from(gate.passed))));
    labelled("gate_passed", "Whether a gate passed", "gate", gates.collect());
    let totals = &ingest.totals;
    let records = [
        ("read", totals.read),
        ("kept", totals.kept),
        ("pending", totals.pending),
        ("duplicate", totals.duplicate),
        ("quarantined", totals.n_quarantined()),
    ];
    let records = records.map(|(state, count)| (state.to_owned(), count as f64));
    labelled("records", "Records of the log by what became of them", "state", records.to_vec());
    metrics
}

/// The text format of Prometheus, with the verdict as a metric of its own. No times are written: a file of numbers is as old as the file.
pub fn text(decision: &DecisionReport, metrics: &[Metric]) -> String {
    let mut written = routewright_cascade::Metrics::default();
    let verdict = [spelled(&decision.verdict), spelled(&decision.reason), spelled(&decision.identification)];
    let labels = [("verdict", verdict[0].as_str()), ("reason", &verdict[1]), ("identification", &verdict[2])];
    written.gauge("routewright_decision_info", "The verdict, always 1", &labels, 1.0);
    for metric in metrics {
        let label = metric.label.as_ref().map(|(name, value)| (*name, value.as_str()));
        written.gauge(&format!("routewright_{}", metric.name), metric.help, label.as_slice(), metric.value);
    }
    written.text()
}

/// Metrics by a name with the label in it, such as `success_ratio.static`: what a run's record holds.
pub fn flat(metrics: &[Metric]) -> BTreeMap<String, f64> {
    let key = |metric: &Metric| match &metric.label {
        Some((_, value)) => format!("{}.{value}", metric.name),
        None => metric.name.to_owned(),
    };
    metrics.iter().filter(|metric| metric.value.is_finite()).map(|metric| (key(metric), metric.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_names_hold_the_label_and_numbers_only() {
        let metric = |label: Option<&str>, value| Metric {
            name: "success_ratio",
            help: "",
            label: label.map(|label| ("policy", label.to_owned())),
            value,
        };
        let metrics = [metric(None, 1.5), metric(Some("static"), 0.5), metric(Some("learned"), f64::NAN)];
        let expected = [("success_ratio".to_owned(), 1.5), ("success_ratio.static".to_owned(), 0.5)];
        assert_eq!(flat(&metrics), BTreeMap::from(expected));
    }
}
