//! What an ingest counted.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use routewright_domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::expect::Finding;
use crate::extras::{ExtraKind, KINDS, Keys, kinds_seen};
use crate::judgement::Judgement;
use crate::state::FileState;

/// Rows of a file or of all files: `read = kept + duplicate + quarantined`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records that were found.
    pub read: u64,
    /// Decisions that stand in the table.
    pub kept: u64,
    /// Of these, decisions whose outcome is pending.
    pub pending: u64,
    /// Copies and forerunners of kept rows.
    pub duplicate: u64,
    /// Rejected records by reason code.
    pub quarantined: BTreeMap<String, u64>,
}

impl Counts {
    /// Rejected records, all reasons.
    pub fn n_quarantined(&self) -> u64 {
        self.quarantined.values().sum()
    }

    /// Whether every record is accounted for.
    pub fn adds_up(&self) -> bool {
        self.read == self.kept + self.duplicate + self.n_quarantined() && self.pending <= self.kept
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.kept += other.kept;
        self.pending += other.pending;
        self.duplicate += other.duplicate;
        for (reason, count) in &other.quarantined {
            *self.quarantined.entry(reason.clone()).or_default() += count;
        }
    }

    /// Counts by reason as words, most frequent first.
    pub(crate) fn reasons(&self) -> String {
        let mut reasons: Vec<_> = self.quarantined.iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join(", ")
    }
}

/// One file that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// The file as it was named.
    pub path: String,
    /// Its format; none where no record gave it away.
    pub format: Option<String>,
    /// Bytes on disk.
    pub bytes: u64,
    /// BLAKE3 of these bytes, in hexadecimal digits (`b3sum`).
    pub blake3: String,
    /// The same of its first record, which stays while the file grows or gets another name; the days' footers name it.
    pub fingerprint: String,
    /// Its rows.
    pub counts: Counts,
}

/// Everything an ingest counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestReport {
    /// The files in the order of reading.
    pub files: Vec<FileReport>,
    /// How many of these anything was read of; the others were known.
    #[serde(skip)]
    pub files_read: u64,
    /// How many files of the ingest before are gone or say something else now; their rows went with them.
    #[serde(skip)]
    pub files_gone: u64,
    /// Days that were written (`YYYY-MM-DD`, UTC); the others are those of the ingest before.
    #[serde(skip)]
    pub days_written: BTreeSet<String>,
    /// Files of folders that are no logs by their names and were not read.
    pub skipped: Vec<String>,
    /// All rows.
    pub totals: Counts,
    /// Earliest kept decision.
    pub first: Option<Timestamp>,
    /// Latest kept decision.
    pub last: Option<Timestamp>,
    /// Kept decisions per day (`YYYY-MM-DD`, UTC).
    pub days: BTreeMap<String, u64>,
    /// Rows of `layers`.
    pub n_layers: u64,
    /// The log's further scalars by dotted key, with the type of their columns.
    pub extras: BTreeMap<String, ExtraKind>,
    /// Further scalars that rows disagree about, with the rows per type; their columns are text.
    pub type_conflicts: BTreeMap<String, BTreeMap<ExtraKind, u64>>,
    /// Keys without a column, because their values are lists of other things than texts or there are too many keys; with their numbers of values.
    pub ignored_keys: BTreeMap<String, u64>,
    /// Secrets and personal data that were taken out, by the name of the setting that asked for it.
    #[serde(default)]
    pub redacted: BTreeMap<String, u64>,
    /// How the expectations of `[ingest.expect]` were met.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

impl IngestReport {
    /// The counts of every file, and of all.
    pub(crate) fn of(files: &[FileState], judgement: &Judgement, skipped: Vec<String>, n_read: usize) -> Self {
        let mut report = Self { skipped, files_read: n_read as u64, ..Self::default() };
        for (file, rows) in files.iter().zip(&judgement.files) {
            let mut counts = rows.clone();
            for tally in [&file.head, &file.tail] {
                counts.read += tally.read;
                for (name, count) in &tally.redacted {
                    *report.redacted.entry(name.clone()).or_default() += count;
                }
                for (reason, count) in &tally.rejected {
                    *counts.quarantined.entry(reason.clone()).or_default() += count;
                }
            }
            report.totals.add(&counts);
            report.files.push(FileReport {
                path: file.path.clone(),
                format: file.format.clone(),
                bytes: file.n_bytes,
                blake3: file.digest.clone(),
                fingerprint: file.fingerprint.clone(),
                counts,
            });
        }
        report
    }

    /// Takes the further scalars: their kinds, what rows disagree about, what has no column. Gives the digests of keys past the limit.
    pub(crate) fn take_keys(&mut self, keys: &Keys, max_extras: usize) -> HashSet<u64> {
        let mut left_out = HashSet::new();
        let mut n_columns = 0;
        for (name, (digest, entry)) in keys.by_name() {
            let mut n_ignored = entry.ignored;
            let seen: Vec<ExtraKind> = kinds_seen(&entry.kinds).collect();
            if seen.len() > 1 {
                let counts = KINDS.into_iter().zip(entry.kinds).filter(|(_, count)| *count > 0).collect();
                self.type_conflicts.insert(name.to_owned(), counts);
            }
            if let Some(kind) = seen.first() {
                n_columns += 1;
                if n_columns > max_extras {
                    left_out.insert(digest);
                    n_ignored += entry.kinds.iter().sum::<u64>();
                } else {
                    self.extras.insert(name.to_owned(), if seen.len() > 1 { ExtraKind::Text } else { *kind });
                }
            }
            if n_ignored > 0 {
                self.ignored_keys.insert(name.to_owned(), n_ignored);
            }
        }
        left_out
    }
}
