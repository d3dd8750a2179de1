//! Rollouts as an operator types them: steps, refusals, rollback, monitoring, and the table of the guide's commands.

use std::path::Path;

use serde_json::Value;

use crate::project::{Project, Ran};

/// The frozen sample of the artifact's first version.
const ARTIFACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/artifact-v1");

/// A project with an artifact, a decision about it, and a gateway whose log grows.
struct Rollout {
    project: Project,
    day: i64,
    log: String,
}

impl Rollout {
    fn new(verdict: &str) -> Self {
        let project = Project::empty();
        std::fs::create_dir_all(project.path("models/artifact")).unwrap();
        for entry in std::fs::read_dir(ARTIFACT).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, project.path("models/artifact").join(path.file_name().unwrap())).unwrap();
        }
        let models = project.json("models/artifact/manifest.json")["files"]["forest.bin"]["sha256"].clone();
        let decision = serde_json::json!({
            "schema_version": 1, "verdict": verdict, "reason": "PROVEN", "summary": "as the test wants it.",
            "provenance": { "artifact_digest": models },
        });
        project.write("reports/decision.json", &decision.to_string());
        Self { project, day: 1, log: String::new() }
    }

    /// A week with 400 tasks on each of its last three days, at the deployed share, with successes in percent.
    fn week(&mut self, treated: u32, control: u32) {
        let place = self.project.path("models/deployment.json");
        let share = if place.exists() {
            self.project.json("models/deployment.json")["configuration"]["ab_test_percentage"].as_f64().unwrap()
        } else {
            0.0
        };
        for weekday in 0..7 {
            let n_tasks = if weekday < 4 { 0 } else { 400_u32 };
            for row in 0..n_tasks {
                let is_treated = f64::from(row * 7 % 100) < share * 100.0;
                let (group, method, rate) = if is_treated { ("treatment", "ml", treated) } else { ("control", "rule-based", control) };
                let outcome = if row * 37 % 100 < rate { "completed" } else { "failed" };
                let time = time(self.day, 12 * 60 + i64::from(row % 60));
                self.log.push_str(&format!(
                    "{{\"timestamp\":\"{time}\",\"task_id\":\"task-{}-{row}\",\"method\":\"{method}\",\"selected_master\":\"chat\",\"confidence\":0.85,\"ab_test_group\":\"{group}\",\"outcome\":\"{outcome}\",\"latency_ms\":12.5,\"rag_hit\":true,\"error\":false}}\n",
                    self.day,
                ));
            }
            self.day += 1;
        }
        self.project.write("data/raw/ml-router-metrics.jsonl", &self.log);
    }

    /// Runs a command at two in the morning after the last day of the log.
    fn at_night(&self, arguments: &[&str]) -> Ran {
        self.project.run(&[arguments, &["--at", &time(self.day, 120)]].concat())
    }

    fn share(&self) -> f64 {
        self.project.json("models/deployment.json")["configuration"]["ab_test_percentage"].as_f64().unwrap()
    }
}

/// A moment of a day of 2026, counted from 1 January as day 1, as RFC 3339.
fn time(day: i64, minutes: i64) -> String {
    jiff::Timestamp::from_second(1_767_225_600 + (day - 1) * 86_400 + minutes * 60).unwrap().to_string()
}

#[test]
fn a_step_that_waits_a_step_that_is_refused_and_a_breach_have_codes_of_their_own() {
    let mut rollout = Rollout::new("ADOPT");
    assert_eq!(rollout.at_night(&["deploy", "shadow"]).code, 0);
    let waits = rollout.at_night(&["deploy", "canary"]);
    assert_eq!(waits.code, 11, "{}", waits.stderr);
    assert!(waits.stderr.contains("0.0 days at shadow (0 %), 7 are needed"), "{}", waits.stderr);
    let skips = rollout.at_night(&["deploy", "50"]);
    assert_eq!((skips.code, skips.stderr.contains("the next step is canary (10 %)")), (2, true), "{}", skips.stderr);
    assert_eq!(rollout.project.run(&["deploy", "33"]).code, 2);
    rollout.week(80, 80);
    assert_eq!(rollout.at_night(&["deploy", "next"]).code, 0);
    assert_eq!(rollout.share(), 0.1);
    rollout.week(40, 80);
    let status = rollout.at_night(&["deploy", "status"]);
    assert_eq!(status.code, 12, "{}", status.stdout);
    assert!(
        status.stdout.contains("a guardrail is breached") && status.stdout.contains("success breached on 2026-01-"),
        "{}",
        status.stdout
    );
    let refused = rollout.at_night(&["deploy", "25"]);
    assert_eq!((refused.code, rollout.share()), (10, 0.1), "{}", refused.stderr);
    let dry = rollout.at_night(&["deploy", "next", "--dry-run"]);
    assert_eq!((dry.code, rollout.share()), (12, 0.1), "a dry run changes nothing");
    let stopped = rollout.at_night(&["deploy", "next"]);
    assert_eq!((stopped.code, rollout.share()), (12, 0.0), "{}", stopped.stdout);
    let environment = rollout.project.run(&["deploy", "status", "--env"]).stdout;
    assert!(environment.starts_with("export AB_TEST_PERCENTAGE=0\nexport ENABLE_NEURAL=false\n"), "{environment}");
}

