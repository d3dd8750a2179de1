//! The router that a service embeds: loaded from an artifact's bytes, decides one request at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use routewright_domain::{Arm, Timestamp};

use crate::artifact::{Golden, GoldenError, LoadError, Loaded, Manifest, load};
use crate::embedder::SentenceSource;
use crate::encoder::{Encoder, QuerySketch, Scratch};
use crate::history::{History, Observation};
use crate::policy::{Fallback, Policy, PolicyScratch};
use crate::request::Request;
use crate::schema::Schema;

/// A router ready for use. Shared by threads: deciding takes `&self`.
#[derive(Clone, Debug)]
pub struct Router {
    encoder: Encoder,
    policy: Policy,
    history: History,
    origin: Option<Origin>,
}

/// What a loaded router knows of its artifact.
#[derive(Clone, Debug)]
struct Origin {
    manifest: Manifest,
    golden: Vec<Golden>,
    digest: String,
}

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed<'a> {
    /// The path to take; `None` where there is neither a usable model nor a known static path.
    pub path: Option<&'a str>,
    /// What the model prefers, before any fallback.
    pub learned_path: Option<&'a str>,
    /// Probability of success per path, in the order of the paths; NaN without a model.
    pub success: Vec<f64>,
    /// Expected latency per path in milliseconds; NaN without a model.
    pub latency_ms: Vec<f64>,
    /// Estimated probability that the learned path does not turn a success into a failure.
    pub confidence: f64,
    /// Why the static path was kept.
    pub fallback: Option<Fallback>,
    /// Probability with which [`Self::path`] was chosen: 1, since a router draws nothing. A gateway's decision has its own.
    pub propensity: f64,
    /// SHA-256 of the artifact's manifest; empty for a router that was not loaded.
    pub artifact_digest: &'a str,
}

/// Room for one decision at a time; reused.
#[derive(Clone, Debug, Default)]
pub struct RouterScratch {
    encoder: Scratch,
    row: Vec<f32>,
    policy: PolicyScratch,
}

impl RouterScratch {
    /// The feature row of the last request.
    pub fn row(&self) -> &[f32] {
        &self.row
    }

    /// What the policy predicted for the last request; latencies are NaN where it does not weigh them.
    pub fn predictions(&self) -> &PolicyScratch {
        &self.policy
    }
}

/// Room for many decisions at a time; reused.
#[derive(Clone, Debug, Default)]
pub struct BatchScratch {
    encoder: Scratch,
    rows: Vec<f32>,
    predictions: Vec<PolicyScratch>,
}

impl BatchScratch {
    /// What the policy predicted for each request of the last batch; latencies are NaN where it does not weigh them.
    pub fn predictions(&self) -> &[PolicyScratch] {
        &self.predictions
    }
}

/// A decision without its lists, which are in [`RouterScratch`]: what the hot path returns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decided {
    /// The path to take.
    pub arm: Option<Arm>,
    /// What the model prefers, before any fallback.
    pub learned_arm: Option<Arm>,
    /// Estimated probability that the learned path does not turn a success into a failure.
    pub confidence: f64,
    /// Why the static path was kept.
    pub fallback: Option<Fallback>,
    /// What [`Router::observe`] needs once the outcome is known.
    pub sketch: QuerySketch,
}

impl Router {
    /// A router from its parts, such as right after training; it has no manifest and no digest.
    pub fn new(schema: Arc<Schema>, policy: Policy, history: History) -> Self {
        Self { encoder: Encoder::new(schema), policy, history, origin: None }
    }

