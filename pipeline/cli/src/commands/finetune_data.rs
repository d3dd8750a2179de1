//! `finetune-data`: decisions as chats, to fine-tune a language model that routes; and a check of such files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use routewright_engine::Artifact;
use serde_json::json;
use stages::artifacts::DecisionTable;
use stages::finetune::{Chat, ChatAccount, ChatSettings, Checked, Weights, chats, check};

use crate::commands::alerts::write_whole;
use crate::exit::{DataError, Exit, UsageError};
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Where the files go, relative to the project.
const FOLDER: &str = "data/finetune";

/// The files, as trainers call them.
const FILES: [&str; 2] = ["train.jsonl", "valid.jsonl"];

/// What became of the decisions, beside the files.
const ACCOUNT: &str = "finetune.json";

/// Problems that are told; the rest is counted.
const MAX_PROBLEMS: usize = 20;

/// How weights reach the trainer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum WeightsFlag {
    /// A key `weight` beside `messages`
    Field,
    /// Lines repeated or left out in proportion, for trainers that know messages only
    Repeat,
    /// None
    Off,
}

/// Flags of `finetune-data`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folder for train.jsonl, valid.jsonl and finetune.json instead of data/finetune
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Check these files (or the two of a folder) and do nothing else
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "out")]
    check: Vec<PathBuf>,
    /// Share of the questions, in the order of time, that train
    #[arg(long, value_name = "SHARE", default_value_t = 0.8)]
    train_share: f64,
    /// How far paths are brought to equal weight: 0 not at all, 1 wholly
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    balance: f64,
    /// Largest weight, as a multiple of the mean
    #[arg(long, value_name = "TIMES", default_value_t = 10.0)]
    max_weight: f64,
    /// How weights reach the trainer
    #[arg(long, default_value = "field")]
    weights: WeightsFlag,
}

/// Writes the files, or checks some.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    if !arguments.check.is_empty() {
        return check_files(&arguments.check, messages);
    }
    let settings = settings(arguments)?;
    project.require_folder()?;
    let place = project.project.join(DecisionTable::PATH);
    let DecisionTable(decisions) = DecisionTable::read(&place)
        .map_err(|error| DataError(format!("`{}` cannot be read: {error}; `routewright ingest` makes it", place.display())))?;
    let found = chats(&decisions, &settings).map_err(DataError::of)?;
    if found.train.is_empty() || found.valid.is_empty() {
        let text = format!("{} questions with a successful run are too few to train on and to validate", found.train.len());
        return Err(DataError(text).into());
    }
    let folder = arguments.out.clone().unwrap_or_else(|| project.project.join(FOLDER));
    let texts = [lines(&found.train)?, lines(&found.valid)?];
    let named = |row: usize| folder.join(FILES[row]).display().to_string();
    let checked = check(&[(named(0), texts[0].clone()), (named(1), texts[1].clone())]);
    if !checked.problems.is_empty() {
        return Err(DataError(problems(&checked)).into());
    }
    if !project.dry_run {
        for (name, text) in FILES.iter().zip(&texts) {
            write_whole(&folder.join(name), text.as_bytes())?;
        }
        write_whole(&folder.join(ACCOUNT), &serde_json::to_vec_pretty(&found.account)?)?;
    }
    let document = json!({ "schema_version": 1, "folder": folder, "account": found.account, "longest": checked.longest });
    messages.result(&in_words(&folder, &found.account, &checked), &document)?;
    Ok(Exit::Done)
}

fn settings(arguments: &Arguments) -> anyhow::Result<ChatSettings> {
    let inside = |flag: &str, value: f64, least: f64, most: f64| {
        if (least..=most).contains(&value) {
            Ok(value)
        } else {
            Err(UsageError(format!("`--{flag} {value}`: must lie in [{least}, {most}]")))
        }
    };
    Ok(ChatSettings {
        train_share: inside("train-share", arguments.train_share, 0.01, 0.99)?,
        balance: inside("balance", arguments.balance, 0.0, 1.0)?,
        max_weight: inside("max-weight", arguments.max_weight, 1.0, 1e6)?,
        weights: match arguments.weights {
            WeightsFlag::Field => Weights::Field,
            WeightsFlag::Repeat => Weights::Repeat,
            WeightsFlag::Off => Weights::Off,
        },
    })
}

/// Checks files, and the two of every folder.
fn check_files(places: &[PathBuf], messages: &Messages) -> anyhow::Result<Exit> {
    let mut files = Vec::new();
    for place in places {
        let inside: Vec<PathBuf> = if place.is_dir() { FILES.iter().map(|name| place.join(name)).collect() } else { vec![place.clone()] };
        for file in inside {
            let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
            files.push((file.display().to_string(), text));
        }
    }
    let checked = check(&files);
    if !checked.problems.is_empty() {
        return Err(DataError(problems(&checked)).into());
    }
    let counts: Vec<String> = checked.chats.iter().map(|(file, count)| format!("{count} chats in {file}")).collect();
    let answers: Vec<String> = checked.answers.iter().map(|(answer, count)| format!("{answer} {count}")).collect();
    let text = format!("{}; answers: {}; the longest has {} characters\n", counts.join(", "), answers.join(", "), checked.longest);
    messages.result(&text, &checked)?;
    Ok(Exit::Done)
}

/// Chats as JSON lines.
fn lines(chats: &[Chat]) -> anyhow::Result<String> {
    let mut text = String::new();
    for chat in chats {
        text.push_str(&serde_json::to_string(chat)?);
        text.push('\n');
    }
    Ok(text)
}

/// What is wrong, a line each.
fn problems(checked: &Checked) -> String {
    let told = checked.problems.iter().take(MAX_PROBLEMS).map(|problem| {
        let line = if problem.line == 0 { String::new() } else { format!(", line {}", problem.line) };
        format!("`{}`{line}: {}", problem.file, problem.message)
    });
    let mut text = told.collect::<Vec<_>>().join("\n");
    if checked.problems.len() > MAX_PROBLEMS {
        text.push_str(&format!("\nand {} more", checked.problems.len() - MAX_PROBLEMS));
    }
    text
}

fn in_words(folder: &Path, account: &ChatAccount, checked: &Checked) -> String {
    let counts = |by_path: &std::collections::BTreeMap<String, usize>| {
        by_path.iter().map(|(path, count)| format!("{path} {count}")).collect::<Vec<_>>().join(", ")
    };
    let shares: Vec<String> = account.weight_by_path.iter().map(|(path, share)| format!("{path} {:.0}%", 100.0 * share)).collect();
    format!(
        "{} decisions ({} pending) ask {} different questions, of which {} were never solved\n\
         to train on     {}\nto validate on  {} ({} questions had been asked before and are left out)\n\
         training weight {}\nlongest chat    {} characters\nfiles           {}\n",
        account.decisions,
        account.pending,
        account.questions,
        account.unsolved,
        counts(&account.train_by_path),
        counts(&account.valid_by_path),
        account.asked_before,
        shares.join(", "),
        checked.longest,
        folder.display()
    )
}
