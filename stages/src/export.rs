//! `export`: packs what online routers load: encoder, forests, history, thresholds, and decisions that a loaded router must repeat.

mod card;

use std::collections::BTreeMap;
use std::sync::Arc;

use routewright_domain::{Decision, Seed, Timestamp};
use routewright_engine::{Context, Stage, StageError};
use routewright_router::{Golden, History, Parts, Provenance, Request, Router, TrainingWindow, onnx_files, pack};
use routewright_table::Decisions;
use serde::{Deserialize, Serialize};

use crate::artifacts::{DecisionReport, DecisionTable, Evaluation, FeatureSchema, FrozenHistory, Models, PackedArtifact, TrainingReport};
use crate::features::{Sentences, as_of_decision, request};

/// Name of the model card in the artifact.
const MODEL_CARD: &str = "MODEL_CARD.md";

/// Days that golden decisions are from, at most: a long log is not read as a whole for fifty of them.
const GOLDEN_DAYS: usize = 5;

/// Settings of `[export]`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ExportParams {
    /// Decisions of the log that the artifact carries, with what a loaded router must answer.
    pub golden: usize,
}

impl Default for ExportParams {
    fn default() -> Self {
        Self { golden: 50 }
    }
}

/// The stage.
pub(crate) struct Export;

impl Stage for Export {
    const NAME: &'static str = "export";
    const SUMMARY: &'static str = "packs the artifact that online routers load, with checksums and golden decisions";
    const VERSION: u32 = 4;
    const USES_SEED: bool = true;
    type Params = ExportParams;
    type Inputs = (Models, FeatureSchema, FrozenHistory, TrainingReport, Evaluation, DecisionReport, DecisionTable);
    type Outputs = (PackedArtifact,);

    fn run(params: &ExportParams, inputs: Self::Inputs, context: &Context<'_>) -> Result<(PackedArtifact,), StageError> {
        let (models, FeatureSchema(schema), FrozenHistory(history), training, evaluation, decision, DecisionTable(decisions)) = inputs;
        let history = History::from_bytes(&history, &schema)?;
        let router = Router::new(Arc::new(schema.clone()), models.policy.clone(), history.clone());
        let sentences = Sentences::of_schema(&schema, context)?;
        let golden: Vec<Golden> = sample(&decisions, params.golden)?
            .iter()
            .map(|decision| {
                let request = request(decision, sentences.as_ref());
                Golden::record(&router, &Request { timestamp: decision.timestamp.max(history.now()), ..request })
            })
            .collect();
        let provenance = Provenance {
            product_version: env!("CARGO_PKG_VERSION").to_owned(),
            training_window: TrainingWindow {
                first: Timestamp(training.window_us.0),
                last: Timestamp(training.window_us.1),
                rows: training.n_rows as u64,
            },
            data_digest: decision.provenance.data_digest.clone(),
            settings_digest: decision.provenance.settings_digest.clone(),
            seed: Seed(context.seed()),
            metrics: metrics(&evaluation, &decision),
        };
        let known =
            card::Known { policy: &models.policy, schema: &schema, training: &training, evaluation: &evaluation, decision: &decision };
        let mut extra_files = onnx_files(&models.policy, schema.n_columns());
        extra_files.insert(MODEL_CARD.to_owned(), card::card(&known).into_bytes());
        let parts = Parts {
            schema: &schema,
            policy: &models.policy,
            history: &history,
            golden: &golden,
            provenance: &provenance,
            extra_files: &extra_files,
        };
        let files = pack(&parts)?;
        // What cannot be loaded and repeated here would fail at every router.
        Router::load(&files)?.verify()?;
        Ok((PackedArtifact(files.into_iter().collect()),))
    }
}

/// Decisions spread evenly over some days, which are spread evenly over the log.
fn sample(decisions: &Decisions, wanted: usize) -> Result<Vec<Decision>, StageError> {
    let decisions = decisions.spread(GOLDEN_DAYS);
    let every = (decisions.n_rows() as usize).div_ceil(wanted.max(1)).max(1);
    let (mut sample, mut row) = (Vec::new(), 0);
    for day in decisions.iter() {
        for decision in as_of_decision(day?) {
            if row % every == 0 && sample.len() < wanted {
                sample.push(decision);
            }
            row += 1;
        }
    }
    Ok(sample)
}

/// The numbers that the manifest carries.
fn metrics(evaluation: &Evaluation, decision: &DecisionReport) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::from([
        ("log_loss".to_owned(), evaluation.calibrated.log_loss),
        ("brier".to_owned(), evaluation.calibrated.brier),
        ("expected_calibration_error".to_owned(), evaluation.calibrated.ece),
        ("surrogate_fidelity".to_owned(), evaluation.explainability.surrogate_fidelity),
    ]);
    let success = &decision.success;
    for (name, value) in
        [("static_success", success.static_rate), ("learned_success", success.learned), ("uplift_points", success.uplift_points)]
    {
        if let Some(value) = value {
            metrics.insert(name.to_owned(), value);
        }
    }
    metrics
}
