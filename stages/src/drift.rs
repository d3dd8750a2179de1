//! `drift`: whether the newest days are like those before. What moved, since when, how much of it, and whether a new router would help.
//!
//! Everything is compared by permuting whole days, weekdays among themselves, because rows of a day are alike. Five families of comparisons
//! (features, all features together, outcomes, success given the features, moments of change) share the level equally, and within a family the
//! p-values hold together. What is proven but small is `minor` and fires nothing.

mod classifier;
mod columns;
mod concept;
mod series;
mod verdict;
mod windows;

use routewright_domain::Seed;
use routewright_engine::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

use crate::artifacts::{DriftKind, DriftReport, DriftSeverity, FeatureSchema, Features};
use windows::Compared;

/// Settings of `[drift]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DriftParams {
    /// Newest days that are compared with those before.
    pub current_days: u32,
    /// Days before them; 0 is all.
    pub reference_days: u32,
    /// Chance that a look finds anything where nothing moved.
    pub level: f64,
    /// Arrangements of the days that chance is measured with.
    pub permutations: usize,
    /// Population stability index from which a feature or a mix counts as moved.
    pub psi: f64,
    /// Area under the curve of a forest that tells the windows apart, from which the features together count as moved.
    pub auc: f64,
    /// Points from which success counts as moved.
    pub success_points: f64,
    /// Ratio from which a latency counts as moved, up or down.
    pub latency_ratio: f64,
    /// Groups of features that move by themselves.
    pub left_out: Vec<String>,
    /// Severity from which the command exits with 12.
    pub fire_at: DriftSeverity,
    /// When a new router is due.
    pub retrain: RetrainParams,
}

/// Settings of `[drift.retrain]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrainParams {
    /// Kinds of findings that ask for a new router once they fire.
    pub on: Vec<DriftKind>,
    /// Whether a gain that the back-test proves asks for one, too.
    pub on_gain: bool,
    /// Days after which the nightly run trains anyway; 0 is never.
    pub max_age_days: u32,
}

impl Default for DriftParams {
    fn default() -> Self {
        Self {
            current_days: 7,
            reference_days: 28,
            level: 0.05,
            permutations: 999,
            psi: 0.1,
            auc: 0.6,
            success_points: 3.0,
            latency_ratio: 1.25,
            left_out: ["time", "history"].map(str::to_owned).to_vec(),
            fire_at: DriftSeverity::Moderate,
            retrain: RetrainParams::default(),
        }
    }
}

impl Default for RetrainParams {
    fn default() -> Self {
        Self { on: vec![DriftKind::Features, DriftKind::Concept, DriftKind::Success, DriftKind::Change], on_gain: true, max_age_days: 30 }
    }
}

impl DriftParams {
    /// The settings in force.
    ///
    /// # Errors
    /// Never for a configuration that was loaded with the list of stages.
    pub fn of(config: &routewright_engine::Config) -> Result<Self, serde_json::Error> {
        serde_json::from_value(config.table(Drift::NAME).clone())
    }
}

/// The stage.
pub(crate) struct Drift;

impl Stage for Drift {
    const NAME: &'static str = "drift";
    const SUMMARY: &'static str = "says whether the newest days are like those before, what moved, and whether a new router would help";
    const VERSION: u32 = 3;
    const USES_SEED: bool = true;
    type Params = DriftParams;
    type Inputs = (Features, FeatureSchema);
    type Outputs = (DriftReport,);

    fn check(params: &DriftParams) -> Result<(), (&'static str, String)> {
        let above = |key, value: f64, least: f64, most: f64| {
            if least < value && value < most { Ok(()) } else { Err((key, format!("must lie between {least} and {most}, found {value}"))) }
        };
        if params.current_days == 0 {
            return Err(("current_days", "must be at least 1".to_owned()));
        }
        above("level", params.level, 0.0, 1.0)?;
        above("psi", params.psi, 0.0, f64::INFINITY)?;
        above("auc", params.auc, 0.5, 1.0)?;
        above("success_points", params.success_points, 0.0, 100.0)?;
        above("latency_ratio", params.latency_ratio, 1.0, f64::INFINITY)?;
        let needed = verdict::N_FAMILIES / params.level;
        if (params.permutations as f64 + 1.0) < needed {
            return Err(("permutations", format!("at a level of {} at least {} are needed", params.level, needed.ceil() - 1.0)));
        }
        if params.fire_at == DriftSeverity::None {
            return Err(("fire_at", "`none` would always fire".to_owned()));
        }
        Ok(())
    }

    fn run(
        params: &DriftParams,
        (Features(table), FeatureSchema(schema)): Self::Inputs,
        context: &Context<'_>,
    ) -> Result<Self::Outputs, StageError> {
        let unknown = params.left_out.iter().find(|group| !routewright_router::FEATURES.iter().any(|feature| feature.name == **group));
        if let Some(group) = unknown {
            return Err(StageError::settings(format!("`drift.left_out` names `{group}`, which is no group of features")));
        }
        let seed = Seed(context.seed()).derive("drift", 0);
        let compared = Compared::new(params, &table, seed);
        if let Some(why) = compared.too_short() {
            context.note(&why);
            return Ok((verdict::nothing(params, &compared, why),));
        }
        // Forests and distances look at the same columns: those that do not move by themselves.
        let moves_by_itself = |name: &str| {
            let column = schema.columns().iter().find(|column| column.name == name);
            column.is_some_and(|column| params.left_out.contains(&column.group))
        };
        let columns: Vec<usize> = (0..table.features.len()).filter(|column| !moves_by_itself(&table.features[*column].name)).collect();
        let features = columns::features(&compared, &columns);
        context.advance("families compared", 1, 5);
        let (together, classifier) = classifier::tell_apart(&compared, &columns)?;
        context.advance("families compared", 2, 5);
        let outcomes = [columns::mixes(&compared), series::outcomes(&compared)];
        context.advance("families compared", 3, 5);
        let learner = concept::Learner::new(&compared, &columns)?;
        let expectations = concept::Expectations::new(&learner)?;
        let concept = series::given_features(&compared, &expectations);
        context.advance("families compared", 4, 5);
        let changes = series::changes(&compared, &expectations);
        let retraining = concept::retraining(&learner, &expectations)?;
        context.advance("families compared", 5, 5);
        let families = [vec![features], together, outcomes.into(), vec![concept], vec![changes]];
        let report = verdict::verdict(params, &compared, families, classifier, &expectations, retraining);
        context.note(&report.summary);
        Ok((report,))
    }
}
