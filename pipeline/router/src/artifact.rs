//! The artifact: named byte files that hold a router, packed deterministically and checked completely when loaded.

mod golden;
mod load;

use std::collections::BTreeMap;

use routewright_domain::{Paths, Seed, Timestamp};
use serde::{Deserialize, Serialize};

use crate::digest::sha256_hex;
use crate::history::History;
use crate::policy::{Policy, PolicyError, PolicySettings};
use crate::schema::Schema;

pub use golden::{Golden, GoldenError};
pub use load::LoadError;
pub(crate) use load::{Loaded, load};

/// Version of the artifact; a reader refuses any other.
pub const ARTIFACT_VERSION: u32 = 1;

/// What the artifact is, and the digests of all other files.
pub const MANIFEST_FILE: &str = "manifest.json";
/// Every forest with its calibration.
pub const FOREST_FILE: &str = "forest.bin";
/// The feature schema.
pub const FEATURES_FILE: &str = "features.json";
/// The frozen history index.
pub const HISTORY_FILE: &str = "history.bin";
/// Inputs and the decisions they must give.
pub const GOLDEN_FILE: &str = "golden.jsonl";

/// The files that a router is made of, beside the manifest. Other files named in the manifest are checked by digest only.
pub(crate) const ROUTER_FILES: [&str; 4] = [FOREST_FILE, FEATURES_FILE, HISTORY_FILE, GOLDEN_FILE];

/// When the training rows were logged, ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingWindow {
    /// The first row's time.
    pub first: Timestamp,
    /// The last row's time.
    pub last: Timestamp,
    /// Number of rows.
    pub rows: u64,
}

/// Size and digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// Where a model comes from: what the caller knows and the router only carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program that trained it.
    pub product_version: String,
    /// Rows it was trained on.
    pub training_window: TrainingWindow,
    /// SHA-256 of the training data.
    pub data_digest: String,
    /// SHA-256 of the settings in force.
    pub settings_digest: String,
    /// Seed of the run.
    pub seed: Seed,
    /// Metrics by name.
    pub metrics: BTreeMap<String, f64>,
}

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`ARTIFACT_VERSION`] of the writer.
    pub format_version: u32,
    /// Where the model comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// The paths, in the order of their positions.
    pub paths: Paths,
    /// SHA-256 of the feature schema.
    pub feature_schema_digest: String,
    /// Number of columns of a row.
    pub n_columns: usize,
    /// Thresholds and weights of the choice.
    pub thresholds: PolicySettings,
    /// When the static path is kept, for people.
    pub fallback_rule: String,
    /// Training rows per path, by name.
    pub support: BTreeMap<String, u64>,
    /// Every other file of the artifact.
    pub files: BTreeMap<String, FileEntry>,
}

/// What an artifact is packed from.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The feature schema.
    pub schema: &'a Schema,
    /// The trained policy.
    pub policy: &'a Policy,
    /// The past as of the end of the training data, advanced to where the router takes over.
    pub history: &'a History,
    /// Decisions that a loaded router must repeat; see [`Golden::record`].
    pub golden: &'a [Golden],
    /// Where the model comes from.
    pub provenance: &'a Provenance,
    /// Further files by name, such as ONNX exports.
    pub extra_files: &'a BTreeMap<String, Vec<u8>>,
}

/// Parts that do not make an artifact.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The policy does not fit the schema.
    #[error("the policy does not fit the feature schema")]
    Policy(#[from] PolicyError),
    /// Other paths in the policy than in the schema.
    #[error("the policy's paths are not those of the feature schema")]
    Paths,
    /// A file name that the artifact uses itself.
    #[error("`{name}` is a file of the artifact itself")]
    Name {
        /// The name.
        name: String,
    },
    /// A part that is no JSON.
    #[error("cannot write `{file}`")]
    Json {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Packs an artifact: file names and contents. Equal parts give equal bytes.
///
/// # Errors
/// [`PackError`] for parts that do not fit together.
pub fn pack(parts: &Parts<'_>) -> Result<BTreeMap<String, Vec<u8>>, PackError> {
    let (schema, policy) = (parts.schema, parts.policy);
    policy.check(schema.n_columns())?;
    if policy.paths != *schema.paths() {
        return Err(PackError::Paths);
    }
    let own = |name: &str| name == MANIFEST_FILE || ROUTER_FILES.contains(&name);
    if let Some(name) = parts.extra_files.keys().find(|name| own(name)) {
        return Err(PackError::Name { name: name.clone() });
    }
    let golden = golden::to_lines(parts.golden).map_err(|source| PackError::Json { file: GOLDEN_FILE, source })?;
    let mut files = parts.extra_files.clone();
    files.insert(FOREST_FILE.to_owned(), policy.to_bytes());
    files.insert(FEATURES_FILE.to_owned(), schema.to_json());
    files.insert(HISTORY_FILE.to_owned(), parts.history.to_bytes());
    files.insert(GOLDEN_FILE.to_owned(), golden);
    let entry = |bytes: &Vec<u8>| FileEntry { bytes: bytes.len() as u64, sha256: sha256_hex(bytes) };
    let manifest = Manifest {
        format_version: ARTIFACT_VERSION,
        provenance: parts.provenance.clone(),
        paths: schema.paths().clone(),
        feature_schema_digest: schema.digest(),
        n_columns: schema.n_columns(),
        thresholds: policy.settings.clone(),
        fallback_rule: fallback_rule(&policy.settings),
        support: schema.paths().names().iter().cloned().zip(policy.support.iter().copied()).collect(),
        files: files.iter().map(|(name, bytes)| (name.clone(), entry(bytes))).collect(),
    };
    let mut manifest = serde_json::to_vec_pretty(&manifest).map_err(|source| PackError::Json { file: MANIFEST_FILE, source })?;
    manifest.push(b'\n');
    files.insert(MANIFEST_FILE.to_owned(), manifest);
    Ok(files)
}

/// The rule of [`Policy::decide`] in words.
fn fallback_rule(settings: &PolicySettings) -> String {
    format!(
        "the static path is kept where no path has {} training rows, the gain is below {} or the confidence below {}",
        settings.min_support, settings.min_gain, settings.min_confidence
    )
}
