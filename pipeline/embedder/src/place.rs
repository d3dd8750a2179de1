//! Where the runtime and the model lie, and what to do where they do not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The files of a model besides the graph itself.
const TOKENIZER_FILES: [&str; 4] = ["tokenizer.json", "config.json", "special_tokens_map.json", "tokenizer_config.json"];

/// Where the graph may lie in the folder of a model.
const GRAPH_FILES: [&str; 2] = ["model.onnx", "onnx/model.onnx"];

/// Where the runtime and the model lie.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The shared library of ONNX Runtime, 1.24 or newer.
    pub runtime: &'a Path,
    /// Folder of the model: `model.onnx`, `tokenizer.json`, `config.json`, `special_tokens_map.json`, `tokenizer_config.json`. Empty looks
    /// for [`Self::model`] in the cache of the Hugging Face hub.
    pub model_dir: &'a Path,
    /// The model's name on the hub.
    pub model: &'a str,
    /// Tokens that a text is cut to.
    pub max_length: usize,
}

/// Why a model cannot be used. Every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No runtime.
    #[error(
        "ONNX Runtime cannot be loaded from `{}`; fetch it with `pip download --no-deps --dest models onnxruntime` and `unzip -j -d models \
         models/onnxruntime-*.whl 'onnxruntime/capi/libonnxruntime.so*'`, and name the file in `features.embedding.runtime`",
        path.display()
    )]
    Runtime {
        /// The library.
        path: PathBuf,
        /// What the loader says.
        source: ort::LoadDynamicError,
    },
    /// No setting says where the runtime is.
    #[error(
        "`features.embedding.runtime` is empty; fetch ONNX Runtime with `pip download --no-deps --dest models onnxruntime` and `unzip -j -d \
         models models/onnxruntime-*.whl 'onnxruntime/capi/libonnxruntime.so*'`, and name the file there"
    )]
    NoRuntime,
    /// A file of the model.
    #[error(
        "the model file `{}` cannot be read; with a network `hf download sentence-transformers/all-MiniLM-L6-v2 onnx/model.onnx \
         tokenizer.json config.json special_tokens_map.json tokenizer_config.json` fetches it into the hub's cache; without one, name a \
         folder with these files in `features.embedding.model_dir`",
        path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The hub's cache does not hold the model.
    #[error(
        "the hub's cache `{}` does not hold `{model}`; with a network `hf download {model} onnx/model.onnx tokenizer.json config.json \
         special_tokens_map.json tokenizer_config.json` fetches it; without one, name a folder with these files in \
         `features.embedding.model_dir`",
        cache.display()
    )]
    Hub {
        /// The cache.
        cache: PathBuf,
        /// The model.
        model: String,
    },
    /// A model that cannot be loaded.
    #[error("the model in `{}` cannot be loaded", path.display())]
    Model {
        /// Its folder.
        path: PathBuf,
        /// What the runtime or the tokenizer says.
        source: fastembed::Error,
    },
}

/// The bytes of a model.
pub(crate) struct ModelFiles {
    pub folder: PathBuf,
    pub graph: Vec<u8>,
    /// In the order of [`TOKENIZER_FILES`].
    pub tokenizer: [Vec<u8>; 4],
}

impl Place<'_> {
    /// Reads the files of the model.
    pub(crate) fn read(&self) -> Result<ModelFiles, OpenError> {
        let folder = if self.model_dir.as_os_str().is_empty() { self.hub_folder()? } else { self.model_dir.to_owned() };
        let graph = GRAPH_FILES.iter().map(|name| folder.join(name)).find(|path| path.exists());
        let graph = read_file(&graph.unwrap_or_else(|| folder.join(GRAPH_FILES[0])))?;
        let [first, second, third, fourth] = TOKENIZER_FILES.map(|name| read_file(&folder.join(name)));
        Ok(ModelFiles { folder, graph, tokenizer: [first?, second?, third?, fourth?] })
    }

    /// The folder of the model in the hub's cache: the snapshot that `refs/main` names.
    fn hub_folder(&self) -> Result<PathBuf, OpenError> {
        let cache = std::env::home_dir().unwrap_or_default().join(".cache/huggingface/hub");
        let folder = cache.join(format!("models--{}", self.model.replace('/', "--")));
        let revision = fs::read_to_string(folder.join("refs/main"));
        let snapshot = revision.map(|revision| folder.join("snapshots").join(revision.trim())).ok().filter(|snapshot| snapshot.is_dir());
        snapshot.ok_or_else(|| OpenError::Hub { cache, model: self.model.to_owned() })
    }
}

impl ModelFiles {
    /// SHA-256 of all files and of the length that texts are cut to, in hexadecimal digits.
    pub(crate) fn digest(&self, max_length: usize) -> String {
        let mut hasher = Sha256::new();
        for bytes in std::iter::once(&self.graph).chain(&self.tokenizer) {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        hasher.update((max_length as u64).to_le_bytes());
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Reads a file of the model.
fn read_file(path: &Path) -> Result<Vec<u8>, OpenError> {
    fs::read(path).map_err(|source| OpenError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the files of a model, each holding its own name.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in TOKENIZER_FILES.iter().chain(&GRAPH_FILES[..1]) {
            fs::write(folder.path().join(name), name).unwrap();
        }
        folder
    }

    fn place(folder: &Path) -> Place<'_> {
        Place { runtime: Path::new("x"), model_dir: folder, model: "a/b", max_length: 256 }
    }

    #[test]
    fn the_digest_covers_every_file_and_the_length() {
        let folder = folder();
        let read = || place(folder.path()).read().unwrap();
        let digest = read().digest(256);
        assert_ne!(read().digest(128), digest);
        for name in TOKENIZER_FILES.iter().chain(&GRAPH_FILES[..1]) {
            fs::write(folder.path().join(name), "changed").unwrap();
            assert_ne!(read().digest(256), digest, "{name}");
            fs::write(folder.path().join(name), name).unwrap();
        }
        assert_eq!(read().digest(256), digest);
    }

    #[test]
    fn a_missing_file_is_named_with_the_way_out() {
        let folder = folder();
        fs::remove_file(folder.path().join("config.json")).unwrap();
        let message = place(folder.path()).read().err().unwrap().to_string();
        assert!(message.contains("config.json") && message.contains("hf download"), "{message}");
    }

    #[test]
    fn a_model_that_the_hub_cache_lacks_is_named() {
        let message = place(Path::new("")).read().err().unwrap().to_string();
        assert!(message.contains("`a/b`") && message.contains("features.embedding.model_dir"), "{message}");
    }
}
