//! The commands of operations on a cascade, as an operator types them.

use std::io::Write as _;

use serde_json::Value;

use crate::project::Project;

/// The quick start's log, with enough events for every table.
const QUICK: &[&str] = &["--format", "cortex", "-n", "500", "--seed", "4"];

/// A log of which a third was asked on in shadow, long enough to prove something.
const SHADOWED: &[&str] = &["--format", "cortex", "-n", "12000", "--seed", "5", "--epsilon", "0.3"];

fn document(project: &Project, arguments: &[&str]) -> Value {
    let ran = project.run(&[&["--json"], arguments].concat());
    assert!([0, 12].contains(&ran.code), "{arguments:?}: {}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn the_quick_start_of_the_seed_works_on_a_log_without_tables() {
    let project = Project::generated(QUICK);
    let dashboard = project.run(&["dashboard", "-w", "168"]).stdout;
    for text in ["ROUTING PERFORMANCE DASHBOARD", "Total routes: 500", "Layer 1 - keyword", "━━━ Layer Performance ━━━", "Trends", "Alerts"]
    {
        assert!(dashboard.contains(text), "{text}: {dashboard}");
    }
    let analysis = project.run(&["analyze"]).stdout;
    assert!(analysis.contains("=== Layer: rag ===") && analysis.contains("=== Recommendations ==="), "{analysis}");
    let semantic = project.run(&["analyze", "-l", "semantic", "-w", "72"]).stdout;
    assert!(semantic.contains("Would have been correct") && !semantic.contains("Layer: rag"), "{semantic}");
    let config = std::fs::read(project.path("data/raw/config.json")).unwrap();
    assert_eq!(project.run(&["tune", "-d", "-w", "168"]).code, 0);
    assert_eq!(project.run(&["tune", "-w", "168"]).code, 0);
    assert_eq!(std::fs::read(project.path("data/raw/config.json")).unwrap(), config, "a dry run is the default");
    let profile = project.run(&["profile", "-w", "168"]).stdout;
    assert!(profile.contains("Bottlenecks") && profile.contains("pytorch"), "{profile}");
}

#[test]
fn every_command_of_the_tracking_guide_has_one_here_that_runs() {
    let page = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("GUIDES.md")).unwrap();
    let (_, table) = page.split_once("| the guide | here |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let commands: Vec<&str> = table.lines().filter_map(|line| line.rsplit_once("| `routewright ")?.1.strip_suffix("` |")).collect();
    assert_eq!(commands.len(), 13, "{commands:?}");
    let project = Project::empty();
    for command in commands.into_iter().filter(|command| !command.contains("--live")) {
        let ran = project.run(&command.split_whitespace().collect::<Vec<_>>());
        let fired = command == "alerts" && ran.code == 12;
        assert!(ran.code == 0 || fired, "{command}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn tables_and_log_tell_the_same_and_new_lines_count() {
    let project = Project::generated(QUICK);
    let log = project.path("data/raw/performance.jsonl");
    let from_log = document(&project, &["dashboard", "-w", "48", "--input", log.to_str().unwrap()]);
    assert_eq!(project.run(&["cascade"]).code, 0);
    let from_tables = document(&project, &["dashboard", "-w", "48"]);
    assert_eq!(from_log["overview"], from_tables["overview"]);
    assert!(from_tables["origin"].as_str().unwrap().starts_with("tables of"));
    let text = std::fs::read_to_string(&log).unwrap();
    let last = text.lines().last().unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    writeln!(file, "{}", last.replace("\"event_id\":\"route-", "\"event_id\":\"route-new-")).unwrap();
    let with_new = document(&project, &["dashboard", "-w", "48"]);
    let events = |document: &Value| document["overview"]["events"].as_u64().unwrap();
    assert_eq!(events(&with_new), events(&from_tables) + 1);
    let report = project.json("reports/cascade.json");
    assert_eq!((report["schema_version"].as_u64(), report["overview"]["events"].as_u64()), (Some(1), Some(500)));
    assert_eq!(report["layers"].as_array().unwrap().len(), 5);
}

#[test]
fn tables_know_their_log_again_from_another_folder() {
    let folder = Project::generated(QUICK);
    let root = folder.path("");
    let run_in = |place: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_routewright"));
        let output = command.args(arguments).current_dir(root.join(place)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run_in("", &["ingest"]);
    let log = root.join("data/raw/performance.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let last = text.lines().last().unwrap();
    let new = last.replace("\"event_id\":\"route-", "\"event_id\":\"route-new-");
    // What ingest has read counts no more, whatever stands there now: only the line after it is new.
    let garbled = text.replacen("\"event_id\":\"route-", "\"event_it\":\"route-", 400);
    assert_eq!(garbled.len(), text.len());
    std::fs::write(&log, garbled + &new + "\n").unwrap();
    for (place, project) in [("", "."), ("data/raw", "../.."), ("reports", "..")] {
        std::fs::create_dir_all(root.join(place)).unwrap();
        let shown = run_in(place, &["--project", project, "--json", "dashboard", "-w", "168"]);
        let shown: Value = serde_json::from_slice(&shown).unwrap();
        assert_eq!((shown["rejected"].as_u64(), shown["overview"]["events"].as_u64()), (Some(0), Some(501)), "from `{place}`");
    }
}

#[test]
fn an_analysis_is_one_json_document_and_unknown_layers_are_named() {
    let project = Project::generated(QUICK);
    let ran = project.run(&["analyze", "-f", "json", "-l", "semantic", "-w", "168"]);
    let analysis: Value = serde_json::from_str(&ran.stdout).unwrap();
    let layer = &analysis["layers"][0];
    assert_eq!((layer["layer"]["layer"].as_str(), analysis["layers"].as_array().unwrap().len()), (Some("semantic"), 1));
    let threshold = &layer["threshold"];
    assert_eq!(
        threshold["below"].as_u64().unwrap() + threshold["above"].as_u64().unwrap(),
        layer["layer"]["success"]["n"].as_u64().unwrap()
    );
    let unknown = project.run(&["analyze", "-l", "sematic"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("the log has keyword, semantic, rag"), "{}", unknown.stderr);
    assert_eq!(project.run(&["analyze", "-w", "0"]).code, 2);
    let nothing = Project::empty().run(&["dashboard"]);
    assert_eq!(nothing.code, 3);
    assert!(nothing.stderr.contains("generate --format cortex -n 500"), "{}", nothing.stderr);
}

#[test]
fn proven_thresholds_are_applied_and_taken_back() {
    let project = Project::generated(SHADOWED);
    let place = project.path("data/raw/config.json");
    let before = std::fs::read_to_string(&place).unwrap();
    let tuned = document(&project, &["tune", "-w", "168", "-s", "0.1"]);
    assert_eq!(tuned["tuning"]["changed"], true, "{}", tuned["tuning"]["reason"]);
    assert!(tuned["diff"].as_str().unwrap().contains("+      \"confidence_threshold\": "), "{}", tuned["diff"]);
    assert_eq!(std::fs::read_to_string(&place).unwrap(), before);
    let applied = project.run(&["tune", "-w", "168", "-s", "0.1", "--apply"]);
    assert!(applied.stdout.contains("written to"), "{}", applied.stdout);
    let after = std::fs::read_to_string(&place).unwrap();
    assert_ne!(after, before);
    assert_eq!(after.lines().count(), before.lines().count());
    let undone = project.run(&["tune", "--undo"]);
    assert_eq!((undone.code, std::fs::read_to_string(&place).unwrap()), (0, before), "{}", undone.stderr);
    assert_eq!(project.run(&["tune", "--undo"]).code, 2);
    let audit = std::fs::read_to_string(project.path("data/raw/config.json.audit.jsonl")).unwrap();
    assert_eq!(audit.lines().count(), 2);
}

#[test]
fn an_alert_exits_12_holds_on_and_is_scraped() {
    let project = Project::generated(QUICK);
    let loose = ["accuracy.alert=0.5", "capture_1.alert=0.01", "capture_2.alert=0.01", "clarification.alert=0.9", "latency.alert=900.0"];
    let loose: Vec<String> = loose.iter().map(|rule| format!("cascade.alerts.{rule}")).collect();
    let flags = loose.iter().flat_map(|rule| ["--set", rule.as_str()]);
    let calm = project.run(&["alerts", "-w", "168"].into_iter().chain(flags).collect::<Vec<_>>());
    assert_eq!(calm.code, 0, "{}", calm.stdout);
    let strict = ["--set", "cascade.alerts.latency={metric='latency_mean',target=1.0,alert=2.0}"];
    let fired = project.run(&[&["alerts", "-w", "168"], &strict[..]].concat());
    assert_eq!(fired.code, 12, "{}", fired.stdout);
    assert!(fired.stdout.contains("FIRING   latency"), "{}", fired.stdout);
    let metrics = std::fs::read_to_string(project.path("reports/alerts.prom")).unwrap();
    assert!(metrics.contains("routewright_cascade_alert_firing{alert=\"latency\",layer=\"\"} 1\n"), "{metrics}");
    assert!(project.json("reports/alerts.json")["state"]["latency"].is_number());
    let wrong = project.run(&["alerts", "--set", "cascade.alerts.accuracy.alert=0.95"]);
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    let grafana: Value = serde_json::from_str(&project.run(&["alerts", "--grafana"]).stdout).unwrap();
    for panel in grafana["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let name = target["expr"].as_str().unwrap().split("routewright_cascade_").nth(1).unwrap();
            let name: String = name.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
            assert!(metrics.contains(&format!("routewright_cascade_{name}")), "{name} is shown and never written");
        }
    }
}

#[test]
fn the_live_dashboard_wants_a_terminal() {
    let ran = Project::generated(QUICK).run(&["dashboard", "--live"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("needs a terminal"), "{}", ran.stderr);
}
