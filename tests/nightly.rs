//! `run --nightly`, night after night.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::project::Project;

/// Enough decisions to learn from, few enough for a test.
const SMALL: &[&str] = &["-n", "1500", "--days", "20", "--seed", "7", "--epsilon", "0.3", "--uplift", "12"];

/// Quick forests, and duels on few decisions.
const SETTINGS: &str = "[train]\nlearning_curve = []\norigins = 0\nsuccess_leaf_sizes = [20]\n[train.forest]\nn_trees = 20\n\
                        [evaluate]\nimportance_features = 2\nimportance_rows = 100\nimportance_repeats = 1\n[nightly]\nduel = { min_decisions = 100 }\n";

fn lineage(project: &Project) -> Vec<Value> {
    let text = std::fs::read_to_string(project.path("models/lineage.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_night_that_is_killed_is_done_again_and_one_without_data_says_so() {
    let project = Project::generated(SMALL);
    project.write("pipeline.toml", SETTINGS);
    let mut child = Command::new(env!("CARGO_BIN_EXE_routewright"))
        .arg("--project")
        .arg(project.path(""))
        .args(["run", "--nightly", "--at", "2026-01-21T03:00:00Z"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(400));
    child.kill().unwrap();
    child.wait().unwrap();
    let first = project.run(&["run", "--nightly", "--at", "2026-01-21T03:30:00Z"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let second = project.run(&["--json", "run", "--nightly", "--at", "2026-01-22T03:30:00Z"]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    let nights = lineage(&project);
    let outcome = |night: &Value| night["outcome"].as_str().unwrap().to_owned();
    assert_eq!(nights.len(), 2, "{nights:?}");
    assert!(["candidate", "rejected"].contains(&outcome(&nights[0]).as_str()), "{}", nights[0]);
    assert_eq!((nights[0]["days"].as_array().unwrap().len(), nights[0]["champion"].is_null()), (20, true));
    let challenger = nights[0]["challenger"].as_str().unwrap();
    assert_eq!(project.run(&["verify", project.path("models/candidates").join(&challenger[..16]).to_str().unwrap()]).code, 0);
    assert_eq!(outcome(&nights[1]), "no_data");
    assert_eq!(serde_json::from_str::<Value>(&second.stdout).unwrap()["outcome"], "no_data");
    assert!(!project.path("models/deployment.json").exists(), "nothing is promoted by itself");
}

#[test]
fn a_night_of_bad_data_is_noted_and_changes_nothing() {
    let project = Project::generated(SMALL);
    project.write("data/raw/2026-01-21-routing-outcomes.jsonl", &"{\"trace_id\": \n".repeat(400));
    let ran = project.run(&["run", "--nightly"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let nights = lineage(&project);
    assert_eq!((nights.len(), nights[0]["outcome"].as_str()), (1, Some("failed")));
    assert!(nights[0]["why"][0].as_str().unwrap().contains("ingest"), "{}", nights[0]);
}
