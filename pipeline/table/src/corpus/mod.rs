//! Tests of the whole ingest: bad input, accounting, evolution, privacy, and what is read from its tables.

#[cfg(test)]
mod accounting;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod evolution;
#[cfg(test)]
mod other_formats;
#[cfg(test)]
mod privacy;
#[cfg(test)]
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::*;

/// A project with one log, ingested.
pub(crate) struct Run {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) report: IngestReport,
    pub(super) quarantine: Vec<serde_json::Value>,
}

impl Run {
    pub(super) fn places(folder: &Path) -> IngestPlaces {
        IngestPlaces { decisions: folder.join("decisions"), layers: folder.join("layers"), quarantine: folder.join("quarantine") }
    }

    pub(super) fn of_files(files: &[(&str, &[u8])], settings: &IngestSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sources = folder.path().join("raw");
        fs::create_dir(&sources).unwrap();
        for (name, bytes) in files {
            fs::write(sources.join(name), bytes).unwrap();
        }
        let report = match ingest(&[sources], settings, &Self::places(folder.path()), &|_, _| {}) {
            Ok(report) => report,
            Err(IngestError::TooManyRejected { report, .. }) => *report,
            Err(error) => panic!("{error}"),
        };
        assert!(report.totals.adds_up(), "{:?}", report.totals);
        let quarantine = quarantined(&folder.path().join("quarantine"));
        assert_eq!(quarantine.len() as u64, report.totals.n_quarantined());
        Self { folder, report, quarantine }
    }

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::of_files(&[("log.jsonl", bytes)], &IngestSettings { max_rejected: 1.0, ..IngestSettings::default() })
    }

    pub(super) fn reasons(&self) -> Vec<(&str, u64)> {
        self.report.totals.quarantined.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
    }

    pub(super) fn decisions(&self) -> Vec<routewright_domain::Decision> {
        let decisions = Decisions::open(&self.folder.path().join("decisions")).unwrap();
        let rows: Vec<_> = decisions.days().flat_map(|(day, _)| decisions.read_day(day).unwrap()).collect();
        assert_eq!(rows.len() as u64, self.report.totals.kept);
        assert_eq!(decisions.n_rows(), self.report.totals.kept);
        rows
    }
}

pub(super) fn quarantined(folder: &Path) -> Vec<serde_json::Value> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
        .collect()
}

/// A good record with an id.
pub(super) fn good(id: &str) -> String {
    format!(
        r#"{{"trace_id":"{id}","timestamp":"2026-01-05T10:00:00Z","query":"q {id}","query_features":{{"length":3}},"routing_decision":{{"execution_path":"A"}},"execution_outcome":{{"success":true,"latency_ms":5}}}}"#
    )
}

/// A record with one more key, or another value of a key.
pub(super) fn with(part: &str) -> Vec<u8> {
    let base = r#"{"trace_id":"bad","timestamp":"2026-01-05T10:00:00Z","query":"q","routing_decision":{"execution_path":"A"}}"#;
    let object = part.split('"').nth(1).unwrap_or("");
    let text = match object {
        "trace_id" => base.replace(r#""trace_id":"bad""#, part),
        "timestamp" => base.replace(r#""timestamp":"2026-01-05T10:00:00Z""#, part),
        "query" => base.replace(r#""query":"q""#, part),
        "routing_decision" => base.replace(r#""routing_decision":{"execution_path":"A"}"#, part),
        _ => base.replace("{\"trace_id\"", &format!("{{{part},\"trace_id\"")),
    };
    assert_ne!(text, base);
    text.into_bytes()
}

/// In the routing decision, beside the path that ran.
pub(super) fn routed(part: &str) -> Vec<u8> {
    with(&format!(r#""routing_decision":{{"execution_path":"A",{part}}}"#))
}
pub(super) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Every file of a folder with its bytes.
pub(super) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                drop(all.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(path).unwrap()))
            }
        }
    }
    all
}

/// Records of several days in no order, some of them bad, twice or late.
pub(super) fn mixed_log(n_records: usize) -> String {
    let mut log = String::new();
    for position in 0..n_records {
        let scrambled = position * 7919 % n_records;
        let day = 1 + scrambled % 5;
        let record = good(&format!("t{:05}", scrambled % (n_records * 9 / 10)))
            .replace("2026-01-05T10:00:00", &format!("2026-01-{day:02}T{:02}:00:00", scrambled % 24));
        log.push_str(if position % 97 == 0 { "bad" } else { &record });
        log.push('\n');
    }
    log
}
