//! What is killed at any moment leaves the state before it or the one after it, and run again it ends with the bytes of one that was left alone.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::project::Project;

/// Everything that an ingest wrote and that others read, by relative name.
fn written(project: &Project) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in ["data/decisions", "data/layers", "data/assignments", "data/quarantine"] {
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

/// Starts a command and kills it after a while, if it still runs then.
fn kill_after(project: &Project, arguments: &[&str], moment: Duration) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_routewright"))
        .arg("--project")
        .arg(project.path(""))
        .args(arguments)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// How many times something is killed: `ROUTEWRIGHT_KILLS`, 5 by default.
fn n_kills() -> u32 {
    std::env::var("ROUTEWRIGHT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// Moments spread over a run, each a little further than even steps.
fn moment(kill: u32, whole: Duration) -> Duration {
    whole.mul_f64((f64::from(kill) * 0.618_034).fract())
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
        kill_after(&project, &["ingest"], moment(kill, whole));
        let ran = project.run(&["ingest"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(written(&project) == expected, "killed at moment {kill}");
    }
}

/// A rollout as somebody types it: an artifact in shadow, at full, its successor, back, and back to the rules.
const ROLLOUT: [&[&str]; 5] = [
    &["deploy", "shadow", "--artifact", "one", "--at", "2026-02-01T02:00:00Z"],
    &["deploy", "full", "--force", "a test", "--at", "2026-02-02T02:00:00Z"],
    &["deploy", "canary", "--artifact", "two", "--force", "a test", "--at", "2026-02-03T02:00:00Z"],
    &["rollback", "--reason", "a test", "--at", "2026-02-04T02:00:00Z"],
    &["rollback", "--to", "static", "--at", "2026-02-05T02:00:00Z"],
];

/// The deployment on file; none before the first.
fn deployed(project: &Project) -> Option<Vec<u8>> {
    std::fs::read(project.path("models/deployment.json")).ok()
}

/// The artifacts that can be returned to.
fn kept(project: &Project) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(project.path("models/deployed")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with(".unfinished-")).collect()
}

/// Puts a folder's files back.
fn restore(project: &Project, folder: &str, files: &[(String, Vec<u8>)]) {
    std::fs::remove_dir_all(project.path(folder)).unwrap_or_default();
    for (name, bytes) in files {
        let place = project.path(folder).join(name);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
    }
}

#[test]
fn a_deploy_or_a_rollback_that_was_killed_leaves_the_deployment_before_it_or_after_it() {
    let project = Project::empty();
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/artifact-v1");
    for (name, seed) in [("one", "1"), ("two", "2")] {
        std::fs::create_dir_all(project.path(name)).unwrap();
        for entry in std::fs::read_dir(&sample).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, project.path(name).join(path.file_name().unwrap())).unwrap();
        }
        let manifest = std::fs::read_to_string(sample.join("manifest.json")).unwrap();
        project.write(&format!("{name}/manifest.json"), &manifest.replace("\"seed\": 9", &format!("\"seed\": {seed}")));
    }
    std::fs::create_dir_all(project.path("models")).unwrap();
    let places = ["one", "two"].map(|name| project.path(name));
    // What every command finds, how long it takes, and what it leaves when nothing disturbs it.
    let undisturbed: Vec<_> = ROLLOUT
        .map(|command| {
            let typed: Vec<&str> = command
                .iter()
                .map(|word| match *word {
                    "one" => places[0].to_str().unwrap(),
                    "two" => places[1].to_str().unwrap(),
                    other => other,
                })
                .collect();
            let (found, before, started) = (project.files("models"), deployed(&project), Instant::now());
            let ran = project.run(&typed);
            assert_eq!(ran.code, 0, "{typed:?}: {}", ran.stderr);
            (typed, found, before, started.elapsed(), deployed(&project))
        })
        .into();
    for kill in 0..n_kills() {
        let (typed, found, before, whole, after) = &undisturbed[kill as usize % ROLLOUT.len()];
        restore(&project, "models", found);
        kill_after(&project, typed, moment(kill, *whole));
        let left = deployed(&project);
        assert!(left == *before || left == *after, "{typed:?} killed at moment {kill} left {left:?}");
        for digest in kept(&project) {
            let ran = project.run(&["verify", project.path("models/deployed").join(&digest).to_str().unwrap()]);
            assert_eq!(ran.code, 0, "{typed:?} killed at moment {kill} left half of {digest}: {}", ran.stderr);
        }
        if left == *before {
            assert_eq!(project.run(typed).code, 0, "{typed:?} after a kill at moment {kill}");
        }
        assert!(deployed(&project) == *after, "{typed:?} again after a kill at moment {kill}");
    }
}
