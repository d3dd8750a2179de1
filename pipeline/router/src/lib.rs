//! What an online router embeds: encode a query, predict per path, choose a path.
//!
//! * [`Encoder`]: from a [`Request`] and the [`History`] to a feature row, under a fitted [`Schema`]; the same code for the batch and online.
//! * [`Policy`]: from a row to a path, with the reason when the static path is kept.
//! * [`Router`]: both, loaded from an artifact's bytes; [`pack`] makes them.
//!
//! Nothing here touches files, clocks or the environment, and equal inputs give equal bits.
//!
//! ```
//! use std::sync::Arc;
//! use routewright_domain::{Paths, Seed, Timestamp};
//! use routewright_router::{Encoder, History, Request, Schema, SchemaSettings, Scratch};
//!
//! let requests = [Request::new("restart the web server", Timestamp(0)), Request::new("why is the sky blue?", Timestamp(1))];
//! let paths = Paths::from_names(["reasoning", "tool"]);
//! let schema = Schema::fit(&paths, requests.iter().copied(), &SchemaSettings::default(), Seed(42))?;
//! let encoder = Encoder::new(Arc::new(schema));
//! let (history, mut scratch) = (History::new(encoder.schema()), Scratch::default());
//! let mut row = vec![0.0; encoder.n_columns()];
//! encoder.encode(&requests[0], &history, &mut scratch, &mut row);
//! assert_eq!(row[1], 4.0); // `text_words`
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod artifact;
mod bytes;
mod calibration;
mod digest;
mod embedder;
mod encoder;
mod environment;
mod features;
mod forest;
mod gateway;
mod history;
mod lexicon;
mod live;
mod onnx;
mod policy;
mod profile;
mod request;
mod rules;
mod schema;
mod service;
mod thompson;
mod tracker;
mod types;

pub use artifact::{
    ARTIFACT_VERSION, FEATURES_FILE, FOREST_FILE, FileEntry, GOLDEN_FILE, Golden, GoldenError, HISTORY_FILE, LoadError, MANIFEST_FILE,
    Manifest, PackError, Parts, Provenance, TrainingWindow, pack,
};
pub use bytes::FormatError;
pub use calibration::{Beta, Calibration, CalibrationError, Isotonic, Platt};
pub use digest::sha256_hex;
pub use embedder::{DIMENSIONS, EmbedderModel, EmbedderSettings, Embedding, HashedModel, SentenceModel, SentenceSource};
pub use encoder::{Encoder, QuerySketch, Scratch};
pub use environment::{Environment, EnvironmentError};
pub use features::{FEATURES, Feature};
pub use forest::{
    CategorySet, FOREST_VERSION, Forest, ForestError, JoinedTrees, MAX_CATEGORIES, MAX_TREE_DEPTH, Node, NodeKind, Side, Test, Tree,
    category_of,
};
pub use gateway::{Ask, Gateway, GatewayDecision, GatewaySettings, Group, InvalidShare, Learned, Mode, Source};
pub use history::{History, HistorySettings, Moment, Observation};
pub use live::{CacheCounts, CacheSettings, Live};
pub use onnx::{CLASSIFIER_FILE, LATENCY_FILE, SUCCESS_FILE, onnx_files};
pub use policy::{Choice, Fallback, Policy, PolicyError, PolicyScratch, PolicySettings, Rank, SuccessModel};
pub use request::Request;
pub use rules::{RULES_VERSION, Rules, RulesError, RulesScratch, StaticRoute};
pub use schema::{Column, ColumnKind, Dictionary, ExtraColumn, ExtraEncoding, SCHEMA_VERSION, Schema, SchemaError, SchemaSettings};
pub use service::{BatchScratch, Decided, Routed, Router, RouterScratch};
pub use thompson::{Thompson, ThompsonError, ThompsonSettings};
pub use tracker::{
    Execution, GatewayLog, Layer, LayerAnswer, LearningFeedback, LogCounts, LogSettings, Outcome, OutcomeLog, Quality, Routing, TaskStatus,
    Tracker, TrackerError, TrackerSettings, WhenFull,
};
