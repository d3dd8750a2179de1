//! The loaded model.

use fastembed::{InitOptionsUserDefined, Pooling, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel};

use crate::place::{ModelFiles, OpenError, Place};

/// A loaded sentence model.
pub struct SentenceEmbedder {
    model: TextEmbedding,
    name: String,
    digest: String,
    dimensions: usize,
}

impl std::fmt::Debug for SentenceEmbedder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SentenceEmbedder").field("name", &self.name).field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Texts that could not be embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model failed.
    #[error("the model failed on {n_texts} texts of up to {longest} bytes")]
    Model {
        /// Texts of the batch.
        n_texts: usize,
        /// Bytes of the longest.
        longest: usize,
        /// What the runtime or the tokenizer says.
        source: fastembed::Error,
    },
    /// The model gave another number of vectors, or other lengths.
    #[error("the model gave vectors that do not fit {n_texts} texts of {dimensions} numbers")]
    Shape {
        /// Texts of the batch.
        n_texts: usize,
        /// Numbers of a vector.
        dimensions: usize,
    },
}

impl SentenceEmbedder {
    /// Loads runtime and model, and embeds one text to see that they work together.
    ///
    /// # Errors
    /// [`OpenError`] says what is missing and what fetches it.
    pub fn open(place: &Place<'_>) -> Result<Self, OpenError> {
        if place.runtime.as_os_str().is_empty() {
            return Err(OpenError::NoRuntime);
        }
        // Not through fastembed: without a runtime its first call would panic. The environment itself is fastembed's to build.
        let unbuilt = ort::init_from(place.runtime).map_err(|source| OpenError::Runtime { path: place.runtime.to_owned(), source })?;
        drop(unbuilt);
        let files = place.read()?;
        let (folder, digest) = (files.folder.clone(), files.digest(place.max_length));
        let failed = |source| OpenError::Model { path: folder.clone(), source };
        let ModelFiles { graph, tokenizer: [tokenizer_file, config_file, special_tokens_map_file, tokenizer_config_file], .. } = files;
        let tokenizer = TokenizerFiles { tokenizer_file, config_file, special_tokens_map_file, tokenizer_config_file };
        let defined = UserDefinedEmbeddingModel::new(graph, tokenizer).with_pooling(Pooling::Mean);
        let options = InitOptionsUserDefined::new().with_max_length(place.max_length);
        let mut model = TextEmbedding::try_new_from_user_defined(defined, options).map_err(failed)?;
        let dimensions = model.embed(["a"], None).map_err(failed)?.first().map_or(0, Vec::len);
        Ok(Self { model, name: name(place, &folder), digest, dimensions })
    }

    /// The model's name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the model's files and of the length that texts are cut to, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Numbers of a vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Turns texts into vectors of unit length, in the order of the texts, all in one call of the model.
    ///
    /// Shorter texts are padded to the longest, which moves the last digits of their vectors: only a text embedded alone gets the same
    /// bits as another time.
    ///
    /// # Errors
    /// [`EmbedError`]; no text is left out.
    pub fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let n_texts = texts.len();
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or_default();
        let vectors = self.model.embed(texts, Some(n_texts)).map_err(|source| EmbedError::Model { n_texts, longest, source })?;
        let dimensions = self.dimensions;
        let fits = vectors.len() == n_texts && vectors.iter().all(|vector| vector.len() == dimensions);
        if fits { Ok(vectors) } else { Err(EmbedError::Shape { n_texts, dimensions }) }
    }
}

/// The name for people: the hub's, or the folder's.
fn name(place: &Place<'_>, folder: &std::path::Path) -> String {
    if place.model_dir.as_os_str().is_empty() {
        return place.model.to_owned();
    }
    folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// Positions of texts by falling length, so that texts of a batch need little padding and the longest batch shows first whether memory
/// suffices.
pub fn batch_order(texts: &[&str]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|position| std::cmp::Reverse(texts[*position].len()));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_batched_by_falling_length() {
        assert_eq!(batch_order(&["aa", "a", "aaaa", "bb"]), [2, 0, 3, 1]);
    }
}
