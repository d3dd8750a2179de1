//! Bad input in the other formats: every kind costs itself, and the records around it are decisions.

use super::Run;
use crate::formats::samples;
use crate::*;

/// A kind of bad input: its name, what is replaced in a good record, by what, and the reason it is rejected for.
type Damage = (&'static str, &'static str, &'static str, &'static str);

const CORTEX: &[Damage] = &[
    ("no id", r#""event_id":"route-20260105-100000-0000007f","#, "", "missing_key"),
    ("another id", "route-20260105-100000-0000007f", "evt-1", "value_not_allowed"),
    ("capital digits", "0000007f", "0000007F", "value_not_allowed"),
    ("no layers", r#""routing_layers":["#, r#""layers":["#, "missing_key"),
    ("layers as text", r#""routing_layers":["#, r#""routing_layers":"none","layers":["#, "wrong_type"),
    ("layer 0", r#""layer_id":1"#, r#""layer_id":0"#, "number_out_of_range"),
    ("layer 6", r#""layer_id":2"#, r#""layer_id":6"#, "number_out_of_range"),
    ("half a layer", r#""layer_id":2"#, r#""layer_id":1.5"#, "wrong_type"),
    ("an unknown layer", r#""layer_name":"semantic""#, r#""layer_name":"magic""#, "value_not_allowed"),
    ("a layer without a name", r#""layer_name":"keyword","#, "", "missing_key"),
    ("a layer's confidence over 1", r#""confidence":0.7"#, r#""confidence":1.7"#, "number_out_of_range"),
    ("a negative threshold", r#""threshold":0.7"#, r#""threshold":-0.7"#, "number_out_of_range"),
    ("attempted as text", r#""attempted":false"#, r#""attempted":"no""#, "wrong_type"),
    ("negative time in a layer", r#""latency_ms":36.4"#, r#""latency_ms":-36.4"#, "number_out_of_range"),
    ("no decision", r#""final_decision":{"#, r#""decision":{"#, "missing_key"),
    (
        "an unknown master",
        r#"{"selected_master":"cicd-master","routing_layer""#,
        r#"{"selected_master":"root","routing_layer""#,
        "value_not_allowed",
    ),
    ("a decision without a layer", r#""routing_layer":"semantic","#, "", "missing_key"),
    (
        "probabilities as a list",
        r#""all_probabilities":{"cicd-master":0.9,"security-master":0.1}"#,
        r#""all_probabilities":[0.9]"#,
        "wrong_type",
    ),
    ("negative total latency", r#""total_latency_ms":41.0"#, r#""total_latency_ms":-41.0"#, "number_out_of_range"),
    ("an unknown status", r#""task_status":"completed""#, r#""task_status":"done""#, "value_not_allowed"),
    ("an unknown priority", r#""priority":"low""#, r#""priority":"whenever""#, "value_not_allowed"),
    ("a null user", r#""user_id":"u7""#, r#""user_id":null"#, "wrong_type"),
    ("quality over 1", r#""quality_score":0.88"#, r#""quality_score":88"#, "number_out_of_range"),
    ("feedback as text", r#""learning_feedback":{"#, r#""learning_feedback":"fine","feedback":{"#, "wrong_type"),
    ("an old timestamp", "2026-01-05T10:00:00+00:00", "1970-01-01T00:00:00Z", "implausible_timestamp"),
    ("a local timestamp", "2026-01-05T10:00:00+00:00", "2026-01-05T10:00:00", "unparsable_timestamp"),
];

const ROUTER_METRICS: &[Damage] = &[
    ("no task", r#""task_id":"task-1","#, "", "missing_key"),
    ("an empty task", r#""task_id":"task-1""#, r#""task_id":"""#, "missing_key"),
    ("a third group", r#""ab_test_group":"control""#, r#""ab_test_group":"both""#, "wrong_type"),
    ("no method", r#""method":"rule-based","#, "", "missing_key"),
    ("another method", "rule-based", "guess", "wrong_type"),
    ("no master", r#""selected_master":"cicd-master","#, "", "missing_key"),
    ("confidence over 1", r#""confidence":0.8"#, r#""confidence":80"#, "number_out_of_range"),
    ("another outcome", r#""outcome":"completed""#, r#""outcome":"maybe""#, "wrong_type"),
    ("no timestamp", r#""timestamp":"2026-01-05T10:00:00-06:00","#, "", "missing_key"),
];

const MATRIX: &[Damage] = &[
    ("no path", r#""routing_decision":{"execution_path":"DIRECT_TOOL""#, r#""routing_decision":{"path":"DIRECT_TOOL""#, "missing_key"),
    ("an outcome as number", r#""success":true"#, r#""success":1"#, "wrong_type"),
    ("propensity 0", r#""propensity":0.85"#, r#""propensity":0"#, "propensity_out_of_range"),
    ("an empty query id", r#""query_id":"q-1""#, r#""query_id":"""#, "missing_key"),
];

#[test]
fn every_kind_of_bad_input_of_every_other_format_costs_itself() {
    let samples = [
        ("cortex", samples::CORTEX, CORTEX),
        ("router-metrics", samples::ROUTER_METRICS, ROUTER_METRICS),
        ("matrix", samples::E009, MATRIX),
    ];
    let mut n_kinds = 0;
    for (format, good, damages) in samples {
        let good = good.replace('\n', " ");
        for (kind, part, other, reason) in damages {
            let bad = good.replacen(part, other, 1);
            assert_ne!(bad, good, "{format}: {kind} changes nothing");
            // The last record is the first with another id, so that it is no duplicate.
            let last = good.replace("0000007f", "00000080").replace("task-1", "task-2").replace("t-1", "t-2");
            let log = format!("{good}\n{bad}\n{last}\n");
            let settings = IngestSettings { format: Some(format.to_owned()), max_rejected: 1.0, ..IngestSettings::default() };
            let run = Run::of_files(&[("log.jsonl", log.as_bytes())], &settings);
            assert_eq!(run.reasons(), [(*reason, 1)], "{format}: {kind}: {:?}", run.quarantine);
            assert_eq!((run.quarantine[0]["line"].as_u64(), run.decisions().len()), (Some(2), 2), "{format}: {kind}");
            n_kinds += 1;
        }
    }
    assert!(n_kinds >= 35, "{n_kinds}");
}

#[test]
fn the_schema_holds_where_most_first_records_keep_it_and_where_it_is_wanted() {
    let good = |number: usize| samples::CORTEX.replace('\n', " ").replace("0000007f", &format!("{number:08x}"));
    let deep = |number: usize| good(number).replace("route-20260105-100000-", "evt-").replace("\"layer_id\":2", "\"layer_id\":9");
    let kept = |log: &[String], check_schema| {
        let settings = IngestSettings { check_schema, max_rejected: 1.0, ..IngestSettings::default() };
        Run::of_files(&[("log.jsonl", log.join("\n").as_bytes())], &settings).report.totals.kept
    };
    let (mostly_good, mostly_deep) = ([good(1), deep(2), good(3)], [deep(1), good(2), deep(3)]);
    assert_eq!((kept(&mostly_good, true), kept(&mostly_good, false)), (2, 3));
    assert_eq!(kept(&mostly_deep, true), 3, "a cascade of another kind has no schema of ours");
}

#[test]
fn every_reason_stands_in_some_test_of_this_folder() {
    let tests =
        [include_str!("bad_input.rs"), include_str!("accounting.rs"), include_str!("other_formats.rs"), include_str!("../wide/tests.rs")];
    for entry in REASONS {
        let quoted = format!("\"{}\"", entry.code);
        assert!(tests.iter().any(|text| text.contains(&quoted)), "no test rejects a record for {}", entry.code);
    }
}

#[test]
fn a_file_that_two_formats_claim_is_refused_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    std::fs::write(&log, r#"{"trace_id":"t","query":"q","timestamp":"2026-01-01T00:00:00Z","final_decision":{},"routing_layers":[]}"#)
        .unwrap();
    let error = ingest(std::slice::from_ref(&log), &IngestSettings::default(), &Run::places(folder.path()), &|_, _| {}).unwrap_err();
    let expected = format!("`{}` could be of several formats: e009, cortex; say which with `ingest.format`", log.display());
    assert_eq!(error.to_string(), expected);
}
