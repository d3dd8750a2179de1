//! Drift, and chats for fine-tuning, as an operator types them.

use crate::project::Project;

/// A log of three weeks whose world hardly moves.
const LOG: &[&str] = &["-n", "2100", "--days", "21", "--seed", "3", "--epsilon", "0.2"];

#[test]
fn a_still_log_is_quiet_and_a_fall_of_success_fires() {
    let project = Project::generated(LOG);
    let still = project.run(&["drift"]);
    assert_eq!(still.code, 0, "{}{}", still.stdout, still.stderr);
    let report = project.json("reports/drift.json");
    assert_eq!((report["fired"].as_bool(), report["current"]["days"].as_u64()), (Some(false), Some(7)));
    for day in 15..=21 {
        let place = project.path(&format!("data/raw/2026-01-{day:02}-routing-outcomes.jsonl"));
        let text = std::fs::read_to_string(&place).unwrap();
        let fallen: Vec<String> = text
            .lines()
            .enumerate()
            .map(|(row, line)| if row % 4 == 0 { line.replace("\"success\":true", "\"success\":false") } else { line.to_owned() })
            .collect();
        std::fs::write(place, fallen.join("\n") + "\n").unwrap();
    }
    let fallen = project.run(&["--json", "drift"]);
    assert_eq!(fallen.code, 12, "{}{}", fallen.stdout, fallen.stderr);
    let report: serde_json::Value = serde_json::from_str(&fallen.stdout).unwrap();
    assert_eq!((report["fired"].as_bool(), report["retrain"].as_bool()), (Some(true), Some(true)));
    let success = report["findings"].as_array().unwrap().iter().find(|found| found["kind"] == "success").unwrap();
    assert!(success["effect"].as_f64().unwrap() < -10.0 && success["p"].as_f64().unwrap() <= 0.05, "{success}");
}

#[test]
fn a_short_log_says_nothing_about_drift() {
    let project = Project::generated(&["-n", "300", "--days", "6", "--seed", "3"]);
    let ran = project.run(&["drift"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("say nothing"), "{}", ran.stdout);
}

#[test]
fn chats_are_written_whole_and_pass_their_own_check() {
    let project = Project::generated(&["-n", "600", "--days", "10", "--seed", "3", "--epsilon", "0.2"]);
    assert_eq!(project.run(&["ingest"]).code, 0);
    let ran = project.run(&["finetune-data"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let folder = project.path("data/finetune");
    let checked = project.run(&["finetune-data", "--check", folder.to_str().unwrap()]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    let [train, valid] = ["train.jsonl", "valid.jsonl"].map(|name| std::fs::read_to_string(folder.join(name)).unwrap());
    assert!(train.lines().count() > valid.lines().count() && valid.lines().count() > 20);
    // A training chat among those that validate is found, with its file and line.
    std::fs::write(folder.join("valid.jsonl"), valid + train.lines().next().unwrap() + "\n").unwrap();
    let checked = project.run(&["finetune-data", "--check", folder.to_str().unwrap()]);
    assert_eq!(checked.code, 3);
    assert!(checked.stderr.contains("valid.jsonl`, line") && checked.stderr.contains("in another file"), "{}", checked.stderr);
}
