//! The vectors of a sentence model: made once per text, kept in a cache, never replaced by anything else.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use routewright_embedder::{EmbedError, OpenError, Place, SentenceEmbedder, batch_order};
use routewright_engine::{Config, Context, Stage, StageError};
use routewright_router::{Schema, SentenceSource};
use routewright_table::{Decisions, EmbeddingCache, TextDigest};
use serde::{Deserialize, Serialize};

use super::{BuildFeatures, FeaturesParams};

/// Vectors between two writes to the cache: what a crash can cost.
const CACHE_EVERY: usize = 512;

/// Name of the cache in the project's folder for what can be made again.
const CACHE: &str = "embeddings";

/// Settings of `[features.embedding]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EmbeddingParams {
    /// What turns texts into vectors.
    pub backend: Backend,
    /// The sentence model's name on the Hugging Face hub, whose cache is looked into where `model_dir` is empty.
    pub model: String,
    /// Folder of the sentence model.
    pub model_dir: String,
    /// The shared library of ONNX Runtime.
    pub runtime: String,
    /// Tokens that a text is cut to.
    pub max_length: usize,
    /// Texts per call of the model.
    pub batch: usize,
}

/// What turns texts into vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Backend {
    /// The built-in embedder, which needs nothing.
    Hashed,
    /// A sentence model by fastembed.
    Fastembed,
}

impl Default for EmbeddingParams {
    fn default() -> Self {
        Self {
            backend: Backend::Hashed,
            model: "sentence-transformers/all-MiniLM-L6-v2".to_owned(),
            model_dir: String::new(),
            runtime: String::new(),
            max_length: 256,
            batch: 1,
        }
    }
}

impl EmbeddingParams {
    /// Checks the ranges.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(2..=8192).contains(&self.max_length) {
            return Err(format!("`max_length` must be in 2 to 8192, found {}", self.max_length));
        }
        if self.batch == 0 { Err("`batch` must be at least 1".to_owned()) } else { Ok(()) }
    }

    /// Files and folders outside the line that the vectors depend on.
    pub(super) fn sources(&self) -> Vec<String> {
        let places = [&self.model_dir, &self.runtime].into_iter().filter(|place| !place.is_empty()).cloned();
        if self.backend == Backend::Fastembed { places.collect() } else { Vec::new() }
    }

    /// Loads runtime and model; places are relative to the project.
    fn open(&self, project: &Path) -> Result<SentenceEmbedder, OpenError> {
        let place = |setting: &String| if setting.is_empty() { PathBuf::new() } else { project.join(setting) };
        let (runtime, model_dir) = (absolute(place(&self.runtime)), place(&self.model_dir));
        SentenceEmbedder::open(&Place { runtime: &runtime, model_dir: &model_dir, model: &self.model, max_length: self.max_length })
    }
}

/// A place that the loader does not look for beside the program.
fn absolute(place: PathBuf) -> PathBuf {
    if place.as_os_str().is_empty() { place } else { std::path::absolute(&place).unwrap_or(place) }
}

/// The vectors of a log's texts.
pub(crate) struct Sentences {
    cache: EmbeddingCache,
    source: SentenceSource,
}

impl Sentences {
    /// Embeds the texts that the cache does not hold; `None` with the built-in embedder.
    pub(super) fn of_log(params: &EmbeddingParams, decisions: &Decisions, context: &Context<'_>) -> Result<Option<Self>, StageError> {
        if params.backend == Backend::Hashed {
            return Ok(None);
        }
        let mut embedder = params.open(context.project()).map_err(StageError::settings)?;
        let source = source(&embedder);
        let (mut cache, damaged) = EmbeddingCache::open(&folder(context, &source, params.batch > 1), source.dimensions)?;
        for name in damaged {
            context.note(&format!("`{name}` of the embedding cache was damaged; its texts are embedded again"));
        }
        let missing = missing_texts(decisions, &cache)?;
        let texts: Vec<&str> = missing.iter().map(|(_, text)| text.as_str()).collect();
        let (mut done, mut fresh) = (0, Vec::new());
        for positions in batch_order(&texts).chunks(params.batch) {
            let batch: Vec<&str> = positions.iter().map(|position| texts[*position]).collect();
            let vectors = embedder.embed(&batch)?;
            fresh.extend(positions.iter().map(|position| missing[*position].0).zip(vectors));
            done += positions.len();
            if fresh.len() >= CACHE_EVERY {
                cache.append(std::mem::take(&mut fresh))?;
                context.advance("texts embedded", done as u64, texts.len() as u64);
            }
        }
        cache.append(fresh)?;
        context.note(&format!("{} texts embedded with `{}`, {} vectors in the cache", texts.len(), source.name, cache.len()));
        Ok(Some(Self { cache, source }))
    }

