//! `stages`: the line, one sentence each.

use serde_json::json;
use stages::{LINE, STAGES};

use crate::exit::Exit;
use crate::messages::Messages;

/// Lists the stages with what they read and write.
pub(crate) fn run(messages: &Messages) -> anyhow::Result<Exit> {
    let mut text = format!("{LINE}\n\n");
    let mut rows = Vec::new();
    for stage in STAGES {
        text.push_str(&format!("{:10} {}\n", stage.name, stage.summary));
        rows.push(json!({ "stage": stage.name, "summary": stage.summary, "reads": (stage.inputs)(), "writes": (stage.outputs)() }));
    }
    messages.result(&text, &json!({ "schema_version": 1, "stages": rows }))?;
    Ok(Exit::Done)
}
