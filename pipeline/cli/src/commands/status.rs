//! `status`: per stage fresh, or the reason to run.

use routewright_engine::{LastFailure, Plan, Reason, Selection};
use serde_json::json;
use stages::STAGES;

use crate::exit::Exit;
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Compares every stage with what ran last.
pub(crate) fn run(project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let loaded = project.load(&[])?;
    let plan = Plan::make(&loaded.folder, STAGES, &loaded.config, &Selection::default())?;
    let mut text = String::new();
    let mut rows = Vec::new();
    for planned in &plan.stages {
        let words = planned.reason.as_ref().map_or_else(|| "fresh".to_owned(), Reason::to_string);
        text.push_str(&format!("{:10} {words}\n", planned.entry.name));
        rows.push(json!({ "stage": planned.entry.name, "fresh": planned.reason.is_none(), "reason": planned.reason.as_ref().map(Reason::to_string) }));
    }
    let failure = LastFailure::read(&loaded.folder);
    if let Some(failure) = &failure {
        text.push_str(&format!("the last run failed at `{}`: {}\n", failure.stage, failure.message));
    }
    messages.result(&text, &json!({ "schema_version": 1, "stages": rows, "last_failure": failure }))?;
    Ok(Exit::Done)
}
