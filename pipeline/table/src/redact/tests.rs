//! What is taken out, and what is left alone.

use bumpalo::Bump;
use proptest::prelude::*;

use super::*;
use crate::json::Json;

fn redactor(settings: RedactSettings) -> Redactor {
    Redactor::new(&settings, Some("salt")).unwrap()
}

fn standard() -> Redactor {
    redactor(RedactSettings::default())
}

/// The text of a query after cleaning.
fn cleaned(text: &str) -> String {
    let record = serde_json::json!({ "query": text }).to_string();
    let cleaned = standard().record(&record, &mut RedactCounts::new()).into_owned();
    serde_json::from_str::<serde_json::Value>(&cleaned).unwrap()["query"].as_str().unwrap().to_owned()
}

#[test]
fn every_builtin_pattern_compiles() {
    assert_eq!(cleaned("a@b.org +49 151 23456789 (030) 1234567 AKIAIOSFODNN7EXAMPLE"), "[email] [phone] [phone] [key]");
    assert_eq!(cleaned("password: hunter22, wJalrXUtnFEMI9K7MDENG3bPxRfiCYEXAMPLEKEY"), "password: [key], [key]");
}

#[test]
fn addresses_go() {
    for text in ["write to alice.smith+news@mail.example.co.uk", "<bob@example.com>", "jörg@müller.de", "x'y@a-b.io,"] {
        assert!(cleaned(text).contains("[email]") && !cleaned(text).contains('@'), "{text}: {}", cleaned(text));
    }
    for text in ["user@localhost", "@decorator", "3 @ 4", "a@b"] {
        assert_eq!(cleaned(text), text);
    }
}

#[test]
fn numbers_of_telephones_go_and_other_numbers_stay() {
    for text in [
        "+1 555 123 4567",
        "+49 (0)30 1234567",
        "+442071838750",
        "(555) 123-4567",
        "555-123-4567",
        "555.123.4567",
        "030/1234567",
        "0151-2345678",
    ] {
        assert_eq!(cleaned(&format!("call {text} now")), "call [phone] now", "{text}");
    }
    for text in [
        "2026-01-05T10:00:00+02:00",
        "550e8400-e29b-41d4-a716-446655440000",
        "route-20251120-223702-0000007f",
        "task-0127",
        "192.168.100.100",
        "100 + 200000000 = 200000100",
        "sum 100 200 3000",
        "version 10.15.7",
        "00:01:02.123456",
        "4111111111111111",
        "1.234.567,89",
        "2026-01-05 10:00:00",
    ] {
        assert_eq!(cleaned(text), text);
    }
}

#[test]
fn keys_and_tokens_go() {
    for secret in [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "sk-proj-abcdefghijklmnopqrstuvwx",
        "xoxb-123456789012-abcdef",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.dozjgNryP4J3jVmNHl0w5N",
        "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "glpat-ABCDEFGHIJKLMNOPQRST",
        "sk_live_abcdefghijklmnop1234",
        "Zx8Qp2Lm9Vt4Rk7Wn3Hs6Yb1Dc5F",
    ] {
        assert_eq!(cleaned(&format!("use {secret} please")), "use [key] please", "{secret}");
    }
    assert_eq!(cleaned("api_key=abc123def api-key: \"s3cr3t!x\""), "api_key=[key] api-key: \"[key]\"");
    assert_eq!(cleaned("Authorization: Bearer abcdefghijklmnopqrstuv"), "Authorization: [key]");
    assert_eq!(cleaned("postgres://admin:pa55word@db.local/x"), "postgres[key]db.local/x");
    assert_eq!(cleaned("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- end"), "[key] end");
}

#[test]
fn ids_digests_and_prose_stay() {
    for text in [
        "550e8400-e29b-41d4-a716-446655440000",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "the password is incorrect",
        "why is my token expired?",
        "getUserAccountSettingsFromDatabase",
        "src/components/navigation/SideBar.tsx",
        "https://example.com/a/b?c=d",
        "task-based ask-me-anything-about-something",
    ] {
        assert_eq!(cleaned(text), text);
    }
}

