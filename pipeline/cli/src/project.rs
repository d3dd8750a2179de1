//! The project a command works on: its folder, its settings, and the flags that change them.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use routewright_engine::{Config, Override, TableEntry};
use stages::STAGES;

use crate::ci::Ci;
use crate::commands::nightly::NightlyTable;
use crate::deployments::DeployTable;
use crate::exit::UsageError;
use crate::messages::{Color, Progress};

/// Name of the settings file in a project folder.
const CONFIG_FILE: &str = "pipeline.toml";

/// Tables of settings of commands that are no stage, in the order of `pipeline.toml`.
const TABLES: &[TableEntry] = &[TableEntry::of::<DeployTable>(), TableEntry::of::<NightlyTable>()];

/// Flags of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct ProjectArguments {
    /// Folder that holds pipeline.toml, data, models and reports
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
    /// Settings file instead of the project's pipeline.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one setting for this run, such as train.folds=10
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Write results to stdout as one JSON document
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to colour words
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// How to show progress
    #[arg(long, global = true, value_name = "HOW", default_value = "auto")]
    pub progress: Progress,
    /// Number of threads, all cores by default; results do not depend on it
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Say what would run and why, and write nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Write gates, expectations and stages as JUnit XML after run and gate
    #[arg(long, global = true, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Speak to a CI: annotations, folded log, job summary
    #[arg(long, global = true, value_name = "WHERE", default_value = "none")]
    pub ci: Ci,
    /// Use no network; nothing here does so far
    #[arg(long, global = true)]
    pub offline: bool,
}

/// A project folder with the settings in force.
pub(crate) struct Project {
    pub folder: PathBuf,
    pub config: Config,
}

impl ProjectArguments {
    /// Makes the project folder where there is none: for commands that write a project.
    pub(crate) fn make_folder(&self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.project).with_context(|| format!("cannot make the project folder `{}`", self.project.display()))
    }

    /// Refuses a project folder that is not there: a typo must not become a project.
    pub(crate) fn require_folder(&self) -> anyhow::Result<()> {
        if self.project.is_dir() {
            return Ok(());
        }
        Err(UsageError(format!("no project folder `{}`; `generate` or `run --input` makes one", self.project.display())).into())
    }

    /// Loads the settings of a project that is there: defaults, the file, other flags, then `--set` in order.
    pub(crate) fn load(&self, flags: &[Override]) -> anyhow::Result<Project> {
        let mut overrides = flags.to_vec();
        for set in &self.set {
            let (key, value) =
                set.split_once('=').ok_or_else(|| UsageError(format!("`--set {set}`: expected KEY=VALUE, such as train.folds=10")))?;
            overrides.push(Override { key: key.trim().to_owned(), value: value.trim().to_owned(), flag: format!("--set {set}") });
        }
        self.require_folder()?;
        let path = match &self.config {
            Some(path) => Some(path.clone()),
            None => Some(self.project.join(CONFIG_FILE)).filter(|path| path.exists()),
        };
        Ok(Project { folder: self.project.clone(), config: Config::load(path.as_deref(), &overrides, STAGES, TABLES)? })
    }
}

/// What `--input` changes: the setting, and the file that standard input was put into, which goes when this is dropped.
#[derive(Default)]
pub(crate) struct Inputs {
    pub flags: Vec<Override>,
    _standard_input: Option<tempfile::TempDir>,
}

/// Makes `ingest` read other places, given relative to the working folder: files, folders, patterns of them, and `-` for standard input.
pub(crate) fn other_inputs(inputs: &[PathBuf]) -> anyhow::Result<Inputs> {
    if inputs.is_empty() {
        return Ok(Inputs::default());
    }
    let (mut places, mut standard_input) = (Vec::new(), None);
    for input in inputs {
        let text = input.to_string_lossy();
        let place = if text == "-" {
            let (folder, file) = spool(std::io::stdin().lock())?;
            standard_input = Some(folder);
            file
        } else if input.exists() || text.contains(['*', '?', '[']) {
            std::path::absolute(input)?
        } else {
            return Err(UsageError(format!("`--input {text}`: no such file or folder")).into());
        };
        places.push(quoted(&place.to_string_lossy()));
    }
    let written: Vec<String> = inputs.iter().map(|input| input.display().to_string()).collect();
    let flag = Override {
        key: "ingest.input".to_owned(),
        value: format!("[{}]", places.join(", ")),
        flag: format!("--input {}", written.join(" ")),
    };
    Ok(Inputs { flags: vec![flag], _standard_input: standard_input })
}

/// Puts a stream into a file of a folder that only this user can read: stages read their sources twice, for the digest and for the rows.
fn spool(mut stream: impl Read) -> anyhow::Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::Builder::new().prefix("routewright-").tempdir()?;
    let mut begin = Vec::new();
    stream.by_ref().take(SNIFFED).read_to_end(&mut begin)?;
    let first_line = begin.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // JSON lines, Parquet and compressed logs are known by their content, a CSV table only by its name.
    let is_table = first_line.contains(&b',') && !first_line.contains(&b'{') && first_line.is_ascii();
    let file = folder.path().join(if is_table { "standard-input.csv" } else { "standard-input.jsonl" });
    let mut out = std::fs::File::create(&file)?;
    std::io::copy(&mut begin.as_slice().chain(stream), &mut out).context("cannot keep what comes from standard input")?;
    Ok((folder, file))
}

/// Bytes of standard input that are looked at to tell a table from a log.
const SNIFFED: u64 = 64 << 10;

/// A text as a basic TOML string: backslashes, quotes and control characters are escaped as in JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// Reads a JSON file of the project.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path, made_by: &str) -> anyhow::Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`; `routewright {made_by}` makes it", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("`{}` is not what `routewright {made_by}` writes", path.display()))
}
