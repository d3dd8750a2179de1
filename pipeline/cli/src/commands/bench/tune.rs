//! `bench tune`: thresholds that tuning finds from logs of cascades whose best thresholds are known.

use std::fs::File;
use std::io::{BufWriter, Write};

use routewright_cascade::{Scope, TuneSettings, Tuning, tune};
use routewright_domain::{CascadeLog, Seed};
use routewright_generate::{CascadeSettings, CascadeWorld, N_LAYERS};
use routewright_table::Tail;
use serde::Serialize;

use super::cpu_seconds;
use crate::exit::{Exit, UsageError};
use crate::layout::{Align, aligned, grouped};
use crate::messages::Messages;

/// Thresholds that a log is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Start {
    /// Those of the shipped cascade, some of which are far from the best
    Shipped,
    /// The best ones: whatever tuning moves does harm
    Best,
}

/// Flags of `bench tune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Events of the logs
    #[arg(short = 'n', long = "number", value_name = "N", num_args = 1.., default_values_t = [150, 500, 2_000, 20_000])]
    sizes: Vec<u64>,
    /// Logs of each size, with the seeds 1, 2, …
    #[arg(long, value_name = "N", default_value_t = 10)]
    seeds: u64,
    /// Share of events that ask every layer in shadow
    #[arg(long, default_value_t = 0.2)]
    epsilon: f64,
    /// How far a threshold moves at most
    #[arg(short, long, default_value_t = 0.3)]
    step: f64,
    /// Largest share of events that may ask the user; the best thresholds ask more often than the shipped ones
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    max_clarification: f64,
    /// Thresholds that the logs are made with
    #[arg(long, default_value = "shipped")]
    start: Start,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Answer {
    schema_version: u32,
    start: Start,
    epsilon: f64,
    step: f64,
    best: [f64; N_LAYERS],
    sizes: Vec<Size>,
}

/// All logs of one size.
#[derive(Debug, Serialize)]
struct Size {
    events: u64,
    logs: usize,
    /// Logs from which a threshold moved.
    moved: usize,
    /// Logs from which tuning found thresholds that are truly worth less than the present ones.
    worse: usize,
    /// Regret with the present thresholds, in points.
    regret_before: f64,
    /// Median and largest regret with the tuned ones.
    regret_median: f64,
    regret_largest: f64,
    /// Median of the largest distance of a threshold to the best one.
    distance_median: f64,
    cpu_seconds_per_log: f64,
    runs: Vec<Run>,
}

/// One log.
#[derive(Debug, Serialize)]
struct Run {
    seed: u64,
    thresholds: [f64; N_LAYERS],
    /// Expected value of an event with the best thresholds minus that with the tuned ones, in points of accuracy.
    regret: f64,
    /// True change of the expected value by tuning, in points.
    gain: f64,
    /// The change that tuning says it found on held-out events, in points.
    promised: Option<f64>,
    /// Largest distance of a threshold to the best one.
    distance: f64,
    reason: String,
}

/// Measures and shows.
pub(crate) fn run(arguments: &Arguments, messages: &Messages) -> anyhow::Result<Exit> {
    if arguments.seeds == 0 {
        return Err(UsageError("`--seeds` needs at least 1".to_owned()).into());
    }
    let settings = TuneSettings { step: arguments.step, max_clarification: arguments.max_clarification, ..TuneSettings::default() };
    settings.check().map_err(|(key, message)| UsageError(format!("`--{}` {message}", key.replace('_', "-"))))?;
    let shipped = CascadeWorld::new(&CascadeSettings::default(), Seed(1))?;
    let best: [f64; N_LAYERS] = std::array::from_fn(|row| shipped.truth().layers[row].best_threshold);
    let present = match arguments.start {
        Start::Shipped => CascadeSettings::default().thresholds,
        // Confidences have three digits, and so have thresholds that people write.
        Start::Best => best.map(|threshold| (threshold * 1000.0).round() / 1000.0),
    };
    let mut sizes = Vec::new();
    for &events in &arguments.sizes {
        let cpu = cpu_seconds().unwrap_or_default();
        let world = CascadeSettings { n_decisions: events, shadow: arguments.epsilon, thresholds: present, ..CascadeSettings::default() };
        let runs = (1..=arguments.seeds).map(|seed| one(seed, &world, &best, &settings)).collect::<anyhow::Result<Vec<Run>>>()?;
        let spent = cpu_seconds().unwrap_or_default() - cpu;
        sizes.push(Size {
            events,
            logs: runs.len(),
            moved: runs.iter().filter(|run| run.thresholds != present).count(),
            worse: runs.iter().filter(|run| run.gain < 0.0).count(),
            regret_before: (shipped.value(&best) - shipped.value(&present)) * 100.0,
            regret_median: median(runs.iter().map(|run| run.regret).collect()),
            regret_largest: runs.iter().map(|run| run.regret).fold(0.0, f64::max),
            distance_median: median(runs.iter().map(|run| run.distance).collect()),
            cpu_seconds_per_log: spent / runs.len() as f64,
            runs,
        });
    }
    let answer = Answer { schema_version: 1, start: arguments.start, epsilon: arguments.epsilon, step: arguments.step, best, sizes };
    messages.result(&in_words(&answer), &answer)?;
    Ok(Exit::Done)
}

