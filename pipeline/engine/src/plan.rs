//! Which stages run, in which order, and why.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::digest::{Digests, Writers};
use crate::record::{Reason, Record};
use crate::sources::expand_sources;
use crate::stage::StageEntry;

/// Which part of the line is asked for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// These stages and what they need; empty means all.
    pub stages: Vec<String>,
    /// Nothing before this stage.
    pub from: Option<String>,
    /// Nothing after this stage.
    pub until: Option<String>,
    /// Run also what is fresh; of named stages only those.
    pub forced: bool,
}

/// A list of stages that is no line, or a request that names no stage.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A name that no stage has.
    #[error("unknown stage `{name}`, the line is {known}")]
    UnknownStage {
        /// The name.
        name: String,
        /// The stages, in order.
        known: String,
    },
    /// `--from` lies after `--until`.
    #[error("`{from}` comes after `{until}`, so nothing is left to run")]
    Empty {
        /// The first stage asked for.
        from: String,
        /// The last stage asked for.
        until: String,
    },
    /// The named stages lie outside `--from` and `--until`.
    #[error("none of the stages that were named lies between `--from` and `--until`, so nothing is left to run")]
    NothingChosen,
    /// Two stages write the same place, or a stage reads what only a later one writes: a bug in the list.
    #[error("the list of stages is no line: {0}")]
    NotALine(String),
    /// A file could not be read to compare it with its record.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A stage of a plan, with the reason to run it, or none where it is fresh.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The stage.
    pub entry: StageEntry,
    /// Why it runs.
    pub reason: Option<Reason>,
}

/// The chosen stages in the order of the line, as things stand before anything runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The stages.
    pub stages: Vec<Planned>,
}

impl Plan {
    /// Compares every chosen stage with its record.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn make(project: &Path, stages: &[StageEntry], config: &Config, selection: &Selection) -> Result<Self, PlanError> {
        verify(stages)?;
        let chosen = choose(stages, selection)?;
        let known = Digests::load(project);
        let mut running: Vec<StageEntry> = Vec::new();
        let mut planned = Vec::with_capacity(chosen.len());
        for entry in chosen {
            let before = running.iter().find(|earlier| feeds(earlier, &entry)).map(|earlier| Reason::After(earlier.name));
            let reason = if is_forced(&entry, selection) {
                Some(Reason::Forced)
            } else {
                reason(project, &entry, config, &known)?.map_or(before, Some)
            };
            if reason.is_some() {
                running.push(entry);
            }
            planned.push(Planned { entry, reason });
        }
        Ok(Self { stages: planned })
    }
}

/// Whether the user wants this stage to run even where it is fresh.
pub(crate) fn is_forced(entry: &StageEntry, selection: &Selection) -> bool {
    selection.forced && (selection.stages.is_empty() || selection.stages.iter().any(|name| name == entry.name))
}

/// Checks that a list is a line: one writer per place, no place inside another, nothing read before it is written.
pub(crate) fn verify(stages: &[StageEntry]) -> Result<(), PlanError> {
    let mut written: Vec<(&'static str, &'static str)> = Vec::new();
    for stage in stages {
        for input in (stage.inputs)() {
            if !written.iter().any(|(place, _)| *place == input) {
                return Err(PlanError::NotALine(format!("`{}` reads `{input}`, which no stage before it writes", stage.name)));
            }
        }
        for output in (stage.outputs)() {
            let clash = written.iter().find(|(place, _)| Path::new(place).starts_with(output) || Path::new(output).starts_with(place));
            if let Some((place, writer)) = clash {
                return Err(PlanError::NotALine(format!("`{}` writes `{output}`, and `{writer}` writes `{place}`", stage.name)));
            }
            written.push((output, stage.name));
        }
    }
    Ok(())
}