#[test]
fn what_programs_made_is_searched_for_clear_shapes_only() {
    let record = r#"{"trace_id":"Zx8Qp2Lm9Vt4Rk7Wn3Hs6Yb1Dc5F","session_id":"555-123-4567","user_id":"alice@example.com","timestamp":"2026-01-05T10:00:00Z"}"#;
    let cleaned = standard().record(record, &mut RedactCounts::new()).into_owned();
    assert_eq!(cleaned, record.replace("alice@example.com", "[email]"));
}

#[test]
fn escapes_keys_and_nested_texts_hide_nothing() {
    let record = r#"{"a":["x","bob\u0040example.com"],"alice@example.com":{"b":"\"+1 555 123 4567\""}}"#;
    let mut counts = RedactCounts::new();
    assert_eq!(standard().record(record, &mut counts), r#"{"a":["x","[email]"],"[email]":{"b":"\"[phone]\""}}"#);
    assert_eq!(counts, BTreeMap::from([("emails", 2), ("phones", 1)]));
}

#[test]
fn a_kind_that_is_not_wanted_stays() {
    let settings = RedactSettings { emails: false, patterns: vec![r"PRJ-\d+".to_owned()], ..RedactSettings::default() };
    assert_eq!(redactor(settings).record(r#"{"q":"a@b.org in PRJ-12"}"#, &mut RedactCounts::new()), r#"{"q":"a@b.org in [redacted]"}"#);
}

#[test]
fn users_become_hashes_that_stay_equal_in_records_and_in_junk() {
    let redactor = redactor(RedactSettings { hash: vec!["user_id".to_owned()], ..RedactSettings::default() });
    let mut counts = RedactCounts::new();
    let record = redactor.record(r#"{"user_id":"alice","query":"alice"}"#, &mut counts).into_owned();
    let hash = serde_json::from_str::<serde_json::Value>(&record).unwrap()["user_id"].as_str().unwrap().to_owned();
    assert_eq!(hash, "h-dc663a1de92b83cd9b6522902cf9420e");
    assert_eq!(record, format!(r#"{{"user_id":"{hash}","query":"alice"}}"#));
    for junk in ["{'user_id': 'alice'}", "user_id=alice", "{\"user_id\": \"alice", "{\"user_id\":\"alice\""] {
        let cleaned = redactor.anything(junk, &mut counts);
        assert!(cleaned.contains(&hash) && !cleaned.contains("alice"), "{junk}: {cleaned}");
    }
    assert!(!redactor.anything(r#"{"user_id":4711}"#, &mut counts).contains("4711"));
}

#[test]
fn settings_that_cannot_be_carried_out_are_named() {
    let error = |settings: RedactSettings| Redactor::new(&settings, None).unwrap_err().to_string();
    let hash = RedactSettings { hash: vec!["user_id".to_owned()], salt_variable: "MY_SALT".to_owned(), ..RedactSettings::default() };
    assert_eq!(error(hash), "the environment variable `MY_SALT` holds no salt, which the hashes of `ingest.redact.hash` need");
    let with = |pattern: &str| RedactSettings { patterns: vec![pattern.to_owned()], ..RedactSettings::default() };
    assert_eq!(error(with("(")), "`(` is no regular expression");
    assert_eq!(error(with("x*")), "`x*` matches the empty text");
}

proptest! {
    #[test]
    fn any_text_is_cleaned_without_a_panic_and_json_stays_json(text in ".{0,200}") {
        standard().anything(&text, &mut RedactCounts::new());
        let record = serde_json::json!({ "query": text, "user_id": text }).to_string();
        let cleaned = standard().record(&record, &mut RedactCounts::new()).into_owned();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&cleaned).is_ok(), "{cleaned}");
    }

    #[test]
    fn cleaning_twice_changes_nothing_more(text in "[a-zA-Z0-9@. +:=\"\\\\-]{0,80}") {
        let record = serde_json::json!({ "query": text }).to_string();
        let once = standard().record(&record, &mut RedactCounts::new()).into_owned();
        prop_assert_eq!(standard().record(&once, &mut RedactCounts::new()), once.as_str());
    }
}

/// Keys of people, of programs, and one that should not be there.
const KEYS: &[&str] = &[
    "query",
    "note",
    "user_id",
    "timestamp",
    "execution_path",
    "api_key",
    "alice@example.org",
    "a_key_that_is_long",
    "mistralai/Mixtral-8x7B-Instruct-v0.1",
];

/// Texts near what is taken out.
fn texts() -> impl Strategy<Value = String> {
    let parts = [
        "alice@example.org",
        "a@b.io",
        "+49 151 23456789",
        "+1234567890",
        "555-123-4567",
        "(030) 1234567",
        "0171 2345678",
        "AKIAIOSFODNN7EXAMPLE",
        "hf_",
        "npm_",
        "rk_live_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "pypi-",
        "sk-",
        "AIza",
        "-----BEGIN PRIVATE KEY-----",
        "0123456789abcdefABCDEF0123456789abcd",
        "://u:p4ssw0rd@h",
        "eyJ",
        "SG.",
        "Bearer ",
        "bEARer ",
        "my key is ",
        "THE TOKEN IS\t",
        "paſſword iſ hän@el0815",
        "0x@y!zzzz",
        "abcdefghijklmnopqrstuvwx",
        "2026-01-05T10:00:00.123456Z",
        "053c6b7d-6105-4fd8-84cf-3ae0d30025ed",
        "password is hunter22",
        "token=x1y2z3",
        "q-00000017",
        " ",
        "-",
        "é",
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
        "wJalrXUtnFEMI9K7MDENG3bPxRfiCYEXAMPLEKEY",
        "ghp_0123456789abcdefABCDEF0123456789abcd",
        "words of prose",
        "STANDARD",
        "7",
    ];
    let part = prop_oneof![prop::sample::select(parts.to_vec()).prop_map(str::to_owned), "[a-zA-Z0-9@+:/_. -]{0,20}"];
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

proptest! {
    /// The cleaner's memory and its looks ahead of the detectors change nothing.
    #[test]
    fn texts_are_cleaned_while_they_are_parsed_as_they_are_one_by_one(records in prop::collection::vec(prop::collection::vec((prop::sample::select(KEYS), texts()), 1..6), 1..5)) {
        let redactor = standard();
        let mut cleaner = Cleaner::new(Some(&redactor));
        for pairs in records {
            let text = serde_json::Value::Object(pairs.into_iter().map(|(key, text)| (key.to_owned(), text.into())).collect()).to_string();
            let mut counts = RedactCounts::new();
            // Every detector, whatever a first look says.
            let cleaned = rewrite(&text, &mut |piece| match piece {
                Piece::Key(key) => redactor.search(key, Place::Name, &mut counts, |_| true),
                Piece::Value { key, value } => redactor.search(value, place_of(key), &mut counts, |_| true),
            }).into_owned();
            let arena = Bump::new();
            let (ours, theirs) = (Json::parse_with(&text, &arena, 64, &mut cleaner).unwrap(), Json::parse(&cleaned, &arena).unwrap());
            prop_assert_eq!(ours, theirs, "{}", text);
            let ours = cleaner.end_record();
            prop_assert_eq!(ours, counts, "{}", text);
        }
    }
}

#[test]
fn models_keep_their_names_where_paths_are_named() {
    let name = "mistralai/Mixtral-8x7B-Instruct-v0.1";
    let record = serde_json::json!({ "routing_decision": { "execution_path": name, "candidates": [name], "propensities": { name: 1.0 } } })
        .to_string();
    assert_eq!(standard().record(&record, &mut RedactCounts::new()), record);
    let secret = serde_json::json!({ "candidates": ["555-123-4567"], "execution_path": "sk-abcdefghijklmnopqrstuvwx", "static_path": "alice@example.org" }).to_string();
    assert_eq!(
        standard().record(&secret, &mut RedactCounts::new()),
        r#"{"candidates":["[phone]"],"execution_path":"[key]","static_path":"[email]"}"#
    );
}
