//! The line from log to artifact, as a user runs it.

use crate::project::Project;

/// Enough decisions to train, few enough for a test.
const SMALL: &[&str] = &["-n", "1600", "--seed", "7", "--epsilon", "0.3", "--uplift", "8"];

#[test]
fn a_log_becomes_a_verdict_a_report_and_an_artifact() {
    let project = Project::generated(SMALL);
    let ran = project.run(&["run"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let decision = project.json("reports/decision.json");
    assert_eq!(decision["schema_version"], 1);
    assert_eq!(decision["identification"], "IDENTIFIED");
    assert!(ran.stdout.contains(decision["verdict"].as_str().unwrap()));
    let report = std::fs::read_to_string(project.path("reports/E-009-results.md")).unwrap();
    assert!(report.starts_with("# E-009"));
    for figure in report.split("](figures/").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(project.path("reports/figures").join(figure).exists(), "{figure}");
    }
    let id = std::fs::read_to_string(project.path("reports/runs/latest-good")).unwrap();
    let manifest = project.json(&format!("reports/runs/{}/manifest.json", id.trim()));
    assert_eq!((manifest["succeeded"].as_bool(), &manifest["verdict"]), (Some(true), &decision["verdict"]));
    assert_eq!(project.run(&["verify"]).code, 0);
    let routed = project.run(&["--json", "route", "what is the cpu usage right now?", "--static-path", "STANDARD"]);
    assert_eq!(routed.code, 0, "{}", routed.stderr);
    assert!(serde_json::from_str::<serde_json::Value>(&routed.stdout).unwrap()["path"].is_string());
}

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    let (one, two) = (Project::generated(SMALL), Project::generated(SMALL));
    assert_eq!(one.run(&["--threads", "1", "run"]).code, 0);
    assert_eq!(two.run(&["--threads", "2", "run"]).code, 0);
    for folder in ["data/decisions", "models", "reports"] {
        // The records of runs tell times and folders; what ingest remembers tells where its files lie on this disk.
        let of_this_place = |name: &str| name.starts_with("runs/") || name == ".ingest/files.json";
        let files = |project: &Project| -> Vec<_> { project.files(folder).into_iter().filter(|(name, _)| !of_this_place(name)).collect() };
        let (left, right) = (files(&one), files(&two));
        assert_eq!(left.len(), right.len());
        for ((name, left), (_, right)) in left.iter().zip(&right) {
            assert!(left == right, "{folder}/{name} differs");
        }
    }
}

#[test]
fn a_deterministic_log_is_never_adopted() {
    let project = Project::generated(&["-n", "1600", "--seed", "3", "--epsilon", "0", "--uplift", "8"]);
    assert_eq!(project.run(&["run"]).code, 0);
    let decision = project.json("reports/decision.json");
    assert_eq!((decision["verdict"].as_str(), decision["reason"].as_str()), (Some("KEEP"), Some("NOT_IDENTIFIED")));
    assert_eq!(project.run(&["gate"]).code, 11);
}

#[test]
fn the_gate_doubts_a_decision_that_was_edited_or_is_older_than_a_failed_run() {
    let project = Project::generated(SMALL);
    assert_eq!(project.run(&["run"]).code, 0);
    let text = std::fs::read_to_string(project.path("reports/decision.json")).unwrap();
    let verdict = project.json("reports/decision.json")["verdict"].as_str().unwrap().to_owned();
    project.write("reports/decision.json", &text.replacen(&format!("\"{verdict}\""), "\"ADOPT\"", 1));
    if verdict != "ADOPT" {
        assert_eq!(project.run(&["gate"]).code, 11);
    }
    project.write("reports/decision.json", &text);
    std::fs::remove_dir_all(project.path("data/raw")).unwrap();
    assert_eq!(project.run(&["run"]).code, 3);
    let gate = project.run(&["gate"]);
    assert_eq!(gate.code, 11);
    assert!(gate.stdout.contains("failed at `ingest`"), "{}", gate.stdout);
}

#[test]
fn every_stage_command_says_what_it_did_and_json_is_one_document() {
    let project = Project::generated(SMALL);
    let ran = project.run(&["--json", "explore"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let stages: Vec<&str> = document["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["ingest", "explore"]);
    assert!(ran.stderr.contains("runs: never ran"));
    let status: serde_json::Value = serde_json::from_str(&project.run(&["--json", "status"]).stdout).unwrap();
    assert_eq!(status["stages"][0]["fresh"], true);
    assert_eq!(status["stages"][2]["reason"], "never ran");
}
