//! `bench replay`: the six usual estimators with a thousand resamples on one log, and additive estimators over a log that fits into no memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use rand::RngExt;
use rayon::prelude::*;
use routewright_domain::{Arm, Log, Propensity, Rng, Seed, Target};
use routewright_ope::{Confidence, Estimate, Moments, Sample, estimator, percentile_interval};
use serde::Serialize;
use serde_json::Value;

use super::{cpu_seconds, peak_mebibytes};
use crate::exit::{Exit, UsageError};
use crate::layout::{Align, aligned, grouped};
use crate::messages::Messages;

/// The estimators of the comparison: those of Open Bandit Pipeline's own example.
const COMPARED: [&str; 6] = ["replay", "ips", "snips", "dm", "dr", "sndr"];

/// CPU seconds of Open Bandit Pipeline 0.5.5 for six estimators with 1,000 resamples on a million rows, as stored with the project's measurements.
const OBP_CPU_SECONDS: f64 = 50.0;

/// Rows and resamples that this number is for.
const OBP_ROWS: usize = 1_000_000;
const OBP_RESAMPLES: usize = 1_000;

/// Paths of the generated log, and the share of rows on which it explores.
const PATHS: usize = 5;
const EPSILON: f64 = 0.05;

/// Rows that are in memory at a time, per thread.
const CHUNK: usize = 65_536;

/// Chunks that are drawn side by side before they are added up, in order.
const BATCH: usize = 32;

/// Flags of `bench replay`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Rows of the log that is estimated with resamples
    #[arg(long, value_name = "N", default_value_t = OBP_ROWS)]
    rows: usize,
    /// Resamples of the bootstrap
    #[arg(long, value_name = "N", default_value_t = OBP_RESAMPLES)]
    resamples: usize,
    /// Rows of the log that is streamed
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    stream: usize,
    /// Python with obp, to run Open Bandit Pipeline beside on the same log
    #[arg(long, value_name = "PATH")]
    peer_python: Option<PathBuf>,
}

/// The script that runs Open Bandit Pipeline; part of the program, so that it is found wherever the program is.
const PEER: &str = include_str!("../../../../../tests/peers/replay.py");

/// What was measured.
#[derive(Debug, Serialize)]
struct Answer {
    schema_version: u32,
    rows: usize,
    resamples: usize,
    estimators: Vec<Measured>,
    cpu_seconds: f64,
    wall_seconds: f64,
    /// Stored CPU seconds of Open Bandit Pipeline over ours; only for the size they were measured at.
    obp_over_ours: Option<f64>,
    /// Open Bandit Pipeline on the same log, where it was asked for.
    peer: Option<Peer>,
    stream: Streamed,
}

/// Open Bandit Pipeline on the same log: its answer, and its CPU seconds.
#[derive(Debug, Serialize)]
struct Peer {
    version: String,
    /// Largest relative difference of its point estimates from ours.
    largest_difference: f64,
    cpu_seconds: f64,
    over_ours: f64,
    estimators: Value,
}

/// One estimator.
#[derive(Debug, Serialize)]
struct Measured {
    name: &'static str,
    value: f64,
    std_error: f64,
    lower: f64,
    upper: f64,
    bootstrap_lower: f64,
    bootstrap_upper: f64,
    cpu_seconds: f64,
}

