//! Tests of the whole ingest: a corpus of bad input, the accounting, duplicates, compression, evolution, determinism.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::formats::samples;
use crate::*;

/// A project with one log, ingested.
struct Run {
    folder: tempfile::TempDir,
    report: IngestReport,
    quarantine: Vec<serde_json::Value>,
}

impl Run {
    fn places(folder: &Path) -> IngestPlaces {
        IngestPlaces { decisions: folder.join("decisions"), layers: folder.join("layers"), quarantine: folder.join("quarantine") }
    }

    fn of_files(files: &[(&str, &[u8])], settings: &IngestSettings) -> Self {
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

    fn of(bytes: &[u8]) -> Self {
        Self::of_files(&[("log.jsonl", bytes)], &IngestSettings { max_rejected: 1.0, ..IngestSettings::default() })
    }

    fn reasons(&self) -> Vec<(&str, u64)> {
        self.report.totals.quarantined.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
    }

    fn decisions(&self) -> Vec<routewright_domain::Decision> {
        let decisions = Decisions::open(&self.folder.path().join("decisions")).unwrap();
        let rows: Vec<_> = decisions.iter().flat_map(Result::unwrap).collect();
        assert_eq!(rows.len() as u64, self.report.totals.kept);
        assert_eq!(decisions.n_rows(), self.report.totals.kept);
        rows
    }
}

fn quarantined(folder: &Path) -> Vec<serde_json::Value> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
        .collect()
}

/// A good record with an id.
fn good(id: &str) -> String {
    format!(
        r#"{{"trace_id":"{id}","timestamp":"2026-01-05T10:00:00Z","query":"q {id}","query_features":{{"length":3}},"routing_decision":{{"execution_path":"A"}},"execution_outcome":{{"success":true,"latency_ms":5}}}}"#
    )
}