/// Generates a log, reads it as `tune` does, and compares what tuning says with the truth.
fn one(seed: u64, settings: &CascadeSettings, best: &[f64; N_LAYERS], tuning: &TuneSettings) -> anyhow::Result<Run> {
    let world = CascadeWorld::new(settings, Seed(seed))?;
    let folder = tempfile::tempdir()?;
    let place = folder.path().join(CascadeWorld::FILE_NAME);
    let mut file = BufWriter::new(File::create(&place)?);
    for day in 0..settings.n_days {
        world.write_day(day, &mut file, None)?;
    }
    file.flush()?;
    let mut log = CascadeLog::default();
    Tail::new(vec![place]).read(&mut log)?;
    let clarification = world.truth().layers[N_LAYERS - 1].layer;
    let scope = Scope::new(&log, 0..log.events().len(), clarification);
    // A short log may never have asked the last layers; their thresholds stay.
    let present: Vec<f64> = scope.layers().iter().map(|layer| settings.thresholds[row_of(&world, &layer.name)]).collect();
    let found = tune(&scope, &present, tuning.step, tuning);
    Ok(judged(seed, &world, best, &found))
}

/// Position of a layer in the cascade; that of the last one for a layer that is not in it.
fn row_of(world: &CascadeWorld, layer: &str) -> usize {
    world.truth().layers.iter().position(|known| known.layer == layer).unwrap_or(N_LAYERS - 1)
}

fn judged(seed: u64, world: &CascadeWorld, best: &[f64; N_LAYERS], found: &Tuning) -> Run {
    let mut thresholds = world.settings().thresholds;
    for layer in &found.layers {
        thresholds[row_of(world, &layer.layer)] = layer.to;
    }
    Run {
        seed,
        thresholds,
        regret: (world.value(best) - world.value(&thresholds)) * 100.0,
        gain: (world.value(&thresholds) - world.truth().value) * 100.0,
        promised: found.held_out.as_ref().filter(|_| found.changed).map(|effect| effect.value_change * 100.0),
        distance: thresholds.iter().zip(best).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max),
        reason: found.reason.clone(),
    }
}

/// The middle value, the mean of the two in the middle where their number is even.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 { 0.0 } else { f64::midpoint(values[(n - 1) / 2], values[n / 2]) }
}

fn in_words(answer: &Answer) -> String {
    let rows: Vec<Vec<String>> = answer
        .sizes
        .iter()
        .map(|size| {
            vec![
                grouped(size.events as usize),
                size.logs.to_string(),
                size.moved.to_string(),
                size.worse.to_string(),
                format!("{:.2}", size.regret_before),
                format!("{:.2}", size.regret_median),
                format!("{:.2}", size.regret_largest),
                format!("{:.3}", size.distance_median),
                format!("{:.2}", size.cpu_seconds_per_log),
            ]
        })
        .collect();
    let header = &["events", "logs", "moved", "worse", "regret before", "median", "largest", "distance", "CPU s"];
    format!(
        "{}\nregret: points of value below the best thresholds; worse: logs from which tuning lost value in truth\n",
        aligned(header, &rows, &[Align::Right; 9])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(n_decisions: u64, shadow: f64, seed: u64) -> (Run, f64) {
        let settings = CascadeSettings { n_decisions, shadow, ..CascadeSettings::default() };
        let world = CascadeWorld::new(&settings, Seed(seed)).unwrap();
        let best: [f64; N_LAYERS] = std::array::from_fn(|row| world.truth().layers[row].best_threshold);
        let tuning = TuneSettings { step: 0.3, max_clarification: 1.0, ..TuneSettings::default() };
        let before = (world.value(&best) - world.truth().value) * 100.0;
        (one(seed, &settings, &best, &tuning).unwrap(), before)
    }

    #[test]
    fn tuning_comes_near_the_best_thresholds_from_much_evidence_and_stays_from_little() {
        let (much, before) = ran(8_000, 0.3, 3);
        assert!(much.regret < before / 4.0 && much.gain > 0.0, "{much:?}, before {before}");
        let (little, before) = ran(150, 0.2, 3);
        assert!((little.regret - before).abs() < 1e-9 && little.promised.is_none(), "{little:?}");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!([median(vec![]), median(vec![3.0, 1.0]), median(vec![5.0, 1.0, 2.0])], [0.0, 2.0, 2.0]);
    }
}