/// The long log.
#[derive(Debug, Serialize)]
struct Streamed {
    rows: usize,
    estimates: Vec<(&'static str, Estimate)>,
    cpu_seconds: f64,
    wall_seconds: f64,
    /// Peak memory of the process when the stream ends; nothing large was made before it.
    peak_mebibytes: Option<f64>,
}

/// One row: what ran, what it earned, how probable it was, what the learned router takes, and a model's predictions of both.
#[derive(Clone, Copy)]
struct Row {
    ran: Arm,
    reward: f64,
    propensity: f64,
    learned: Arm,
    predictions: [f64; PATHS],
}

/// Measures and shows.
pub(crate) fn run(arguments: &Arguments, messages: &Messages) -> anyhow::Result<Exit> {
    if arguments.rows < 1_000 || arguments.stream < CHUNK {
        return Err(UsageError(format!("`--rows` needs at least 1,000, `--stream` at least {CHUNK}")).into());
    }
    // The stream comes first, so that the peak is its own.
    let stream = stream(arguments.stream);
    let answer = on_one_log(arguments, stream)?;
    messages.result(&in_words(&answer), &answer)?;
    Ok(Exit::Done)
}

/// The log in memory, every estimator with its bootstrap.
fn on_one_log(arguments: &Arguments, stream: Streamed) -> anyhow::Result<Answer> {
    let mut rng = Seed(1).derive("bench", 0).rng();
    let rows: Vec<Row> = (0..arguments.rows).map(|_| draw(&mut rng)).collect();
    let columns = Columns {
        arms: rows.iter().map(|row| row.ran).collect(),
        rewards: rows.iter().map(|row| row.reward).collect(),
        propensities: rows.iter().map(|row| Propensity::try_from(row.propensity)).collect::<Result<Vec<_>, _>>()?,
        learned: rows.iter().map(|row| row.learned).collect(),
        predictions: rows.iter().flat_map(|row| row.predictions).collect(),
    };
    drop(rows);
    let (cpu, wall) = (cpu_seconds().unwrap_or_default(), Instant::now());
    let target = Target::deterministic(PATHS, &columns.learned)?;
    let log = Log::new(PATHS, &columns.arms, &columns.rewards, &columns.propensities)?;
    let sample = Sample::new(log, &target)?.with_model(&columns.predictions)?;
    let mut estimators = Vec::new();
    for entry in COMPARED.iter().filter_map(|name| estimator(name)) {
        let before = cpu_seconds().unwrap_or_default();
        let terms = entry.terms(&sample)?;
        let estimate = terms.estimate(Confidence::TWO_SIDED_95);
        let resampled = terms.bootstrap(arguments.resamples, &mut Seed(2).derive(entry.name, 0).rng());
        let bootstrap = percentile_interval(&resampled, Confidence::TWO_SIDED_95);
        estimators.push(Measured {
            name: entry.name,
            value: estimate.value,
            std_error: estimate.std_error,
            lower: estimate.interval.lower,
            upper: estimate.interval.upper,
            bootstrap_lower: bootstrap.lower,
            bootstrap_upper: bootstrap.upper,
            cpu_seconds: cpu_seconds().unwrap_or_default() - before,
        });
    }
    let spent = cpu_seconds().unwrap_or_default() - cpu;
    let comparable = arguments.rows == OBP_ROWS && arguments.resamples == OBP_RESAMPLES && spent > 0.0;
    Ok(Answer {
        schema_version: 1,
        rows: arguments.rows,
        resamples: arguments.resamples,
        cpu_seconds: spent,
        wall_seconds: wall.elapsed().as_secs_f64(),
        obp_over_ours: comparable.then(|| OBP_CPU_SECONDS / spent),
        peer: arguments.peer_python.as_ref().map(|python| peer(python, arguments.resamples, &columns, &estimators, spent)).transpose()?,
        estimators,
        stream,
    })
}

/// The log, column by column.
struct Columns {
    arms: Vec<Arm>,
    rewards: Vec<f64>,
    propensities: Vec<Propensity>,
    learned: Vec<Arm>,
    /// Rows × paths.
    predictions: Vec<f64>,
}

/// Largest relative difference of point estimates that counts as equal: they are added up in another order.
const EQUAL: f64 = 1e-9;

/// Runs Open Bandit Pipeline on the same log; refuses to compare times where its point estimates differ.
fn peer(python: &Path, resamples: usize, columns: &Columns, ours: &[Measured], spent: f64) -> anyhow::Result<Peer> {
    let place = tempfile::tempdir()?;
    let write = |name: &str, bytes: Vec<u8>| fs::write(place.path().join(name), bytes);
    let arms = |arms: &[Arm]| arms.iter().flat_map(|arm| arm.0.to_le_bytes()).collect::<Vec<u8>>();
    let numbers = |numbers: &[f64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    write("arms", arms(&columns.arms))?;
    write("learned", arms(&columns.learned))?;
    write("rewards", numbers(&columns.rewards))?;
    write("propensities", columns.propensities.iter().flat_map(|propensity| propensity.get().to_le_bytes()).collect())?;
    write("predictions", numbers(&columns.predictions))?;
    let output = Command::new(python).args(["-c", PEER]).arg(place.path()).args([PATHS.to_string(), resamples.to_string()]).output();
    let output = output.with_context(|| format!("cannot run `{}`", python.display()))?;
    let last = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
    let answer: Value =
        serde_json::from_str(&last).with_context(|| format!("the peer failed: {}", String::from_utf8_lossy(&output.stderr)))?;
    // A number that is missing is as far away as can be.
    let number = |name: &str, key: &str| answer["estimators"][name][key].as_f64().unwrap_or(f64::INFINITY);
    let distance = |one: &Measured| (number(one.name, "value") - one.value).abs() / one.value.abs();
    if let Some(other) = ours.iter().find(|one| distance(one) > EQUAL) {
        bail!(
            "the peer's `{}` is {}, ours {}: times of different answers are not compared",
            other.name,
            number(other.name, "value"),
            other.value
        );
    }
    let cpu_seconds = ours.iter().map(|one| number(one.name, "cpu_seconds")).sum();
    Ok(Peer {
        version: answer["version"].as_str().unwrap_or_default().to_owned(),
        largest_difference: ours.iter().map(distance).fold(0.0, f64::max),
        cpu_seconds,
        over_ours: cpu_seconds / spent,
        estimators: answer["estimators"].clone(),
    })
}

/// Rows drawn on the fly, chunk by chunk; only sums are kept.
fn stream(n_rows: usize) -> Streamed {
    let (cpu, wall) = (cpu_seconds().unwrap_or_default(), Instant::now());
    let n_chunks = n_rows.div_ceil(CHUNK);
    let mut sums = [Moments::default(); COMPARED.len()];
    let mut chunk = 0;
    while chunk < n_chunks {
        let batch = chunk..(chunk + BATCH).min(n_chunks);
        let found: Vec<[Moments; COMPARED.len()]> =
            batch.clone().into_par_iter().map(|chunk| sums_of(chunk as u64, CHUNK.min(n_rows - chunk * CHUNK))).collect();
        for part in &found {
            for (own, other) in sums.iter_mut().zip(part) {
                own.merge(other);
            }
        }
        chunk = batch.end;
    }
    let estimates = COMPARED.iter().zip(&sums).filter_map(|(name, sums)| Some((*name, sums.estimate(Confidence::TWO_SIDED_95)?)));
    Streamed {
        rows: n_rows,
        estimates: estimates.collect(),
        cpu_seconds: cpu_seconds().unwrap_or_default() - cpu,
        wall_seconds: wall.elapsed().as_secs_f64(),
        peak_mebibytes: peak_mebibytes(),
    }
}

/// The sums of one chunk: per estimator what a row adds, above the line, and below it.
fn sums_of(chunk: u64, n_rows: usize) -> [Moments; COMPARED.len()] {
    let mut rng = Seed(3).derive("chunk", chunk).rng();
    let mut sums = [Moments::default(); COMPARED.len()];
    for _ in 0..n_rows {
        let row = draw(&mut rng);
        let matched = f64::from(u8::from(row.ran == row.learned));
        let weight = matched / row.propensity;
        let (model, residual) = (row.predictions[row.learned.index()], row.reward - row.predictions[row.ran.index()]);
        let terms = [
            [0.0, matched * row.reward, matched],
            [weight * row.reward, 0.0, 1.0],
            [0.0, weight * row.reward, weight],
            [model, 0.0, 1.0],
            [model + weight * residual, 0.0, 1.0],
            [model, weight * residual, weight],
        ];
        for (own, terms) in sums.iter_mut().zip(terms) {
            own.push(terms);
        }
    }
    sums
}

/// One decision of an ε-greedy log: static takes a path, learned another one on two fifths of the rows and succeeds more often there.
fn draw(rng: &mut Rng) -> Row {
    let static_arm = rng.random_range(0..PATHS);
    let differs = rng.random::<f64>() < 0.4;
    let learned = if differs { (static_arm + rng.random_range(1..PATHS)) % PATHS } else { static_arm };
    let ran = if rng.random::<f64>() < EPSILON { rng.random_range(0..PATHS) } else { static_arm };
    let explored = EPSILON / PATHS as f64;
    let propensity = if ran == static_arm { 1.0 - EPSILON + explored } else { explored };
    let ease = 0.1 * rng.random::<f64>();
    let rate = |path: usize| ease + if path == learned { 0.88 } else { 0.76 };
    let predictions = std::array::from_fn(|path| rate(path) - 0.02);
    let reward = f64::from(u8::from(rng.random::<f64>() < rate(ran)));
    Row { ran: Arm(ran as u16), reward, propensity, learned: Arm(learned as u16), predictions }
}

/// For people.
fn in_words(answer: &Answer) -> String {
    let header = ["estimator", "value", "95 % by influence", "95 % by bootstrap", "CPU s"];
    let rows: Vec<Vec<String>> = answer
        .estimators
        .iter()
        .map(|one| {
            vec![
                one.name.to_owned(),
                format!("{:.5}", one.value),
                format!("[{:.5}, {:.5}]", one.lower, one.upper),
                format!("[{:.5}, {:.5}]", one.bootstrap_lower, one.bootstrap_upper),
                format!("{:.2}", one.cpu_seconds),
            ]
        })
        .collect();
    let mut text = format!("{} rows, {} resamples of the whole statistic\n\n", grouped(answer.rows), grouped(answer.resamples));
    text.push_str(&aligned(&header, &rows, &[Align::Left, Align::Right, Align::Right, Align::Right, Align::Right]));
    text.push_str(&format!("\nall together {:.2} CPU s, {:.2} s on the wall", answer.cpu_seconds, answer.wall_seconds));
    if let Some(ratio) = answer.obp_over_ours {
        text.push_str(&format!("; Open Bandit Pipeline's stored {OBP_CPU_SECONDS:.0} CPU s are {ratio:.0} times that"));
    }
    if let Some(peer) = &answer.peer {
        text.push_str(&format!(
            "\nOpen Bandit Pipeline {} on the same log: {:.1} CPU s, {:.0} times that; point estimates differ by {:.0e} at most",
            peer.version, peer.cpu_seconds, peer.over_ours, peer.largest_difference
        ));
    }
    let stream = &answer.stream;
    text.push_str(&format!(
        "\n\n{} rows drawn and streamed: {:.1} CPU s, {:.1} s on the wall, peak memory {}\n",
        grouped(stream.rows),
        stream.cpu_seconds,
        stream.wall_seconds,
        stream.peak_mebibytes.map_or_else(|| "unknown".to_owned(), |peak| format!("{peak:.0} MiB"))
    ));
    for (name, estimate) in &stream.estimates {
        text.push_str(&format!("  {name:<8} {:.6} ± {:.6}\n", estimate.value, estimate.std_error));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_log_gives_what_a_log_in_memory_gives() {
        let n_rows = 20_000;
        let mut rng = Seed(3).derive("chunk", 0).rng();
        let rows: Vec<Row> = (0..n_rows).map(|_| draw(&mut rng)).collect();
        let arms: Vec<Arm> = rows.iter().map(|row| row.ran).collect();
        let rewards: Vec<f64> = rows.iter().map(|row| row.reward).collect();
        let propensities: Vec<Propensity> = rows.iter().map(|row| Propensity::try_from(row.propensity).unwrap()).collect();
        let learned: Vec<Arm> = rows.iter().map(|row| row.learned).collect();
        let predictions: Vec<f64> = rows.iter().flat_map(|row| row.predictions).collect();
        let target = Target::deterministic(PATHS, &learned).unwrap();
        let log = Log::new(PATHS, &arms, &rewards, &propensities).unwrap();
        let sample = Sample::new(log, &target).unwrap().with_model(&predictions).unwrap();
        for (name, sums) in COMPARED.iter().zip(sums_of(0, n_rows)) {
            let expected = estimator(name).unwrap().estimate(&sample, Confidence::TWO_SIDED_95).unwrap();
            let found = sums.estimate(Confidence::TWO_SIDED_95).unwrap();
            assert!((found.value - expected.value).abs() < 1e-10, "{name}: {} for {}", found.value, expected.value);
            assert!((found.std_error - expected.std_error).abs() < 1e-10, "{name}");
        }
    }
}
