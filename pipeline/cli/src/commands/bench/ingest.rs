//! `bench ingest`: a generated log read in full, then nothing, then one more day; beside other tools where they are found. Settings that
//! are changed with `--set` are those of the measured ingests: `--set ingest.redact.emails=false`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;
use routewright_domain::Seed;
use routewright_generate::{CascadeSettings, CascadeWorld, Log, World, WorldSettings};
use serde::Serialize;
use serde_json::{Value, json};

use crate::commands::generate::Format;
use crate::exit::Exit;
use crate::layout::aligned_texts;
use crate::messages::Messages;

/// Flags of `bench ingest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of decisions
    #[arg(short = 'n', long = "number", value_name = "N", default_value_t = 100_000)]
    n_decisions: u64,
    /// Number of days that they are spread over
    #[arg(long, default_value_t = 100)]
    days: u32,
    /// Format of the log
    #[arg(long, default_value = "e009")]
    format: Format,
    /// Write the events of a cascade to one file per day, as rotation leaves them, and not to one that grows
    #[arg(long)]
    daily: bool,
    /// Folder for the log and the tables, which are removed afterwards; the system's temporary folder by default
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Times that everything is ingested, by every tool in turn, and days that are ingested one by one then; medians are shown
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Python with duckdb and polars, to run them beside on the same log
    #[arg(long, value_name = "PATH")]
    peer_python: Option<PathBuf>,
}

/// One program's work on the log.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    what: String,
    rows: u64,
    cpu_seconds: Option<f64>,
    wall_seconds: f64,
    rows_per_second: f64,
    megabytes_per_second: f64,
    peak_mib: Option<f64>,
}

impl Measured {
    fn new(what: &str, rows: u64, n_bytes: u64, spent: &Spent) -> Self {
        Self {
            what: what.to_owned(),
            rows,
            cpu_seconds: spent.cpu_seconds,
            wall_seconds: spent.wall_seconds,
            rows_per_second: rows as f64 / spent.wall_seconds,
            megabytes_per_second: n_bytes as f64 / 1e6 / spent.wall_seconds,
            peak_mib: spent.peak_mib,
        }
    }
}

/// What a process took.
#[derive(Debug, Default)]
struct Spent {
    cpu_seconds: Option<f64>,
    wall_seconds: f64,
    peak_mib: Option<f64>,
}

/// The script that runs other tools; part of the program, so that it is found wherever the program is.
const PEERS: &str = include_str!("../../../../../tests/peers/ingest.py");

/// Measures, and shows the results side by side. `set`: settings of the measured ingests.
pub(crate) fn run(arguments: &Arguments, set: &[String], messages: &Messages) -> anyhow::Result<Exit> {
    if arguments.days < 2 {
        bail!("`--days` must be 2 or more: the last day is ingested on its own");
    }
    let place = match &arguments.out {
        Some(out) => tempfile::tempdir_in(out).with_context(|| format!("cannot use `{}`", out.display()))?,
        None => tempfile::tempdir()?,
    };
    let project = place.path();
    let raw = project.join("data/raw");
    fs::create_dir_all(&raw)?;
    let held_back = generate(arguments, &raw)?;
    let full_bytes = size_of(&raw)?;
    let (mut ours, mut theirs, mut rows) = (Vec::new(), BTreeMap::<String, Vec<Spent>>::new(), 0);
    for run in 0..arguments.runs {
        put_aside(project, run)?;
        let spent;
        (spent, rows) = ingest(project, set)?;
        ours.push(spent);
        if let Some(python) = &arguments.peer_python {
            for (tool, spent) in peers(python, arguments.format, project)? {
                theirs.entry(tool).or_default().push(spent);
            }
        }
    }
    let full = Measured::new("routewright, all but the last day", rows, full_bytes, &median(&ours));
    let mut results = vec![full.clone()];
    results.extend(theirs.iter().map(|(tool, spent)| Measured::new(tool, rows, full_bytes, &median(spent))));
    let mut days = Vec::new();
    for day in &held_back {
        let (n_bytes, n_rows) = (size_of(&raw)?, rows);
        append(day, &raw)?;
        let (spent, all_rows) = ingest(project, set)?;
        rows = all_rows;
        days.push((rows - n_rows, size_of(&raw)? - n_bytes, spent));
    }
    let (day_rows, day_bytes) = days.first().map_or((0, 0), |(n_rows, n_bytes, _)| (*n_rows, *n_bytes));
    let spent: Vec<Spent> = days.into_iter().map(|(_, _, spent)| spent).collect();
    let more = Measured::new("routewright, one more day", day_rows, day_bytes, &median(&spent));
    let share = |part: Option<f64>, whole: Option<f64>| part.zip(whole).map(|(part, whole)| part / whole);
    let shares = (share(more.cpu_seconds, full.cpu_seconds), more.wall_seconds / full.wall_seconds);
    results.push(more);
    let header = ["", "rows", "CPU s", "wall s", "rows/s", "MB/s", "peak MiB"];
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    let cells: Vec<Vec<String>> = results
        .iter()
        .map(|result| {
            vec![
                result.what.clone(),
                result.rows.to_string(),
                number(result.cpu_seconds),
                format!("{:.2}", result.wall_seconds),
                format!("{:.0}", result.rows_per_second),
                format!("{:.0}", result.megabytes_per_second),
                result.peak_mib.map_or("-".to_owned(), |peak| format!("{peak:.0}")),
            ]
        })
        .collect();
    let cpu = shares.0.map_or(String::new(), |share| format!("{:.1} % of the CPU seconds and ", share * 100.0));
    let text = format!(
        "{:.1} MB of {} days\n{}one more day took {cpu}{:.1} % of the wall seconds of all before it\n",
        full_bytes as f64 / 1e6,
        arguments.days - 1,
        aligned_texts(&header, &cells),
        shares.1 * 100.0
    );
    let result = json!({
        "schema_version": 1, "bytes": full_bytes, "days": arguments.days - 1, "settings": set, "results": results,
        "one_more_day": { "cpu_share": shares.0, "wall_share": shares.1 },
    });
    messages.result(&text, &result)?;
    Ok(Exit::Done)
}

