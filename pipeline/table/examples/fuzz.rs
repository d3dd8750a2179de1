//! Throws damaged records at a format's parser: `fuzz --format e009 --minutes 10 [--seed S]`.
//!
//! Inputs are valid records whose values and bytes are damaged, and plain noise. Nothing may panic; every record must become a decision or be
//! rejected, so that the counts add up. A finding prints the seed and the input's number,
//! writes the input to `fuzz-finding-<format>.bin`, and ends with exit code 1.
#![expect(clippy::print_stdout, reason = "a tool for people at a terminal")]

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use routewright_table::{Counts, Format, IngestSettings, RecordLimits, RedactSettings, Redactor, format_named, inspect};
use serde_json::{Value, json};

/// A format under test: its name, the file name that it is read under, valid records.
struct Target {
    name: &'static str,
    file: &'static str,
    records: fn() -> Vec<String>,
}

const TARGETS: &[Target] = &[
    Target { name: "e009", file: "x.jsonl", records: || vec![e009("t-1", "DIRECT_TOOL"), e009("t-2", "REASONING")] },
    Target { name: "cortex", file: "x.jsonl", records: || vec![cortex()] },
    Target { name: "router-metrics", file: "x.jsonl", records: || vec![gateway("control"), gateway("treatment")] },
    Target { name: "matrix", file: "x.jsonl", records: || vec![e009("t-1", "A"), e009("t-2", "B")] },
    Target { name: "wide", file: "x.csv", records: || vec![wide()] },
];

/// An e009 record with every key.
fn e009(id: &str, path: &str) -> String {
    json!({ "trace_id": id, "timestamp": "2026-01-05T10:00:00.5+02:00", "query": "what is the cpu usage? mail a@b.org", "query_id": "q-1",
        "session_id": "s", "user_id": "u", "query_features": { "length": 22, "has_code": false, "keywords": ["cpu", "usage"] },
        "context": { "system_mode": "NORMAL", "recent_error_rate": 0.02, "gpu": { "load": 1 } },
        "routing_decision": { "execution_path": path, "tool_name": "metrics", "confidence": 0.92,
            "stage_1_result": { "query_type": "tool_direct", "complexity": "simple", "confidence": 0.9, "requires_tools": true },
            "stage_2_result": { "execution_path": path, "rationale": "fits" }, "stage_3_result": { "is_valid": true, "concerns": ["none"] },
            "static_path": path, "propensity": 0.85, "propensities": { path: 0.85, "OTHER": 0.15 }, "candidates": [path, "OTHER"],
            "policy_id": "p1", "explored": false },
        "execution_outcome": { "success": true, "latency_ms": 234, "error": null, "tool_execution_time_ms": 120.5, "llm_calls": 0, "cost": 0.001 },
        "quality_metrics": { "user_feedback": "positive", "response_length": 150, "hallucination_detected": false, "quality_score": 0.8 } })
    .to_string()
}

/// A cortex event.
fn cortex() -> String {
    json!({ "event_id": "route-20260105-100000-0000007f", "timestamp": "2026-01-05T10:00:00+00:00", "task_id": "task-1",
        "task_description": "back up the database", "task_metadata": { "priority": "low", "source": "user", "user_id": "u7" },
        "routing_layers": [
            { "layer_id": 1, "layer_name": "keyword", "attempted": true, "success": false, "confidence": 0.7, "threshold": 0.85,
              "selected_master": "cicd-master", "latency_ms": 4.6, "metadata": {} },
            { "layer_id": 2, "layer_name": "semantic", "attempted": true, "success": true, "confidence": 0.9, "latency_ms": 36.4 }],
        "final_decision": { "selected_master": "cicd-master", "routing_layer": "semantic", "confidence": 0.9, "all_probabilities": { "cicd-master": 0.9 } },
        "total_latency_ms": 41.0, "outcome": { "task_completed": true, "task_status": "completed", "was_correct_master": true,
            "user_corrected_to": null, "completion_time_minutes": 83, "quality_score": 0.88 },
        "learning_feedback": { "correct_routing": true, "should_have_routed_to": null, "threshold_too_high": false } })
    .to_string()
}

/// A line of the A/B gateway.
fn gateway(group: &str) -> String {
    json!({ "timestamp": "2026-01-05T10:00:00-06:00", "task_id": "task-1", "method": "ml", "selected_master": "cicd-master",
        "confidence": 0.8, "ab_test_group": group, "outcome": "completed" })
    .to_string()
}

