//! A stage: a plain function with a name, settings, inputs and outputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::artifact::{Artifact, ArtifactError, Artifacts};
use crate::observer::{Event, Observer};

/// One step of the line. The graph follows from `Inputs` and `Outputs`.
pub trait Stage {
    /// Its name: the command, the table of settings and the source file are called the same.
    const NAME: &'static str;
    /// One sentence for `routewright stages`.
    const SUMMARY: &'static str;
    /// Rises with every change that gives other outputs for the same inputs and settings.
    const VERSION: u32;
    /// Whether the run's seed changes its outputs.
    const USES_SEED: bool = false;
    /// Other stages whose settings its outputs name, because what they say rests on them: [`Context::traced`].
    const TRACES: &'static [&'static str] = &[];
    /// Its settings; the default is what `pipeline.toml` says when it says nothing.
    type Params: Default + Serialize + DeserializeOwned;
    /// What it reads.
    type Inputs: Artifacts;
    /// What it writes.
    type Outputs: Artifacts;

    /// Files, folders and patterns of them from outside the line that it reads, relative to the project or absolute.
    fn sources(_params: &Self::Params) -> Vec<String> {
        Vec::new()
    }

    /// Checks what types cannot: ranges. Gives the key and what is expected.
    ///
    /// # Errors
    /// The key of the setting, and what is wrong with its value.
    fn check(_params: &Self::Params) -> Result<(), (&'static str, String)> {
        Ok(())
    }

    /// Does the work; touches no file but those of [`Context::sources`], [`Context::scratch`] and [`Context::cache`].
    ///
    /// # Errors
    /// [`StageError`], which says whether the data is to blame.
    fn run(params: &Self::Params, inputs: Self::Inputs, context: &Context<'_>) -> Result<Self::Outputs, StageError>;
}

/// Who is to blame for a failed stage; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The data: schema, too many rejects, too few decisions.
    Data,
    /// A setting whose value only the data could refute.
    Settings,
    /// A bug, or the environment.
    Other,
}

/// A stage failed. Errors that `?` turns into one count as [`FailureKind::Other`].
#[derive(Debug)]
pub struct StageError {
    /// Who is to blame.
    pub kind: FailureKind,
    /// What happened.
    pub source: ArtifactError,
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for StageError {
    fn from(error: E) -> Self {
        Self::other(error)
    }
}

impl StageError {
    /// The data is to blame.
    pub fn data(source: impl Into<ArtifactError>) -> Self {
        Self { kind: FailureKind::Data, source: source.into() }
    }

    /// A setting is to blame.
    pub fn settings(source: impl Into<ArtifactError>) -> Self {
        Self { kind: FailureKind::Settings, source: source.into() }
    }

    /// A bug or the environment is to blame.
    pub fn other(source: impl Into<ArtifactError>) -> Self {
        Self { kind: FailureKind::Other, source: source.into() }
    }
}

/// What a stage may know of the run it is part of.
pub struct Context<'a> {
    pub(crate) stage: &'static str,
    pub(crate) earlier: Option<PathBuf>,
    pub(crate) seed: u64,
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) traced: BTreeMap<String, serde_json::Value>,
    pub(crate) scratch: PathBuf,
    pub(crate) project: PathBuf,
    pub(crate) told: Mutex<BTreeMap<PathBuf, String>>,
    pub(crate) observer: &'a dyn Observer,
}

impl Context<'_> {
    /// The run's seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The settings in force of the stages that [`Stage::TRACES`] names, by stage.
    pub fn traced(&self) -> &BTreeMap<String, serde_json::Value> {
        &self.traced
    }

    /// The files and folders that [`Stage::sources`] names, in the same order, as real places; see [`expand_sources`](crate::expand_sources).
    pub fn sources(&self) -> &[PathBuf] {
        &self.sources
    }

    /// Tells what the stage read of a file of its sources: the BLAKE3 of it, in hexadecimal digits. Files that it tells nothing of are read once
    /// more when it is done, to know them again.
    pub fn tell_digest(&self, file: PathBuf, digest: String) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(file, digest);
    }

    /// The stage's own output of the last run at a place, to go on from. Nothing where the stage never ran, was forced, ran as another
    /// version or with other settings, or where any of its outputs is not what it wrote.
    pub fn earlier<A: Artifact>(&self) -> Option<PathBuf> {
        self.earlier.as_ref().map(|project| project.join(A::PATH))
    }

    /// An empty folder in the project for what does not fit into memory; emptied when the stage ends.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// The project folder, for places that settings give relative to it.
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// A folder of the project for what can be made again, such as by a later run: it outlives the stage and a crash, and no result may
    /// depend on what is in it. The stage makes it when it needs it.
    pub fn cache(&self) -> PathBuf {
        self.project.join(crate::record::CACHE)
    }

    /// Tells how far the stage is.
    pub fn advance(&self, what: &str, done: u64, total: u64) {
        self.observer.event(Event::Advanced { stage: self.stage, what, done, total });
    }

    /// Tells people something they should know.
    pub fn note(&self, text: &str) {
        self.observer.event(Event::Noted { stage: self.stage, text });
    }
}

