//! Generated worlds with known potential outcomes: routing logs whose truth is known.
//!
//! * [`World`]: routing outcomes in the `e009` format; what every path would have earned is known for every decision.
//! * [`CascadeWorld`]: events of a five-layer cascade in the `cortex` format; the best thresholds are known.
//! * [`Truth`] and [`CascadeTruth`]: the expected values that an evaluation of the logs should find.
//!
//! Every decision is drawn from (seed, index) alone, so logs do not depend on threads, chunks or the order of days.
//!
//! ```
//! use routewright_domain::Seed;
//! use routewright_generate::{World, WorldSettings};
//!
//! let world = World::new(&WorldSettings { n_decisions: 500, uplift_points: 8.0, ..WorldSettings::default() }, Seed(1))?;
//! let (mut log, mut oracle) = (Vec::new(), Vec::new());
//! let counts = world.write_day(0, &mut log, Some(&mut oracle))?;
//! assert_eq!(counts.rows, world.rows_of_day(0).end);
//! assert!((world.truth().uplift_points - 8.0).abs() < 0.01);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod settings;
mod world;

mod calendar;
mod context;
mod kinds;
mod vocabulary;

mod features;
mod router;

mod regions;
mod surface;
mod truth;

mod dirt;
mod oracle;
mod record;
mod write;

mod cascade;
mod draw;

pub use cascade::{CascadeSettings, CascadeTruth, CascadeWorld, LayerTruth, MASTERS, N_LAYERS};
pub use context::{Context, Mode};
pub use dirt::{DIRT, Dirt, Fate};
pub use features::QueryFeatures;
pub use kinds::{KINDS, QueryKind};
pub use regions::{REGIONS, Region};
pub use router::{QueryType, StaticRoute};
pub use settings::{FIRST_DAY, Log, SettingsError, WorldSettings};
pub use surface::Role;
pub use truth::{PathTruth, Truth};
pub use world::{GeneratedDecision, Situation, World};
pub use write::DayCounts;
