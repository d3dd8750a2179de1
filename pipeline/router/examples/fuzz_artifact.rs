//! Damages an artifact at random and sees to it that loading refuses it or stays harmless: no panic, no hang, no flood of memory.
//!
//! `cargo run --release --example fuzz_artifact -- FOLDER flips 100000` flips single bytes; `… FOLDER minutes 30` also cuts, repeats,
//! splices and overwrites numbers with extreme ones. Every second damage is sealed: the manifest's sizes and digests are brought up to
//! date, so that the parsers behind the checksums are reached. A panic ends the program; `ulimit -v` bounds its memory.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a harness reads files, measures time and says what it saw")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use routewright_domain::{Rng, Seed, Timestamp};
use routewright_router::{MANIFEST_FILE, Request, Router, sha256_hex};

type Files = BTreeMap<String, Vec<u8>>;

/// What happened so far.
#[derive(Default)]
struct Seen {
    cases: u64,
    refused: u64,
    harmless: u64,
    slowest: Duration,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, kind, amount] = arguments.as_slice() else {
        return Err("usage: fuzz_artifact FOLDER flips|minutes N".into());
    };
    let mut artifact = Files::new();
    for entry in std::fs::read_dir(Path::new(folder))? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|name| !name.to_string_lossy().ends_with(".onnx")) {
            artifact.insert(name.to_string_lossy().into_owned(), std::fs::read(&path)?);
        }
    }
    forget_exports(&mut artifact)?;
    Router::load(&artifact)?.verify()?;
    let amount: u64 = amount.parse()?;
    let (mut rng, mut seen, start) = (Seed(std::process::id().into()).rng(), Seen::default(), Instant::now());
    let is_over = |seen: &Seen| match kind.as_str() {
        "flips" => seen.cases >= amount,
        _ => start.elapsed() >= Duration::from_secs(60 * amount),
    };
    while !is_over(&seen) {
        let damaged = if kind == "flips" { flip(&artifact, &mut rng) } else { damage(&artifact, &mut rng) };
        let files = if below(&mut rng, 2) == 0 { seal(damaged) } else { damaged };
        let clock = Instant::now();
        match Router::load(&files) {
            Err(_) => seen.refused += 1,
            Ok(router) => {
                // Whatever was loaded must decide without a panic, within what its own numbers allow.
                let _repeated = router.verify();
                let routed = router.route(&Request::new("restart the server, why?", Timestamp(1000)));
                assert!(routed.success.iter().all(|success| success.is_nan() || (0.0..=1.0).contains(success)));
                assert!((0.0..=1.0).contains(&routed.confidence));
                seen.harmless += 1;
            }
        }
        seen.slowest = seen.slowest.max(clock.elapsed());
        seen.cases += 1;
        if seen.cases % 50_000 == 0 {
            report(&seen, start);
        }
    }
    report(&seen, start);
    Ok(())
}

fn report(seen: &Seen, start: Instant) {
    let Seen { cases, refused, harmless, slowest } = seen;
    println!("{cases} cases in {} s: {refused} refused, {harmless} harmless, 0 panics; slowest {slowest:?}", start.elapsed().as_secs());
}

/// Leaves the exports out, which loading only compares with their digests.
fn forget_exports(files: &mut Files) -> serde_json::Result<()> {
    let mut manifest: serde_json::Value = serde_json::from_slice(files.get(MANIFEST_FILE).map_or(&[], Vec::as_slice))?;
    if let Some(entries) = manifest["files"].as_object_mut() {
        entries.retain(|name, _| !name.ends_with(".onnx"));
    }
    files.insert(MANIFEST_FILE.to_owned(), serde_json::to_vec(&manifest)?);
    Ok(())
}

fn below(rng: &mut Rng, n: usize) -> usize {
    (rand::Rng::next_u64(rng) % n.max(1) as u64) as usize
}

/// A file of the artifact, taken out of a copy.
fn pick(artifact: &Files, rng: &mut Rng) -> (Files, String, Vec<u8>) {
    let position = below(rng, artifact.len());
    let mut files = artifact.clone();
    let name = files.keys().nth(position).cloned().unwrap_or_default();
    let bytes = files.remove(&name).unwrap_or_default();
    (files, name, bytes)
}

fn flip(artifact: &Files, rng: &mut Rng) -> Files {
    let (mut files, name, mut bytes) = pick(artifact, rng);
    let position = below(rng, bytes.len());
    bytes[position] ^= 1 + below(rng, 255) as u8;
    files.insert(name, bytes);
    files
}

fn damage(artifact: &Files, rng: &mut Rng) -> Files {
    let mut files = artifact.clone();
    for _ in 0..=below(rng, 4) {
        let (mut rest, name, mut bytes) = pick(&files, rng);
        let (at, length) = (below(rng, bytes.len() + 1), below(rng, 64));
        let end = (at + length).min(bytes.len());
        match below(rng, 7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => bytes[at..end].iter_mut().for_each(|byte| *byte = below(rng, 256) as u8),
            4 => overwrite(&mut bytes, at, &EXTREMES[below(rng, EXTREMES.len())]),
            5 => {
                let other = rest.values().nth(below(rng, rest.len())).cloned().unwrap_or_default();
                let from = below(rng, other.len() + 1);
                let piece = other[from..(from + length).min(other.len())].to_vec();
                bytes.splice(at..end, piece);
            }
            _ => {
                let digits = [b"99999999999999999999".as_slice(), b"-1", b"1e308", b"null", b"[]", b"{}", b"\"\""][below(rng, 7)];
                bytes.splice(at..end, digits.iter().copied());
            }
        }
        rest.insert(name, bytes);
        files = rest;
    }
    files
}

/// Numbers that ask for too much, or are none.
const EXTREMES: [[u8; 8]; 8] = [
    [0xff; 8],
    [0; 8],
    [0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f],
    [0, 0, 0, 0x80, 0, 0, 0, 0x80],
    [0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f],
    [0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
    [0, 0, 0, 0, 0, 0, 0xf0, 0x7f],
    [1, 0, 0, 0, 0, 0, 0, 0],
];

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(at).zip(with) {
        *byte = *new;
    }
}

/// Brings sizes and digests of the manifest up to date, where it is one.
fn seal(mut files: Files) -> Files {
    let Some(bytes) = files.get(MANIFEST_FILE) else { return files };
    let Ok(mut manifest) = serde_json::from_slice::<serde_json::Value>(bytes) else { return files };
    if !manifest["files"].is_object() {
        return files;
    }
    for (name, bytes) in files.iter().filter(|(name, _)| *name != MANIFEST_FILE) {
        manifest["files"][name] = serde_json::json!({ "bytes": bytes.len(), "sha256": sha256_hex(bytes) });
    }
    if manifest.is_object() {
        manifest["feature_schema_digest"] = manifest["files"]["features.json"]["sha256"].clone();
    }
    if let Ok(bytes) = serde_json::to_vec(&manifest) {
        files.insert(MANIFEST_FILE.to_owned(), bytes);
    }
    files
}
