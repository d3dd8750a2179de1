//! Measures how fast worlds are written: `cargo run --release -p routewright-generate --example throughput [ROWS]`.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example measures and prints, the library does not")]

use std::time::Instant;

use routewright_domain::Seed;
use routewright_generate::{CascadeSettings, CascadeWorld, DayCounts, World, WorldSettings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n_decisions = std::env::args().nth(1).map_or(Ok(200_000), |rows| rows.parse())?;
    let started = Instant::now();
    let world = World::new(&WorldSettings { n_decisions, ..WorldSettings::default() }, Seed(42))?;
    println!("world      {:>8.2} s", started.elapsed().as_secs_f64());
    println!("{:#?}", world.truth());

    let started = Instant::now();
    let mut counts = DayCounts::default();
    for day in 0..world.settings().n_days {
        counts.add(&world.write_day(day, &mut std::io::sink(), None)?);
    }
    show("e009", &counts, started);
    println!("{:?}", counts.dirt);

    let cascade = CascadeWorld::new(&CascadeSettings { n_decisions, ..CascadeSettings::default() }, Seed(42))?;
    println!("{:#?}", cascade.truth());
    let started = Instant::now();
    let mut counts = DayCounts::default();
    for day in 0..cascade.settings().n_days {
        counts.add(&cascade.write_day(day, &mut std::io::sink(), None)?);
    }
    show("cortex", &counts, started);
    Ok(())
}

/// Prints rows and megabytes per second.
fn show(format: &str, counts: &DayCounts, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let megabytes = counts.bytes as f64 / 1e6;
    println!(
        "{format:<10} {:>8.2} s  {:>9.0} rows/s  {:>7.1} MB/s  {:.0} bytes/row",
        seconds,
        counts.rows as f64 / seconds,
        megabytes / seconds,
        counts.bytes as f64 / counts.rows as f64
    );
}
