//! What can be wrong with a deployment, and the way out.

use std::path::PathBuf;

use crate::assess::Requirement;
use crate::step::Step;

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The file system.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `deployment.json` is damaged.
    #[error("`{}` cannot be read; restore it, or move it away and begin again with `deploy shadow`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// `deployment.json` was written by another version.
    #[error("`{}` has schema version {found}, this program reads {expected}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that is read.
        expected: u32,
    },
    /// Another command changes the deployment at this moment.
    #[error("another command is changing the deployment at this moment (`{}` is locked); try again", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// An artifact that cannot be trusted.
    #[error("the artifact `{}` cannot be deployed", folder.display())]
    Artifact {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing was deployed so far.
    #[error("nothing is deployed; `deploy shadow` begins")]
    NothingDeployed,
    /// The step is where the rollout stands.
    #[error("the rollout is at {} already", step.words())]
    Already {
        /// The step.
        step: Step,
    },
    /// The artifact is what is deployed.
    #[error("artifact {artifact} is what is deployed already")]
    SameArtifact {
        /// Its digest, shortened.
        artifact: String,
    },
    /// A step was left out.
    #[error("the rollout is at {}, the next step is {}; `--force REASON` takes {} at once, and is recorded", now.words(), next.words(), asked.words())]
    Skips {
        /// Where it stands.
        now: Step,
        /// What comes next.
        next: Step,
        /// What was asked for.
        asked: Step,
    },
    /// The next step waits, or may not be taken.
    #[error("{} may not be taken: {}", step.words(), unmet(requirements))]
    Unmet {
        /// The step.
        step: Step,
        /// What is not met.
        requirements: Vec<Requirement>,
        /// Whether something speaks against it, rather than too little for it.
        is_refused: bool,
    },
    /// No retained artifact is called so.
    #[error("no retained artifact begins with `{asked}`, there are {known}")]
    UnknownArtifact {
        /// What was asked for.
        asked: String,
        /// The digests there are.
        known: String,
    },
    /// A guardrail stopped this artifact before.
    #[error("artifact {artifact} was stopped on {day}: {why}; `--force REASON` takes it all the same, and is recorded")]
    WasStopped {
        /// Its digest, shortened.
        artifact: String,
        /// When.
        day: String,
        /// Why.
        why: String,
    },
    /// A force without a reason.
    #[error("`--force` needs a reason")]
    NoReason,
    /// There is nothing to roll back.
    #[error("the static rules (or the baseline) take all traffic already")]
    NothingToRollBack,
}

/// Requirements that are not met, in words.
fn unmet(requirements: &[Requirement]) -> String {
    requirements.iter().map(|requirement| requirement.detail.clone()).collect::<Vec<_>>().join("; ")
}
