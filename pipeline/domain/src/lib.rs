//! The words of routewright and their invariants; no I/O.
//!
//! * [`Decision`]: one logged routing decision with its outcome, as every log format produces it.
//! * [`CascadeLog`]: the events of a cascade of layers, compact.
//! * [`Log`] and [`Target`]: the columns an estimator needs, borrowed and checked once.
//! * [`Estimate`] and [`Interval`]: what an estimator says.
//!
//! ```
//! use routewright_domain::{Arm, Log, Propensity};
//!
//! let (arms, rewards) = ([Arm(0), Arm(1)], [1.0, 0.0]);
//! let propensities = [Propensity::try_from(0.9)?, Propensity::try_from(0.1)?];
//! let log = Log::new(2, &arms, &rewards, &propensities)?;
//! assert_eq!(log.n_rows(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cascade;
mod decision;
mod estimate;
mod log;
mod path;
mod propensity;
mod seed;
mod time;

pub use cascade::{
    Adopted, BACKEND, CACHE_HIT, CascadeAttempt, CascadeEvent, CascadeLog, GROUP, Name, Names, SETTLED_BY, WAS_RIGHT, event_id, last_part,
};
pub use decision::{Decision, LayerAttempt, Scalar};
pub use estimate::{Estimate, Interval};
pub use log::{Log, LogError, Target};
pub use path::{Arm, Paths, UnknownPath};
pub use propensity::{InvalidPropensity, Propensity};
pub use seed::{Rng, Seed};
pub use time::Timestamp;
