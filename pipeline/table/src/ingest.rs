//! Log files in, canonical tables out: reads, judges, keeps or quarantines every record, and accounts for each.

mod early;
mod read;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use rayon::prelude::*;

use self::early::Early;
use crate::decisions::day_name;
use crate::error::{IngestError, TableError};
use crate::extras::Keys;
use crate::formats::{FORMATS, Format, format_named};
use crate::judgement::{Judgement, Remembered};
use crate::ledger::Ledger;
use crate::pieces::Tasks;
use crate::quarantine::{Earlier, Refused, Rejected, write_quarantine};
use crate::reason::{Reason, Rejection};
use crate::records::RecordLimits;
use crate::redact::Redactor;
use crate::report::IngestReport;
use crate::shapes::Shapes;
use crate::source::{find, read_pieces};
use crate::spill::Spill;
use crate::state::{FileState, Standing, State, StatePlaces, standings};
use crate::wide::MatrixSettings;
use crate::write::{Kept, Writing, link_day};

/// How to ingest.
#[derive(Clone, Debug, PartialEq)]
pub struct IngestSettings {
    /// Name of the format of every file; none: sniffed per file.
    pub format: Option<String>,
    /// Share of records that may be rejected, in [0, 1].
    pub max_rejected: f64,
    /// Limits of a single record.
    pub limits: RecordLimits,
    /// Bytes of rows that are held in memory before they go to a temporary file.
    pub memory_bytes: usize,
    /// Columns that further scalars may take; keys past it, by name, are reported and left out.
    pub max_extras: usize,
    /// Names of the columns of wide tables.
    pub matrix: MatrixSettings,
    /// Whether records are checked against their format's own schema too, in files whose first records mostly keep it.
    pub check_schema: bool,
    /// Takes personal data and secrets out of every record before anything of it is written; none: nothing is taken out.
    pub redact: Option<Redactor>,
    /// Version of the program, for the footers.
    pub product_version: String,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            format: None,
            max_rejected: 0.05,
            limits: RecordLimits::default(),
            memory_bytes: 384 << 20,
            max_extras: 4096,
            matrix: MatrixSettings::default(),
            check_schema: true,
            redact: None,
            product_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Where the tables go: scratch places, from which the caller moves them. Folders are made where they are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestPlaces {
    /// Folder of decisions, one sub-folder per day.
    pub decisions: PathBuf,
    /// Folder of layers, one sub-folder per day that has any.
    pub layers: PathBuf,
    /// Folder of rejected records, one file per format.
    pub quarantine: PathBuf,
}

/// Reads log files and folders of them, and writes `decisions`, `layers` and the quarantine.
///
/// Every record becomes a decision, a duplicate or a line of the quarantine, and the report accounts for each. The tables depend on the
/// files' content and order only, not on the number of threads. `progress` is told bytes done and bytes in all, of the files on disk.
/// Memory: the batches being read, [`IngestSettings::memory_bytes`] of rows, and 64 MiB of the ledger of ids.
///
/// # Errors
/// [`IngestError::TooManyRejected`] carries the report; the quarantine is complete then and the tables are not written.
/// Other variants of [`IngestError`] for sources without records and for files that cannot be read or written.
pub fn ingest(
    sources: &[PathBuf],
    settings: &IngestSettings,
    places: &IngestPlaces,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<IngestReport, IngestError> {
    ingest_more(sources, settings, places, None, progress)
}

/// As [`ingest()`], but goes on from the tables of an earlier ingest with the same settings: reads only what is new, and writes only the days
/// it touches; links the others. What comes out is what [`ingest()`] would write of the same files.
///
/// Files are known by their content. One that has grown is read from its last complete record on. One that is gone or was rewritten takes
/// its rows along. Where the earlier tables cannot be gone on from, everything is read.
///
/// # Errors
/// Those of [`ingest()`].
pub fn ingest_more(
    sources: &[PathBuf],
    settings: &IngestSettings,
    places: &IngestPlaces,
    earlier: Option<&IngestPlaces>,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<IngestReport, IngestError> {
    let forced = match &settings.format {
        Some(name) => Some(format_named(name).ok_or_else(|| unknown_format(name))?),
        None => None,
    };
    let inputs = find(sources)?;
    if inputs.files.is_empty() {
        return Err(IngestError::NoFiles {
            sources: sources.iter().map(|source| format!("`{}`", source.display())).collect::<Vec<_>>().join(", "),
        });
    }
    for folder in [&places.decisions, &places.quarantine] {
        fs::create_dir_all(folder).map_err(|error| TableError::write(folder, error))?;
    }
    let words = words_of(settings);
    let earlier = earlier.and_then(|places| Some((places, StatePlaces::of(&places.decisions).read(&words)?)));
    let total_bytes = inputs.files.iter().map(|file| fs::metadata(file).map_or(0, |metadata| metadata.len())).sum();
    let skipped: Vec<String> = inputs.skipped.iter().map(|file| file.display().to_string()).collect();
    let go_on = |earlier: Option<(&IngestPlaces, State)>| {
        let standings = match &earlier {
            Some((_, state)) => standings(&inputs.files, state)?,
            None => vec![Standing::New; inputs.files.len()],
        };
        let mut ingest = Ingest::new(settings, places, inputs.files.iter().cloned().zip(standings), forced, earlier);
        ingest.read_all(&|done| progress(done.min(total_bytes), total_bytes))?;
        ingest.finish(skipped.clone(), &words)
    };
    let work = || match go_on(earlier) {
        // Found out when the rest was read already, and days of it may be written.
        Err(IngestError::TornLedger { .. }) => {
            clear_tables(places)?;
            go_on(None)
        }
        result => result,
    };
    // On one of the threads that parse: handing every batch over to them would cost a wait each.
    let report = rayon::join(work, || ()).0?;
    progress(total_bytes, total_bytes);
    Ok(report)
}

/// Leaves the folder of decisions, empty.
fn clear_tables(places: &IngestPlaces) -> Result<(), TableError> {
    for folder in [&places.decisions, &places.layers].into_iter().filter(|folder| folder.exists()) {
        fs::remove_dir_all(folder).map_err(|error| TableError::write(folder, error))?;
    }
    fs::create_dir_all(&places.decisions).map_err(|error| TableError::write(&places.decisions, error))
}

/// Everything in the settings that rows depend on, as text.
fn words_of(settings: &IngestSettings) -> String {
    let IngestSettings { max_rejected: _, memory_bytes: _, .. } = settings;
    format!("{:?}", IngestSettings { max_rejected: 0.0, memory_bytes: 0, ..settings.clone() })
}

fn unknown_format(name: &str) -> IngestError {
    let known = FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ");
    IngestError::UnknownFormat { name: name.to_owned(), known }
}

/// An ingest under way.
struct Ingest<'s> {
    settings: &'s IngestSettings,
    places: &'s IngestPlaces,
    /// The files, and what each is to the earlier ingest.
    paths: Vec<PathBuf>,
    standings: Vec<Standing>,
    forced: Option<&'static Format>,
    earlier: Option<(&'s IngestPlaces, State)>,
    /// The position now of every earlier file, and the offset from which on it is read again.
    moved: Vec<Option<(u32, u64)>>,
    rejected: Rejected,
    ledger: Ledger,
    spill: Spill,
    shapes: Shapes,
    kept: Kept,
    files: Vec<FileState>,
    /// Number of the next file that was not known before.
    next_number: u32,
    n_read: usize,
    bytes_done: u64,
    early: Early,
    tasks: Tasks<'s>,
}

impl<'s> Ingest<'s> {
    fn new(
        settings: &'s IngestSettings,
        places: &'s IngestPlaces,
        files: impl Iterator<Item = (PathBuf, Standing)>,
        forced: Option<&'static Format>,
        earlier: Option<(&'s IngestPlaces, State)>,
    ) -> Self {
        let (paths, standings) = files.unzip();
        let next_number = earlier.as_ref().map_or(0, |(_, state)| state.free_number());
        Self {
            settings,
            places,
            paths,
            standings,
            forced,
            moved: vec![None; earlier.as_ref().map_or(0, |(_, state)| state.files.len())],
            earlier,
            rejected: Rejected::new(),
            ledger: Ledger::default(),
            spill: Spill::new(settings.memory_bytes),
            shapes: Shapes::default(),
            kept: Kept::default(),
            files: Vec::new(),
            next_number,
            n_read: 0,
            bytes_done: 0,
            early: Early::default(),
            tasks: Tasks::default(),
        }
    }

    /// Judges the whole, and writes the tables.
    fn finish(mut self, skipped: Vec<String>, words: &str) -> Result<IngestReport, IngestError> {
        let state = StatePlaces::of(&self.places.decisions);
        state.create()?;
        let remembered = self.earlier.as_ref().map(|(places, earlier)| Remembered {
            places: StatePlaces::of(&places.decisions),
            state: earlier,
            moved: &self.moved,
        });
        let mut judgement = Judgement::of(&mut self.ledger, remembered.as_ref(), &self.files, &mut self.kept, &state)
            .map_err(|error| ledger_error(&state, error))?;
        let mut report = IngestReport::of(&self.files, &judgement, skipped, self.n_read);
        report.files_gone = self.moved.iter().filter(|moved| moved.is_none()).count() as u64;
        let totals = &report.totals;
        if totals.read == 0 {
            return Err(IngestError::NoRecords { n_files: report.files.len() });
        }
        if let Some(file) = report.files.iter().find(|file| !file.counts.adds_up()) {
            return Err(IngestError::RowsDoNotAddUp { detail: format!("`{}`: {:?}", file.path, file.counts) });
        }
        let conflicts = self.conflicts(&judgement)?;
        let names: Vec<&str> = report.files.iter().map(|file| file.path.as_str()).collect();
        let earlier_rejected = remembered.as_ref().map(|remembered| Earlier { rejected: &remembered.places.rejected, files: &self.moved });
        let rejected = std::mem::replace(&mut self.rejected, Rejected::new());
        write_quarantine(&self.places.quarantine, &names, earlier_rejected.as_ref(), rejected, conflicts, &state.rejected)?;
        let mut keys = Keys::default();
        for file in &self.files {
            keys.merge(file.head.keys.clone())?;
            keys.merge(file.tail.keys.clone())?;
        }
        let left_out = report.take_keys(&keys, self.settings.max_extras);
        let left_out_names: Vec<String> =
            keys.by_name().into_iter().filter(|(_, (digest, _))| left_out.contains(digest)).map(|(name, _)| name.to_owned()).collect();
        if self.earlier.as_ref().is_some_and(|(_, earlier)| earlier.left_out != left_out_names) {
            judgement.touch_all();
        }
        let totals = &report.totals;
        if totals.n_quarantined() as f64 > self.settings.max_rejected * totals.read as f64 {
            state.remove()?;
            self.early.remove(self.places)?;
            return Err(IngestError::TooManyRejected {
                quarantined: totals.n_quarantined(),
                read: totals.read,
                max_rejected: self.settings.max_rejected,
                counts: totals.reasons(),
                report: Box::new(report),
            });
        }
        self.write_days(&judgement, &keys, &left_out, &state, &mut report)?;
        state.write(words, left_out_names, self.files, judgement.ledgers)?;
        Ok(report)
    }

    /// Reads the records that contradict others again, for the quarantine.
    fn conflicts(&self, judgement: &Judgement) -> Result<Rejected, IngestError> {
        let mut conflicts = Rejected::new();
        let rejection = Rejection::new(Reason::ConflictingDuplicate, "another record with this id was read before, with other content");
        for rows in judgement.conflicts.chunk_by(|a, b| a.file == b.file) {
            let file = rows[0].file as usize;
            let format = format_name(self.files[file].format.as_deref().and_then(format_named));
            let pieces: Vec<(u64, usize)> = rows.iter().map(|row| (row.offset, row.length as usize)).collect();
            read_pieces(&self.paths[file], &self.settings.matrix, &pieces, |position, raw| {
                let row = &rows[position];
                let refused =
                    Refused { file: row.file, format, line: u64::from(row.line), offset: row.offset, rejection: &rejection, raw: &raw };
                // What is taken out of a conflict was counted when its record was read.
                conflicts.put(&refused, self.settings.redact.as_ref(), &self.places.quarantine)?;
                Ok(())
            })?;
        }
        Ok(conflicts)
    }

    /// Writes the days that were touched, and links the others.
    fn write_days(
        &mut self,
        judgement: &Judgement,
        keys: &Keys,
        left_out: &HashSet<u64>,
        state: &StatePlaces,
        report: &mut IngestReport,
    ) -> Result<(), IngestError> {
        let early = std::mem::take(&mut self.early);
        let stale = early.stale(&judgement.days, left_out, self)?;
        let again = judgement.days_to_read_again().union(&stale).copied().collect();
        let mut wanted = judgement.kept_rows(&again, state).map_err(|error| ledger_error(state, error))?;
        wanted.retain(|row| row.sequence.is_none_or(|sequence| early.holds(row.day(), sequence)));
        for rows in wanted.chunk_by(|a, b| a.file == b.file) {
            self.read_again(rows)?;
        }
        self.spill.finish();
        let (whole, mut written) = early.whole(&stale);
        let fresh: BTreeSet<i64> = judgement.touched.difference(&whole).copied().collect();
        written.add(self.writing(keys, left_out, &self.fingerprints()).write(&fresh)?);
        if let Some((earlier, _)) = &self.earlier {
            let untouched: Vec<(i64, u64)> =
                judgement.days.iter().filter(|(day, _)| !judgement.touched.contains(day)).map(|(day, n_rows)| (*day, *n_rows)).collect();
            let link = |(day, _): &(i64, u64)| link_day(*day, earlier, self.places);
            written.n_layers += untouched.par_iter().map(link).collect::<Result<Vec<_>, _>>()?.iter().sum::<u64>();
            written.days.extend(untouched.iter().map(|(day, n_rows)| (day_name(*day), *n_rows)));
        }
        let expected: BTreeMap<String, u64> = judgement.days.iter().map(|(day, n_rows)| (day_name(*day), *n_rows)).collect();
        if written.days != expected {
            return Err(IngestError::RowsDoNotAddUp { detail: format!("{expected:?} were kept, {:?} written", written.days) });
        }
        (report.first, report.last) = (judgement.first, judgement.last);
        report.n_layers = written.n_layers;
        report.days = written.days;
        report.days_written = judgement.touched.iter().filter(|day| judgement.days.contains_key(*day)).map(|day| day_name(*day)).collect();
        Ok(())
    }

    /// Fingerprints of the files so far.
    fn fingerprints(&self) -> Vec<&str> {
        self.files.iter().map(|file| file.fingerprint.as_str()).collect()
    }

    /// What days are written with.
    fn writing<'w>(&'w self, keys: &'w Keys, left_out: &'w HashSet<u64>, fingerprints: &'w [&'w str]) -> Writing<'w> {
        Writing {
            spill: &self.spill,
            shapes: &self.shapes,
            kept: &self.kept,
            keys,
            left_out,
            digests: fingerprints,
            places: self.places,
            product_version: &self.settings.product_version,
        }
    }
}

/// An error of days' ledgers: what was read may not be what was written.
fn ledger_error(state: &StatePlaces, error: io::Error) -> IngestError {
    match error.kind() {
        io::ErrorKind::InvalidData => IngestError::TornLedger { path: state.ledger.clone() },
        _ => TableError::write(&state.ledger, error).into(),
    }
}

fn format_name(format: Option<&Format>) -> &'static str {
    format.map_or("unknown", |format| format.name)
}
