//! Reading an artifact: versions, sizes, digests and contents are checked before anything is used.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    ARTIFACT_VERSION, FEATURES_FILE, FOREST_FILE, FileEntry, GOLDEN_FILE, Golden, HISTORY_FILE, MANIFEST_FILE, Manifest, ROUTER_FILES,
    golden,
};
use crate::bytes::FormatError;
use crate::digest::sha256_hex;
use crate::history::History;
use crate::policy::Policy;
use crate::schema::{Schema, SchemaError};

/// An artifact that cannot be used. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that is not there.
    #[error("`{file}` is missing")]
    Missing {
        /// The file.
        file: String,
    },
    /// A manifest or a line of golden decisions that is not what it should be.
    #[error("`{file}` is damaged")]
    Json {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A version this program does not read.
    #[error("`{MANIFEST_FILE}`: artifact version {found}, this program reads {ARTIFACT_VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A file of another length than the manifest says.
    #[error("`{file}` has {found} bytes where the manifest says {expected}")]
    Size {
        /// The file.
        file: String,
        /// Its length.
        found: u64,
        /// The manifest's length.
        expected: u64,
    },
    /// A file with another digest than the manifest says.
    #[error("`{file}` is damaged: its SHA-256 is {found} where the manifest says {expected}")]
    Digest {
        /// The file.
        file: String,
        /// Its digest.
        found: String,
        /// The manifest's digest.
        expected: String,
    },
    /// A feature schema that cannot be used.
    #[error("`{FEATURES_FILE}` cannot be used")]
    Schema(#[from] SchemaError),
    /// A binary file that cannot be used.
    #[error("`{file}` cannot be used")]
    Format {
        /// The file.
        file: &'static str,
        /// Where and why.
        source: FormatError,
    },
    /// Files that contradict the manifest.
    #[error("`{MANIFEST_FILE}` and `{file}` disagree about {what}")]
    Disagreement {
        /// The other file.
        file: &'static str,
        /// What they disagree about.
        what: &'static str,
    },
}

/// The parts of a checked artifact.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub manifest: Manifest,
    pub schema: Arc<Schema>,
    pub policy: Policy,
    pub history: History,
    pub golden: Vec<Golden>,
    /// SHA-256 of the manifest, which holds the digests of everything else.
    pub digest: String,
}

/// Checks and reads every file.
pub(crate) fn load(files: &BTreeMap<String, Vec<u8>>) -> Result<Loaded, LoadError> {
    let manifest_bytes = file(files, MANIFEST_FILE)?;
    let manifest: Manifest = serde_json::from_slice(manifest_bytes).map_err(|source| LoadError::Json { file: MANIFEST_FILE, source })?;
    if manifest.format_version != ARTIFACT_VERSION {
        return Err(LoadError::Version { found: manifest.format_version });
    }
    for (name, entry) in &manifest.files {
        check_file(name, file(files, name)?, entry)?;
    }
    if let Some(name) = ROUTER_FILES.iter().find(|name| !manifest.files.contains_key(**name)) {
        return Err(LoadError::Missing { file: (*name).to_owned() });
    }
    let schema = Schema::from_json(file(files, FEATURES_FILE)?)?;
    agree(schema.digest() == manifest.feature_schema_digest, FEATURES_FILE, "the schema's digest")?;
    agree(schema.n_columns() == manifest.n_columns, FEATURES_FILE, "the number of columns")?;
    agree(*schema.paths() == manifest.paths, FEATURES_FILE, "the paths")?;
    let format = |file| move |source| LoadError::Format { file, source };
    let policy = Policy::from_bytes(file(files, FOREST_FILE)?, schema.n_columns()).map_err(format(FOREST_FILE))?;
    agree(policy.paths == manifest.paths, FOREST_FILE, "the paths")?;
    agree(policy.settings == manifest.thresholds, FOREST_FILE, "the thresholds")?;
    let history = History::from_bytes(file(files, HISTORY_FILE)?, &schema).map_err(format(HISTORY_FILE))?;
    let golden = golden::from_lines(file(files, GOLDEN_FILE)?).map_err(|source| LoadError::Json { file: GOLDEN_FILE, source })?;
    let digest = sha256_hex(manifest_bytes);
    Ok(Loaded { manifest, schema: Arc::new(schema), policy, history, golden, digest })
}

/// A file's bytes.
fn file<'a>(files: &'a BTreeMap<String, Vec<u8>>, name: &str) -> Result<&'a [u8], LoadError> {
    files.get(name).map(Vec::as_slice).ok_or_else(|| LoadError::Missing { file: name.to_owned() })
}

/// Compares a file with what the manifest says of it.
fn check_file(name: &str, bytes: &[u8], entry: &FileEntry) -> Result<(), LoadError> {
    let size = bytes.len() as u64;
    if size != entry.bytes {
        return Err(LoadError::Size { file: name.to_owned(), found: size, expected: entry.bytes });
    }
    let found = sha256_hex(bytes);
    if found != entry.sha256 {
        return Err(LoadError::Digest { file: name.to_owned(), found, expected: entry.sha256.clone() });
    }
    Ok(())
}

/// Turns a contradiction into an error.
fn agree(holds: bool, file: &'static str, what: &'static str) -> Result<(), LoadError> {
    if holds { Ok(()) } else { Err(LoadError::Disagreement { file, what }) }
}