/// Folders below `data` that an ingest makes.
const TABLES: &[&str] = &["decisions", "layers", "assignments", "quarantine", ".stages"];

/// Moves the tables of the run before out of the way: ext4 looks long for room for new files where many were removed just before.
fn put_aside(project: &Path, run: u32) -> anyhow::Result<()> {
    let (data, aside) = (project.join("data"), project.join(format!("aside-{run}")));
    fs::create_dir(&aside)?;
    let mut tables = TABLES.iter().filter(|table| data.join(table).exists());
    Ok(tables.try_for_each(|table| fs::rename(data.join(table), aside.join(table)))?)
}

/// The median of every number.
fn median(runs: &[Spent]) -> Spent {
    let of = |number: fn(&Spent) -> Option<f64>| {
        let mut numbers: Vec<f64> = runs.iter().filter_map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied()
    };
    Spent {
        cpu_seconds: of(|spent| spent.cpu_seconds),
        wall_seconds: of(|spent| Some(spent.wall_seconds)).unwrap_or(f64::NAN),
        peak_mib: of(|spent| spent.peak_mib),
    }
}

/// What is appended later: the name of a file and its bytes.
struct HeldBack {
    name: String,
    bytes: Vec<u8>,
}

/// Writes all days but those that are ingested one by one, and gives these.
fn generate(arguments: &Arguments, raw: &Path) -> anyhow::Result<Vec<HeldBack>> {
    let (first_held, n_days) = (arguments.days - 1, arguments.days - 1 + arguments.runs);
    let n_decisions = arguments.n_decisions * u64::from(n_days) / u64::from(arguments.days);
    match arguments.format.log() {
        Some(log) => {
            let per_decision = if log == Log::Matrix { WorldSettings::default().paths.len() as u64 } else { 1 };
            let n_decisions = n_decisions.div_ceil(per_decision);
            let settings = WorldSettings { n_decisions, n_days, dirt: 0.0, log, ..WorldSettings::default() };
            let world = World::new(&settings, Seed(1))?;
            write_days(raw, first_held, n_days, |day, log| Ok(world.write_day(day, log, None).map(drop)?), |day| world.file_name(day))
        }
        None => {
            let settings = CascadeSettings { n_decisions, n_days, ..CascadeSettings::default() };
            let world = CascadeWorld::new(&settings, Seed(1))?;
            let name =
                |day| if arguments.daily { format!("{day:04}-{}", CascadeWorld::FILE_NAME) } else { CascadeWorld::FILE_NAME.to_owned() };
            write_days(raw, first_held, n_days, |day, log| Ok(world.write_day(day, log, None).map(drop)?), name)
        }
    }
}

/// Appends days to the files of their names, but holds back those from `first_held` on.
fn write_days(
    raw: &Path,
    first_held: u32,
    n_days: u32,
    write: impl Fn(u32, &mut Vec<u8>) -> anyhow::Result<()>,
    name: impl Fn(u32) -> String,
) -> anyhow::Result<Vec<HeldBack>> {
    let mut held_back = Vec::new();
    for day in 0..n_days {
        let mut bytes = Vec::new();
        write(day, &mut bytes)?;
        let (is_held, day) = (day >= first_held, HeldBack { name: name(day), bytes });
        if is_held { held_back.push(day) } else { append(&day, raw)? }
    }
    Ok(held_back)
}

/// Appends a day to its file, to the disk: what the system still has to write would slow down whoever is measured first.
fn append(day: &HeldBack, raw: &Path) -> anyhow::Result<()> {
    let mut log = File::options().create(true).append(true).open(raw.join(&day.name))?;
    log.write_all(&day.bytes)?;
    Ok(log.sync_all()?)
}

