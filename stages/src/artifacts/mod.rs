//! The nouns: what stages hand to each other, each type with its one place in the project.

mod ab_test;
mod cascade;
mod decision;
mod drift;
mod evaluation;
mod features;
mod models;
mod replay;

use std::fs;
use std::path::{Path, PathBuf};

use routewright_engine::{Artifact, ArtifactError};
use routewright_router::{History, Schema};
use routewright_table::{Decisions, FeatureTable, IngestReport, Summary};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use ab_test::{AbTestReport, Assignments};
pub use cascade::{CASCADE_SCHEMA_VERSION, CascadeReport};
pub use decision::{
    ControlSummary, DECISION_SCHEMA_VERSION, DecisionReport, DiagnosticsSummary, EstimatorSummary, LatencySummary, Provenance,
    QuestionAnswer, SuccessSummary,
};
pub use drift::{
    DRIFT_SCHEMA_VERSION, DriftFinding, DriftKind, DriftMeasure, DriftReport, DriftSeverity, DriftWindow, OddDay, PathDay, PathOverTime,
    RetrainingGain,
};
pub use evaluation::{
    CalibrationBin, CalibrationReport, ClassReport, ClassifierReport, Evaluation, FeatureDependence, FeatureImportance, GroupImportance,
    LatencyModelReport, PathDependence, SuccessModelReport,
};
pub use features::{ColumnReport, FeatureReport, Finding};
pub use models::{
    ClassifierTraining, Evidence, GainCandidate, ImpurityShare, Models, OriginScore, PathReferences, PathTraining, TrainingReport,
};
pub use replay::{
    AgePoint, Answer, Bounded, DisagreementResult, FrontierResult, FrontierSetting, GapResult, Look, PolicyResult, RatePair, RatioResult,
    ReplayReport, RetrainingResult, Role, SeedProtocol, SessionsResult, StrongCalls, ThresholdPoint, UpliftResult,
};

/// The decisions, a folder of Parquet files by day.
pub struct DecisionTable(pub Decisions);

impl Artifact for DecisionTable {
    const PATH: &'static str = "data/decisions";

    fn read(place: &Path) -> Result<Self, ArtifactError> {
        Ok(Self(Decisions::open(place)?))
    }

    fn write(self, place: &Path) -> Result<(), ArtifactError> {
        move_into(self.0.folder(), place)
    }
}

/// The attempted layers of cascades, a folder of Parquet files by day.
pub struct Layers(pub(crate) PathBuf);

impl Artifact for Layers {
    const PATH: &'static str = "data/layers";

    fn read(place: &Path) -> Result<Self, ArtifactError> {
        Ok(Self(place.to_owned()))
    }

    fn write(self, place: &Path) -> Result<(), ArtifactError> {
        move_into(&self.0, place)
    }
}

/// The rejected records, one file per format.
pub struct Quarantine(pub(crate) PathBuf);

impl Artifact for Quarantine {
    const PATH: &'static str = "data/quarantine";

    fn read(place: &Path) -> Result<Self, ArtifactError> {
        Ok(Self(place.to_owned()))
    }

    fn write(self, place: &Path) -> Result<(), ArtifactError> {
        fs::create_dir_all(&self.0)?;
        move_into(&self.0, place)
    }
}

/// Gives a type that serialises its one place as a JSON file.
macro_rules! json_artifact {
    ($name:ty, $place:literal) => {
        impl Artifact for $name {
            const PATH: &'static str = $place;

            fn read(place: &Path) -> Result<Self, ArtifactError> {
                read_json(place)
            }

            fn write(self, place: &Path) -> Result<(), ArtifactError> {
                write_json(&self, place)
            }
        }
    };
}

/// What became of every record that `ingest` read.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowAccount(pub IngestReport);

/// What the log says before anything is trained.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Exploration(pub Summary);

json_artifact!(RowAccount, "data/ingest.json");
json_artifact!(AbTestReport, "reports/ab_test.json");
json_artifact!(Exploration, "reports/exploration.json");
json_artifact!(FeatureReport, "reports/features.json");
json_artifact!(TrainingReport, "models/training.json");
json_artifact!(Evaluation, "reports/evaluation.json");
json_artifact!(ReplayReport, "reports/replay.json");
json_artifact!(DecisionReport, "reports/decision.json");
json_artifact!(CascadeReport, "reports/cascade.json");
json_artifact!(DriftReport, "reports/drift.json");

/// Features and outcomes of every decision.
pub struct Features(pub FeatureTable);

impl Artifact for Features {
    const PATH: &'static str = "data/features.parquet";

    fn read(place: &Path) -> Result<Self, ArtifactError> {
        Ok(Self(FeatureTable::read(place)?))
    }

