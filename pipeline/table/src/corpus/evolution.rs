//! Logs whose records change over time, and tables that other versions wrote.

use routewright_domain::Timestamp;
use std::collections::BTreeMap;
use std::fs;

use super::{Run, good};
use crate::formats::samples;
use crate::*;

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

#[test]
fn keys_that_come_go_and_change_over_files_and_days() {
    let day = |id: &str, day: u32, features: &str| {
        good(id).replace("2026-01-05", &format!("2026-01-{day:02}")).replace(r#"{"length":3}"#, features) + "\n"
    };
    let files = [
        ("1.jsonl", day("a", 1, r#"{"level":1,"note":"x"}"#) + &day("b", 2, r#"{"level":2,"flags":["p"]}"#)),
        ("2.jsonl", day("c", 2, r#"{"level":3,"deep":{"er":true}}"#)),
        ("3.jsonl", day("d", 3, r#"{"level":"high","note":null,"flags":"p"}"#)),
    ];
    let bytes: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let run = Run::of_files(&bytes, &IngestSettings::default());
    let kinds: Vec<(&str, ExtraKind)> = run.report.extras.iter().map(|(key, kind)| (key.as_str(), *kind)).collect();
    let expected = [
        ("query_features.deep.er", ExtraKind::Bool),
        ("query_features.flags", ExtraKind::Text),
        ("query_features.level", ExtraKind::Text),
        ("query_features.note", ExtraKind::Text),
    ];
    assert_eq!(kinds, expected);
    let conflicts: Vec<(&str, Vec<u64>)> =
        run.report.type_conflicts.iter().map(|(key, seen)| (key.as_str(), seen.values().copied().collect())).collect();
    assert_eq!(conflicts, [("query_features.flags", vec![1, 1]), ("query_features.level", vec![3, 1])], "rows per type, named by key");
    let text = |text: &str| routewright_domain::Scalar::Text(text.to_owned());
    let rows: Vec<_> = run.decisions().into_iter().map(|row| (row.trace_id, row.extras)).collect();
    let level = |position: usize| rows[position].1.get("query_features.level").cloned();
    assert_eq!([0, 1, 2, 3].map(level), ["1", "2", "3", "high"].map(|level| Some(text(level))));
    let noted: Vec<bool> = rows.iter().map(|row| row.1.contains_key("query_features.note")).collect();
    assert_eq!(noted, [true, false, false, false], "a key that is missing or null is null");
    assert_eq!(rows[1].1.get("query_features.flags"), Some(&text("[\"p\"]")));
}

#[test]
fn days_outside_of_a_window_are_not_read() {
    let log = format!("{}\n{}\n", good("a"), good("b").replace("2026-01-05", "2026-01-07"));
    let run = Run::of(log.as_bytes());
    let all = Decisions::open(&run.folder.path().join("decisions")).unwrap();
    let first = run.decisions()[0].timestamp;
    let days = |window| all.within(&window).days().map(|(day, _)| day.to_owned()).collect::<Vec<_>>();
    let later = |days: i64| Timestamp(first.0 + days * 86_400_000_000);
    assert_eq!(days(first..Timestamp(i64::MAX)), ["2026-01-05", "2026-01-07"]);
    assert_eq!(days(later(1)..later(2)), ["2026-01-07"]);
    assert_eq!(days(later(-3)..first), ["2026-01-05"], "the moment that ends the window may lie within a day");
    assert_eq!(days(later(3)..later(4)), [""; 0]);
    assert_eq!(all.within(&(later(3)..later(4))).paths(), all.paths());
    let spread = |n_days| all.spread(n_days).days().map(|(day, _)| day.to_owned()).collect::<Vec<_>>();
    assert_eq!([spread(1), spread(2), spread(9)], [&["2026-01-07"][..], &["2026-01-05", "2026-01-07"], &["2026-01-05", "2026-01-07"]]);
}