/// A wide table.
fn wide() -> String {
    "query_id,timestamp,query,level,success_A,latency_ms_A,success_B,cost_B\nq1,2026-01-05T10:00:00Z,\"two\nlines\",3,1,120,0,0.5\nq2,2026-01-05T11:00:00Z,hi,4,,,0.7,0.25".to_owned()
}

/// Random numbers that depend on the seed alone (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn pick<'t, T>(&mut self, items: &'t [T]) -> Option<&'t T> {
        let at = self.below(items.len());
        items.get(at)
    }
}

/// Texts at the borders of what parsers expect.
const TEXTS: &[&str] = &[
    "",
    " ",
    "null",
    "NaN",
    "-Infinity",
    "1e400",
    "0",
    "true",
    "keyword",
    "cicd-master",
    "control",
    "A",
    "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "0000-01-01T00:00:00Z",
    "2026-01-05T10:00:00+99:99",
    "-009999-01-01T00:00:00Z",
    "2026-W01-1T00:00:00Z",
    "\u{feff}",
    "\u{0}",
    "\u{1f600}",
    "e\u{301}",
    "\\",
    "\"",
    "{",
    "}",
    "[",
    ",",
    "\n",
    "\r\n",
    "alice@example.com",
    "+49 151 23456789",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "password is h\u{fc}nter22",
    "user_id: \"x",
    "@@@",
    "://a:b@",
    "-----BEGIN PRIVATE KEY-----",
];

/// Texts that stand for numbers, some of them no JSON.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1",
    "0.5",
    "1.0000001",
    "1e308",
    "1e309",
    "-1e309",
    "1e-400",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "9007199254740993",
    "0.1e1",
    "00",
    "01",
    "+1",
    ".5",
    "5.",
    "1e",
    "NaN",
    "Infinity",
    "0x10",
    "1_000",
];

/// A value that does not belong where it will stand.
fn junk(random: &mut Random) -> Value {
    match random.below(8) {
        0 => Value::Null,
        1 => json!(random.below(2) == 0),
        2 => json!(random.next() as i64),
        3 => json!(f64::from_bits(random.next())),
        4 => json!([1, "a", null, { "a": [] }]),
        5 => json!({ "": { "": {} }, "a.b": 1, "wide_table_fault": "ragged_row" }),
        6 => (0..random.below(90)).fold(json!(1), |inner, _| json!([inner])),
        _ => json!(random.pick(TEXTS)),
    }
}

/// Damages a value somewhere.
fn damage(value: &mut Value, random: &mut Random) {
    let deeper = random.below(4) > 0;
    match value {
        Value::Object(map) if deeper && !map.is_empty() => {
            let keys: Vec<String> = map.keys().cloned().collect();
            let Some(key) = random.pick(&keys).cloned() else { return };
            match random.below(8) {
                0 => drop(map.remove(&key)),
                1 => {
                    let other = random.pick(&keys).cloned().unwrap_or_default();
                    let copy = map.get(&key).cloned().unwrap_or_default();
                    map.insert(other, copy);
                }
                2 => {
                    let moved = map.remove(&key).unwrap_or_default();
                    map.insert(random.pick(TEXTS).map_or_else(String::new, |text| (*text).to_owned()), moved);
                }
                _ => {
                    if let Some(inner) = map.get_mut(&key) {
                        damage(inner, random);
                    }
                }
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = random.below(items.len());
            if let Some(inner) = items.get_mut(at) {
                damage(inner, random);
            }
        }
        value => *value = junk(random),
    }
}

/// One input: some records, damaged as values, then as bytes.
fn input(target: &Target, random: &mut Random) -> Vec<u8> {
    let valid = (target.records)();
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(4) {
        let mut text = random.pick(&valid).cloned().unwrap_or_default();
        if let Ok(mut value) = serde_json::from_str::<Value>(&text) {
            for _ in 0..random.below(4) {
                damage(&mut value, random);
            }
            text =
                if random.below(6) == 0 { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap_or_default();
        }
        if random.below(4) == 0 {
            text = with_other_number(&text, random);
        }
        if random.below(10) == 0
            && let Some(other) = random.pick(TARGETS)
        {
            text.push_str(&(other.records)().concat());
        }
        bytes.extend(text.into_bytes());
        bytes.extend(random.pick(&["\n", "\r\n", "", " ", ",\n", "\n\n\u{feff}"]).map_or(&b""[..], |end| end.as_bytes()));
    }
    for _ in 0..[0, 0, 0, 1, 2, 8].get(random.below(6)).copied().unwrap_or(0) {
        damage_bytes(&mut bytes, random);
    }
    bytes
}

/// Puts one of the odd numbers in the place of a digit.
fn with_other_number(text: &str, random: &mut Random) -> String {
    let digits: Vec<usize> = text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()).map(|(at, _)| at).collect();
    match (random.pick(&digits).copied(), random.pick(NUMBERS)) {
        (Some(at), Some(number)) => format!("{}{number}{}", &text[..at], &text[at + 1..]),
        _ => text.to_owned(),
    }
}

fn damage_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.remove(at)),
        4 => {
            let end = (at + random.below(40)).min(bytes.len());
            let piece: Vec<u8> = bytes[at..end].to_vec();
            let to = random.below(bytes.len());
            drop(bytes.splice(to..to, piece));
        }
        5 => drop(bytes.splice(at..at, random.pick(TEXTS).map_or(&b""[..], |text| text.as_bytes()).to_vec())),
        6 => drop(bytes.splice(at..at, (0..random.below(60)).map(|_| random.next() as u8).collect::<Vec<_>>())),
        _ => bytes[at] = *random.pick(b"\"\\{}[],:\n\r\0 \xff").unwrap_or(&0),
    }
}