    fn write(self, place: &Path) -> Result<(), ArtifactError> {
        Ok(self.0.write(place)?)
    }
}

/// The columns of the feature table and what encodes them.
pub struct FeatureSchema(pub Schema);

impl Artifact for FeatureSchema {
    const PATH: &'static str = "data/features.json";

    fn read(place: &Path) -> Result<Self, ArtifactError> {
        Ok(Self(Schema::from_json(&fs::read(place)?)?))
    }

    fn write(self, place: &Path) -> Result<(), ArtifactError> {
        Ok(fs::write(place, self.0.to_json())?)
    }
}

/// The history index as of the end of the log.
pub struct FrozenHistory(pub Vec<u8>);

impl FrozenHistory {
    /// Freezes an index.
    pub fn of(history: &History) -> Self {
        Self(history.to_bytes())
    }
}

impl Artifact for FrozenHistory {
    const PATH: &'static str = "data/history.bin";

    fn read(place: &Path) -> Result<Self, ArtifactError> {
        Ok(Self(fs::read(place)?))
    }

    fn write(self, place: &Path) -> Result<(), ArtifactError> {
        Ok(fs::write(place, self.0)?)
    }
}

/// Gives a text its one place as a file.
macro_rules! text_artifact {
    ($(#[$doc:meta])* $name:ident, $place:literal) => {
        $(#[$doc])*
        pub struct $name(pub String);

        impl Artifact for $name {
            const PATH: &'static str = $place;

            fn read(place: &Path) -> Result<Self, ArtifactError> {
                Ok(Self(fs::read_to_string(place)?))
            }

            fn write(self, place: &Path) -> Result<(), ArtifactError> {
                Ok(fs::write(place, self.0)?)
            }
        }
    };
}

text_artifact!(
    /// The report for people, as Markdown.
    Results,
    "reports/E-009-results.md"
);
text_artifact!(
    /// The report for people, as one page with its figures inside.
    Page,
    "reports/report.html"
);
text_artifact!(
    /// The report in a few lines, for the summary page of a CI job.
    SummaryPage,
    "reports/summary.md"
);
text_artifact!(
    /// The numbers of the run, in the text format of Prometheus.
    Metrics,
    "reports/metrics.prom"
);

/// Files by name: the figures.
pub struct Figures(pub Vec<(String, Vec<u8>)>);

impl Artifact for Figures {
    const PATH: &'static str = "reports/figures";

    fn read(place: &Path) -> Result<Self, ArtifactError> {
        Ok(Self(read_folder(place)?))
    }

    fn write(self, place: &Path) -> Result<(), ArtifactError> {
        write_folder(self.0, place)
    }
}

/// Files by name: what online routers load.
pub struct PackedArtifact(pub Vec<(String, Vec<u8>)>);

impl Artifact for PackedArtifact {
    const PATH: &'static str = "models/artifact";

    fn read(place: &Path) -> Result<Self, ArtifactError> {
        Ok(Self(read_folder(place)?))
    }

    fn write(self, place: &Path) -> Result<(), ArtifactError> {
        write_folder(self.0, place)
    }
}

/// Reads a JSON file.
pub(crate) fn read_json<T: DeserializeOwned>(place: &Path) -> Result<T, ArtifactError> {
    Ok(serde_json::from_slice(&fs::read(place)?)?)
}

/// Writes a JSON file for machines that people can read.
pub(crate) fn write_json(value: &impl Serialize, place: &Path) -> Result<(), ArtifactError> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(fs::write(place, bytes)?)
}

/// All files of a folder by name, in alphabetical order.
fn read_folder(place: &Path) -> Result<Vec<(String, Vec<u8>)>, ArtifactError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.push((name, fs::read(&path)?));
    }
    files.sort();
    Ok(files)
}

/// Writes files into a new folder.
fn write_folder(files: Vec<(String, Vec<u8>)>, place: &Path) -> Result<(), ArtifactError> {
    fs::create_dir_all(place)?;
    for (name, bytes) in files {
        fs::write(place.join(name), bytes)?;
    }
    Ok(())
}

/// Moves a file or folder that a stage wrote into the scratch folder; copies it where the project spans file systems.
fn move_into(from: &Path, place: &Path) -> Result<(), ArtifactError> {
    match fs::rename(from, place) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => copy(from, place),
        result => Ok(result?),
    }
}

/// Copies a file or folder.
fn copy(from: &Path, place: &Path) -> Result<(), ArtifactError> {
    if !from.is_dir() {
        fs::copy(from, place)?;
        return Ok(());
    }
    fs::create_dir_all(place)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &place.join(entry.file_name()))?;
    }
    Ok(())
}
