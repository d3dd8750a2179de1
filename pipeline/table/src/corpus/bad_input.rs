//! A corpus of bad input: every kind costs itself and nothing else, and the counts add up.

use std::collections::BTreeMap;

use super::{Run, good, gz, routed, with};
use crate::formats::samples;
use crate::*;

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
fn a_forced_format_reads_what_sniffing_would_not() {
    let settings = IngestSettings { format: Some("cortex".into()), max_rejected: 1.0, ..IngestSettings::default() };
    let run = Run::of_files(&[("x.jsonl", good("a").as_bytes())], &settings);
    assert_eq!(run.reasons(), [("missing_key", 1)]);
}
