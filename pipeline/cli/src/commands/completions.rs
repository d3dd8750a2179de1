//! `completions`: a script that completes commands and flags in a shell.

use clap::CommandFactory;

use crate::exit::Exit;
use crate::messages::Messages;

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints the script.
pub(crate) fn run(arguments: &Arguments, messages: &Messages) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::Arguments::command(), "routewright", &mut script);
    messages.bytes(&script)?;
    Ok(Exit::Done)
}
