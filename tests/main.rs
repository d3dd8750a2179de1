//! One binary for every test that needs the whole product: it links polars once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod architecture;
mod cache;
mod commands;
mod deploy;
mod drift;
mod faults;
mod ingest;
mod kills;
mod leakage;
mod nightly;
mod operations;
mod project;
mod report;
mod run;
mod settings;
mod tour;
mod tracking;
