//! What real logs do to a line: one file per kind of dirt.

mod bad_propensity;
mod bad_timestamp;
mod blank_line;
mod carriage_return;
mod conflicting_duplicate;
mod duplicate;
mod invalid_utf8;
mod missing_key;
mod not_json;
mod pending;
mod pending_then_done;
mod truncated;
mod wrong_type;

use serde_json::Value;

/// A kind of dirt.
#[derive(Debug)]
pub struct Dirt {
    /// Name, as in [`DayCounts::dirt`](crate::DayCounts::dirt).
    pub name: &'static str,
    /// Relative frequency among dirty lines.
    pub share: f64,
    /// What can be had of the decision.
    pub fate: Fate,
    /// Appends what the line becomes, with its end.
    pub(crate) write: fn(&Line<'_>, &mut Vec<u8>),
}

/// What a reader can have of a dirty decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// All of it.
    Kept,
    /// All but its outcome.
    Pending,
    /// Two contradicting versions.
    Contradicted,
    /// Nothing.
    Lost,
}

/// A clean line and a place in it.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// The line without its end.
    pub text: &'a [u8],
    /// A number in [0, 1) that says where something happens.
    pub cut: f64,
}

/// Every kind of dirt.
pub const DIRT: &[Dirt] = &[
    duplicate::DIRT,
    conflicting_duplicate::DIRT,
    pending::DIRT,
    pending_then_done::DIRT,
    carriage_return::DIRT,
    blank_line::DIRT,
    truncated::DIRT,
    not_json::DIRT,
    invalid_utf8::DIRT,
    wrong_type::DIRT,
    missing_key::DIRT,
    bad_timestamp::DIRT,
    bad_propensity::DIRT,
];

impl Line<'_> {
    /// Appends the line as it is.
    fn copy(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text);
        out.push(b'\n');
    }

    /// Appends the line after a change to its object.
    fn changed(&self, change: impl FnOnce(&mut Value), out: &mut Vec<u8>) {
        let mut object: Value = serde_json::from_slice(self.text).unwrap_or_default();
        change(&mut object);
        out.extend_from_slice(object.to_string().as_bytes());
        out.push(b'\n');
    }

    /// A place in the line that is neither its start nor its end.
    fn place(&self) -> usize {
        let inner = self.text.len().saturating_sub(2);
        1 + (self.cut * inner as f64) as usize
    }
}

/// Takes the outcome out of an object.
fn make_pending(object: &mut Value) {
    object["execution_outcome"] = serde_json::json!({ "success": null, "latency_ms": null, "error": null });
    if let Some(object) = object.as_object_mut() {
        object.remove("quality_metrics");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = r#"{"trace_id":"t","timestamp":"2026-01-01T00:00:00Z","query":"q","routing_decision":{"execution_path":"A","propensity":0.5,"propensities":{"A":0.5,"B":0.5}},"execution_outcome":{"success":true,"latency_ms":3.5},"quality_metrics":{"response_length":1}}"#;

    /// The objects that a reader finds in what a kind of dirt writes: those with a path, a good time and a good propensity.
    fn readable(text: &[u8]) -> Vec<Value> {
        let good = |object: &Value| {
            let routing = &object["routing_decision"];
            object["trace_id"] == "t"
                && object["query"].is_string()
                && object["timestamp"].as_str().is_some_and(|time| time.starts_with("2026-01-01T00"))
                && routing["execution_path"].is_string()
                && routing["propensity"].as_f64().is_some_and(|p| 0.0 < p && p <= 1.0)
                && !object["execution_outcome"]["latency_ms"].is_string()
        };
        let lines = text.split(|&byte| byte == b'\n');
        lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok()).filter(good).collect()
    }

    #[test]
    fn every_kind_of_dirt_does_what_it_says() {
        let clean: Value = serde_json::from_str(CLEAN).unwrap();
        for dirt in DIRT {
            for cut in [0.0, 0.3, 0.7, 0.999] {
                let mut out = Vec::new();
                (dirt.write)(&Line { text: CLEAN.as_bytes(), cut }, &mut out);
                assert_eq!(out.last(), Some(&b'\n'), "{}", dirt.name);
                let found = readable(&out);
                let outcome = |object: &Value| object["execution_outcome"]["success"].clone();
                match dirt.fate {
                    Fate::Kept => assert_eq!(found.last(), Some(&clean), "{} at {cut}", dirt.name),
                    Fate::Pending => assert!(found.len() == 1 && outcome(&found[0]).is_null(), "{}", dirt.name),
                    Fate::Contradicted => assert_ne!(outcome(&found[0]), outcome(&found[1]), "{}", dirt.name),
                    Fate::Lost => assert!(found.is_empty(), "{} at {cut}: {found:?}", dirt.name),
                }
            }
        }
    }

    #[test]
    fn names_are_distinct_and_shares_add_up() {
        let names: std::collections::BTreeSet<_> = DIRT.iter().map(|dirt| dirt.name).collect();
        assert_eq!(names.len(), DIRT.len());
        assert!((DIRT.iter().map(|dirt| dirt.share).sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
