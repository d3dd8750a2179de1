//! A planted secret never reaches a file: not a table, not its footer, not the quarantine, not the report.

use std::fs;

use proptest::prelude::*;

use super::{Run, contents, good, with};
use crate::*;

/// Secrets of every kind, the last one a user.
const SECRETS: &[&str] =
    &["alice.smith@example.com", "+49 151 23456789", "(555) 123-4567", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "PRJ-4711", "u-alice"];

fn settings() -> IngestSettings {
    let redact = RedactSettings { patterns: vec![r"PRJ-\d+".to_owned()], hash: vec!["user_id".to_owned()], ..RedactSettings::default() };
    IngestSettings { max_rejected: 1.0, redact: Some(Redactor::new(&redact, Some("salt")).unwrap()), ..IngestSettings::default() }
}

/// Everything that an ingest left behind as text: values, names of columns, footers, quarantine, report.
fn written(run: &Run) -> String {
    let mut text = serde_json::to_string(&run.report).unwrap();
    for (path, bytes) in contents(run.folder.path()) {
        if path.starts_with("raw") {
            continue;
        }
        text.push_str(&path.display().to_string());
        text.push_str(&String::from_utf8_lossy(&bytes));
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let file = run.folder.path().join(&path);
            text.push_str(&format!("{:?}{:?}", plain_fields(&file).unwrap(), head(&file, usize::MAX, None).unwrap()));
        }
    }
    text
}

/// Places where a record can hold a text; `@` is where it goes. Some are decisions, some are not.
const PLACES: &[&str] = &[
    r#""query":"please ask @ about it""#,
    r#""query":"@""#,
    r#""query_features":{"note":"@"}"#,
    r#""query_features":{"keywords":["a","@"]}"#,
    r#""query_features":{"@":1}"#,
    r#""query_features":{"points":[1,{"@":"@"}]}"#,
    r#""context":{"deep":{"deeper":"see @, then go"}}"#,
    r#""note":"@""#,
    r#""session_id":"@""#,
    r#""execution_outcome":{"success":false,"error":"mail to @ bounced"}"#,
    r#""execution_outcome":{"success":"@"}"#,
    r#""timestamp":"@""#,
    r#""routing_decision":{"execution_path":"A","propensities":{"@":1}}"#,
    r#""routing_decision":{"execution_path":"A","confidence":"@"}"#,
    r#""routing_decision":{"execution_path":"A","candidates":["A","@"]}"#,
    r#""quality_metrics":{"user_feedback":"call me at @"}"#,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_planted_secret_never_reaches_a_file(place in 0..PLACES.len(), secret in 0..SECRETS.len() - 1, damage in 0_usize..5, at in 0.0..1.0_f64) {
        let secret = SECRETS[secret];
        let record = String::from_utf8(with(&PLACES[place].replace('@', secret))).unwrap();
        let bad = match damage {
            0 => record,
            1 => record[..record.floor_char_boundary((record.len() as f64 * at) as usize)].to_owned() + "\u{0}",
            2 => record.replace('"', "'"),
            3 => format!("INFO {record} done"),
            _ => format!("user {secret} logged in"),
        };
        // A secret that the damage cut in two is none.
        let whole = bad.contains(secret);
        let log = format!("{}\n{bad}\n{}\n", good("first"), good("last"));
        let run = Run::of_files(&[("log.jsonl", log.as_bytes())], &settings());
        prop_assert!(!written(&run).contains(secret), "{bad}");
        prop_assert!(!whole || run.report.redacted.values().sum::<u64>() > 0, "{bad}");
    }
}

#[test]
fn no_secret_stays_anywhere_in_a_whole_record() {
    let all = PLACES.iter().flat_map(|place| SECRETS[..SECRETS.len() - 1].iter().map(move |secret| place.replace('@', secret)));
    let lines: Vec<Vec<u8>> = all.map(|fields| with(&fields)).collect();
    let run = Run::of_files(&[("log.jsonl", &lines.join(&b'\n'))], &settings());
    let text = written(&run);
    for secret in &SECRETS[..SECRETS.len() - 1] {
        assert!(
            !text.contains(secret),
            "{secret} in …{}…",
            text.split(secret).next().map_or("", |before| &before[before.len().saturating_sub(80)..])
        );
    }
}

#[test]
fn users_are_hashed_in_tables_and_quarantine() {
    let good = String::from_utf8(with(r#""user_id":"u-alice""#)).unwrap();
    let log = format!("{good}\n{}\n", good.replace("\"query\":\"q\"", "\"query\":7"));
    let run = Run::of_files(&[("log.jsonl", log.as_bytes())], &settings());
    assert_eq!((run.report.totals.kept, run.reasons()), (1, vec![("wrong_type", 1)]));
    assert!(!written(&run).contains("u-alice"));
    let user = run.decisions()[0].user_id.clone().unwrap();
    assert!(user.starts_with("h-") && run.quarantine[0]["raw"].as_str().unwrap().contains(&user));
    assert_eq!(run.report.redacted.get("hash"), Some(&2));
}

#[test]
fn secrets_hide_neither_in_escapes_nor_in_wide_characters_nor_behind_the_cut() {
    let secret = SECRETS[0];
    let escaped = String::from_utf8(with(&format!(r#""query":"{}""#, secret.replace('@', "\\u0040")))).unwrap();
    let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long = format!("{{\"query\":\"{}{secret}\"", " x".repeat((64 << 10) / 2 - 10));
    for bad in [escaped.as_bytes(), &escaped.as_bytes()[..escaped.len() - 1], &wide, long.as_bytes()] {
        let log = [good("first").as_bytes(), b"\n", bad, b"\n", good("last").as_bytes()].concat();
        let run = Run::of_files(&[("log.jsonl", &log)], &settings());
        let text = written(&run);
        for part in [secret, "alice.smith"] {
            assert!(!text.contains(part), "{part} in {}", String::from_utf8_lossy(bad));
        }
        assert_eq!(run.report.redacted.get("emails"), Some(&1));
    }
}

#[test]
fn without_redaction_nothing_changes_and_with_it_only_what_holds_secrets() {
    let log = super::mixed_log(200);
    let (plain, clean) = (Run::of(log.as_bytes()), Run::of_files(&[("log.jsonl", log.as_bytes())], &settings()));
    assert_eq!(plain.decisions(), clean.decisions());
    let quarantine = |run: &Run| fs::read(run.folder.path().join("quarantine/e009.jsonl")).unwrap();
    let shorten = |run: &Run| String::from_utf8(quarantine(run)).unwrap().replace(&*run.folder.path().to_string_lossy(), "");
    assert_eq!(shorten(&plain), shorten(&clean));
    assert!(clean.report.redacted.is_empty());
}
