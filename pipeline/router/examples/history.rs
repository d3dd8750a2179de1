//! Measures the history index on a generated log: `cargo run --release -p routewright-router --example history [ROWS] [DUMP]`.
//!
//! Prints the time per part, and the recall of the ten nearest against brute force on a sample of the rows. `DUMP` gets one record of 82
//! bytes per row for other programs: 64 signed bytes of embedding, the decision's time and its outcome's (i64, microseconds), path, success.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example measures and prints, the library does not")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::Instant;

use routewright_domain::{Arm, Seed, Timestamp};
use routewright_generate::{World, WorldSettings};
use routewright_router::{Embedding, Encoder, History, Observation, QuerySketch, Request, Schema, SchemaSettings, Scratch};

/// Rows whose nearest are compared with brute force, and how many of them.
const N_JUDGED: usize = 200;
const N_NEAREST: usize = 10;

/// What the index needs to know of a decision.
struct Row {
    query: String,
    time: Timestamp,
    arm: Arm,
    success: bool,
    latency_ms: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n_decisions = std::env::args().nth(1).map_or(Ok(100_000), |rows| rows.parse())?;
    let world = World::new(&WorldSettings { n_decisions, ..WorldSettings::default() }, Seed(42))?;
    let rows: Vec<Row> = (0..n_decisions).map(|index| row(&world, index)).collect();
    let every = rows.len().div_ceil(50_000).max(1);
    let requests = rows.iter().step_by(every).map(|row| Request::new(&row.query, row.time));
    let started = Instant::now();
    let schema = Arc::new(Schema::fit(world.paths(), requests, &SchemaSettings::default(), Seed(1))?);
    show("fit", started);
    let encoder = Encoder::new(schema);
    let (mut scratch, mut numbers) = (Scratch::default(), vec![0.0; encoder.n_columns()]);
    let started = Instant::now();
    let encode = |row: &Row| encoder.encode_query(&Request::new(&row.query, row.time), &mut scratch, &mut numbers);
    let sketches: Vec<QuerySketch> = rows.iter().map(encode).collect();
    show("queries", started);
    if let Some(place) = std::env::args().nth(2) {
        dump(&rows, &sketches, BufWriter::new(File::create(place)?))?;
    }
    let started = Instant::now();
    stream(&encoder, &rows, &sketches, |_, _| {});
    show("history", started);
    let (mut n_found, mut n_wanted) = (0, 0);
    let judged = (rows.len() / N_JUDGED).max(1);
    stream(&encoder, &rows, &sketches, |history, position| {
        if position % judged == 0 && position > N_NEAREST {
            let found = history.nearest_cosines(&sketches[position], N_NEAREST);
            let threshold = tenth_nearest(&rows, &sketches, position);
            n_found += found.iter().filter(|cosine| **cosine >= threshold).count();
            n_wanted += N_NEAREST;
        }
    });
    println!("recall of the {N_NEAREST} nearest: {:.4} of {n_wanted}", f64::from(n_found as u32) / f64::from(n_wanted as u32));
    Ok(())
}

/// A decision of the world.
fn row(world: &World, index: u64) -> Row {
    let decision = world.decision(index);
    let arm = decision.arm.index();
    Row {
        query: decision.situation.query,
        time: decision.situation.timestamp,
        arm: decision.arm,
        success: decision.success[arm],
        latency_ms: decision.latency_ms[arm],
    }
}

/// Reads the past of every row and takes its outcome, in time order; `seen` is called with the past of each.
fn stream(encoder: &Encoder, rows: &[Row], sketches: &[QuerySketch], mut seen: impl FnMut(&History, usize)) {
    let mut history = History::new(encoder.schema());
    let (mut scratch, mut numbers) = (Scratch::default(), vec![0.0; encoder.n_columns()]);
    for (position, (row, sketch)) in rows.iter().zip(sketches).enumerate() {
        history.advance(row.time);
        encoder.encode_history(sketch, row.time, &history, &mut scratch, &mut numbers);
        seen(&history, position);
        history.observe(Observation {
            visible_at: row.time.plus_millis(row.latency_ms),
            id: position as u64,
            arm: row.arm,
            success: row.success,
            latency_ms: Some(row.latency_ms),
            sketch: *sketch,
        });
    }
}

/// Cosine to the tenth nearest of the queries whose outcome is known at a row's time, by looking at all of them; 1 where there are fewer.
fn tenth_nearest(rows: &[Row], sketches: &[QuerySketch], position: usize) -> f64 {
    let (now, query): (Timestamp, &Embedding) = (rows[position].time, &sketches[position].embedding);
    let known = rows[..position].iter().zip(sketches).filter(|(row, _)| row.time.plus_millis(row.latency_ms) < now);
    let mut cosines: Vec<f64> = known.map(|(_, sketch)| sketch.embedding.cosine(query)).collect();
    cosines.sort_unstable_by(|a, b| b.total_cmp(a));
    cosines.get(N_NEAREST - 1).copied().unwrap_or(1.0)
}

/// Writes the rows for other programs.
fn dump(rows: &[Row], sketches: &[QuerySketch], mut file: impl Write) -> std::io::Result<()> {
    for (row, sketch) in rows.iter().zip(sketches) {
        let bytes: Vec<u8> = sketch.embedding.components().iter().map(|number| *number as i8 as u8).collect();
        file.write_all(&bytes)?;
        file.write_all(&row.time.0.to_le_bytes())?;
        file.write_all(&row.time.plus_millis(row.latency_ms).0.to_le_bytes())?;
        file.write_all(&[row.arm.0 as u8, u8::from(row.success)])?;
    }
    file.flush()
}

/// Prints how long a part took.
fn show(part: &str, started: Instant) {
    println!("{part:10} {:8.2} s", started.elapsed().as_secs_f64());
}
