//! Golden numbers of other implementations: `tests/golden/ope` and `tests/golden/stats`, where their READMEs name the sources.

mod estimates;
mod ledger;
mod statistics;

use std::io::Read;

use routewright_domain::{Arm, Log, Propensity, Target};
use serde_json::Value;

use crate::Sample;

/// A scenario's columns and the numbers expected of them.
struct Scenario {
    n_arms: usize,
    arms: Vec<Arm>,
    rewards: Vec<f64>,
    propensities: Vec<Propensity>,
    vectors: Vec<f64>,
    target: Target,
    predictions: Vec<f64>,
    mrdr_predictions: Vec<f64>,
    expected: Value,
}

/// Bytes that are read from front to back.
struct Reader {
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    fn new(packed: &[u8], magic: &[u8]) -> Self {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
        assert_eq!(&bytes[..magic.len()], magic);
        Self { bytes, at: magic.len() }
    }

    fn take(&mut self, n: usize) -> &[u8] {
        self.at += n;
        &self.bytes[self.at - n..self.at]
    }

    fn integer(&mut self) -> usize {
        u32::from_le_bytes(self.take(4).try_into().unwrap()) as usize
    }

    fn numbers(&mut self, n: usize) -> Vec<f64> {
        self.take(8 * n).chunks_exact(8).map(|chunk| f64::from_le_bytes(chunk.try_into().unwrap())).collect()
    }
}

impl Scenario {
    fn read(packed: &[u8], json: &str) -> Self {
        let mut reader = Reader::new(packed, b"RWOPE1");
        let (n, k) = (reader.integer(), reader.integer());
        let has_vectors = reader.take(1)[0] == 1;
        let arms = reader.take(n).iter().map(|&arm| Arm(u16::from(arm))).collect();
        let rewards = reader.numbers(n);
        let propensities = reader.numbers(n).into_iter().map(|p| Propensity::try_from(p).unwrap()).collect();
        let vectors = if has_vectors { reader.numbers(n * k) } else { Vec::new() };
        let target = Target::new(k, reader.numbers(n * k)).unwrap();
        let (predictions, mrdr_predictions) = (reader.numbers(n * k), reader.numbers(n * k));
        assert_eq!(reader.at, reader.bytes.len());
        Self {
            n_arms: k,
            arms,
            rewards,
            propensities,
            vectors,
            target,
            predictions,
            mrdr_predictions,
            expected: serde_json::from_str(json).unwrap(),
        }
    }

    /// The first rows only.
    fn first(&self, n: usize) -> Self {
        let k = self.n_arms;
        let shares: Vec<f64> = (0..n).flat_map(|row| self.target.row(row).to_vec()).collect();
        Self {
            n_arms: k,
            arms: self.arms[..n].to_vec(),
            rewards: self.rewards[..n].to_vec(),
            propensities: self.propensities[..n].to_vec(),
            vectors: Vec::new(),
            target: Target::new(k, shares).unwrap(),
            predictions: self.predictions[..n * k].to_vec(),
            mrdr_predictions: self.mrdr_predictions[..n * k].to_vec(),
            expected: self.expected.clone(),
        }
    }

    fn log(&self) -> Log<'_> {
        Log::new(self.n_arms, &self.arms, &self.rewards, &self.propensities).unwrap()
    }

    fn sample(&self) -> Sample<'_> {
        let sample = Sample::new(self.log(), &self.target).unwrap();
        sample.with_model(&self.predictions).unwrap().with_mrdr_model(&self.mrdr_predictions).unwrap()
    }
}

/// All scenarios with their names.
fn scenarios() -> Vec<(&'static str, Scenario)> {
    macro_rules! scenario {
        ($name:literal) => {
            (
                $name,
                Scenario::read(
                    include_bytes!(concat!("../../../tests/golden/ope/", $name, ".bin.gz")),
                    include_str!(concat!("../../../tests/golden/ope/", $name, ".json")),
                ),
            )
        };
    }
    vec![
        scenario!("S1_obp_softmax_target"),
        scenario!("S3a_router_eps05_additive_qhat"),
        scenario!("S5a_router_deterministic_log_additive_qhat"),
        scenario!("S6_latency_eps20"),
    ]
}

/// Two numbers within a relative tolerance; below 1 the tolerance is absolute in units of the value's scale.
#[track_caller]
fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    assert!(error <= tolerance || found == expected, "{what}: found {found}, expected {expected}, relative error {error:e}");
}

/// A number of a golden file.
#[track_caller]
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}
