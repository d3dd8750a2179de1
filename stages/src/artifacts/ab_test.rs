//! The randomised test of a gateway's log: its tasks, and what they say.

use std::path::{Path, PathBuf};

use routewright_engine::{Artifact, ArtifactError};
use routewright_ope::AbTest;
use serde::{Deserialize, Serialize};

use super::move_into;

/// The tasks of an A/B gateway, a folder of Parquet files by day; empty where no log is a gateway's.
pub struct Assignments(pub(crate) PathBuf);

impl Artifact for Assignments {
    const PATH: &'static str = "data/assignments";

    fn read(place: &Path) -> Result<Self, ArtifactError> {
        Ok(Self(place.to_owned()))
    }

    fn write(self, place: &Path) -> Result<(), ArtifactError> {
        move_into(&self.0, place)
    }
}

/// What the randomised test says, for people and machines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AbTestReport {
    /// Tasks of the gateway.
    pub tasks: u64,
    /// Of these, tasks that another log holds a decision of.
    pub joined: u64,
    /// Days with outcomes in both groups.
    pub days: u64,
    /// Tasks whose method is not their group's: control runs the rules, treatment the model.
    pub crossed: u64,
    /// The test; none where the groups cannot be compared.
    pub test: Option<AbTest>,
    /// What it says, in one sentence.
    pub summary: String,
}