fn size_of(folder: &Path) -> anyhow::Result<u64> {
    let mut n_bytes = 0;
    for entry in fs::read_dir(folder)? {
        n_bytes += entry?.metadata()?.len();
    }
    Ok(n_bytes)
}

/// Runs `routewright ingest` in a project, with some settings changed; what it took, and the decisions in its tables.
fn ingest(project: &Path, set: &[String]) -> anyhow::Result<(Spent, u64)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--project").arg(project).args(["--quiet", "--set", "ingest.input=[\"data/raw\"]"]);
    command.args(set.iter().flat_map(|changed| ["--set", changed])).arg("ingest");
    let (spent, output) = spend(&mut command)?;
    if !output.is_empty() && !project.join("data/ingest.json").exists() {
        bail!("the ingest failed: {output}");
    }
    let report: Value = serde_json::from_slice(&fs::read(project.join("data/ingest.json")).context("the ingest wrote no report")?)?;
    let rows = report.pointer("/totals/kept").and_then(Value::as_u64).context("the ingest's report has no totals")?;
    Ok((spent, rows))
}

/// Moments between two looks at a process.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a command to its end, and says what it took and printed.
fn spend(command: &mut Command) -> anyhow::Result<(Spent, String)> {
    let started = Instant::now();
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let mut spent = Spent::default();
    // An ended process keeps its times until somebody waits for it; its memory is known only while it runs.
    loop {
        let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
        let Some((_, numbers)) = stat.rsplit_once(')') else { break };
        let numbers: Vec<&str> = numbers.split_whitespace().collect();
        let ticks = |at: usize| numbers.get(at).and_then(|text| text.parse::<f64>().ok());
        spent.cpu_seconds = ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / TICKS);
        if numbers.first() == Some(&"Z") {
            break;
        }
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|line| line.trim().strip_suffix("kB"));
        spent.peak_mib = peak.and_then(|text| text.trim().parse::<f64>().ok()).map(|kibibytes| kibibytes / 1024.0).or(spent.peak_mib);
        std::thread::sleep(LOOK);
    }
    spent.wall_seconds = started.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("a measured program failed: {words}");
    }
    Ok((spent, words))
}

/// Clock ticks per second that Linux reports process times in, on every architecture of today.
const TICKS: f64 = 100.0;

/// Runs other tools on the same log. Their rows and sums are compared with ours before their times count.
fn peers(python: &Path, format: Format, project: &Path) -> anyhow::Result<Vec<(String, Spent)>> {
    let script = project.join("peers.py");
    fs::write(&script, PEERS)?;
    let kind = format.to_possible_value().context("a format without a name")?;
    let kind = kind.get_name();
    let peer = |tool: &str, out: &Path| -> anyhow::Result<Value> {
        let output = Command::new(python).arg(&script).args([tool, kind]).arg(project.join("data/raw/*.jsonl")).arg(out).output();
        let output = output.with_context(|| format!("cannot run `{}`", python.display()))?;
        let last = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
        serde_json::from_str(&last).with_context(|| format!("{tool} failed: {}", String::from_utf8_lossy(&output.stderr)))
    };
    let ours = peer("check", &project.join("data/decisions/*/*.parquet"))?;
    let mut results = Vec::new();
    // Of two formats we write a second table; what others take for one table and for both is told.
    let has_more = ours["more"].is_array();
    for tool in ["duckdb", "duckdb-tables", "polars"].into_iter().filter(|tool| has_more || *tool != "duckdb-tables") {
        let theirs = peer(tool, &project.join(format!("{tool}.parquet")))?;
        let is_more_equal = !theirs["more"].is_array() || agree(&theirs["more"], &ours["more"]);
        if theirs["rows"] != ours["rows"] || !agree(&theirs["sums"], &ours["sums"]) || !is_more_equal {
            bail!("{tool} found other rows or sums than routewright: {theirs} and {ours}");
        }
        let number = |key: &str| theirs[key].as_f64();
        let spent = Spent {
            cpu_seconds: number("cpu_seconds"),
            wall_seconds: number("wall_seconds").unwrap_or(f64::NAN),
            peak_mib: number("peak_mib"),
        };
        let version = theirs["version"].as_str().unwrap_or_default();
        results.push((format!("{tool} {version}"), spent));
    }
    Ok(results)
}

/// Whether sums agree as far as the order of adding matters.
fn agree(theirs: &Value, ours: &Value) -> bool {
    let numbers = |value: &Value| value.as_array().map(|sums| sums.iter().map(|sum| sum.as_f64().unwrap_or(0.0)).collect::<Vec<_>>());
    let (Some(theirs), Some(ours)) = (numbers(theirs), numbers(ours)) else { return false };
    theirs.len() == ours.len() && theirs.iter().zip(&ours).all(|(a, b)| (a - b).abs() <= 1e-9 * a.abs().max(1.0))
}