#[test]
fn a_verdict_that_is_not_accepted_takes_no_traffic_without_force() {
    let mut rollout = Rollout::new("KEEP");
    assert_eq!(rollout.at_night(&["deploy", "shadow"]).code, 0);
    rollout.week(80, 80);
    let refused = rollout.at_night(&["deploy", "canary"]);
    assert_eq!((refused.code, refused.stderr.contains("REFUSED: KEEP (PROVEN)")), (10, true), "{}", refused.stderr);
    let forced = rollout.at_night(&["deploy", "canary", "--force", "a pilot was agreed"]);
    assert_eq!((forced.code, rollout.share()), (0, 0.1), "{}", forced.stderr);
    let history = rollout.project.json("models/deployment.json")["history"].clone();
    assert_eq!(history[1]["forced"], "a pilot was agreed");
    // The models on trial are not those that were judged: no verdict at all.
    let mut other = Rollout::new("ADOPT");
    let mut decision = other.project.json("reports/decision.json");
    decision["provenance"]["artifact_digest"] = "another".into();
    other.project.write("reports/decision.json", &decision.to_string());
    other.at_night(&["deploy", "shadow"]);
    other.week(80, 80);
    assert_eq!(other.at_night(&["deploy", "canary"]).code, 11);
}

#[test]
fn what_is_damaged_is_refused_with_the_file_and_the_way_out() {
    let rollout = Rollout::new("ADOPT");
    std::fs::write(rollout.project.path("models/artifact/history.bin"), b"rot").unwrap();
    let refused = rollout.project.run(&["deploy", "shadow", "--force", "trust me"]);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains("models/artifact") && refused.stderr.contains("history.bin"), "{}", refused.stderr);
    rollout.project.write("models/deployment.json", "{\"schema_version\": 1");
    for command in [&["deploy", "status"][..], &["rollback"], &["monitor"]] {
        let refused = rollout.project.run(command);
        assert_eq!((refused.code, refused.stderr.contains("models/deployment.json")), (3, true), "{command:?}: {}", refused.stderr);
    }
    let empty = Project::empty();
    assert_eq!([empty.run(&["rollback"]).code, empty.run(&["deploy", "canary"]).code, empty.run(&["deploy", "status"]).code], [2, 2, 0]);
}

#[test]
fn settings_of_a_rollout_are_checked_before_anything_runs() {
    let rollout = Rollout::new("ADOPT");
    rollout.project.write("pipeline.toml", "[deploy]\naccept = [\"ADOPPT\"]\n");
    let refused = rollout.project.run(&["deploy", "shadow"]);
    assert_eq!(
        (refused.code, refused.stderr.contains("line 2") && refused.stderr.contains("names `ADOPPT`")),
        (2, true),
        "{}",
        refused.stderr
    );
    rollout.project.write("pipeline.toml", "[deploy]\nmin_day = 3\n");
    let refused = rollout.project.run(&["deploy", "shadow"]);
    assert!(refused.code == 2 && refused.stderr.contains("did you mean `min_days`?"), "{}", refused.stderr);
}

#[test]
fn monitor_prints_the_block_of_the_guide() {
    let mut rollout = Rollout::new("ADOPT");
    rollout.at_night(&["deploy", "shadow"]);
    rollout.at_night(&["deploy", "canary", "--force", "a test"]);
    rollout.week(95, 80);
    let shown = rollout.at_night(&["monitor"]).stdout;
    let block =
        "📊 ML Router Metrics\n====================\nTotal routes: 1200\nML routes: 120\nRule-based routes: 1080\nML percentage: 10.00%\n";
    assert!(shown.starts_with(block), "{shown}");
    for line in [
        "- [x] A/B test running with 10% ML traffic: 10.00 % of 1200 tasks in the treatment group, 10.00 % were declared",
        "- [x] Routing accuracy >= baseline (rule-based): success ",
        "- [x] RAG providing relevant context (>80% hit rate): 100.0 % of 1200",
        "- [x] Latency < 100ms per routing decision: p50 12.5",
        "- [x] Zero routing errors/exceptions: none in 1200 decisions",
        "- [x] Metrics collection working: 1200 tasks, the newest 13.",
        "- [ ] Rollback procedure tested: never rolled back",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let log = rollout.project.path("data/raw/ml-router-metrics.jsonl");
    let document: Value =
        serde_json::from_str(&rollout.at_night(&["--json", "monitor", "-w", "36", "--input", log.to_str().unwrap()]).stdout).unwrap();
    assert_eq!((&document["total_routes"], &document["criteria"][6]["met"]), (&800.into(), &"no".into()));
    assert_eq!(Project::empty().run(&["monitor"]).code, 0, "no log is no task");
}

#[test]
fn every_command_of_the_guide_has_one_here_that_runs() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../rollout/ROLLOUT.md")).unwrap();
    let (_, table) = page.split_once("| the guide | here |").unwrap();
    let commands: Vec<&str> = table.lines().filter_map(|line| line.rsplit_once("| `routewright ")?.1.strip_suffix("` |")).collect();
    assert!(commands.len() >= 15, "{commands:?}");
    let mut rollout = Rollout::new("ADOPT");
    for command in commands {
        let mut words: Vec<&str> = Vec::new();
        command
            .split('"')
            .enumerate()
            .for_each(|(part, text)| if part % 2 == 1 { words.push(text) } else { words.extend(text.split_whitespace()) });
        let has_time = words.iter().any(|word| ["deploy", "rollback", "monitor"].contains(word));
        if words[0] == "deploy" && words[1] != "status" {
            rollout.week(95, 80);
        }
        let ran = if has_time { rollout.at_night(&words) } else { rollout.project.run(&words) };
        assert_eq!(ran.code, 0, "{command}: {}{}", ran.stdout, ran.stderr);
    }
    let history = rollout.project.json("models/deployment.json")["history"].clone();
    let shares: Vec<f64> = history.as_array().unwrap().iter().map(|event| event["share"].as_f64().unwrap()).collect();
    assert_eq!(shares, [0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 0.0]);
}