/// A stage in a list of stages: its constants, and its functions with the types taken away.
#[derive(Clone, Copy, Debug)]
pub struct StageEntry {
    /// [`Stage::NAME`].
    pub name: &'static str,
    /// [`Stage::SUMMARY`].
    pub summary: &'static str,
    /// [`Stage::VERSION`].
    pub version: u32,
    /// [`Stage::USES_SEED`].
    pub uses_seed: bool,
    /// [`Stage::TRACES`].
    pub traces: &'static [&'static str],
    /// Places it reads.
    pub inputs: fn() -> Vec<&'static str>,
    /// Places it writes.
    pub outputs: fn() -> Vec<&'static str>,
    pub(crate) parse: ParseParams,
    pub(crate) sources: fn(&serde_json::Value) -> Vec<String>,
    pub(crate) run: RunStage,
}

/// Settings of commands that are no stage: a table of their own, beside those of the stages.
pub trait Table {
    /// Its name.
    const NAME: &'static str;
    /// Its settings; the default is what `pipeline.toml` says when it says nothing.
    type Params: Default + Serialize + DeserializeOwned;

    /// Checks what types cannot: ranges.
    ///
    /// # Errors
    /// The key of the setting, and what is wrong with its value.
    fn check(_params: &Self::Params) -> Result<(), (&'static str, String)> {
        Ok(())
    }
}

/// A table in a list of tables: its name, and its parser with the types taken away.
#[derive(Clone, Copy, Debug)]
pub struct TableEntry {
    /// [`Table::NAME`].
    pub name: &'static str,
    pub(crate) parse: ParseParams,
}

impl TableEntry {
    /// The entry of a table.
    pub const fn of<T: Table>() -> Self {
        Self { name: T::NAME, parse: |table| parse(table, T::check) }
    }
}

/// Reads a table of settings into the stage's own type, checks it, and gives it back whole, defaults included.
pub(crate) type ParseParams = fn(toml::de::ValueDeserializer<'_>) -> Result<serde_json::Value, ParseError>;

/// Loads the inputs, runs, stores the outputs: settings, place of an input, place for an output, context.
pub(crate) type RunStage =
    fn(&serde_json::Value, &dyn Fn(&'static str) -> PathBuf, &dyn Fn(&'static str) -> PathBuf, &Context<'_>) -> Result<(), Failure>;

/// Why a table of settings was refused.
pub(crate) enum ParseError {
    /// The text: unknown key, wrong type.
    Text(toml::de::Error),
    /// A value out of range: key and what is wrong.
    Value(&'static str, String),
}

/// Where a stage failed.
pub(crate) enum Failure {
    Input(&'static str, ArtifactError),
    Stage(StageError),
    Output(&'static str, ArtifactError),
}

impl StageEntry {
    /// The entry of a stage.
    pub const fn of<S: Stage>() -> Self {
        Self {
            name: S::NAME,
            summary: S::SUMMARY,
            version: S::VERSION,
            uses_seed: S::USES_SEED,
            traces: S::TRACES,
            inputs: S::Inputs::paths,
            outputs: S::Outputs::paths,
            parse: |table| parse(table, S::check),
            sources: sources::<S>,
            run: run_stage::<S>,
        }
    }
}

fn parse<P: Serialize + DeserializeOwned>(
    table: toml::de::ValueDeserializer<'_>,
    check: fn(&P) -> Result<(), (&'static str, String)>,
) -> Result<serde_json::Value, ParseError> {
    let params = P::deserialize(table).map_err(ParseError::Text)?;
    check(&params).map_err(|(key, message)| ParseError::Value(key, message))?;
    serde_json::to_value(&params).map_err(|error| ParseError::Value("", error.to_string()))
}

fn sources<S: Stage>(params: &serde_json::Value) -> Vec<String> {
    serde_json::from_value(params.clone()).map(|params| S::sources(&params)).unwrap_or_default()
}

fn run_stage<S: Stage>(
    params: &serde_json::Value,
    input: &dyn Fn(&'static str) -> PathBuf,
    output: &dyn Fn(&'static str) -> PathBuf,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let params: S::Params = serde_json::from_value(params.clone()).map_err(|error| Failure::Stage(StageError::other(error)))?;
    let inputs = S::Inputs::read_all(input).map_err(|(path, error)| Failure::Input(path, error))?;
    let outputs = S::run(&params, inputs, context).map_err(Failure::Stage)?;
    outputs.write_all(output).map_err(|(path, error)| Failure::Output(path, error))
}