    /// Reads an artifact given as file names and bytes, after checking versions, sizes, digests and contents.
    ///
    /// # Errors
    /// [`LoadError`] names the file that cannot be used.
    pub fn load(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, LoadError> {
        let Loaded { manifest, schema, policy, history, golden, digest } = load(files)?;
        policy.warm_up();
        Ok(Self { encoder: Encoder::new(schema), policy, history, origin: Some(Origin { manifest, golden, digest }) })
    }

    /// Repeats the golden decisions of the artifact and returns their number.
    ///
    /// # Errors
    /// [`GoldenError`] names the first decision and field that differs.
    pub fn verify(&self) -> Result<usize, GoldenError> {
        let golden = self.origin.as_ref().map_or(&[][..], |origin| &origin.golden);
        for (position, decision) in golden.iter().enumerate() {
            decision.check(self, position + 1)?;
        }
        Ok(golden.len())
    }

    /// Decides one request.
    ///
    /// A static path that the model does not know cannot be compared: it is kept, with [`Fallback::NoModel`].
    pub fn route<'a>(&'a self, request: &Request<'a>) -> Routed<'a> {
        let mut scratch = RouterScratch::default();
        let sketch = self.encode(request, &mut scratch);
        self.policy.predict(&scratch.row, &mut scratch.policy);
        let decided = self.choose(request, sketch, &scratch.policy);
        let unknown_static = request.static_path.filter(|name| self.policy.paths.arm(name).is_none());
        let name = |arm: Option<Arm>| arm.map(|arm| self.policy.paths.name(arm));
        Routed {
            path: if decided.arm.is_none() { unknown_static } else { name(decided.arm) },
            learned_path: name(decided.learned_arm),
            success: scratch.policy.success,
            latency_ms: scratch.policy.latency_ms,
            confidence: decided.confidence,
            fallback: decided.fallback,
            propensity: 1.0,
            artifact_digest: self.digest(),
        }
    }

    /// Decides one request without allocating after the first few: the hot path under [`Self::route`].
    ///
    /// With a static path that is not among the router's paths, no path is returned and the caller keeps the static one. Latencies are
    /// predicted only where the policy weighs them; [`Self::route`] always tells them.
    pub fn decide(&self, request: &Request<'_>, scratch: &mut RouterScratch) -> Decided {
        let sketch = self.encode(request, scratch);
        self.policy.predict_for_choice(&scratch.row, &mut scratch.policy);
        self.choose(request, sketch, &scratch.policy)
    }

    /// Writes the request's row.
    fn encode(&self, request: &Request<'_>, scratch: &mut RouterScratch) -> QuerySketch {
        scratch.row.resize(self.encoder.n_columns(), f32::NAN);
        self.encoder.encode(request, &self.history, &mut scratch.encoder, &mut scratch.row)
    }

    /// Decides many requests as of the same past, forest by forest; equal to [`Self::decide`] one by one, and faster from a few dozen on.
    pub fn decide_batch(&self, requests: &[Request<'_>], scratch: &mut BatchScratch, out: &mut Vec<Decided>) {
        let n_columns = self.encoder.n_columns();
        scratch.rows.resize(requests.len() * n_columns, f32::NAN);
        let rows = requests.iter().zip(scratch.rows.chunks_exact_mut(n_columns));
        let encoder = &mut scratch.encoder;
        let sketches: Vec<QuerySketch> = rows.map(|(request, row)| self.encoder.encode(request, &self.history, encoder, row)).collect();
        self.policy.predict_rows(&scratch.rows, n_columns, &mut scratch.predictions);
        let decided = requests.iter().zip(sketches).zip(&scratch.predictions);
        out.clear();
        out.extend(decided.map(|((request, sketch), predictions)| self.choose(request, sketch, predictions)));
    }

    /// The choice on predictions.
    fn choose(&self, request: &Request<'_>, sketch: QuerySketch, predictions: &PolicyScratch) -> Decided {
        let static_arm = request.static_path.map(|name| self.policy.paths.arm(name));
        let choice = self.policy.decide(static_arm.flatten(), predictions);
        let unknown_static = static_arm == Some(None);
        if request.sentence.is_none() && self.sentence_source().is_some() {
            return Decided {
                arm: static_arm.flatten(),
                learned_arm: None,
                confidence: f64::NAN,
                fallback: Some(Fallback::NoEmbedding),
                sketch,
            };
        }
        Decided {
            arm: if unknown_static { None } else { choice.arm },
            learned_arm: choice.learned_arm,
            confidence: choice.confidence,
            fallback: if unknown_static { Some(Fallback::NoModel) } else { choice.fallback },
            sketch,
        }
    }

    /// Takes an outcome into the history; it is seen once [`Self::advance`] has passed its time.
    pub fn observe(&mut self, observation: Observation) {
        self.history.observe(observation);
    }

    /// Moves the history to a point in time.
    pub fn advance(&mut self, to: Timestamp) {
        self.history.advance(to);
    }

    /// The sentence model whose vector every request must carry; `None` where the built-in embedder is used.
    ///
    /// A request without it keeps the static path, with [`Fallback::NoEmbedding`].
    pub fn sentence_source(&self) -> Option<&SentenceSource> {
        self.encoder.schema().embedder().sentence_source()
    }

    /// The encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The history.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The artifact's manifest; `None` for a router that was not loaded.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.origin.as_ref().map(|origin| &origin.manifest)
    }

    /// SHA-256 of the artifact's manifest, which holds the digests of all other files; empty for a router that was not loaded.
    pub fn digest(&self) -> &str {
        self.origin.as_ref().map_or("", |origin| &origin.digest)
    }
}
