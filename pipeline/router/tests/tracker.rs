//! The tracker under threads, processes and kills: what was acknowledged is in the log, whole and once.
#![expect(clippy::unwrap_used, reason = "fixtures of tests stop at the first error")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use routewright_domain::{Rng, Seed};
use routewright_router::{LogSettings, Outcome, Tracker, TrackerSettings};
use serde_json::{Map, Value};

const N_PROCESSES: usize = 4;
const N_THREADS: usize = 8;
const N_KILLS: usize = 12;

/// Tells a process of the storm where to write.
const FOLDER: &str = "ROUTEWRIGHT_STORM";

fn open(folder: &Path, queue: usize) -> Tracker {
    // Small files, so that rotation happens under the storm as well.
    let log = LogSettings { queue, max_bytes: 200_000, ..LogSettings::default() };
    Tracker::open(&folder.join("performance.jsonl"), TrackerSettings { log, ..TrackerSettings::default() }).unwrap()
}

fn route(tracker: &Tracker) -> String {
    let routing = tracker.start_routing(&"restart the web server ".repeat(20), None, Map::new());
    tracker.finalize_routing(routing, "cicd-master", "keyword", 0.9, &BTreeMap::new()).unwrap()
}

/// Routes until it is killed and notes what it was told to be in the file: at once without a queue, after a flush with one.
fn storm(folder: &Path, thread: usize, tracker: &Tracker, is_queued: bool) {
    let name = format!("acknowledged-{}-{thread}", std::process::id());
    let mut acknowledged = File::options().create_new(true).append(true).open(folder.join(name)).unwrap();
    loop {
        let ids: Vec<String> = (0..8).map(|_| route(tracker)).collect();
        if is_queued {
            tracker.flush().unwrap();
        }
        acknowledged.write_all(format!("{}\n", ids.join("\n")).as_bytes()).unwrap();
    }
}

#[test]
#[ignore = "one process of the storm; the test below starts it"]
#[expect(clippy::disallowed_methods, reason = "the process is told by its environment where to write")]
fn a_process_of_the_storm() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let (direct, queued) = (open(&folder, 0), open(&folder, 64));
    std::thread::scope(|scope| {
        for thread in 0..N_THREADS {
            let is_queued = thread % 2 == 0;
            let (folder, tracker) = (&folder, if is_queued { &queued } else { &direct });
            scope.spawn(move || storm(folder, thread, tracker, is_queued));
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "the storm needs processes to kill")]
fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_of_the_storm", "--ignored", "--quiet"])
        .env(FOLDER, folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

fn text(path: &Path) -> String {
    let mut text = String::new();
    File::options().read(true).open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}

/// The files of a folder whose names begin so.
#[expect(clippy::disallowed_methods, reason = "the test looks at what was written")]
fn files(folder: &Path, start: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(start)).collect()
}

#[test]
fn nothing_acknowledged_is_lost_or_torn_when_processes_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng: Rng = Seed(11).rng();
    let mut processes: Vec<Child> = (0..N_PROCESSES).map(|_| start(folder.path())).collect();
    for kill in 0..N_KILLS {
        std::thread::sleep(Duration::from_millis(40 + rand::Rng::next_u64(&mut rng) % 120));
        let process = &mut processes[kill % N_PROCESSES];
        process.kill().unwrap();
        process.wait().unwrap();
        *process = start(folder.path());
    }
    for process in &mut processes {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    // The next writer mends what the last kill left.
    let last = route(&open(folder.path(), 0));
    let mut logs = files(&folder.path().join("archive"), "performance");
    logs.push(folder.path().join("performance.jsonl"));
    let mut seen = BTreeSet::new();
    for log in &logs {
        let content = text(log);
        assert!(content.ends_with('\n'), "{}", log.display());
        for line in content.lines() {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", log.display()));
            assert!(seen.insert(event["event_id"].as_str().unwrap().to_owned()), "twice: {line}");
        }
    }
    assert!(seen.contains(&last));
    let mut n_acknowledged = 0;
    for file in files(folder.path(), "acknowledged") {
        let content = text(&file);
        // A kill may leave the note itself unfinished.
        let whole = content.rfind('\n').map_or("", |end| &content[..end]);
        for id in whole.lines() {
            assert!(seen.contains(id), "{id} was acknowledged and is not in the log");
            n_acknowledged += 1;
        }
    }
    assert!(n_acknowledged > 100, "only {n_acknowledged} acknowledged");
}

#[test]
fn threads_share_a_queue_and_dropping_it_writes_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = open(folder.path(), 16);
    std::thread::scope(|scope| {
        for _ in 0..N_THREADS {
            scope.spawn(|| (0..50).for_each(|_| drop(route(&tracker))));
        }
    });
    drop(tracker);
    let events = open(folder.path(), 0).recent_events(1000).unwrap();
    assert_eq!(events.len(), N_THREADS * 50);
}

#[test]
fn a_full_queue_drops_and_counts_where_it_may_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let log = LogSettings { queue: 1, linger_ms: 0, when_full: routewright_router::WhenFull::Drop, ..LogSettings::default() };
    let path = folder.path().join("performance.jsonl");
    let tracker = Tracker::open(&path, TrackerSettings { log, ..TrackerSettings::default() }).unwrap();
    (0..2000).for_each(|_| drop(route(&tracker)));
    tracker.flush().unwrap();
    let counts = tracker.counts();
    assert_eq!((counts.accepted, counts.failed), (2000, 0));
    assert_eq!(counts.written + counts.dropped, 2000);
    assert_eq!(text(&path).lines().count() as u64, counts.written);
}

#[test]
fn a_log_that_cannot_be_written_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = open(folder.path(), 8);
    // A folder where the file should be.
    std::fs::create_dir(folder.path().join("performance.jsonl")).unwrap();
    route(&tracker);
    assert!(tracker.flush().unwrap_err().to_string().contains("cannot be written or read"));
    assert_eq!((tracker.counts().written, tracker.counts().failed), (0, 1));
    let error = tracker.record_outcome("route-x", &Outcome::default()).unwrap_err();
    assert!(error.to_string().contains("performance.jsonl"), "{error}");
}
