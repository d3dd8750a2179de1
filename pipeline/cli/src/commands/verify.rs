//! `verify`: checks an artifact as an online router would before it trusts it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use routewright_rollout::read_artifact;
use routewright_router::Router;
use serde_json::json;

use crate::exit::Exit;
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Where the artifact lies in a project.
pub(crate) const ARTIFACT: &str = "models/artifact";

/// Flags of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folder of the artifact; the project's own by default
    artifact: Option<PathBuf>,
}

/// Checks checksums, schema and golden decisions.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let folder = arguments.artifact.clone().unwrap_or_else(|| project.project.join(ARTIFACT));
    let router = load(&folder)?;
    let n_golden =
        router.verify().with_context(|| format!("the artifact `{}` does not decide as it did when it was packed", folder.display()))?;
    let text = format!("{} is sound: checksums, schema and {n_golden} golden decisions agree\n", folder.display());
    messages.result(&text, &json!({ "schema_version": 1, "artifact": folder, "digest": router.digest(), "golden_decisions": n_golden }))?;
    Ok(Exit::Done)
}

/// Reads and checks the artifact in a folder.
pub(crate) fn load(folder: &Path) -> anyhow::Result<Router> {
    let files = match read_artifact(folder) {
        Err(error) if error.path == folder => {
            return Err(error.source).with_context(|| format!("cannot read `{}`; `routewright run` makes the artifact", folder.display()));
        }
        found => found?,
    };
    Router::load(&files).with_context(|| format!("the artifact `{}` cannot be used", folder.display()))
}