/// Reads an input and checks the counts.
fn check(target: &Target, format: Option<&'static Format>, bytes: &[u8], settings: &IngestSettings) -> Result<Counts, String> {
    let read = || inspect(Path::new(target.file), Box::new(Cursor::new(bytes.to_vec())), format, settings);
    let counts = catch_unwind(AssertUnwindSafe(read)).map_err(|_| "it panicked".to_owned())?;
    // A file that two formats claim is refused as a whole, which is no finding.
    let counts = counts.unwrap_or_default();
    if counts.adds_up() { Ok(counts) } else { Err(format!("counts do not add up: {counts:?}")) }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let flag = |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).cloned();
    let name = flag("--format").unwrap_or_else(|| "e009".to_owned());
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        println!("unknown format `{name}`, there are {}", TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", "));
        return ExitCode::from(2);
    };
    let minutes: f64 = flag("--minutes").and_then(|text| text.parse().ok()).unwrap_or(10.0);
    let seed: u64 = flag("--seed").and_then(|text| text.parse().ok()).unwrap_or(1);
    let redact = RedactSettings { hash: vec!["user_id".to_owned()], ..RedactSettings::default() };
    let settings = IngestSettings {
        limits: RecordLimits { max_record_bytes: 4096, max_depth: 64 },
        redact: Redactor::new(&redact, Some("salt")).ok(),
        ..IngestSettings::default()
    };
    let (end, mut last_said) = (Instant::now() + Duration::from_secs_f64(60.0 * minutes), Instant::now());
    let (mut n_inputs, mut totals) = (0_u64, Counts::default());
    println!("format {name}, seed {seed}, {minutes} minutes");
    while Instant::now() < end {
        // Every input has a seed of its own, so that one can be repeated alone.
        let mut random = Random(seed ^ n_inputs.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let bytes = input(target, &mut random);
        let forced = if random.below(2) == 0 { format_named(&name) } else { None };
        match check(target, forced, &bytes, &settings) {
            Ok(counts) => {
                totals.read += counts.read;
                totals.kept += counts.kept;
                counts.quarantined.into_iter().for_each(|(reason, count)| *totals.quarantined.entry(reason).or_default() += count);
            }
            Err(finding) => {
                let file = format!("fuzz-finding-{name}.bin");
                let kept = std::fs::write(&file, &bytes).is_ok();
                println!(
                    "FINDING in input {n_inputs} of seed {seed}: {finding}; {} bytes{}",
                    bytes.len(),
                    if kept { format!(" in {file}") } else { String::new() }
                );
                return ExitCode::FAILURE;
            }
        }
        n_inputs += 1;
        if last_said.elapsed() > Duration::from_secs(60) {
            last_said = Instant::now();
            println!("{n_inputs} inputs, {} records, {} decisions", totals.read, totals.kept);
        }
    }
    println!(
        "done: {n_inputs} inputs, {} records, {} decisions, {} rejected: {:?}",
        totals.read,
        totals.kept,
        totals.n_quarantined(),
        totals.quarantined
    );
    ExitCode::SUCCESS
}