/// The stages that a selection names, in the order of the line.
pub(crate) fn choose(stages: &[StageEntry], selection: &Selection) -> Result<Vec<StageEntry>, PlanError> {
    let position = |name: &String| {
        stages.iter().position(|stage| stage.name == name).ok_or_else(|| PlanError::UnknownStage {
            name: name.clone(),
            known: stages.iter().map(|stage| stage.name).collect::<Vec<_>>().join(", "),
        })
    };
    let first = selection.from.as_ref().map_or(Ok(0), position)?;
    let last = selection.until.as_ref().map_or(Ok(stages.len().saturating_sub(1)), position)?;
    if let (Some(from), Some(until), true) = (&selection.from, &selection.until, first > last) {
        return Err(PlanError::Empty { from: from.clone(), until: until.clone() });
    }
    let mut wanted = vec![selection.stages.is_empty(); stages.len()];
    for name in &selection.stages {
        wanted[position(name)?] = true;
    }
    for later in (0..stages.len()).rev().filter(|_| !selection.stages.is_empty()) {
        for earlier in 0..later {
            wanted[earlier] |= wanted[later] && feeds(&stages[earlier], &stages[later]);
        }
    }
    let inside = |position: &usize| first <= *position && *position <= last && wanted[*position];
    let chosen: Vec<StageEntry> = (0..stages.len()).filter(inside).map(|position| stages[position]).collect();
    if chosen.is_empty() { Err(PlanError::NothingChosen) } else { Ok(chosen) }
}

/// Whether one stage writes what another reads.
pub(crate) fn feeds(earlier: &StageEntry, later: &StageEntry) -> bool {
    let outputs = (earlier.outputs)();
    (later.inputs)().iter().any(|input| outputs.contains(input))
}

/// Why a stage has to run, as things stand now.
pub(crate) fn reason(project: &Path, entry: &StageEntry, config: &Config, known: &Digests) -> Result<Option<Reason>, PlanError> {
    let Some(record) = Record::read(project, entry.name) else { return Ok(Some(Reason::NeverRan)) };
    let mut now = current(project, entry, config, known)?;
    now.inputs.extend(digests(project, sources(project, entry, &now).into_iter(), |place| known.glance(place))?);
    now.outputs = outputs(project, entry, known)?;
    Ok(record.reason(&now))
}

/// What a stage would be run with now; sources and outputs are left out.
pub(crate) fn current(project: &Path, entry: &StageEntry, config: &Config, known: &Digests) -> Result<Record, PlanError> {
    let settings = config.table(entry.name).clone();
    let places = (entry.inputs)().into_iter().map(str::to_owned);
    let inputs = digests(project, places, |place| known.of(place, Writers::Stages))?;
    let mut record = Record::new(entry.version, entry.uses_seed.then(|| config.seed()), settings, inputs);
    record.traced = entry.traces.iter().map(|stage| ((*stage).to_owned(), config.table(stage).clone())).collect();
    Ok(record)
}

/// The sources of a stage with the settings of a record, relative to the project where they were given so.
pub(crate) fn sources(project: &Path, entry: &StageEntry, record: &Record) -> Vec<String> {
    expand_sources(project, &(entry.sources)(&record.settings))
}

/// Digests of a stage's outputs as they stand.
pub(crate) fn outputs(project: &Path, entry: &StageEntry, known: &Digests) -> Result<BTreeMap<String, String>, PlanError> {
    digests(project, (entry.outputs)().iter().map(|place| (*place).to_owned()), |place| known.of(place, Writers::Stages))
}

/// Whether a stage's outputs are what it wrote last, with this version and these settings, so that it may go on from them.
pub(crate) fn can_go_on(project: &Path, entry: &StageEntry, now: &Record, known: &Digests) -> Result<bool, PlanError> {
    let Some(record) = Record::read(project, entry.name) else { return Ok(false) };
    let is_same_work = record.version == now.version && record.seed == now.seed && record.settings == now.settings;
    Ok(is_same_work && record.outputs == outputs(project, entry, known)?)
}

/// What is found out of the places that exist: their digests.
pub(crate) fn digests<T>(
    project: &Path,
    places: impl Iterator<Item = String>,
    of: impl Fn(&Path) -> io::Result<Option<T>>,
) -> Result<BTreeMap<String, T>, PlanError> {
    let mut found = BTreeMap::new();
    for place in places {
        let path = project.join(&place);
        if let Some(digest) = of(&path).map_err(|source| PlanError::Io { path, source })? {
            found.insert(place, digest);
        }
    }
    Ok(found)
}
