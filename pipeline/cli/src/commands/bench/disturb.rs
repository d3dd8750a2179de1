//! What happens to a generated world from some day on: the log of a day, rewritten line by line.

use anyhow::Context;
use rand::RngExt;
use routewright_domain::Seed;
use serde::Serialize;
use serde_json::Value;

/// Something that happens to a world.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Disturbance {
    /// A path fails three times in ten more often
    Outage,
    /// Every path fails eight times in a hundred more often
    Fall,
    /// A path takes twice as long
    Slow,
    /// Half of what asks for tools stays away
    Mix,
    /// Three quarters of what asks for tools stay away
    Exodus,
    /// Three outcomes in ten are written the wrong way round
    Poison,
}

/// The path that fails or is slow.
pub(super) const PATH: &str = "DIRECT_TOOL";

/// The query type that stays away.
const AWAY: &str = "tool_direct";

impl Disturbance {
    /// Rewrites the lines of a day.
    pub(super) fn rewrite(self, log: &[u8], seed: Seed) -> anyhow::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(log.len());
        for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mut record: Value = serde_json::from_slice(line).context("a generated line is not JSON")?;
            let id = record["trace_id"].as_str().unwrap_or_default().to_owned();
            let mut rng = seed.derive(&id, 0).rng();
            if self.touch(&mut record, rng.random::<f64>()) {
                serde_json::to_writer(&mut out, &record)?;
                out.push(b'\n');
            }
        }
        Ok(out)
    }

    /// Changes a record; whether it stays. `luck`: uniform in [0, 1).
    fn touch(self, record: &mut Value, luck: f64) -> bool {
        let on_path = record["routing_decision"]["execution_path"] == PATH;
        match self {
            Self::Outage if on_path && luck < 0.3 => record["execution_outcome"]["success"] = Value::Bool(false),
            Self::Fall if luck < 0.08 => record["execution_outcome"]["success"] = Value::Bool(false),
            Self::Slow if on_path => {
                let latency = record["execution_outcome"]["latency_ms"].as_f64();
                record["execution_outcome"]["latency_ms"] = latency.map_or(Value::Null, |latency| Value::from(2.0 * latency));
            }
            Self::Mix | Self::Exodus => {
                let kind = record["routing_decision"]["stage_1_result"]["query_type"].as_str().unwrap_or_default();
                return !(kind == AWAY && luck < if self == Self::Mix { 0.5 } else { 0.75 });
            }
            Self::Poison if luck < 0.3 => {
                if let Some(success) = record["execution_outcome"]["success"].as_bool() {
                    record["execution_outcome"]["success"] = Value::Bool(!success);
                }
            }
            Self::Outage | Self::Fall | Self::Slow | Self::Poison => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_hits_its_path_alone() {
        let line = |path: &str, id: usize| {
            format!(r#"{{"trace_id":"{id}","routing_decision":{{"execution_path":"{path}"}},"execution_outcome":{{"success":true}}}}"#)
                + "\n"
        };
        let log: String = (0..400).map(|id| line(if id % 2 == 0 { PATH } else { "CODING" }, id)).collect();
        let text = String::from_utf8(Disturbance::Outage.rewrite(log.as_bytes(), Seed(1)).unwrap()).unwrap();
        let failures = |path: &str| text.lines().filter(|line| line.contains(path) && line.contains("false")).count();
        assert!((40..=80).contains(&failures(PATH)), "{}", failures(PATH));
        assert_eq!((failures("CODING"), text.lines().count()), (0, 400));
    }
}
