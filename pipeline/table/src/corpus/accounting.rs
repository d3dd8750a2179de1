//! What becomes of every record: duplicates, late outcomes, failures, and the same bytes on any number of threads.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use super::{Run, contents, good, mixed_log, quarantined};
use crate::formats::samples;
use crate::*;

#[test]
fn late_outcomes_copies_and_contradictions_are_told_apart() {
    let pending = good("a").replace("\"success\":true,\"latency_ms\":5", "\"success\":null");
    let rated = good("a").replace("\"latency_ms\":5}", "\"latency_ms\":5},\"quality_metrics\":{\"user_feedback\":\"positive\"}");
    let newer = good("a").replace("10:00:00Z", "11:00:00Z");
    let other = good("a").replace("\"success\":true", "\"success\":false");
    for (log, expected) in [
        (vec![&pending, &good("a")], (1, 0, 1, 0)),
        (vec![&good("a"), &pending], (1, 0, 1, 0)),
        (vec![&good("a"), &good("a"), &good("a")], (1, 0, 2, 0)),
        (vec![&good("a"), &rated], (1, 0, 1, 0)),
        (vec![&rated, &good("a")], (1, 0, 1, 0)),
        (vec![&newer, &good("a")], (1, 0, 1, 0)),
        (vec![&good("a"), &other], (1, 0, 0, 1)),
        (vec![&pending, &pending], (1, 1, 1, 0)),
    ] {
        let text: String = log.iter().map(|record| format!("{record}\n")).collect();
        let run = Run::of(text.as_bytes());
        let totals = &run.report.totals;
        assert_eq!((totals.kept, totals.pending, totals.duplicate, totals.n_quarantined()), expected, "{text}");
        run.decisions();
    }
}

#[test]
fn a_late_outcome_in_another_file_moves_the_count_and_the_day() {
    let late = good("a").replace("2026-01-05", "2026-01-06");
    let run = Run::of_files(&[("1.jsonl", good("a").as_bytes()), ("2.jsonl", late.as_bytes())], &IngestSettings::default());
    assert_eq!((run.report.files[0].counts.kept, run.report.files[0].counts.duplicate), (0, 1));
    assert_eq!((run.report.files[1].counts.kept, run.report.files[1].counts.duplicate), (1, 0));
    assert_eq!(run.report.days, BTreeMap::from([("2026-01-06".to_owned(), 1)]));
    assert!(!run.folder.path().join("decisions/day=2026-01-05").exists());
}

#[test]
fn too_many_rejects_leave_the_quarantine_and_no_tables() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    fs::write(&log, format!("{}\nbad\nworse\n", good("a"))).unwrap();
    let places = Run::places(folder.path());
    let error = ingest(&[log], &IngestSettings::default(), &places, &|_, _| {}).unwrap_err();
    assert_eq!(error.to_string(), "2 of 3 records were rejected (66.7 %), 5.0 % are allowed: not_json 2");
    assert_eq!(quarantined(&places.quarantine).len(), 2);
    assert_eq!(fs::read_dir(&places.decisions).unwrap().count(), 0);
    assert!(!places.layers.exists());
}

#[test]
fn nothing_to_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let places = Run::places(folder.path());
    let settings = IngestSettings::default();
    let none = ingest(&[folder.path().to_owned()], &settings, &places, &|_, _| {}).unwrap_err();
    assert!(matches!(none, IngestError::NoFiles { .. }), "{none}");
    fs::write(folder.path().join("empty.jsonl"), "\n \r\n").unwrap();
    let empty = ingest(&[folder.path().to_owned()], &settings, &places, &|_, _| {}).unwrap_err();
    assert_eq!(empty.to_string(), "no records in 1 files");
    let unknown = ingest(&[], &IngestSettings { format: Some("csv".into()), ..settings }, &places, &|_, _| {}).unwrap_err();
    assert_eq!(unknown.to_string(), "unknown format `csv`, there are e009, cortex, router-metrics, matrix");
}

#[test]
fn layers_belong_to_the_kept_events() {
    let done = samples::CORTEX.replace('\n', "");
    let running = done.replace("\"task_status\":\"completed\"", "\"task_status\":\"in_progress\"");
    let run = Run::of(format!("{running}\n{done}\n{done}\n").as_bytes());
    assert_eq!((run.report.totals.kept, run.report.totals.duplicate, run.report.n_layers), (1, 2, 2));
    let layers = read_layers(&run.folder.path().join("layers")).unwrap();
    assert_eq!(layers.iter().map(|layer| layer.layer_name.as_str()).collect::<Vec<_>>(), ["keyword", "semantic"]);
}

#[test]
fn threads_and_memory_do_not_change_a_byte() {
    let log = mixed_log(3000);
    let mut results = Vec::new();
    for (n_threads, memory_bytes) in [(1, 192 << 20), (2, 192 << 20), (4, 10_000)] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (raw, out) = (folder.path().join("log.jsonl"), folder.path().join("out"));
        fs::write(&raw, &log).unwrap();
        let settings = IngestSettings { max_rejected: 1.0, memory_bytes, ..IngestSettings::default() };
        let report = pool.install(|| {
            let mut report = ingest(std::slice::from_ref(&raw), &settings, &Run::places(&out), &|_, _| {}).unwrap();
            report.files[0].path.clear();
            report
        });
        let mut files = contents(&out);
        files.retain(|path, _| !path.starts_with("decisions/.ingest") && !path.starts_with("quarantine"));
        assert!(files.keys().all(|path| path.extension().is_some_and(|extension| extension == "parquet")), "{:?}", files.keys());
        results.push((report, files));
    }
    assert!(results[0].0.totals.duplicate > 100);
    assert!(results[0] == results[1]);
    assert!(results[0] == results[2]);
}

#[test]
fn days_are_in_order_and_so_are_their_rows() {
    let run = Run::of(mixed_log(500).as_bytes());
    let keys: Vec<_> = run.decisions().into_iter().map(|decision| (decision.timestamp, decision.trace_id)).collect();
    assert!(keys.is_sorted());
    assert_eq!(run.report.first, keys.first().map(|key| key.0));
    assert_eq!(run.report.last, keys.last().map(|key| key.0));
    assert_eq!(run.report.days.len(), 5);
}

#[test]
fn progress_ends_at_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    fs::write(&log, good("a")).unwrap();
    let last = Mutex::new((0, 0));
    ingest(&[log], &IngestSettings::default(), &Run::places(folder.path()), &|done, total| *last.lock().unwrap() = (done, total)).unwrap();
    assert_eq!(*last.lock().unwrap(), (good("a").len() as u64, good("a").len() as u64));
}
