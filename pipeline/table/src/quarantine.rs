//! Rejected records, written where people can look at them: one file per format, in the order of reading.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::TableError;
use crate::reason::{Reason, Rejection};

/// One line of a quarantine file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Quarantined<'a> {
    /// The file as it was named.
    pub(crate) file: &'a str,
    /// First line of the record, from 1.
    pub(crate) line: u64,
    /// First byte of the record in the decompressed file, from 0.
    pub(crate) byte_offset: u64,
    /// Why it was rejected.
    pub(crate) reason: Reason,
    /// What was found where.
    pub(crate) message: &'a str,
    /// The record; bytes that are no UTF-8 are replaced, long records cut.
    pub(crate) raw: &'a str,
    /// Whether `raw` is not all of it, byte for byte; the offset leads to the original.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) raw_is_altered: bool,
}

/// Longest raw text that is written, in bytes.
const RAW_BYTES: usize = 64 << 10;

/// Writes quarantine files, each when its first record comes.
pub(crate) struct Quarantine {
    folder: PathBuf,
    files: BTreeMap<String, BufWriter<File>>,
}

impl Quarantine {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), files: BTreeMap::new() }
    }

    /// Writes one record to `<name>.jsonl`.
    pub(crate) fn put(
        &mut self,
        name: &str,
        file: &str,
        line: u64,
        byte_offset: u64,
        rejection: &Rejection,
        raw: &[u8],
    ) -> Result<(), TableError> {
        let path = self.folder.join(format!("{name}.jsonl"));
        let failed = |error| TableError::write(&path, error);
        if !self.files.contains_key(name) {
            self.files.insert(name.to_owned(), BufWriter::new(File::create(&path).map_err(failed)?));
        }
        let shown = &raw[..raw.len().min(RAW_BYTES)];
        let text = String::from_utf8_lossy(shown);
        let raw_is_altered = rejection.reason == Reason::RecordTooLarge || text.as_bytes() != raw;
        let entry =
            Quarantined { file, line, byte_offset, reason: rejection.reason, message: &rejection.message, raw: &text, raw_is_altered };
        let mut json = serde_json::to_vec(&entry).map_err(|error| failed(error.into()))?;
        json.push(b'\n');
        match self.files.get_mut(name) {
            Some(out) => out.write_all(&json).map_err(failed),
            None => Ok(()),
        }
    }

    /// Writes what is still buffered.
    pub(crate) fn finish(&mut self) -> Result<(), TableError> {
        for (name, out) in &mut self.files {
            out.flush().map_err(|error| TableError::write(&self.folder.join(format!("{name}.jsonl")), error))?;
        }
        Ok(())
    }
}
