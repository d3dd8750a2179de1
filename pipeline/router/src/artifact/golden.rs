//! `golden.jsonl`: requests, and the decisions that a loaded router must repeat bit for bit.

use std::collections::BTreeMap;

use routewright_domain::{Scalar, Timestamp};
use serde::{Deserialize, Serialize};

use crate::policy::Fallback;
use crate::request::Request;
use crate::service::{Routed, Router};

/// A request and the decision it must give. Numbers stand as the hexadecimal bits of a double, which no reader rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    query: String,
    timestamp: Timestamp,
    query_type: Option<String>,
    complexity: Option<String>,
    static_path: Option<String>,
    session_id: Option<String>,
    /// The text's vector by the sentence model, where the router needs one; so the check needs no model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sentence: Option<Vec<f32>>,
    extras: BTreeMap<String, GoldenScalar>,
    path: Option<String>,
    learned_path: Option<String>,
    fallback: Option<Fallback>,
    confidence: Bits,
    success: Vec<Bits>,
    latency_ms: Vec<Bits>,
}

/// A decision that is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`golden.jsonl`, line {line}: `{field}` is {found} where {expected} was recorded")]
pub struct GoldenError {
    /// Line of the file, from 1.
    pub line: usize,
    /// What differs.
    pub field: &'static str,
    /// What the router says now.
    pub found: String,
    /// What it said when the artifact was packed.
    pub expected: String,
}

/// The bits of a double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bits(u64);

impl From<f64> for Bits {
    fn from(number: f64) -> Self {
        // One NaN for all: its sign and payload mean nothing.
        Self(if number.is_nan() { f64::NAN.to_bits() } else { number.to_bits() })
    }
}

impl Serialize for Bits {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        u64::from_str_radix(&digits, 16).map(Self).map_err(|_| serde::de::Error::custom(format!("`{digits}` are no bits of a double")))
    }
}

/// A [`Scalar`] in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GoldenScalar {
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<String>),
}

impl From<&Scalar> for GoldenScalar {
    fn from(scalar: &Scalar) -> Self {
        match scalar {
            Scalar::Bool(value) => Self::Bool(*value),
            Scalar::Number(value) => Self::Number(*value),
            Scalar::Text(value) => Self::Text(value.clone()),
            Scalar::List(value) => Self::List(value.clone()),
        }
    }
}

impl From<&GoldenScalar> for Scalar {
    fn from(scalar: &GoldenScalar) -> Self {
        match scalar {
            GoldenScalar::Bool(value) => Self::Bool(*value),
            GoldenScalar::Number(value) => Self::Number(*value),
            GoldenScalar::Text(value) => Self::Text(value.clone()),
            GoldenScalar::List(value) => Self::List(value.clone()),
        }
    }
}

impl Golden {
    /// Records what a router decides on a request.
    pub fn record(router: &Router, request: &Request<'_>) -> Self {
        let routed = router.route(request);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            query: request.query.to_owned(),
            timestamp: request.timestamp,
            query_type: owned(request.query_type),
            complexity: owned(request.complexity),
            static_path: owned(request.static_path),
            session_id: owned(request.session_id),
            sentence: request.sentence.map(<[f32]>::to_vec),
            extras: request.extras.iter().map(|(key, value)| (key.clone(), value.into())).collect(),
            path: owned(routed.path),
            learned_path: owned(routed.learned_path),
            fallback: routed.fallback,
            confidence: routed.confidence.into(),
            success: routed.success.iter().copied().map(Bits::from).collect(),
            latency_ms: routed.latency_ms.iter().copied().map(Bits::from).collect(),
        }
    }

    /// Repeats the decision and compares every bit. `line`: where it stands, for the error.
    ///
    /// # Errors
    /// [`GoldenError`] names the first field that differs.
    pub fn check(&self, router: &Router, line: usize) -> Result<(), GoldenError> {
        let extras: BTreeMap<String, Scalar> = self.extras.iter().map(|(key, value)| (key.clone(), value.into())).collect();
        let request = Request {
            query: &self.query,
            timestamp: self.timestamp,
            query_type: self.query_type.as_deref(),
            complexity: self.complexity.as_deref(),
            static_path: self.static_path.as_deref(),
            session_id: self.session_id.as_deref(),
            sentence: self.sentence.as_deref(),
            extras: &extras,
        };
        let routed = router.route(&request);
        let differs = self.differences(&routed).into_iter().find(|(_, found, expected)| found != expected);
        match differs {
            Some((field, found, expected)) => Err(GoldenError { line, field, found, expected }),
            None => Ok(()),
        }
    }

    /// Every field: name, what the router says, what was recorded.
    fn differences(&self, routed: &Routed<'_>) -> [(&'static str, String, String); 6] {
        let bits = |numbers: &[f64]| format!("{:x?}", numbers.iter().map(|number| Bits::from(*number).0).collect::<Vec<_>>());
        let recorded = |numbers: &[Bits]| format!("{:x?}", numbers.iter().map(|bits| bits.0).collect::<Vec<_>>());
        let text = |text: Option<&str>| text.unwrap_or("none").to_owned();
        let reason = |fallback: Option<Fallback>| fallback.map_or("none", Fallback::name).to_owned();
        [
            ("path", text(routed.path), text(self.path.as_deref())),
            ("learned_path", text(routed.learned_path), text(self.learned_path.as_deref())),
            ("fallback", reason(routed.fallback), reason(self.fallback)),
            ("confidence", bits(&[routed.confidence]), recorded(&[self.confidence])),
            ("success", bits(&routed.success), recorded(&self.success)),
            ("latency_ms", bits(&routed.latency_ms), recorded(&self.latency_ms)),
        ]
    }
}

/// One JSON object per line.
pub(super) fn to_lines(golden: &[Golden]) -> Result<Vec<u8>, serde_json::Error> {
    let mut lines = Vec::new();
    for decision in golden {
        serde_json::to_writer(&mut lines, decision)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Reads what [`to_lines`] wrote.
pub(super) fn from_lines(bytes: &[u8]) -> Result<Vec<Golden>, serde_json::Error> {
    bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice).collect()
}
