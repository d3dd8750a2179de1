//! Carries out a plan: runs what is not fresh, puts outputs in place whole, and says what happened.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;

use crate::artifact::ArtifactError;
use crate::config::Config;
use crate::digest::Digests;
use crate::lock::{Lock, LockError};
use crate::memory;
use crate::observer::{Event, Observer};
use crate::plan::{self, PlanError, Selection};
use crate::record::{LastFailure, Reason};
use crate::stage::{Context, Failure, FailureKind, StageEntry};

/// What is to be run.
pub struct Job<'a> {
    /// The project folder.
    pub project: &'a Path,
    /// The line.
    pub stages: &'a [StageEntry],
    /// The settings in force.
    pub config: &'a Config,
    /// Which part of the line.
    pub selection: Selection,
    /// The command line, for the lock.
    pub command: String,
}

impl<'a> Job<'a> {
    /// Everything that is not fresh.
    pub fn everything(project: &'a Path, stages: &'a [StageEntry], config: &'a Config) -> Self {
        Self { project, stages, config, selection: Selection::default(), command: "routewright run".to_owned() }
    }
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing to do.
    Fresh,
    /// It ran, and its outputs are in place.
    Ran,
    /// It failed; its outputs are as they were.
    Failed,
    /// It did not run because one before it failed.
    Blocked,
}

/// What became of a stage.
#[derive(Clone, Debug, Serialize)]
pub struct StageReport {
    /// The stage.
    pub stage: &'static str,
    /// How it ended.
    pub status: Status,
    /// Why it ran.
    pub reason: Option<String>,
    /// Wall time.
    pub seconds: f64,
    /// Peak resident memory during the stage, in bytes, where the system tells.
    pub peak_bytes: Option<u64>,
}

/// What became of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RunReport {
    /// The chosen stages, in the order of the line.
    pub stages: Vec<StageReport>,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing ran.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Nothing ran: somebody else does.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A stage failed; the stages before it are done.
    #[error("stage `{stage}` failed")]
    Stage {
        /// The stage.
        stage: &'static str,
        /// Who is to blame.
        kind: FailureKind,
        /// What became of every stage.
        report: RunReport,
        /// What happened.
        source: ArtifactError,
    },
}

