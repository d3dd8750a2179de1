//! Exit codes: what a script learns from how the command ended.

use routewright_engine::{ConfigError, FailureKind, LockError, PlanError, RunError};
use routewright_rollout::RolloutError;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or everything fresh; `gate`: the verdict is accepted.
    Done = 0,
    /// A bug, or the environment.
    Failure = 1,
    /// The command line or `pipeline.toml`.
    Usage = 2,
    /// The data: schema, too many rejects, too few decisions, rows that do not add up.
    Data = 3,
    /// `gate`: the verdict is proven and not accepted; `deploy`: something speaks against the step.
    Refused = 10,
    /// `gate`: inconclusive; `deploy`: the step waits for more evidence.
    Inconclusive = 11,
    /// `drift`, `alerts`: something fired; `deploy status`, `deploy next`: a guardrail is breached.
    Fired = 12,
    /// Another run holds the lock.
    Locked = 75,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A request that cannot be meant: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Data that cannot be used: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DataError(pub(crate) String);

impl DataError {
    /// An error of a library about data, with its causes.
    pub(crate) fn of(error: impl Into<anyhow::Error>) -> Self {
        Self(format!("{:#}", error.into()))
    }
}

/// The exit code of an error.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if cause.is::<ConfigError>() || cause.is::<UsageError>() {
            return Exit::Usage;
        }
        if cause.is::<DataError>() {
            return Exit::Data;
        }
        if let Some(error) = cause.downcast_ref::<RolloutError>() {
            return exit_of_rollout(error);
        }
        match cause.downcast_ref::<RunError>() {
            Some(RunError::Lock(LockError::Held { .. })) => return Exit::Locked,
            Some(RunError::Stage { kind: FailureKind::Data, .. }) => return Exit::Data,
            Some(RunError::Stage { kind: FailureKind::Settings, .. }) => return Exit::Usage,
            Some(RunError::Plan(error)) => return exit_of_plan(error),
            _ => {}
        }
        if let Some(error) = cause.downcast_ref::<PlanError>() {
            return exit_of_plan(error);
        }
    }
    Exit::Failure
}

/// The exit code of a change of the deployment that was not made.
fn exit_of_rollout(error: &RolloutError) -> Exit {
    match error {
        RolloutError::Io { .. } => Exit::Failure,
        RolloutError::Damaged { .. } | RolloutError::Version { .. } | RolloutError::Artifact { .. } => Exit::Data,
        RolloutError::Locked { .. } => Exit::Locked,
        RolloutError::Unmet { is_refused: true, .. } | RolloutError::WasStopped { .. } => Exit::Refused,
        RolloutError::Unmet { .. } => Exit::Inconclusive,
        RolloutError::NothingDeployed
        | RolloutError::Already { .. }
        | RolloutError::SameArtifact { .. }
        | RolloutError::Skips { .. }
        | RolloutError::UnknownArtifact { .. }
        | RolloutError::NoReason
        | RolloutError::NothingToRollBack => Exit::Usage,
    }
}

/// The exit code of a plan that cannot be made.
fn exit_of_plan(error: &PlanError) -> Exit {
    match error {
        PlanError::UnknownStage { .. } | PlanError::Empty { .. } | PlanError::NothingChosen => Exit::Usage,
        PlanError::NotALine(_) | PlanError::Io { .. } => Exit::Failure,
    }
}
