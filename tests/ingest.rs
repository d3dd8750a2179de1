//! Ingest as an operations team uses it: pipes, patterns, expectations, privacy, retention, the gateway's log.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::project::Project;

/// A record with an id, on a day of January 2026.
fn record(id: &str, day: u32) -> String {
    format!(
        "{{\"trace_id\":\"{id}\",\"timestamp\":\"2026-01-{day:02}T10:00:00Z\",\"query\":\"ask alice@example.com\",\"user_id\":\"alice\",\"routing_decision\":{{\"execution_path\":\"A\"}},\"execution_outcome\":{{\"success\":true,\"latency_ms\":5}}}}\n"
    )
}

/// What became of the records.
fn totals(project: &Project) -> (u64, u64) {
    let report = project.json("data/ingest.json");
    (report["totals"]["kept"].as_u64().unwrap(), report["files"].as_array().unwrap().len() as u64)
}

#[test]
fn logs_come_from_patterns_and_from_standard_input() {
    let project = Project::empty();
    for (name, id) in [("logs/2026-01-01.jsonl", "a"), ("logs/2026-01-02.jsonl", "b"), ("logs/other.jsonl", "c")] {
        project.write(name, &record(id, 1));
    }
    project.write("pipeline.toml", "[ingest]\ninput = [\"logs/2026-*.jsonl\"]\n");
    assert_eq!(project.run(&["ingest"]).code, 0);
    assert_eq!(totals(&project), (2, 2));
    project.write("logs/2026-01-03.jsonl", &record("d", 3));
    let again = project.run(&["ingest"]);
    assert!(again.stderr.contains("ingest") && totals(&project) == (3, 3), "a new file of the pattern is noticed: {}", again.stderr);
    let mut piped = Command::new(env!("CARGO_BIN_EXE_routewright"))
        .args(["--project", project.path("").to_str().unwrap(), "ingest", "--input", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    piped.stdin.take().unwrap().write_all(record("e", 1).as_bytes()).unwrap();
    assert!(piped.wait().unwrap().success());
    assert_eq!(totals(&project), (1, 1));
    let none = project.run(&["--set", "ingest.input=[\"none/*.jsonl\"]", "ingest"]);
    assert_eq!(none.code, 3);
    assert!(none.stderr.contains("none/*.jsonl"), "{}", none.stderr);
}

#[test]
fn an_expectation_that_fails_stops_the_run_and_names_its_setting() {
    let project = Project::empty();
    project.write("data/raw/x.jsonl", &(1..=3).map(|number| record(&number.to_string(), number)).collect::<String>());
    assert_eq!(project.run(&["ingest"]).code, 0);
    let before = project.files("data/decisions");
    let strict = project.run(&["--set", "ingest.expect.paths=[\"B\"]", "ingest"]);
    assert_eq!(strict.code, 3, "{}", strict.stderr);
    assert!(
        strict.stderr.contains("`ingest.expect.other_paths`: 100.0 % of the decisions take paths that are not allowed: `A` 3"),
        "{}",
        strict.stderr
    );
    assert_eq!(project.files("data/decisions"), before);
    let old = project.run(&["--set", "ingest.expect.age_hours.warn=24", "--set", "ingest.expect.age_hours.fail=48", "ingest"]);
    assert_eq!(old.code, 3, "{}", old.stderr);
    assert!(old.stderr.contains("`ingest.expect.age_hours`: the newest decision is "), "{}", old.stderr);
    let moment = "--set=ingest.expect.until=\"2026-01-03T11:00:00Z\"";
    let fresh = project.run(&[moment, "--set", "ingest.expect.age_hours.fail=48", "ingest"]);
    assert_eq!(fresh.code, 0, "the clock is not asked where a moment is set: {}", fresh.stderr);
    let wrong = project.run(&["--set", "ingest.expect.outside.warn=2", "ingest"]);
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
}

#[test]
fn rejected_records_of_a_failed_ingest_can_be_looked_at() {
    let project = Project::empty();
    project.write("data/raw/x.jsonl", &(record("a", 1) + "bad\nworse\n"));
    let failed = project.run(&["ingest"]);
    assert_eq!(failed.code, 3);
    assert!(failed.stderr.contains("not_json 2") && failed.stderr.contains("data/.stages/rejected"), "{}", failed.stderr);
    let kept = std::fs::read_to_string(project.path("data/.stages/rejected/e009.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 2);
    let taken = project.run(&["--set", "ingest.max_rejected=1.0", "ingest"]);
    assert_eq!(taken.code, 0, "{}", taken.stderr);
    assert!(!project.path("data/.stages/rejected").exists());
    let head: Value = serde_json::from_str(&project.run(&["--json", "head", "quarantine"]).stdout).unwrap();
    assert_eq!((head["rows"][0]["reason"].as_str(), head["rows"][0]["records"].as_str()), (Some("not_json"), Some("2")));
    let schema = project.run(&["schema", "quarantine"]);
    assert!(schema.stdout.contains("what the reason means"), "{}", schema.stdout);
}

#[test]
fn users_are_hashed_only_with_a_salt() {
    let project = Project::empty();
    project.write("data/raw/x.jsonl", &record("a", 1));
    project.write("pipeline.toml", "[ingest.redact]\nhash = [\"user_id\"]\nsalt_variable = \"ROUTEWRIGHT_TEST_SALT\"\n");
    for command in ["check", "ingest"] {
        let ran = project.run(&[command]);
        let words = "the environment variable `ROUTEWRIGHT_TEST_SALT` holds no salt";
        assert!(ran.code != 0 && (ran.stderr.clone() + &ran.stdout).contains(words), "{command}: {} {}", ran.stdout, ran.stderr);
    }
    let ran = Command::new(env!("CARGO_BIN_EXE_routewright"))
        .args(["--project", project.path("").to_str().unwrap(), "ingest"])
        .env("ROUTEWRIGHT_TEST_SALT", "pepper")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let row = project.run(&["--json", "head", "decisions"]).stdout;
    assert!(row.contains("ask [email]") && row.contains("\"h-") && !row.contains("alice"), "{row}");
    let report = project.json("data/ingest.json");
    assert_eq!((report["redacted"]["emails"].as_u64(), report["redacted"]["hash"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn rotated_logs_give_the_same_decisions() {
    let project = Project::empty();
    for day in 1..=3 {
        project.write(&format!("data/raw/2026-01-0{day}-x.jsonl"), &record(&day.to_string(), day));
    }
    project.write("data/raw/small.csv", "query_id,timestamp,query,success_A\nq,2026-01-04T00:00:00Z,x,1\n");
    assert_eq!(project.run(&["ingest"]).code, 0);
    let ids = |project: &Project| {
        let head: Value = serde_json::from_str(&project.run(&["--json", "head", "decisions"]).stdout).unwrap();
        head["rows"].as_array().unwrap().iter().map(|row| row["trace_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = ids(&project);
    assert_eq!(before, ["1", "2", "3", "q/A"]);
    assert_eq!(project.run(&["rotate"]).code, 2, "nothing says what is too much");
    let planned = project.run(&["--dry-run", "rotate", "--keep", "30"]);
    assert!(planned.stdout.contains("would be archived") && project.path("data/raw/2026-01-01-x.jsonl").exists(), "{}", planned.stdout);
    let rotated = project.run(&["rotate", "--max-size", "100B"]);
    assert_eq!(rotated.code, 0, "{}", rotated.stderr);
    assert!(project.path("data/raw/archive/2026-01-01-x.jsonl.zst").exists() && !project.path("data/raw/2026-01-01-x.jsonl").exists());
    assert!(project.path("data/raw/small.csv").exists(), "it is small");
    assert_eq!(project.run(&["ingest"]).code, 0);
    assert_eq!(ids(&project), before);
    let by_itself = project.run(&["--set", "ingest.input=[\"data/raw/small.csv\"]", "rotate", "--keep", "0"]);
    assert!(by_itself.code == 0 || by_itself.stderr.contains("name the folder"), "{}", by_itself.stderr);
    let refused = project.run(&["--set", "ingest.input=[\"data/raw/small.csv\"]", "rotate", "--max-size", "1"]);
    assert!(refused.code == 2 && refused.stderr.contains("name the folder `data/raw`"), "{}", refused.stderr);
}

#[test]
fn a_gateways_log_is_a_randomised_test() {
    let project = Project::empty();
    let mut log = String::new();
    for number in 0..400 {
        let (group, method) = if number % 4 == 0 { ("treatment", "ml") } else { ("control", "rule-based") };
        let outcome = if number % 4 == 0 || number % 3 == 0 { "completed" } else { "failed" };
        let day = 1 + number % 3;
        log.push_str(&format!(
            "{{\"timestamp\":\"2026-01-0{day}T10:00:00Z\",\"task_id\":\"task-{number}\",\"method\":\"{method}\",\"selected_master\":\"cicd-master\",\"confidence\":0.8,\"ab_test_group\":\"{group}\",\"outcome\":\"{outcome}\"}}\n"
        ));
    }
    project.write("data/raw/ml-router-metrics.jsonl", &log);
    let ran = project.run(&["--set", "explore.treatment_share=0.25", "explore"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = project.json("reports/ab_test.json");
    assert_eq!((report["tasks"].as_u64(), report["test"]["is_sound"].as_bool()), (Some(400), Some(true)));
    let estimate = &report["test"]["within_periods"];
    assert!(estimate["value"].as_f64().unwrap() > 0.5 && estimate["interval"]["lower"].as_f64().unwrap() > 0.4, "{report}");
    assert!(ran.stderr.contains("randomised test: the treatment group succeeds in 100.0 % of 100"), "{}", ran.stderr);
    let rest = project.run(&["run"]);
    assert_eq!(rest.code, 3, "a gateway's log alone holds nothing to learn a route from: {}", rest.stderr);
    assert!(!rest.stderr.contains("panicked"), "{}", rest.stderr);
}

#[test]
fn every_generated_format_is_taken_for_what_it_is() {
    for (format, kept, days) in [("e009", 120, "3"), ("matrix", 480, "3"), ("router-metrics", 120, "3"), ("cortex", 120, "1")] {
        let project = Project::empty();
        let made = project.run(&["generate", "-n", "120", "--days", days, "--dirt", "0", "--format", format]);
        assert_eq!(made.code, 0, "{format}: {}", made.stderr);
        assert_eq!(project.run(&["ingest"]).code, 0, "{format}");
        let report = project.json("data/ingest.json");
        assert_eq!((report["totals"]["kept"].as_u64(), &report["totals"]["quarantined"]), (Some(kept), &serde_json::json!({})), "{format}");
        assert!(report["files"].as_array().unwrap().iter().all(|file| file["format"] == format), "{format}");
    }
}
