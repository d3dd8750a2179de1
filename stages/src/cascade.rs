//! `cascade`: what the layers of a cascade do, where their thresholds should be, where the time goes, and what is off target.

use routewright_cascade::{AlertRules, Firing, Scope, TuneSettings, alerts, analyze, overview, profile, tune};
use routewright_domain::Timestamp;
use routewright_engine::{Artifact, Context, Stage, StageError};
use routewright_table::read_cascade;
use serde::{Deserialize, Serialize};

use crate::artifacts::{CASCADE_SCHEMA_VERSION, CascadeReport, DecisionTable, Layers};

/// Settings of `[cascade]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CascadeParams {
    /// Hours up to the last event that the stage looks at; 0 for the whole log.
    pub window_hours: f64,
    /// Name of the layer that asks the user; empty takes the last layer where it is always sure.
    pub clarification: String,
    /// The cascade's own `config.json`, relative to the project; empty looks beside the log.
    pub config: String,
    /// Declared share of the first of two groups of a randomised test, in the order of their names.
    pub declared_split: f64,
    /// How thresholds are tuned.
    pub tune: TuneSettings,
    /// What fires when.
    pub alerts: AlertRules,
}

impl Default for CascadeParams {
    fn default() -> Self {
        Self {
            window_hours: 0.0,
            clarification: String::new(),
            config: String::new(),
            declared_split: 0.5,
            tune: TuneSettings::default(),
            alerts: AlertRules::default(),
        }
    }
}

impl CascadeParams {
    /// The settings in force.
    ///
    /// # Errors
    /// Never for a configuration that was loaded with the list of stages.
    pub fn of(config: &routewright_engine::Config) -> Result<Self, serde_json::Error> {
        serde_json::from_value(config.table(Cascade::NAME).clone())
    }
}

/// The stage.
pub(crate) struct Cascade;

/// Microseconds of an hour.
const HOUR: f64 = 3.6e9;

impl Stage for Cascade {
    const NAME: &'static str = "cascade";
    const SUMMARY: &'static str =
        "says what each layer of a cascade settles, how right and how fast, where thresholds should be, and what is off target";
    const VERSION: u32 = 1;
    type Params = CascadeParams;
    type Inputs = (DecisionTable, Layers);
    type Outputs = (CascadeReport,);

    fn check(params: &CascadeParams) -> Result<(), (&'static str, String)> {
        if !params.window_hours.is_finite() || params.window_hours < 0.0 {
            return Err(("window_hours", format!("must be 0 or more, found {}", params.window_hours)));
        }
        if !(0.0 < params.declared_split && params.declared_split < 1.0) {
            return Err(("declared_split", format!("must lie between 0 and 1, found {}", params.declared_split)));
        }
        params.tune.check().map_err(|(key, message)| ("tune", format!("`{key}` {message}")))?;
        params.alerts.check().map_err(|(name, message)| ("alerts", format!("`{name}`: {message}")))
    }

    fn run(
        params: &CascadeParams,
        (DecisionTable(decisions), Layers(layers)): Self::Inputs,
        context: &Context<'_>,
    ) -> Result<Self::Outputs, StageError> {
        let log = read_cascade(decisions.folder(), &layers, None)?;
        let end = log.events().last().map_or(Timestamp(0), |event| event.timestamp);
        let first = log.events().first().map_or(end, |event| event.timestamp);
        let hours = if params.window_hours > 0.0 { params.window_hours } else { (end.0 - first.0) as f64 / HOUR };
        let start = if params.window_hours > 0.0 { Timestamp(end.0.saturating_sub((hours * HOUR) as i64)) } else { first };
        let range = log.between(start, Timestamp(end.0.saturating_add(1)));
        let week_before = log.between(Timestamp(start.0.saturating_sub((168.0 * HOUR) as i64)), start);
        let scope = Scope::new(&log, range, &params.clarification);
        let overview = overview(&scope, params.declared_split);
        let thresholds: Vec<f64> = overview.layers.iter().map(|layer| layer.threshold.unwrap_or(1.0)).collect();
        let tuning = (!thresholds.is_empty()).then(|| tune(&scope, &thresholds, params.tune.step, &params.tune));
        if let Some(tuning) = &tuning {
            context.note(&format!("{} events, {} layers; thresholds: {}", overview.events, overview.layers.len(), tuning.reason));
        }
        Ok((CascadeReport {
            schema_version: CASCADE_SCHEMA_VERSION,
            window_hours: hours,
            layers: analyze(&scope, &overview, params.tune.step),
            tuning,
            profile: profile(&scope, week_before, hours),
            alerts: alerts(&params.alerts, &overview, hours, end, &Firing::default()),
            overview,
        },))
    }
}

/// Where the tables of a cascade are, relative to the project: decisions, layers, and what became of every record.
pub const CASCADE_TABLES: [&str; 3] = [DecisionTable::PATH, Layers::PATH, crate::artifacts::RowAccount::PATH];