/// A record with one more key, or another value of a key.
fn with(part: &str) -> Vec<u8> {
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
fn routed(part: &str) -> Vec<u8> {
    with(&format!(r#""routing_decision":{{"execution_path":"A",{part}}}"#))
}

/// A kind of bad input: its name, its bytes, which stand on lines of their own between good records, and the reasons it is rejected for.
type BadInput = (&'static str, Vec<u8>, &'static [(&'static str, u64)]);

/// Every kind of bad input.
fn bad_inputs() -> Vec<BadInput> {
    let nested = format!("{{\"trace_id\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let million = format!("{{\"trace_id\":{}", "[".repeat(1_000_000));
    vec![
        ("a word", b"hello".to_vec(), &[("not_json", 1)]),
        ("a log line", b"2026-01-05 INFO started".to_vec(), &[("not_json", 1)]),
        ("a prefix before an object", b"INFO {\"trace_id\":\"x\"}".to_vec(), &[("not_json", 1)]),
        ("a number", b"42".to_vec(), &[("not_an_object", 1)]),
        ("null", b"null".to_vec(), &[("not_an_object", 1)]),
        ("a string", b"\"text\"".to_vec(), &[("not_an_object", 1)]),
        ("a list", b"[1,2]".to_vec(), &[("not_an_object", 1)]),
        ("a list of records", format!("[{}]", good("in-list")).into_bytes(), &[("not_an_object", 1)]),
        ("an empty object", b"{}".to_vec(), &[("missing_key", 1)]),
        ("single quotes", b"{'trace_id':'x'}".to_vec(), &[("not_json", 1)]),
        ("a trailing comma", b"{\"trace_id\":\"x\",}".to_vec(), &[("not_json", 1)]),
        ("a comment", b"{\"trace_id\":\"x\" /* note */}".to_vec(), &[("not_json", 1)]),
        ("a key without quotes", b"{trace_id:1}".to_vec(), &[("not_json", 1)]),
        ("two values without a comma", b"{\"trace_id\":\"x\" \"query\":\"y\"}".to_vec(), &[("not_json", 1)]),
        ("a wrong bracket", b"{\"trace_id\":[\"x\"}}".to_vec(), &[("not_json", 1)]),
        ("a closing bracket too many", [good("ok-1").as_bytes(), b"}"].concat(), &[("not_json", 1)]),
        ("garbage after an object", [good("ok-2").as_bytes(), b" trailing"].concat(), &[("not_json", 1)]),
        ("a comma after an object", [good("ok-3").as_bytes(), b","].concat(), &[("not_json", 1)]),
        ("a line torn in a string", good("torn").as_bytes()[..40].to_vec(), &[("not_json", 1)]),
        ("a line torn after a colon", b"{\"trace_id\":".to_vec(), &[("not_json", 1)]),
        ("a line torn after a comma", b"{\"trace_id\":\"x\",".to_vec(), &[("not_json", 1)]),
        ("a line torn after a value", b"{\"trace_id\":\"x\"".to_vec(), &[("not_json", 1)]),
        ("a lone bracket", b"{".to_vec(), &[("not_json", 1)]),
        ("a lone list", b"[".to_vec(), &[("not_json", 1)]),
        ("two torn lines", b"{\"trace_id\":\"x\n{\"trace_id\":\"y".to_vec(), &[("not_json", 2)]),
        ("a line break in a string", b"{\"trace_id\":\"x\ny\"}".to_vec(), &[("not_json", 1)]),
        ("a tab in a string", b"{\"trace_id\":\"x\ty\"}".to_vec(), &[("not_json", 1)]),
        ("a bad escape", b"{\"trace_id\":\"\\x41\"}".to_vec(), &[("not_json", 1)]),
        ("half a surrogate pair", b"{\"trace_id\":\"\\ud83d\"}".to_vec(), &[("not_json", 1)]),
        ("a leading zero", b"{\"trace_id\":007}".to_vec(), &[("not_json", 1)]),
        ("a plus sign", b"{\"trace_id\":+1}".to_vec(), &[("not_json", 1)]),
        ("a Python literal", b"{\"trace_id\":None}".to_vec(), &[("not_json", 1)]),
        ("NaN", with(r#""context":{"load":NaN}"#), &[("not_finite", 1)]),
        ("Infinity", with(r#""context":{"load":-Infinity}"#), &[("not_finite", 1)]),
        ("NaN as text", with(r#""execution_outcome":{"latency_ms":"NaN"}"#), &[("not_finite", 1)]),
        ("a number past doubles", with(r#""context":{"load":1e999}"#), &[("number_out_of_range", 1)]),
        ("bytes that are no UTF-8", b"{\"trace_id\":\"\xff\xfe\"}".to_vec(), &[("invalid_utf8", 1)]),
        ("Latin-1", b"{\"query\":\"caf\xe9\"}".to_vec(), &[("invalid_utf8", 1)]),
        ("UTF-8 cut in a character", b"{\"query\":\"\xe2\x82\"}".to_vec(), &[("invalid_utf8", 1)]),
        ("zero bytes in a string", b"{\"query\":\"a\0b\"}".to_vec(), &[("nul_bytes", 1)]),
        ("a run of zero bytes", vec![0; 300], &[("nul_bytes", 1)]),
        ("zero bytes before an object", [&[0; 9][..], good("zero").as_bytes()].concat(), &[("nul_bytes", 1)]),
        ("UTF-16", good("wide").encode_utf16().flat_map(u16::to_le_bytes).collect(), &[("nul_bytes", 1)]),
        ("deep nesting", nested.into_bytes(), &[("nesting_too_deep", 1)]),
        ("bottomless nesting", million.into_bytes(), &[("record_too_large", 1)]),
        ("a huge string", format!("{{\"query\":\"{}\"}}", "x".repeat(300_000)).into_bytes(), &[("record_too_large", 1)]),
        ("a huge word", vec![b'x'; 300_000], &[("record_too_large", 1)]),
        (
            "no id",
            br#"{"timestamp":"2026-01-05T10:00:00Z","query":"q","routing_decision":{"execution_path":"A"}}"#.to_vec(),
            &[("missing_key", 1)],
        ),
        ("an empty id", with(r#""trace_id":"""#), &[("missing_key", 1)]),
        ("a null id", with(r#""trace_id":null"#), &[("missing_key", 1)]),
        ("a number as id", with(r#""trace_id":7"#), &[("wrong_type", 1)]),
        ("no timestamp", br#"{"trace_id":"x","query":"q","routing_decision":{"execution_path":"A"}}"#.to_vec(), &[("missing_key", 1)]),
        ("a number as timestamp", with(r#""timestamp":1767600000"#), &[("wrong_type", 1)]),
        ("a date", with(r#""timestamp":"2026-01-05""#), &[("unparsable_timestamp", 1)]),
        ("a time without offset", with(r#""timestamp":"2026-01-05T10:00:00""#), &[("unparsable_timestamp", 1)]),
        ("a day that does not exist", with(r#""timestamp":"2026-02-30T10:00:00Z""#), &[("unparsable_timestamp", 1)]),
        ("1970", with(r#""timestamp":"1970-01-01T00:00:00Z""#), &[("implausible_timestamp", 1)]),
        ("the year 9999", with(r#""timestamp":"9999-12-31T00:00:00Z""#), &[("implausible_timestamp", 1)]),
        (
            "no query",
            br#"{"trace_id":"x","timestamp":"2026-01-05T10:00:00Z","routing_decision":{"execution_path":"A"}}"#.to_vec(),
            &[("missing_key", 1)],
        ),
        ("a list as query", with(r#""query":["q"]"#), &[("wrong_type", 1)]),
        ("no routing decision", br#"{"trace_id":"x","timestamp":"2026-01-05T10:00:00Z","query":"q"}"#.to_vec(), &[("missing_key", 1)]),
        ("text as routing decision", with(r#""routing_decision":"A""#), &[("wrong_type", 1)]),
        ("no path", with(r#""routing_decision":{}"#), &[("missing_key", 1)]),
        ("an empty path", with(r#""routing_decision":{"execution_path":""}"#), &[("missing_key", 1)]),
        ("text as features", with(r#""query_features":"long""#), &[("wrong_type", 1)]),
        ("a list as context", with(r#""context":[1]"#), &[("wrong_type", 1)]),
        ("confidence over 1", routed(r#""confidence":1.5"#), &[("number_out_of_range", 1)]),
        ("negative confidence", routed(r#""confidence":-0.1"#), &[("number_out_of_range", 1)]),
        ("text as confidence", routed(r#""confidence":"high""#), &[("wrong_type", 1)]),
        ("a stage's confidence over 1", routed(r#""stage_1_result":{"confidence":7}"#), &[("number_out_of_range", 1)]),
        ("a list as stage", routed(r#""stage_2_result":[]"#), &[("wrong_type", 1)]),
        ("propensity 0", routed(r#""propensity":0"#), &[("propensity_out_of_range", 1)]),
        ("propensity over 1", routed(r#""propensity":1.01"#), &[("propensity_out_of_range", 1)]),
        ("negative propensity", routed(r#""propensity":-0.5"#), &[("propensity_out_of_range", 1)]),
        ("text as propensity", routed(r#""propensity":"0.5""#), &[("wrong_type", 1)]),
        ("propensities that sum to less", routed(r#""propensities":{"A":0.5,"B":0.3}"#), &[("propensities_sum", 1)]),
        ("a propensity vector without what ran", routed(r#""propensities":{"B":1.0}"#), &[("propensity_out_of_range", 1)]),
        ("a negative entry", routed(r#""propensities":{"A":1.5,"B":-0.5}"#), &[("propensity_out_of_range", 1)]),
        (
            "a propensity that contradicts its vector",
            routed(r#""propensity":0.9,"propensities":{"A":0.5,"B":0.5}"#),
            &[("propensity_mismatch", 1)],
        ),
        ("text as candidates", routed(r#""candidates":"A""#), &[("wrong_type", 1)]),
        ("numbers as candidates", routed(r#""candidates":[1]"#), &[("wrong_type", 1)]),
        ("text as exploration mark", routed(r#""explored":"yes""#), &[("wrong_type", 1)]),
        ("a number as success", with(r#""execution_outcome":{"success":1}"#), &[("wrong_type", 1)]),
        ("text as success", with(r#""execution_outcome":{"success":"true"}"#), &[("wrong_type", 1)]),
        ("negative latency", with(r#""execution_outcome":{"latency_ms":-1}"#), &[("number_out_of_range", 1)]),
        ("half a call", with(r#""execution_outcome":{"llm_calls":1.5}"#), &[("wrong_type", 1)]),
        ("negative cost", with(r#""execution_outcome":{"cost":-0.01}"#), &[("number_out_of_range", 1)]),
        ("a list as outcome", with(r#""execution_outcome":[true]"#), &[("wrong_type", 1)]),
        ("quality over 1", with(r#""quality_metrics":{"quality_score":5}"#), &[("number_out_of_range", 1)]),
        ("a negative length", with(r#""quality_metrics":{"response_length":-4}"#), &[("number_out_of_range", 1)]),
        ("another format's record", samples::CORTEX.replace('\n', " ").into_bytes(), &[("missing_key", 1)]),
        ("the same id with another path", good("first").replace("\"A\"", "\"B\"").into_bytes(), &[("conflicting_duplicate", 1)]),
    ]
}

#[test]
fn every_kind_of_bad_input_costs_itself_and_nothing_else() {
    let settings = IngestSettings {
        max_rejected: 1.0,
        limits: RecordLimits { max_record_bytes: 200_000, max_depth: 64 },
        ..IngestSettings::default()
    };
    let corpus = bad_inputs();
    assert!(corpus.len() >= 60, "{}", corpus.len());
    for (kind, bytes, reasons) in corpus {
        let log = [good("first").as_bytes(), b"\n", &bytes, b"\n", good("last").as_bytes(), b"\n"].concat();
        let run = Run::of_files(&[("log.jsonl", &log)], &settings);
        assert_eq!(run.reasons(), reasons, "{kind}: {:?}", run.quarantine);
        let ids: Vec<String> = run.decisions().into_iter().map(|decision| decision.trace_id).filter(|id| !id.starts_with("ok-")).collect();
        assert_eq!(ids, ["first", "last"], "{kind}");
        for entry in &run.quarantine {
            let (line, offset) = (entry["line"].as_u64().unwrap(), entry["byte_offset"].as_u64().unwrap() as usize);
            assert_eq!(line, 1 + log[..offset].iter().filter(|byte| **byte == b'\n').count() as u64, "{kind}");
            assert!(!entry["message"].as_str().unwrap().is_empty(), "{kind}");
            if entry.get("raw_is_altered").is_none() {
                assert!(log[offset..].starts_with(entry["raw"].as_str().unwrap().as_bytes()), "{kind}");
            }
        }
    }
}

#[test]
fn every_kind_of_bad_input_in_one_file_adds_up() {
    let mut log = Vec::new();
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for (position, (_, bytes, reasons)) in bad_inputs().into_iter().enumerate() {
        let id = if position == 0 { "first".to_owned() } else { format!("good-{position:03}") };
        log.extend_from_slice(good(&id).as_bytes());
        log.push(b'\n');
        log.extend_from_slice(&bytes);
        log.push(b'\n');
        reasons.iter().for_each(|(reason, count)| *expected.entry(*reason).or_default() += count);
    }
    let settings = IngestSettings {
        max_rejected: 1.0,
        limits: RecordLimits { max_record_bytes: 200_000, max_depth: 64 },
        ..IngestSettings::default()
    };
    let run = Run::of_files(&[("log.jsonl", &log)], &settings);
    assert_eq!(run.reasons(), expected.into_iter().collect::<Vec<_>>());
    assert_eq!(run.report.totals.kept, bad_inputs().len() as u64 + 3);
}

#[test]
fn what_real_logs_do_is_accepted() {
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&good("pretty")).unwrap()).unwrap();
    let twice = good("twice").replace("{\"trace_id\"", "{\"trace_id\":\"other\",\"trace_id\"");
    let floats = good("floats").replace("\"latency_ms\":5", "\"latency_ms\":5.0,\"llm_calls\":2.0,\"cost\":0");
    let log = format!(
        "\u{feff}{}\r\n\r\n\n{pretty}\n{}{} {}\n{twice}\n{floats}",
        good("crlf"),
        good("joined-1"),
        good("joined-2"),
        good("joined-3")
    );
    let run = Run::of(log.as_bytes());
    assert_eq!(run.reasons(), []);
    let mut ids: Vec<String> = run.decisions().into_iter().map(|decision| decision.trace_id).collect();
    ids.sort();
    assert_eq!(ids, ["crlf", "floats", "joined-1", "joined-2", "joined-3", "pretty", "twice"]);
}

#[test]
fn a_truncated_last_line_is_named() {
    let log = format!("{}\n{}", good("a"), &good("b")[..50]);
    assert_eq!(Run::of(log.as_bytes()).reasons(), [("truncated_line", 1)]);
}

#[test]
fn a_file_of_unknown_format_is_quarantined_whole() {
    let run = Run::of(b"{\"a\":1}\n{\"b\":2}\n3\n");
    assert_eq!(run.reasons(), [("not_an_object", 1), ("unknown_format", 2)]);
    assert_eq!(run.report.files[0].format, None);
    assert!(run.folder.path().join("quarantine/unknown.jsonl").exists());
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_files_are_read_by_their_content_also_in_several_parts() {
    let (one, two) = (format!("{}\n", good("a")), format!("{}\n", good("b")));
    let zst = zstd::encode_all(good("c").as_bytes(), 1).unwrap();
    let run = Run::of_files(
        &[("x.jsonl", &[gz(one.as_bytes()), gz(two.as_bytes())].concat()), ("y.jsonl.zst", &zst)],
        &IngestSettings::default(),
    );
    assert_eq!((run.report.totals.kept, run.reasons()), (3, vec![]));
}

#[test]
fn a_broken_archive_costs_what_cannot_be_read() {
    let records: String = (0..2000).map(|position| format!("{}\n", good(&format!("{position:05}")))).collect();
    for (name, archive) in [("x.jsonl.gz", gz(records.as_bytes())), ("x.jsonl.zst", zstd::encode_all(records.as_bytes(), 1).unwrap())] {
        let run =
            Run::of_files(&[(name, &archive[..archive.len() / 2])], &IngestSettings { max_rejected: 1.0, ..IngestSettings::default() });
        assert_eq!(run.report.totals.quarantined.get("decompression_error"), Some(&1), "{name} {:?}", run.reasons());
        assert!(run.report.totals.read < 2002);
    }
    let run = Run::of_files(&[("x.jsonl.gz", &[gz(records.as_bytes()), b"garbage".to_vec()].concat())], &IngestSettings::default());
    assert_eq!((run.report.totals.kept, run.reasons()), (2000, vec![("decompression_error", 1)]));
}

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
fn a_forced_format_reads_what_sniffing_would_not() {
    let settings = IngestSettings { format: Some("cortex".into()), max_rejected: 1.0, ..IngestSettings::default() };
    let run = Run::of_files(&[("x.jsonl", good("a").as_bytes())], &settings);
    assert_eq!(run.reasons(), [("missing_key", 1)]);
}

#[test]
fn a_full_record_survives_parquet() {
    let run = Run::of(samples::E009.as_bytes());
    let expected = samples::decision(format_named("e009").unwrap(), samples::E009).unwrap();
    assert_eq!(run.decisions(), [expected]);
    let decisions = Decisions::open(&run.folder.path().join("decisions")).unwrap();
    assert_eq!(decisions.extras().get("query_features.keywords"), Some(&ExtraKind::List));
    assert_eq!(decisions.sources().iter().next(), Some(&run.report.files[0].fingerprint));
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
fn a_key_that_changes_its_type_becomes_text_and_is_reported() {
    let log = format!("{}\n{}\n", good("a"), good("b").replace("\"length\":3", "\"length\":\"long\""));
    let run = Run::of(log.as_bytes());
    let conflict = BTreeMap::from([(ExtraKind::Number, 1), (ExtraKind::Text, 1)]);
    assert_eq!(run.report.type_conflicts.get("query_features.length"), Some(&conflict));
    let values: Vec<_> = run.decisions().into_iter().map(|decision| decision.extras["query_features.length"].clone()).collect();
    assert_eq!(values, [routewright_domain::Scalar::Text("3".into()), routewright_domain::Scalar::Text("long".into())]);
}

#[test]
fn keys_past_the_limit_are_reported() {
    let settings = IngestSettings { max_extras: 1, ..IngestSettings::default() };
    let log = good("a").replace("\"length\":3", "\"length\":3,\"zeal\":1,\"points\":[1,2]");
    let run = Run::of_files(&[("x.jsonl", log.as_bytes())], &settings);
    let ignored: Vec<(&str, u64)> = run.report.ignored_keys.iter().map(|(key, count)| (key.as_str(), *count)).collect();
    assert_eq!(ignored, [("query_features.points", 1), ("query_features.zeal", 1)]);
    assert_eq!(run.decisions()[0].extras.len(), 1);
}

/// Every file of a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
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
fn mixed_log(n_records: usize) -> String {
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
fn days_written_with_other_columns_are_read_together() {
    let (one, two) = (
        Run::of(good("a").replace("query_features", "context").as_bytes()),
        Run::of(good("b").replace("2026-01-05", "2026-01-07").as_bytes()),
    );
    let day = "decisions/day=2026-01-07";
    fs::create_dir(one.folder.path().join(day)).unwrap();
    fs::copy(two.folder.path().join(day).join("part-0.parquet"), one.folder.path().join(day).join("part-0.parquet")).unwrap();
    let decisions = Decisions::open(&one.folder.path().join("decisions")).unwrap();
    assert_eq!(decisions.extras().keys().collect::<Vec<_>>(), ["context.length", "query_features.length"]);
    let rows: Vec<_> = decisions.iter().flat_map(Result::unwrap).map(|row| row.extras.into_keys().collect::<Vec<_>>()).collect();
    assert_eq!(rows, [["context.length"], ["query_features.length"]]);
    let summary = Summary::of(&decisions).unwrap();
    assert_eq!((summary.n_rows, summary.days.len(), summary.correlations.len()), (2, 2, 3));
}

#[test]
fn progress_ends_at_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    fs::write(&log, good("a")).unwrap();
    let last = std::cell::Cell::new((0, 0));
    ingest(&[log], &IngestSettings::default(), &Run::places(folder.path()), &|done, total| last.set((done, total))).unwrap();
    assert_eq!(last.get(), (good("a").len() as u64, good("a").len() as u64));
}

/// A decision with a path, a type, an outcome and a latency.
fn outcome(position: usize, path: &str, query_type: &str, success: bool, latency_ms: f64, load: f64) -> String {
    format!(
        r#"{{"trace_id":"t{position}","timestamp":"2026-01-0{}T10:00:00Z","query":"{}","query_features":{{"query_type":"{query_type}"}},"context":{{"load":{load},"mode":"{path}"}},
        "routing_decision":{{"execution_path":"{path}","static_path":"A"}},"execution_outcome":{{"success":{success},"latency_ms":{latency_ms}}},"quality_metrics":{{"optimal_path":"A"}}}}"#,
        1 + position % 2,
        "x".repeat(position + 1)
    )
}

#[test]
fn a_summary_counts_what_is_there() {
    let log = [
        outcome(0, "A", "chat", true, 100.0, 0.0),
        outcome(1, "A", "chat", false, 200.0, 1.0),
        outcome(2, "A", "coding", true, 300.0, 0.0),
        outcome(3, "B", "coding", false, 50.5, 1.0),
        outcome(4, "B", "coding", false, 50.5, 1.0).replace("\"success\":false", "\"success\":null"),
    ];
    let run = Run::of(log.join("\n").as_bytes());
    let summary = Summary::of(&Decisions::open(&run.folder.path().join("decisions")).unwrap()).unwrap();
    let count = |n, successes| SuccessCount { n, successes };
    let cell = |query_type: &str, path: &str, n_rows, success| SuccessCell {
        query_type: Some(query_type.into()),
        path: path.into(),
        n_rows,
        success,
    };
    assert_eq!((summary.n_rows, summary.n_queries, summary.success), (5, 5, count(4, 2)));
    assert_eq!(
        summary.success_by_type_and_path,
        [cell("chat", "A", 2, count(2, 1)), cell("coding", "A", 1, count(1, 1)), cell("coding", "B", 2, count(1, 0))]
    );
    let latency = &summary.latency_by_path;
    assert_eq!(latency[0], LatencyRow { path: "A".into(), n: 3, mean: 200.0, p50: 200.0, p95: 290.0, p99: 298.0, max: 300.0 });
    assert_eq!((latency[1].n, latency[1].mean), (2, 50.5));
    assert_eq!(summary.confusion, [ConfusionCell { chosen: "A".into(), optimal: "A".into(), n: 5 }]);
    assert_eq!(
        summary.static_success_by_type,
        [
            StaticSuccess { query_type: Some("chat".into()), success: count(2, 1) },
            StaticSuccess { query_type: Some("coding".into()), success: count(1, 1) }
        ]
    );
    assert_eq!(summary.correlations.len(), 2);
    assert_eq!(
        (summary.correlations[1].feature.as_str(), summary.correlations[1].n, summary.correlations[1].r),
        ("context.load", 4, Some(-1.0))
    );
    let lengths = &summary.correlations[0];
    assert!((lengths.r.unwrap() - -0.447_213_595_499_958).abs() < 1e-12, "{lengths:?}");
    assert_eq!(
        summary.success_by_value[0],
        SuccessByValue { feature: "context.mode".into(), values: vec![("A".into(), count(3, 2)), ("B".into(), count(1, 0))] }
    );
    assert_eq!(summary.days.iter().map(|day| (day.day.as_str(), day.n_rows)).collect::<Vec<_>>(), [("2026-01-01", 3), ("2026-01-02", 2)]);
    assert_eq!(summary.first.map(|time| time.0), Some(1_767_261_600_000_000));
}

#[test]
fn a_summary_of_nothing_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let summary = Summary::of(&Decisions::open(folder.path()).unwrap()).unwrap();
    assert_eq!((summary.n_rows, summary.success_by_type_and_path.len(), summary.days.len()), (0, 0, 0));
}

#[test]
fn head_shows_the_first_rows_that_fit_a_condition() {
    let run = Run::of(format!("{}\n{}\n", good("a"), good("b")).as_bytes());
    let table = run.folder.path().join("decisions");
    let rows = head(&table, 5, Some("trace_id = 'b'")).unwrap();
    assert_eq!(rows.len(), 1);
    let value = |name: &str| rows[0].iter().find(|(column, _)| column == name).map(|(_, value)| value.as_str());
    assert_eq!(
        (value("query"), value("timestamp"), value("success"), value("error")),
        (Some("q b"), Some("2026-01-05T10:00:00Z"), Some("true"), None)
    );
    assert_eq!(head(&table, 1, None).unwrap().len(), 1);
    assert!(head(&table, 1, Some("nothing = ")).is_err());
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    use columns::DECISION_COLUMNS;
    use parquet_file::{TableWriter, VERSION_KEY, fields};
    let folder = tempfile::tempdir().unwrap();
    let day = folder.path().join("day=2026-01-01");
    fs::create_dir(&day).unwrap();
    let writer = TableWriter::create(&day.join("part-0.parquet"), fields(DECISION_COLUMNS)).unwrap();
    writer.finish(&[(VERSION_KEY, (SCHEMA_VERSION + 1).to_string())]).unwrap();
    assert!(matches!(Decisions::open(folder.path()), Err(TableError::Newer { found: 3, known: 2, .. })));
}
