//! Bad input, bad settings, bad places: a clear error and the right exit code, never half an output.

use crate::project::Project;

#[test]
fn no_data_is_said_with_the_place() {
    let project = Project::empty();
    let ran = project.run(&["run"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("data/raw"), "{}", ran.stderr);
}

#[test]
fn too_few_decisions_are_counted() {
    let project = Project::generated(&["-n", "300", "--seed", "2", "--dirt", "0"]);
    let ran = project.run(&["run"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("300 decisions with an outcome, 1000 are needed"), "{}", ran.stderr);
    assert!(project.path("data/decisions").exists() && !project.path("models/policy.bin").exists());
}

#[test]
fn a_typo_in_the_settings_is_shown_with_line_and_caret() {
    let project = Project::empty();
    project.write("pipeline.toml", "[train]\nfods = 4\n");
    let ran = project.run(&["run"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("line 2: in [train]: unknown key `fods`, did you mean `folds`?"), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 | fods = 4\n"), "{}", ran.stderr);
}

#[test]
fn a_log_of_rubbish_fails_and_leaves_the_earlier_tables() {
    let project = Project::generated(&["-n", "1300", "--seed", "2"]);
    assert_eq!(project.run(&["run", "--until", "explore"]).code, 0);
    let before = project.files("data/decisions");
    project.write("data/raw/zz.jsonl", &"this is no record\n".repeat(5000));
    let ran = project.run(&["run"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("not_json"), "{}", ran.stderr);
    assert!(project.files("data/decisions") == before);
}

#[test]
fn a_log_with_one_path_keeps_static_with_a_reason() {
    let project = Project::empty();
    project.write("data/raw/log.jsonl", &log(1500, |_| "ONLY", |row| row % 7 != 0));
    let ran = project.run(&["run"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(project.json("reports/decision.json")["verdict"], "KEEP");
}

#[test]
fn a_log_that_always_succeeds_keeps_static_with_a_reason() {
    let project = Project::empty();
    project.write("data/raw/log.jsonl", &log(1500, |row| if row % 3 == 0 { "A" } else { "B" }, |_| true));
    let ran = project.run(&["run"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(project.json("reports/decision.json")["verdict"], "KEEP");
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_not_a_panic() {
    let project = Project::generated(&["-n", "1300", "--seed", "2"]);
    project.write("reports", "a file where a folder should be");
    let ran = project.run(&["run", "--until", "explore"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("reports"), "{}", ran.stderr);
}

#[test]
fn the_command_line_is_checked_before_anything_runs() {
    let project = Project::empty();
    assert_eq!(project.run(&["run", "tarin"]).code, 2);
    assert_eq!(project.run(&["run", "--input", "/no/such/log"]).code, 2);
    assert_eq!(project.run(&["--set", "train.folds=1", "run"]).code, 2);
    assert_eq!(project.run(&["gate", "--accept", "MAYBE"]).code, 2);
}

/// A log with a given path and success per row, shuffled in time.
fn log(n_rows: usize, path: impl Fn(usize) -> &'static str, success: impl Fn(usize) -> bool) -> String {
    let line = |row: usize| {
        // Rows stand out of order, as in logs written by several processes.
        let minute = (row * 7919) % n_rows;
        format!(
            "{{\"trace_id\":\"{row}\",\"timestamp\":\"2026-01-{:02}T{:02}:{:02}:00Z\",\"query\":\"query number {}\",\"routing_decision\":{{\"execution_path\":\"{}\"}},\"execution_outcome\":{{\"success\":{},\"latency_ms\":{}}}}}\n",
            1 + minute / 1440,
            minute / 60 % 24,
            minute % 60,
            row % 50,
            path(row),
            success(row),
            100 + row % 17
        )
    };
    (0..n_rows).map(line).collect()
}
