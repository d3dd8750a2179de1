//! From verdict to traffic: the steps of a rollout, its guardrails, retained artifacts, rollback, and what a gateway's log says.
//!
//! * [`Deployment`]: `models/deployment.json`, which online routers follow: step, artifact, baseline, history.
//! * [`assess`]: what the next [`Step`] waits for, and the [`Guardrail`]s, by tests that may be looked at every night; pure.
//! * [`monitor()`]: the seed's block, its key metrics and its success criteria, measured.
//! * [`Store`] with [`deploy`], [`advance`] and [`roll_back`]: the same on disk, each change one rename. Time is passed in.
//!
//! ```
//! use routewright_domain::Timestamp;
//! use routewright_ope::stats::{Alternative, OddsEvidence, TwoGroups};
//! use routewright_rollout::{RolloutSettings, Step};
//!
//! assert_eq!(Step::Canary.next(), Some(Step::Quarter));
//! assert_eq!(Step::parse("25"), Some(Step::Quarter));
//! assert_eq!(RolloutSettings::default().check(), Ok(()));
//! ```

mod assess;
mod change;
mod deployment;
mod error;
mod guardrails;
mod monitor;
mod nights;
mod settings;
mod step;
mod store;
mod time;

#[cfg(test)]
mod samples;

pub use assess::{Assessment, Difference, Look, Requirement, Standing, Verdict, assess};
pub use change::{Advance, Ask, Back, Promote, advance, deploy, roll_back};
pub use deployment::{Accepted, Action, Configuration, DEPLOYMENT_VERSION, Deployment, Event, Status};
pub use error::RolloutError;
pub use guardrails::{GUARDRAILS, Guardrail, GuardrailName, guardrails};
pub use monitor::{Balance, Criterion, Measured, Met, Monitoring, SideMetrics, Task, Times, monitor};
pub use nights::{Count, GroupNight, Night, Outcome, Period, nights};
pub use settings::{OnBreach, RolloutSettings};
pub use step::{LADDER, Step};
pub use store::{Retained, Store, StoreLock, Unreadable, read_artifact};
pub use time::{date, rfc3339};
