//! The state of the system when the decision is made.

use super::{Feature, QueryInput, Write, columns, or_missing};
use crate::schema::ColumnKind::{Code, Number, Share};

pub(super) const FEATURE: Feature = Feature {
    name: "context",
    summary: "mode, recent error rate, load",
    columns: |_| {
        columns(
            "context",
            &[
                (
                    "context_system_mode",
                    Code,
                    "`context.system_mode`: 0 NORMAL, 1 ALERT, 2 DEGRADED, 3 any other; missing where not logged",
                ),
                ("context_recent_error_rate", Share, "`context.recent_error_rate`"),
                ("context_vram_usage", Number, "`context.vram_usage`, in the logger's unit"),
            ],
        )
    },
    write: Write::Query(write),
};

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    let mode = input.request.text("context.system_mode").map(|mode| match mode {
        "NORMAL" => 0.0,
        "ALERT" => 1.0,
        "DEGRADED" => 2.0,
        _ => 3.0,
    });
    let number = |key| or_missing(input.request.number(key));
    row.copy_from_slice(&[or_missing(mode), number("context.recent_error_rate"), number("context.vram_usage")]);
}
