//! One line of the oracle's file: what every path would have given.

use serde::Serialize;

use crate::record::ByPath;
use crate::world::{GeneratedDecision, World};

#[derive(Serialize)]
struct Oracle<'a> {
    trace_id: &'a str,
    static_path: &'a str,
    best_path: &'a str,
    execution_path: &'a str,
    p: ByPath<'a, f64>,
    expected_latency_ms: ByPath<'a, f64>,
    success: ByPath<'a, bool>,
    latency_ms: ByPath<'a, f64>,
}

/// Appends the truth about a decision as one line, without its end.
pub(crate) fn write_line(world: &World, decision: &GeneratedDecision, line: &mut Vec<u8>) -> serde_json::Result<()> {
    let names = world.paths().names();
    let oracle = Oracle {
        trace_id: &decision.trace_id,
        static_path: world.paths().name(decision.static_arm),
        best_path: world.paths().name(decision.best_arm),
        execution_path: world.paths().name(decision.arm),
        p: ByPath { names, values: &decision.success_probability },
        expected_latency_ms: ByPath { names, values: &decision.expected_latency_ms },
        success: ByPath { names, values: &decision.success },
        latency_ms: ByPath { names, values: &decision.latency_ms },
    };
    serde_json::to_writer(line, &oracle)
}
