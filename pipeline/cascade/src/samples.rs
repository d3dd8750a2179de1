//! Logs for tests: a few answers by hand, or many drawn from a cascade whose best thresholds are known.

use rand::RngExt;
use routewright_domain::{CascadeLog, Decision, LayerAttempt, Seed, Timestamp};

/// Threshold of every layer in [`log_of`].
pub(crate) const THRESHOLD: f64 = 0.5;

/// An answer of a layer: name, position, confidence, path; 10 ms.
pub(crate) fn answer(layer: &str, position: i64, confidence: f64, path: &str) -> LayerAttempt {
    LayerAttempt {
        layer_name: layer.to_owned(),
        layer_id: position,
        confidence,
        threshold: Some(THRESHOLD),
        selected_path: Some(path.to_owned()),
        latency_ms: Some(10.0),
        ..LayerAttempt::default()
    }
}

/// Events one minute apart: the right path, and the answers; the first sure one is taken.
pub(crate) fn log_of(events: &[(Option<&str>, &[LayerAttempt])]) -> CascadeLog {
    let mut log = CascadeLog::default();
    for (minute, (right, answers)) in events.iter().enumerate() {
        let mut answers = answers.to_vec();
        let sure = |layer: &LayerAttempt| layer.threshold.is_some_and(|threshold| layer.confidence >= threshold);
        let taken = answers.iter().position(sure).unwrap_or(answers.len() - 1);
        for (row, layer) in answers.iter_mut().enumerate() {
            layer.success = Some(row == taken);
        }
        let path = answers[taken].selected_path.clone().unwrap();
        let decision = Decision {
            trace_id: format!("{minute}"),
            timestamp: Timestamp(minute as i64 * 60_000_000),
            success: right.map(|right| right == path),
            optimal_path: right.map(str::to_owned),
            latency_ms: Some(answers[..=taken].iter().filter_map(|layer| layer.latency_ms).sum()),
            path,
            ..Decision::default()
        };
        log.put(&decision, &answers);
    }
    log
}

/// A cascade of two layers and the user. Each layer's confidence is uniform in [0, 1] and it is right with that probability, 20 ms each;
/// the user is always right. `shadow`: share of events in which both layers are asked whatever the first says.
pub(crate) fn uniform_log(n: usize, thresholds: [f64; 2], shadow: f64, seed: u64) -> CascadeLog {
    let mut rng = Seed(seed).rng();
    let mut log = CascadeLog::default();
    for row in 0..n {
        let draw: [f64; 5] = std::array::from_fn(|_| rng.random::<f64>());
        let path = |right: bool| if right { "right" } else { "wrong" };
        let layer = |row: usize| LayerAttempt {
            threshold: Some(thresholds[row]),
            latency_ms: Some(20.0),
            ..answer(["fast", "slow"][row], row as i64 + 1, draw[row], path(draw[row + 2] < draw[row]))
        };
        let sure = [draw[0] >= thresholds[0], draw[1] >= thresholds[1]];
        let mut layers = vec![layer(0)];
        if !sure[0] || draw[4] < shadow {
            layers.push(layer(1));
        }
        if !sure[0] && !sure[1] {
            layers.push(LayerAttempt { threshold: Some(1.0), latency_ms: Some(0.0), ..answer("ask", 3, 1.0, "right") });
        }
        let taken = if sure[0] { 0 } else { layers.len() - 1 };
        layers.iter_mut().enumerate().for_each(|(row, layer)| layer.success = Some(row == taken));
        let path = layers[taken].selected_path.clone().unwrap();
        let decision = Decision {
            trace_id: format!("{row}"),
            timestamp: Timestamp(row as i64 * 60_000_000),
            success: Some(path == "right"),
            optimal_path: Some("right".to_owned()),
            latency_ms: Some(20.0 * (taken.min(1) + 1) as f64),
            path,
            ..Decision::default()
        };
        log.put(&decision, &layers);
    }
    log
}
