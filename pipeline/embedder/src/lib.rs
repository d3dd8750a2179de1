//! Sentence embeddings from a local ONNX model, by fastembed and an ONNX Runtime that is loaded when it is needed.
//!
//! * [`Place`]: where the runtime and the model lie.
//! * [`SentenceEmbedder`]: the loaded model; [`SentenceEmbedder::embed`] turns texts into vectors of unit length.
//! * [`OpenError`]: what is missing, with the commands that fetch it. There is no fallback.
//!
//! ```
//! use std::path::Path;
//! use routewright_embedder::{Place, SentenceEmbedder};
//!
//! let place = Place { runtime: Path::new("/nowhere/libonnxruntime.so"), model_dir: Path::new("/nowhere"), model: "", max_length: 256 };
//! assert!(SentenceEmbedder::open(&place).is_err_and(|error| error.to_string().contains("pip download")));
//! ```

mod model;
mod place;

pub use model::{EmbedError, SentenceEmbedder, batch_order};
pub use place::{OpenError, Place};
