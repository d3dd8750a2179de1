//! `config show`: the settings in force, and who set each.

use serde_json::json;

use crate::exit::Exit;
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// What to do with settings.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the settings in force
    Show(Arguments),
}

/// Flags of `config show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Say who set each
    #[arg(long)]
    origin: bool,
}

/// Lists every setting.
pub(crate) fn show(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let loaded = project.load(&[])?;
    let mut text = String::new();
    for setting in loaded.config.settings() {
        text.push_str(&format!("{} = {}", setting.key, setting.value));
        if arguments.origin {
            text.push_str(&format!("  # {}", setting.origin));
        }
        text.push('\n');
    }
    messages.result(&text, &json!({ "schema_version": 1, "settings": loaded.config.settings() }))?;
    Ok(Exit::Done)
}