    /// The vectors that were made for a schema, without the model; `None` where the schema needs none.
    pub(crate) fn of_schema(schema: &Schema, context: &Context<'_>) -> Result<Option<Self>, StageError> {
        let Some(source) = schema.embedder().sentence_source() else { return Ok(None) };
        let folders = [false, true].map(|padded| folder(context, source, padded));
        let folder = folders.iter().find(|folder| folder.is_dir()).ok_or_else(|| {
            StageError::data(format!(
                "the vectors of `{}` are not in the cache; `routewright run features --force` makes them",
                source.name
            ))
        })?;
        let (cache, _) = EmbeddingCache::open(folder, source.dimensions)?;
        Ok(Some(Self { cache, source: source.clone() }))
    }

    /// Which model made the vectors.
    pub(super) fn source(&self) -> &SentenceSource {
        &self.source
    }

    /// The vector of a text; `None` for a text that is not in the log.
    pub(crate) fn get(&self, text: &str) -> Option<&[f32]> {
        self.cache.get(&EmbeddingCache::digest_of(text))
    }
}

/// What the schema records of a model.
fn source(embedder: &SentenceEmbedder) -> SentenceSource {
    SentenceSource { name: embedder.name().to_owned(), digest: embedder.digest().to_owned(), dimensions: embedder.dimensions() }
}

/// The cache's folder for a model. Vectors from padded batches are kept apart: their last digits differ.
fn folder(context: &Context<'_>, source: &SentenceSource, padded: bool) -> PathBuf {
    let model: String = source.digest.chars().take(16).collect();
    context.cache().join(CACHE).join(if padded { format!("{model}-padded") } else { model })
}

/// Every text of the log that the cache does not hold, once, with its digest.
fn missing_texts(decisions: &Decisions, cache: &EmbeddingCache) -> Result<Vec<(TextDigest, String)>, StageError> {
    let (mut missing, mut seen) = (Vec::new(), HashSet::new());
    for day in decisions.iter() {
        for decision in day? {
            let digest = EmbeddingCache::digest_of(&decision.query);
            if cache.get(&digest).is_none() && seen.insert(digest) {
                missing.push((digest, decision.query));
            }
        }
    }
    Ok(missing)
}

/// Why a query cannot be given the vector that an artifact needs.
#[derive(Debug, thiserror::Error)]
pub enum SentenceError {
    /// The settings of `[features]` cannot be read.
    #[error("the settings of `[features]` cannot be read")]
    Settings(#[from] serde_json::Error),
    /// Runtime or model.
    #[error("the sentence model of `features.embedding` cannot be used")]
    Open(#[from] OpenError),
    /// Another model.
    #[error(
        "the artifact was made with the sentence model `{}` (digest {}), `features.embedding` loads `{found_name}` (digest {found_digest})",
        wanted.name, wanted.digest
    )]
    Other {
        /// The model that the artifact needs.
        wanted: SentenceSource,
        /// The model that the settings name.
        found_name: String,
        /// Its digest.
        found_digest: String,
    },
    /// The model failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
}

/// A sentence model for single queries.
#[derive(Debug)]
pub struct QueryEmbedder(SentenceEmbedder);

impl QueryEmbedder {
    /// Loads the model that `[features.embedding]` names, and checks that it is the one that an artifact was made with.
    ///
    /// # Errors
    /// [`SentenceError`] says what is missing or differs.
    pub fn open(config: &Config, project: &Path, wanted: &SentenceSource) -> Result<Self, SentenceError> {
        let embedder = params(config)?.open(project)?;
        if embedder.digest() == wanted.digest {
            return Ok(Self(embedder));
        }
        let (found_name, found_digest) = (embedder.name().to_owned(), embedder.digest().to_owned());
        Err(SentenceError::Other { wanted: wanted.clone(), found_name, found_digest })
    }

    /// The vector of a query.
    ///
    /// # Errors
    /// [`SentenceError::Embed`].
    pub fn embed(&mut self, query: &str) -> Result<Vec<f32>, SentenceError> {
        Ok(self.0.embed(&[query])?.pop().unwrap_or_default())
    }
}

/// Looks whether the embedder of `[features.embedding]` can be used, and says which it is.
///
/// # Errors
/// [`SentenceError`] says what is missing, with the commands that fetch it.
pub fn check_embedder(config: &Config, project: &Path) -> Result<String, SentenceError> {
    let params = params(config)?;
    if params.backend == Backend::Hashed {
        return Ok("built-in, needs nothing".to_owned());
    }
    let embedder = params.open(project)?;
    Ok(format!("`{}`, {} numbers per text, digest {}", embedder.name(), embedder.dimensions(), embedder.digest()))
}

/// The settings of `[features.embedding]` in force.
fn params(config: &Config) -> Result<EmbeddingParams, SentenceError> {
    let params: FeaturesParams = serde_json::from_value(config.table(BuildFeatures::NAME).clone())?;
    Ok(params.embedding)
}
