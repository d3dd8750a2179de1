//! What people and CIs read of a run, and the runs on record.

use crate::project::Project;

/// Enough decisions to train, few enough for a test.
const SMALL: &[&str] = &["-n", "1600", "--seed", "7", "--epsilon", "0.3", "--uplift", "8"];

#[test]
fn a_run_is_reported_to_people_machines_and_the_next_run() {
    let project = Project::generated(SMALL);
    let junit = project.path("junit.xml");
    let ran = project.run(&["--junit", junit.to_str().unwrap(), "--ci", "github", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("::group::report\n") && ran.stderr.contains("::endgroup::"), "{}", ran.stderr);

    let report = std::fs::read_to_string(project.path("reports/E-009-results.md")).unwrap();
    let headings: Vec<&str> = report.lines().filter(|line| line.starts_with("# ") || line.starts_with("## ")).collect();
    insta::assert_snapshot!(headings.join("\n"), @r"
    # E-009: learned routing against static routing
    ## Every policy on the held-out window
    ## How far the log can be trusted
    ## Uplift by query type
    ## How the learned router ages
    ## The seven questions of E-009
    ## The four questions of the exploratory analysis
    ## The models
    ## What was done
    ## Quality of the log
    ## Limits
    ");
    let metrics: Vec<&str> =
        report.lines().skip_while(|line| !line.starts_with("| metric")).take_while(|line| line.starts_with('|')).collect();
    let metrics: Vec<&str> = metrics.iter().map(|line| line.split('|').nth(1).unwrap().split('(').next().unwrap().trim()).collect();
    assert_eq!(
        metrics,
        [
            "metric",
            "---",
            "success rate",
            "mean latency",
            "p95 latency",
            "routing accuracy",
            "hallucination rate",
            "user satisfaction",
            "mean cost",
            "explainability",
            "retraining interval"
        ]
    );

    let page = std::fs::read_to_string(project.path("reports/report.html")).unwrap();
    assert!(page.contains("<svg ") && !page.contains("src=\"http") && page.len() < 3_000_000, "{} bytes", page.len());
    for line in std::fs::read_to_string(project.path("reports/metrics.prom")).unwrap().lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("routewright_") && value.parse::<f64>().is_ok(), "{line}");
    }
    let summary = std::fs::read_to_string(project.path("reports/summary.md")).unwrap();
    assert!(summary.starts_with("# routewright: ") && summary.len() < 65_536);
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.contains("<testsuite name=\"gates\"") && junit.contains("<testcase name=\"mean_weight\""), "{junit}");
    assert!(junit.contains("<testsuite name=\"stages\"") && junit.contains("<testcase name=\"export\""), "{junit}");
    let card = std::fs::read_to_string(project.path("models/artifact/MODEL_CARD.md")).unwrap();
    assert!(card.contains("## Intended use") && card.contains("## Limits"), "{card}");
    assert_eq!(project.run(&["verify"]).code, 0);

    let again = project.run(&["--set", "decide.hybrid_points=4", "run"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let runs: serde_json::Value = serde_json::from_str(&project.run(&["--json", "runs"]).stdout).unwrap();
    let ids: Vec<&str> = runs["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), runs["latest"].as_str()), (2, Some(ids[1])));
    let compared = project.run(&["--json", "compare", ids[0], "latest"]);
    assert_eq!(compared.code, 0, "{}", compared.stderr);
    let compared: serde_json::Value = serde_json::from_str(&compared.stdout).unwrap();
    assert_eq!(compared["settings"][0]["name"], "decide.hybrid_points");
    assert_eq!((compared["settings"].as_array().unwrap().len(), compared["inputs"].as_array().unwrap().len()), (1, 0));
    assert!(project.path("reports/runs/trend.svg").exists());
    assert!(project.run(&["compare", ids[0], "latest"]).stdout.contains("decide.hybrid_points: 3.0 → 4"), "{:?}", compared);
    let unknown = project.run(&["compare", "nobody", "latest"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("`routewright runs` lists them"), "{}", unknown.stderr);
}

#[test]
fn a_failed_run_tells_the_ci_what_failed_and_what_was_not_run() {
    let project = Project::empty();
    project.write("data/raw/2026-01-01-routing-outcomes.jsonl", "no json\n");
    let junit = project.path("junit.xml");
    let ran = project.run(&["--junit", junit.to_str().unwrap(), "--ci", "github", "run"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("::error title=stages%3A ingest::"), "{}", ran.stderr);
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.contains("<skipped") && junit.contains("failures=\"1\""), "{junit}");
    let runs = project.run(&["runs"]);
    assert!(runs.stdout.contains("failed: "), "{}", runs.stdout);
}

#[test]
fn a_project_that_is_not_there_is_refused_and_not_made() {
    let project = Project::empty();
    let typo = project.path("");
    std::fs::remove_dir(&typo).unwrap();
    for command in [&["status"][..], &["run"], &["config", "show"], &["runs"]] {
        let ran = project.run(command);
        assert_eq!(ran.code, 2, "{command:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("no project folder"), "{}", ran.stderr);
    }
    assert!(!typo.exists());
}