/// An input that could not be read, or an output that could not be written.
#[derive(Debug, thiserror::Error)]
enum PlaceError {
    #[error("input `{place}` is missing; `routewright run {writer}` makes it")]
    Missing { place: &'static str, writer: &'static str },
    #[error("input `{place}` cannot be read")]
    Read { place: &'static str, source: ArtifactError },
    #[error("output `{place}` cannot be written")]
    Write { place: &'static str, source: ArtifactError },
    #[error("cannot use the folder `{}`", path.display())]
    Folder { path: PathBuf, source: io::Error },
}

/// Runs what is not fresh of a job, one stage after the other, under the project's lock.
///
/// # Errors
/// [`RunError`]; a failed stage leaves its earlier outputs as they were.
pub fn run(job: &Job<'_>, observer: &dyn Observer) -> Result<RunReport, RunError> {
    plan::verify(job.stages)?;
    let chosen = plan::choose(job.stages, &job.selection)?;
    let _lock = Lock::take(job.project, &job.command)?;
    let known = Digests::load(job.project);
    let mut report = RunReport::default();
    for (position, entry) in chosen.iter().enumerate() {
        let reason = if plan::is_forced(entry, &job.selection) {
            Some(Reason::Forced)
        } else {
            plan::reason(job.project, entry, job.config, &known)?
        };
        let Some(reason) = reason else {
            observer.event(Event::Fresh { stage: entry.name });
            report.stages.push(StageReport { stage: entry.name, status: Status::Fresh, reason: None, seconds: 0.0, peak_bytes: None });
            continue;
        };
        observer.event(Event::Started { stage: entry.name, reason: &reason });
        memory::reset_peak();
        let started = Instant::now();
        let result = run_stage(job, entry, &reason, &known, observer);
        // What cannot be remembered is read again next time.
        let _ = known.save();
        let seconds = started.elapsed().as_secs_f64();
        let peak_bytes = memory::peak_bytes();
        let status = if result.is_ok() { Status::Ran } else { Status::Failed };
        report.stages.push(StageReport { stage: entry.name, status, reason: Some(reason.to_string()), seconds, peak_bytes });
        match result {
            Ok(()) => observer.event(Event::Finished { stage: entry.name, seconds, peak_bytes }),
            Err((kind, source)) => {
                observer.event(Event::Failed { stage: entry.name });
                let note = LastFailure { stage: entry.name.to_owned(), message: chain(source.as_ref()) };
                // The failure itself is on its way to the user; a disk that cannot take the note is part of it.
                let _ = note.write(job.project);
                report.stages.extend(chosen[position + 1..].iter().map(|later| StageReport {
                    stage: later.name,
                    status: Status::Blocked,
                    reason: Some(format!("`{}` failed", entry.name)),
                    seconds: 0.0,
                    peak_bytes: None,
                }));
                return Err(RunError::Stage { stage: entry.name, kind, report, source });
            }
        }
    }
    // A failure stays on record until the stage that failed is well: other stages being fresh says nothing about it.
    let mended = |failure: &LastFailure| report.stages.iter().any(|stage| stage.stage == failure.stage);
    if LastFailure::read(job.project).as_ref().is_some_and(mended) {
        LastFailure::clear(job.project).map_err(|source| PlanError::Io { path: job.project.to_owned(), source })?;
    }
    Ok(report)
}

/// An error and its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Runs one stage: outputs are written beside their place, renamed, and the record is written last.
fn run_stage(
    job: &Job<'_>,
    entry: &StageEntry,
    reason: &Reason,
    known: &Digests,
    observer: &dyn Observer,
) -> Result<(), (FailureKind, ArtifactError)> {
    let other = |error: PlaceError| (FailureKind::Other, ArtifactError::from(error));
    let planned = |error: PlanError| (FailureKind::Other, ArtifactError::from(error));
    let mut record = plan::current(job.project, entry, job.config, known).map_err(planned)?;
    for place in (entry.inputs)() {
        if !record.inputs.contains_key(place) {
            let writer = job.stages.iter().find(|stage| (stage.outputs)().contains(&place)).map_or("", |stage| stage.name);
            return Err(other(PlaceError::Missing { place, writer }));
        }
    }
    let scratch = job.project.join(crate::record::FOLDER).join(format!(".scratch-{}", entry.name));
    fresh_folder(&scratch).map_err(other)?;
    for place in (entry.outputs)() {
        clear_beside(&job.project.join(place)).map_err(other)?;
    }
    let sources = plan::sources(job.project, entry, &record);
    let seen = plan::digests(job.project, sources.iter().cloned(), |place| known.look(place)).map_err(planned)?;
    let can_go_on = *reason != Reason::Forced && plan::can_go_on(job.project, entry, &record, known).map_err(planned)?;
    let context = Context {
        stage: entry.name,
        earlier: can_go_on.then(|| job.project.to_owned()),
        seed: job.config.seed(),
        traced: record.traced.clone(),
        sources: sources.iter().map(|source| job.project.join(source)).collect(),
        told: Mutex::default(),
        scratch: scratch.clone(),
        project: job.project.to_owned(),
        observer,
    };
    let result = (entry.run)(&record.settings, &|place| job.project.join(place), &|place| beside(&job.project.join(place)), &context);
    let result = result.map_err(|failure| match failure {
        Failure::Input(place, source) => other(PlaceError::Read { place, source }),
        Failure::Output(place, source) => other(PlaceError::Write { place, source }),
        Failure::Stage(error) => (error.kind, error.source),
    });
    let result = result.and_then(|()| {
        for place in (entry.outputs)() {
            put_in_place(&job.project.join(place)).map_err(|source| other(PlaceError::Write { place, source: source.into() }))?;
        }
        let told = context.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, seen) in seen {
            let digest = known.of_seen(seen, &told).map_err(|source| planned(PlanError::Io { path: job.project.join(&place), source }))?;
            record.inputs.insert(place, digest);
        }
        record.outputs = plan::outputs(job.project, entry, known).map_err(planned)?;
        record
            .write(job.project, entry.name)
            .map_err(|source| other(PlaceError::Folder { path: job.project.join(crate::record::FOLDER), source }))
    });
    if result.is_err() {
        for place in (entry.outputs)() {
            // The error that is already on its way matters more than what is left of a half-written output.
            let _ = clear_beside(&job.project.join(place));
        }
    }
    // An empty scratch folder that cannot be removed does no harm; the next run clears it first.
    let _ = std::fs::remove_dir_all(&scratch);
    result
}

/// Where an output is written before it is renamed: hidden, beside its place, so that the rename stays on one file system.
fn beside(place: &Path) -> PathBuf {
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    place.with_file_name(format!(".{name}.writing"))
}

/// Makes the folder of an output and removes what a killed run left beside it.
fn clear_beside(place: &Path) -> Result<(), PlaceError> {
    let folder = place.parent().unwrap_or(place);
    std::fs::create_dir_all(folder).map_err(|source| PlaceError::Folder { path: folder.to_owned(), source })?;
    let aside = beside(&beside(place));
    if !place.exists() && aside.exists() {
        // A run was killed between moving the old output aside and putting the new one in its place.
        std::fs::rename(&aside, place).map_err(|source| PlaceError::Folder { path: aside, source })?;
    }
    for leftover in [beside(place), beside(&beside(place))] {
        remove(&leftover).map_err(|source| PlaceError::Folder { path: leftover, source })?;
    }
    Ok(())
}

/// Renames a written output into its place; a folder that is in the way is moved aside first and removed afterwards.
fn put_in_place(place: &Path) -> io::Result<()> {
    let written = beside(place);
    sync(&written, place)?;
    if place.is_dir() {
        let aside = beside(&written);
        std::fs::rename(place, &aside)?;
        std::fs::rename(&written, place)?;
        remove(&aside)
    } else {
        std::fs::rename(&written, place)
    }
}

/// Asks the system to put a file, or every file of a folder, onto the disk; hidden files have to be able to look after themselves. `place`: what
/// is to be replaced, whose files were put there before.
fn sync(path: &Path, place: &Path) -> io::Result<()> {
    let metadata = std::fs::metadata(path)?;
    if is_taken_over(&metadata, place) {
        return Ok(());
    }
    if metadata.is_dir() {
        let entries = std::fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
        let is_shown = |entry: &&std::fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
        // Side by side: the disk writes what several threads wait for in one go.
        entries.par_iter().filter(is_shown).try_for_each(|entry| sync(&entry.path(), &place.join(entry.file_name())))?;
    }
    std::fs::File::open(path)?.sync_all()
}

/// Whether a file is the very one that stands in its place already: a stage links what it takes over from its earlier output.
#[cfg(unix)]
fn is_taken_over(metadata: &std::fs::Metadata, place: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let is_same = |other: std::fs::Metadata| (other.dev(), other.ino()) == (metadata.dev(), metadata.ino());
    metadata.is_file() && metadata.nlink() > 1 && std::fs::metadata(place).is_ok_and(is_same)
}

/// Other systems do not tell.
#[cfg(not(unix))]
fn is_taken_over(_metadata: &std::fs::Metadata, _place: &Path) -> bool {
    false
}

/// Removes a file or a folder, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() && !path.is_symlink() {
        // Side by side: what a stage wrote by day is many small folders.
        let entries = std::fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
        entries.par_iter().try_for_each(|entry| remove(&entry.path()))?;
    }
    let result = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes an empty folder.
