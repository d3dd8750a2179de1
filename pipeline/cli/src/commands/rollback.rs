//! `rollback`: takes the traffic away from an artifact at once; reads no log, rebuilds nothing.

use routewright_domain::Timestamp;
use routewright_rollout::{Back, RolloutError, Store, roll_back};
use serde_json::json;

use crate::commands::deploy::{changed, moment};
use crate::deployments::settings;
use crate::exit::Exit;
use crate::messages::Messages;
use crate::operations::now;
use crate::project::ProjectArguments;

/// Flags of `rollback`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Retained artifact to return to, by the beginning of its digest, or static for the rules; the baseline of the rollout by default
    #[arg(long, value_name = "DIGEST")]
    to: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    reason: String,
    /// Return to an artifact that a guardrail stopped, for a reason that is recorded
    #[arg(long, value_name = "REASON")]
    force: Option<String>,
    /// Moment of the rollback (RFC 3339) instead of now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
}

/// Takes the rollout back.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let loaded = project.load(&[])?;
    let store = Store::open(&loaded.folder);
    if project.dry_run {
        let deployment = store.load()?.ok_or(RolloutError::NothingDeployed)?;
        let kept = store.retained()?;
        let text = format!("would roll back; as it is: {}kept: {}\n", changed(&deployment), kept.join(", "));
        messages.result(&text, &json!({ "schema_version": 1, "dry_run": true, "deployment": deployment, "kept": kept }))?;
        return Ok(Exit::Done);
    }
    let at = arguments.at.unwrap_or_else(now);
    let back = Back { to: arguments.to.as_deref(), reason: &arguments.reason, force: arguments.force.as_deref() };
    let deployment = roll_back(&store, back, &settings(&loaded)?, at)?;
    messages.result(&changed(&deployment), &json!({ "schema_version": 1, "deployment": deployment }))?;
    Ok(Exit::Done)
}
