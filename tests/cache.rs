//! What runs again, and why.

use crate::project::Project;

const SMALL: &[&str] = &["-n", "1300", "--seed", "5", "--epsilon", "0.3"];

#[test]
fn a_second_run_does_nothing() {
    let project = Project::generated(SMALL);
    assert_eq!(project.run(&["run"]).code, 0);
    let before = project.files("models");
    let second = project.run(&["run"]);
    assert!(second.stdout.starts_with("everything is fresh"), "{}", second.stdout);
    assert!(project.files("models") == before);
}

#[test]
fn a_setting_runs_its_stage_and_what_follows_from_it() {
    let project = Project::generated(SMALL);
    assert_eq!(project.run(&["run"]).code, 0);
    let plan = project.run(&["--dry-run", "--set", "train.folds=4", "run"]).stdout;
    assert!(plan.contains("features   fresh"), "{plan}");
    assert!(plan.contains("train      would run: setting `folds` changed"), "{plan}");
    assert!(plan.contains("evaluate   may run: `train` runs before it"), "{plan}");
}

#[test]
fn a_new_day_of_the_log_runs_the_line_again() {
    let project = Project::generated(SMALL);
    assert_eq!(project.run(&["run", "--until", "explore"]).code, 0);
    let first = std::fs::read_dir(project.path("data/raw")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&first).unwrap_or_default();
    project.write("data/raw/2026-03-01-routing-outcomes.jsonl", &text.replace("\"trace_id\":\"", "\"trace_id\":\"later-"));
    let ran = project.run(&["run", "--until", "explore"]);
    assert!(ran.stderr.contains("ingest     runs: input `data/raw` changed"), "{}", ran.stderr);
}