fn fresh_folder(folder: &Path) -> Result<(), PlaceError> {
    remove(folder).and_then(|()| std::fs::create_dir_all(folder)).map_err(|source| PlaceError::Folder { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Artifact, Stage, StageError};

    struct First(String);
    struct Second(String);

    impl Artifact for First {
        const PATH: &'static str = "data/first";
        fn read(place: &Path) -> Result<Self, ArtifactError> {
            Ok(Self(std::fs::read_to_string(place.join("part"))?))
        }
        fn write(self, place: &Path) -> Result<(), ArtifactError> {
            std::fs::create_dir(place)?;
            Ok(std::fs::write(place.join("part"), self.0)?)
        }
    }

    impl Artifact for Second {
        const PATH: &'static str = "reports/second.txt";
        fn read(place: &Path) -> Result<Self, ArtifactError> {
            Ok(Self(std::fs::read_to_string(place)?))
        }
        fn write(self, place: &Path) -> Result<(), ArtifactError> {
            Ok(std::fs::write(place, self.0)?)
        }
    }

    struct Read;
    struct Shout;

    #[derive(serde::Serialize, serde::Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct ReadParams {}

    impl Stage for Read {
        const NAME: &'static str = "read";
        const SUMMARY: &'static str = "reads the source";
        const VERSION: u32 = 1;
        type Params = ReadParams;
        type Inputs = ();
        type Outputs = (First,);

        fn sources(_: &ReadParams) -> Vec<String> {
            vec!["raw.txt".to_owned()]
        }

        fn run(_: &ReadParams, (): (), context: &Context<'_>) -> Result<(First,), StageError> {
            Ok((First(std::fs::read_to_string(&context.sources()[0]).map_err(StageError::data)?.trim().to_owned()),))
        }
    }

    #[derive(serde::Serialize, serde::Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct ShoutParams {
        marks: usize,
    }

    impl Stage for Shout {
        const NAME: &'static str = "shout";
        const SUMMARY: &'static str = "makes it loud";
        const VERSION: u32 = 1;
        type Params = ShoutParams;
        type Inputs = (First,);
        type Outputs = (Second,);

        fn run(params: &ShoutParams, (first,): (First,), _: &Context<'_>) -> Result<(Second,), StageError> {
            if first.0 == "bad" {
                return Err(StageError::data("the text is bad"));
            }
            Ok((Second(first.0.to_uppercase() + &"!".repeat(params.marks)),))
        }
    }

    const STAGES: &[StageEntry] = &[StageEntry::of::<Read>(), StageEntry::of::<Shout>()];

    fn toml_unit_config(overrides: &[crate::Override]) -> Config {
        Config::load(None, overrides, STAGES, &[]).unwrap()
    }

    fn statuses(project: &Path, config: &Config) -> Vec<Status> {
        run(&Job::everything(project, STAGES, config), &()).unwrap().stages.iter().map(|stage| stage.status).collect()
    }

    fn project(text: &str) -> tempfile::TempDir {
        let project = tempfile::tempdir().unwrap();
        std::fs::write(project.path().join("raw.txt"), text).unwrap();
        project
    }

    #[test]
    fn a_second_run_does_nothing() {
        let (project, config) = (project("hello"), toml_unit_config(&[]));
        assert_eq!(statuses(project.path(), &config), [Status::Ran, Status::Ran]);
        assert_eq!(statuses(project.path(), &config), [Status::Fresh, Status::Fresh]);
        assert_eq!(std::fs::read_to_string(project.path().join(Second::PATH)).unwrap(), "HELLO");
    }

    #[test]
    fn an_output_that_comes_out_equal_stops_the_wave() {
        let (project, config) = (project("hello"), toml_unit_config(&[]));
        statuses(project.path(), &config);
        std::fs::write(project.path().join("raw.txt"), "hello\n").unwrap();
        assert_eq!(statuses(project.path(), &config), [Status::Ran, Status::Fresh]);
    }

    #[test]
    fn a_changed_setting_runs_only_what_it_touches() {
        let project = project("hello");
        statuses(project.path(), &toml_unit_config(&[]));
        let louder = crate::Override { key: "shout.marks".into(), value: "2".into(), flag: "--set shout.marks=2".into() };
        let config = toml_unit_config(&[louder]);
        let plan = crate::Plan::make(project.path(), STAGES, &config, &Selection::default()).unwrap();
        assert_eq!(plan.stages[1].reason.as_ref().unwrap().to_string(), "setting `marks` changed");
        assert_eq!(statuses(project.path(), &config), [Status::Fresh, Status::Ran]);
    }

    #[test]
    fn an_edited_or_missing_output_is_made_again() {
        let (project, config) = (project("hello"), toml_unit_config(&[]));
        statuses(project.path(), &config);
        std::fs::write(project.path().join(Second::PATH), "edited").unwrap();
        assert_eq!(statuses(project.path(), &config), [Status::Fresh, Status::Ran]);
        std::fs::remove_dir_all(project.path().join(First::PATH)).unwrap();
        assert_eq!(statuses(project.path(), &config), [Status::Ran, Status::Fresh]);
    }

    #[test]
    fn a_failed_stage_leaves_the_earlier_outputs_as_they_were() {
        let (project, config) = (project("hello"), toml_unit_config(&[]));
        statuses(project.path(), &config);
        std::fs::write(project.path().join("raw.txt"), "bad").unwrap();
        let error = run(&Job::everything(project.path(), STAGES, &config), &()).unwrap_err();
        let RunError::Stage { stage, kind, report, .. } = error else { panic!("{error}") };
        assert_eq!((stage, kind), ("shout", FailureKind::Data));
        assert_eq!(report.stages[1].status, Status::Failed);
        assert_eq!(std::fs::read_to_string(project.path().join(Second::PATH)).unwrap(), "HELLO");
        assert_eq!(LastFailure::read(project.path()).unwrap().message, "the text is bad");
        let left: Vec<String> = std::fs::read_dir(project.path().join("reports"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(left, ["second.txt"]);
    }

    #[test]
    fn a_failure_stays_on_record_until_its_stage_is_well() {
        let (project, config) = (project("bad"), toml_unit_config(&[]));
        assert!(run(&Job::everything(project.path(), STAGES, &config), &()).is_err());
        let only_first = Job {
            selection: Selection { until: Some("read".into()), ..Selection::default() },
            ..Job::everything(project.path(), STAGES, &config)
        };
        run(&only_first, &()).unwrap();
        assert_eq!(LastFailure::read(project.path()).unwrap().stage, "shout");
        std::fs::write(project.path().join("raw.txt"), "good").unwrap();
        statuses(project.path(), &config);
        assert_eq!(LastFailure::read(project.path()), None);
    }

    #[test]
    fn an_output_that_a_killed_run_moved_aside_is_restored() {
        let (project, config) = (project("hello"), toml_unit_config(&[]));
        statuses(project.path(), &config);
        let place = project.path().join(First::PATH);
        std::fs::rename(&place, beside(&beside(&place))).unwrap();
        clear_beside(&place).unwrap();
        assert!(place.join("part").exists());
    }

    #[test]
    fn what_a_killed_run_left_is_cleared_away() {
        let (project, config) = (project("hello"), toml_unit_config(&[]));
        let half = beside(&project.path().join(First::PATH));
        std::fs::create_dir_all(half.join("part")).unwrap();
        assert_eq!(statuses(project.path(), &config), [Status::Ran, Status::Ran]);
        assert!(!half.exists());
    }

    #[test]
    fn a_missing_input_says_which_command_makes_it() {
        let (project, config) = (project("hello"), toml_unit_config(&[]));
        let job = Job {
            selection: Selection { from: Some("shout".into()), ..Selection::default() },
            ..Job::everything(project.path(), STAGES, &config)
        };
        let RunError::Stage { source, .. } = run(&job, &()).unwrap_err() else { panic!() };
        assert_eq!(source.to_string(), "input `data/first` is missing; `routewright run read` makes it");
    }

    #[test]
    fn a_named_stage_runs_with_what_it_needs() {
        let chosen = plan::choose(STAGES, &Selection { stages: vec!["shout".into()], ..Selection::default() }).unwrap();
        assert_eq!(chosen.iter().map(|stage| stage.name).collect::<Vec<_>>(), ["read", "shout"]);
        let error = plan::choose(STAGES, &Selection { from: Some("shout".into()), until: Some("read".into()), ..Selection::default() })
            .unwrap_err();
        assert_eq!(error.to_string(), "`shout` comes after `read`, so nothing is left to run");
    }

    #[test]
    fn a_list_that_is_no_line_is_refused() {
        let backwards = [STAGES[1], STAGES[0]];
        assert!(plan::verify(&backwards).unwrap_err().to_string().contains("`shout` reads `data/first`, which no stage before it writes"));
        let twice = [STAGES[0], STAGES[0]];
        assert!(plan::verify(&twice).unwrap_err().to_string().contains("`read` writes `data/first`"));
    }
}
