//! The outcome of one decision, and the order in which outcomes become known.

use std::cmp::Ordering;

use routewright_domain::{Arm, Decision, Paths, Timestamp};

use crate::encoder::QuerySketch;

/// The outcome of one decision, and when it became known.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// When the outcome became known: queries at this time or before do not see it.
    pub visible_at: Timestamp,
    /// Orders outcomes that became known at the same time: a hash of the row's identity.
    pub id: u64,
    /// The path that ran.
    pub arm: Arm,
    /// Whether it succeeded.
    pub success: bool,
    /// How long it took, where logged; finite, not negative.
    pub latency_ms: Option<f64>,
    /// What was asked.
    pub sketch: QuerySketch,
}

impl Observation {
    /// The outcome of a decision, known from its time plus its latency on; `None` while it is pending or its path is not in the list.
    pub fn from_decision(decision: &Decision, paths: &Paths, sketch: QuerySketch) -> Option<Self> {
        let latency_ms = decision.latency_ms.filter(|latency| latency.is_finite()).map(|latency| latency.max(0.0));
        Some(Self {
            visible_at: decision.timestamp.plus_millis(latency_ms.unwrap_or(0.0)),
            id: stable_id(&decision.trace_id),
            arm: paths.arm(&decision.path)?,
            success: decision.success?,
            latency_ms,
            sketch,
        })
    }

    /// Natural logarithm of 1 + milliseconds.
    pub(super) fn log_latency(&self) -> Option<f32> {
        self.latency_ms.map(|latency| latency.max(0.0).ln_1p() as f32)
    }

    /// What the order of visibility depends on: everything, so that the order of insertion cannot matter.
    fn order_key(&self) -> (Timestamp, u64, Arm, bool, Option<u64>, &QuerySketch) {
        (self.visible_at, self.id, self.arm, self.success, self.latency_ms.map(f64::to_bits), &self.sketch)
    }
}

/// FNV-1a of an identity.
pub(crate) fn stable_id(identity: &str) -> u64 {
    identity.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl PartialEq for Observation {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Observation {}

impl PartialOrd for Observation {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Observation {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order_key().cmp(&other.order_key())
    }
}
