//! What the tracker writes, `ingest` reads without a warning.

use std::collections::BTreeMap;

use routewright_domain::{Arm, Paths, Timestamp};
use routewright_router::{
    Ask, Execution, Gateway, GatewayDecision, GatewayLog, GatewaySettings, LayerAnswer, Learned, LogSettings, Mode, Outcome, OutcomeLog,
    Quality, Request, Tracker, TrackerSettings,
};
use serde_json::{Map, Value};

use crate::project::Project;

/// What an ingest of the project counted.
fn ingested(project: &Project) -> Value {
    let ran = project.run(&["ingest"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().find(|line| line.to_lowercase().contains("warn")), None, "{}", ran.stderr);
    let report = project.json("data/ingest.json");
    for nothing in ["/totals/quarantined", "/ignored_keys", "/skipped"] {
        let found = report.pointer(nothing).unwrap();
        assert!(found.as_object().is_none_or(Map::is_empty) && found.as_array().is_none_or(Vec::is_empty), "{nothing}: {found}");
    }
    report
}

#[test]
fn a_cascade_with_late_outcomes_is_read_without_a_warning() {
    let project = Project::empty();
    let tracker = Tracker::open(&project.path("data/raw/performance.jsonl"), TrackerSettings::default()).unwrap();
    let mut ids = Vec::new();
    for row in 0..40 {
        let metadata = Map::from_iter([("priority".to_owned(), "high".into()), ("user_id".to_owned(), format!("u{row}").into())]);
        let mut routing = tracker.start_routing(&format!("fix \"bug\" {row} in\tthe löschen ✓"), Some("task-1"), metadata);
        routing.mark_layer_start("keyword");
        let answer =
            LayerAnswer { layer_name: "keyword", confidence: 0.9, selected_master: Some("dev"), success: true, ..LayerAnswer::default() };
        tracker.record_layer_attempt(&mut routing, answer).unwrap();
        let scores = BTreeMap::from([("dev".to_owned(), 0.9), ("ops".to_owned(), 0.1)]);
        ids.push(tracker.finalize_routing(routing, if row % 2 == 0 { "dev" } else { "ops" }, "keyword", 0.9, &scores).unwrap());
    }
    for (row, id) in ids.iter().enumerate().take(30) {
        let outcome =
            Outcome { task_completed: row % 3 > 0, was_correct_master: Some(true), quality_score: Some(0.9), ..Outcome::default() };
        tracker.record_outcome(id, &outcome).unwrap();
    }
    // Somebody thinks again.
    tracker
        .record_outcome(&ids[1], &Outcome { was_correct_master: Some(false), user_corrected_to: Some("dev".into()), ..Outcome::default() })
        .unwrap();
    drop(tracker);
    let report = ingested(&project);
    assert_eq!(
        (&report["totals"]["kept"], &report["totals"]["pending"], &report["totals"]["duplicate"]),
        (&40.into(), &10.into(), &31.into())
    );
}

#[test]
fn decisions_with_propensities_and_the_gateway_log_are_read_without_a_warning() {
    let project = Project::empty();
    let (outcomes, metrics) = (project.path("data/raw/outcomes"), project.path("data/raw/gateway"));
    let log = OutcomeLog::open(&outcomes, &LogSettings::default()).unwrap();
    let gateway_log = GatewayLog::open(&metrics, &LogSettings::default()).unwrap();
    let settings =
        GatewaySettings { mode: Mode::Live, treatment_share: 0.3, explore: 0.1, randomise_disagreement: 0.5, ..GatewaySettings::default() };
    let (gateway, paths) = (Gateway::new(settings).unwrap(), Paths::from_names(["a", "b", "c"]));
    let mut decision = GatewayDecision::default();
    for row in 0..60_i64 {
        let (id, query) = (format!("trace-{row}"), format!("query {row}"));
        let learned = Learned::Path(Some(Arm((row % 3) as u16)));
        let ask = Ask {
            unit: &id,
            trace_id: &id,
            n_paths: 3,
            static_arm: Some(Arm(0)),
            learned,
            candidates: &[],
            confidence: 0.8,
            fallback: None,
        };
        gateway.decide(&ask, &mut decision);
        let request =
            Request { static_path: Some("a"), query_type: Some("chat"), ..Request::new(&query, Timestamp(1_767_600_000_000_000 + row)) };
        log.record(&id, &request, &paths, &decision, "test").unwrap();
        gateway_log.record(&format!("task-{row}"), paths.name(decision.arm.unwrap()), &decision).unwrap();
        if row < 50 {
            let execution = Execution { success: Some(row % 4 > 0), latency_ms: Some(12.5), cost: Some(0.001), ..Execution::default() };
            log.record_outcome(&id, &execution, &Quality::default()).unwrap();
            gateway_log.record_outcome(&format!("task-{row}"), row % 4 > 0).unwrap();
        }
    }
    drop((log, gateway_log));
    let report = ingested(&project);
    let totals = &report["totals"];
    assert_eq!((&totals["kept"], &totals["pending"], &totals["duplicate"]), (&120.into(), &20.into(), &100.into()));
    let formats: Vec<&str> = report["files"].as_array().unwrap().iter().map(|file| file["format"].as_str().unwrap()).collect();
    assert_eq!(formats, ["router-metrics", "e009"]);
    let shown = project.run(&["--json", "head", "decisions", "-n", "1", "--where", "propensity IS NULL AND policy_id = 'test'"]);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["rows"].as_array().unwrap().len(), 0);
}
