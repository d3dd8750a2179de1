//! What is read from the tables: summary, first rows.

use super::{Run, good};
use crate::*;

/// A decision with a path, a type, an outcome and a latency.
fn outcome(position: usize, path: &str, query_type: &str, success: bool, latency_ms: f64, load: f64) -> String {
    format!(
        r#"{{"trace_id":"t{position}","timestamp":"2026-01-0{}T10:00:00Z","query":"{}","query_features":{{"query_type":"{query_type}"}},"context":{{"load":{load},"mode":"{path}"}},
        "routing_decision":{{"execution_path":"{path}","static_path":"A"}},"execution_outcome":{{"success":{success},"latency_ms":{latency_ms}}},"quality_metrics":{{"optimal_path":"A"}}}}"#,
        1 + position % 2,
        "x".repeat(position + 1)
    )
}

#[test]
fn a_summary_counts_what_is_there() {
    let log = [
        outcome(0, "A", "chat", true, 100.0, 0.0),
        outcome(1, "A", "chat", false, 200.0, 1.0),
        outcome(2, "A", "coding", true, 300.0, 0.0),
        outcome(3, "B", "coding", false, 50.5, 1.0),
        outcome(4, "B", "coding", false, 50.5, 1.0).replace("\"success\":false", "\"success\":null"),
    ];
    let run = Run::of(log.join("\n").as_bytes());
    let summary = Summary::of(&Decisions::open(&run.folder.path().join("decisions")).unwrap()).unwrap();
    let count = |n, successes| SuccessCount { n, successes };
    let cell = |query_type: &str, path: &str, n_rows, success| SuccessCell {
        query_type: Some(query_type.into()),
        path: path.into(),
        n_rows,
        success,
    };
    assert_eq!((summary.n_rows, summary.n_queries, summary.success), (5, 5, count(4, 2)));
    assert_eq!(
        summary.success_by_type_and_path,
        [cell("chat", "A", 2, count(2, 1)), cell("coding", "A", 1, count(1, 1)), cell("coding", "B", 2, count(1, 0))]
    );
    let latency = &summary.latency_by_path;
    assert_eq!(latency[0], LatencyRow { path: "A".into(), n: 3, mean: 200.0, p50: 200.0, p95: 290.0, p99: 298.0, max: 300.0 });
    assert_eq!((latency[1].n, latency[1].mean), (2, 50.5));
    assert_eq!(summary.confusion, [ConfusionCell { chosen: "A".into(), optimal: "A".into(), n: 5 }]);
    assert_eq!(
        summary.static_success_by_type,
        [
            StaticSuccess { query_type: Some("chat".into()), success: count(2, 1) },
            StaticSuccess { query_type: Some("coding".into()), success: count(1, 1) }
        ]
    );
    assert_eq!(summary.correlations.len(), 2);
    assert_eq!(
        (summary.correlations[1].feature.as_str(), summary.correlations[1].n, summary.correlations[1].r),
        ("context.load", 4, Some(-1.0))
    );
    let lengths = &summary.correlations[0];
    assert!((lengths.r.unwrap() - -0.447_213_595_499_958).abs() < 1e-12, "{lengths:?}");
    assert_eq!(
        summary.success_by_value[0],
        SuccessByValue { feature: "context.mode".into(), values: vec![("A".into(), count(3, 2)), ("B".into(), count(1, 0))] }
    );
    assert_eq!(summary.days.iter().map(|day| (day.day.as_str(), day.n_rows)).collect::<Vec<_>>(), [("2026-01-01", 3), ("2026-01-02", 2)]);
    assert_eq!(summary.first.map(|time| time.0), Some(1_767_261_600_000_000));
}

#[test]
fn a_summary_of_nothing_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let summary = Summary::of(&Decisions::open(folder.path()).unwrap()).unwrap();
    assert_eq!((summary.n_rows, summary.success_by_type_and_path.len(), summary.days.len()), (0, 0, 0));
}

#[test]
fn head_shows_the_first_rows_that_fit_a_condition() {
    let run = Run::of(format!("{}\n{}\n", good("a"), good("b")).as_bytes());
    let table = run.folder.path().join("decisions");
    let rows = head(&table, 5, Some("trace_id = 'b'")).unwrap();
    assert_eq!(rows.len(), 1);
    let value = |name: &str| rows[0].iter().find(|(column, _)| column == name).map(|(_, value)| value.as_str());
    assert_eq!(
        (value("query"), value("timestamp"), value("success"), value("error")),
        (Some("q b"), Some("2026-01-05T10:00:00Z"), Some("true"), None)
    );
    assert_eq!(head(&table, 1, None).unwrap().len(), 1);
    assert!(head(&table, 1, Some("nothing = ")).is_err());
}
