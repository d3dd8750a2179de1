//! Runs a list of stages: settings, plans, records, locks and atomic outputs. Knows no stage and no domain type.
//!
//! * [`Stage`] and [`Artifact`]: a plain function with a name, and the one place of a type. The graph follows from the types.
//! * [`Config`]: the settings in force, each with its origin; unknown names are refused with line and caret.
//! * [`Plan`]: which stages run, and the [`Reason`] for each; [`run`] carries it out.
//!
//! ```
//! use routewright_engine::{Artifact, ArtifactError, Config, Context, Stage, StageEntry, StageError};
//! use std::path::Path;
//!
//! struct Greeting(String);
//! impl Artifact for Greeting {
//!     const PATH: &'static str = "greeting.txt";
//!     fn read(place: &Path) -> Result<Self, ArtifactError> { Ok(Self(std::fs::read_to_string(place)?)) }
//!     fn write(self, place: &Path) -> Result<(), ArtifactError> { Ok(std::fs::write(place, self.0)?) }
//! }
//!
//! struct Greet;
//! impl Stage for Greet {
//!     const NAME: &'static str = "greet";
//!     const SUMMARY: &'static str = "writes a greeting";
//!     const VERSION: u32 = 1;
//!     type Params = std::collections::BTreeMap<String, String>;
//!     type Inputs = ();
//!     type Outputs = (Greeting,);
//!     fn run(_: &Self::Params, (): (), _: &Context<'_>) -> Result<(Greeting,), StageError> { Ok((Greeting("hello".into()),)) }
//! }
//!
//! const STAGES: &[StageEntry] = &[StageEntry::of::<Greet>()];
//! let project = tempfile::tempdir()?;
//! let config = Config::load(None, &[], STAGES, &[])?;
//! let report = routewright_engine::run(&routewright_engine::Job::everything(project.path(), STAGES, &config), &())?;
//! assert_eq!(report.stages[0].status, routewright_engine::Status::Ran);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod artifact;
mod config;
mod digest;
mod lock;
mod memory;
mod observer;
mod plan;
mod record;
mod run;
mod sources;
mod stage;

pub use artifact::{Artifact, ArtifactError, Artifacts};
pub use config::{Config, ConfigError, Origin, Override, Setting};
pub use digest::{digest_of, digest_of_bytes};
pub use lock::{Holder, Lock, LockError};
pub use observer::{Event, Observer};
pub use plan::{Plan, PlanError, Planned, Selection};
pub use record::{LastFailure, Reason, Record};
pub use run::{Job, RunError, RunReport, StageReport, Status, run};
pub use sources::expand_sources;
pub use stage::{Context, FailureKind, Stage, StageEntry, StageError, Table, TableEntry};
