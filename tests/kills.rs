//! An ingest that is killed at any moment and run again ends with the bytes of one that was left alone.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::project::Project;

/// Everything that an ingest wrote and that others read, by relative name.
fn written(project: &Project) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in ["data/decisions", "data/layers", "data/quarantine"] {
        files.extend(
            project
                .files(folder)
                .into_iter()
                .filter(|(name, _)| !name.contains(".ingest"))
                .map(|(name, bytes)| (format!("{folder}/{name}"), bytes)),
        );
    }
    files.push(("data/ingest.json".to_owned(), std::fs::read(project.path("data/ingest.json")).unwrap()));
    files
}

/// Starts an ingest and kills it after a while, if it still runs then.
fn kill_after(project: &Project, moment: Duration) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_routewright"))
        .arg("--project")
        .arg(project.path(""))
        .arg("ingest")
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// How many times the ingest is killed: `ROUTEWRIGHT_KILLS`, 5 by default.
fn n_kills() -> u32 {
    std::env::var("ROUTEWRIGHT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

#[test]
fn an_ingest_that_was_killed_ends_with_the_same_bytes() {
    let project = Project::generated(&["-n", "3000", "--seed", "4", "--days", "10"]);
    let first = project.path("data/raw/2026-01-01-routing-outcomes.jsonl");
    let late = std::fs::read(&first).unwrap();
    let half = late.len() / 2;
    std::fs::write(&first, &late[..half]).unwrap();
    // The store to begin with, and what an undisturbed ingest makes of the rest.
    let reset = || {
        std::fs::write(&first, &late[..half]).unwrap();
        let ran = project.run(&["ingest", "--force"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        std::fs::write(&first, &late).unwrap();
    };
    reset();
    let started = Instant::now();
    assert_eq!(project.run(&["ingest"]).code, 0);
    let whole = started.elapsed();
    let expected = written(&project);
    for kill in 0..n_kills() {
        reset();
        // Moments spread over the run, each a little further than even steps.
        kill_after(&project, whole.mul_f64((f64::from(kill) * 0.618_034).fract()));
        let ran = project.run(&["ingest"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(written(&project) == expected, "killed at moment {kill}");
    }
}
