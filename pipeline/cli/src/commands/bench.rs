//! `bench`: what the machine does with generated data or the project's own, one file per kind. CPU seconds first: they hold on a busy
//! machine, wall seconds do not.

mod disturb;
mod drift;
mod ingest;
mod nights;
mod replay;
mod router;
mod train;
mod tune;

use std::path::Path;

use crate::exit::Exit;
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Kind {
    /// False alarms of `drift` on worlds that stand still, and how soon it fires where something happens
    Drift(drift::Arguments),
    /// Logs into tables: all of a log, then one more day, beside other tools where they are found
    Ingest(ingest::Arguments),
    /// Forests grown and asked, beside other libraries where they are found
    Train(train::Arguments),
    /// Decisions per second: from text, from features, in batches, with gateway, cache and tracker
    Decisions(router::Arguments),
    /// Static rules, the learned router and Thompson sampling side by side
    Strategies(router::Arguments),
    /// Executing once, again where confidence is low, and on two paths at a time
    Patterns(router::Arguments),
    /// 100 to 100,000 queries
    Scale(router::Arguments),
    /// An artifact read, checked and made ready again and again
    Loads(router::Arguments),
    /// Decisions, strategies, patterns, scale and loads
    All(router::Arguments),
    /// Estimators with bootstraps on one log, and a long log streamed in bounded memory
    Replay(replay::Arguments),
    /// `run --nightly` for sixty nights of a world to which things happen, against the truth
    Nights(nights::Arguments),
    /// Tuned thresholds of generated cascades beside the best ones: distance, regret, and how often tuning does harm
    Tune(tune::Arguments),
}

/// Measures and shows.
pub(crate) fn run(kind: &Kind, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    match kind {
        Kind::Drift(arguments) => drift::run(arguments, messages),
        Kind::Ingest(arguments) => ingest::run(arguments, &project.set, messages),
        Kind::Train(arguments) => train::run(arguments, project, messages),
        Kind::Decisions(arguments) => router::run(&[router::Kind::Decisions], arguments, project, messages),
        Kind::Strategies(arguments) => router::run(&[router::Kind::Strategies], arguments, project, messages),
        Kind::Patterns(arguments) => router::run(&[router::Kind::Patterns], arguments, project, messages),
        Kind::Scale(arguments) => router::run(&[router::Kind::Scale], arguments, project, messages),
        Kind::Loads(arguments) => router::run(&[router::Kind::Loads], arguments, project, messages),
        Kind::All(arguments) => router::run(&router::Kind::ALL, arguments, project, messages),
        Kind::Replay(arguments) => replay::run(arguments, messages),
        Kind::Nights(arguments) => nights::run(arguments, messages),
        Kind::Tune(arguments) => tune::run(arguments, messages),
    }
}

/// CPU seconds of this process so far, user and system, where the system tells (Linux).
pub(crate) fn cpu_seconds() -> Option<f64> {
    /// Clock ticks per second that Linux reports process times in, on every architecture of today.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may hold spaces; what follows it is numbers.
    let mut numbers = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = numbers.next()?.parse().ok()?;
    let system: f64 = numbers.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// Peak resident memory of this process so far, in MiB, where the system tells (Linux).
pub(crate) fn peak_mebibytes() -> Option<f64> {
    memory_mebibytes("VmHWM:")
}

/// Resident memory of this process now, in MiB, where the system tells (Linux).
pub(crate) fn resident_mebibytes() -> Option<f64> {
    memory_mebibytes("VmRSS:")
}

fn memory_mebibytes(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024.0)
}

/// CPU seconds that a scheduler's statistic (`…/schedstat`) tells, to the microsecond.
pub(crate) fn scheduled_seconds(place: &Path) -> Option<f64> {
    let nanoseconds = std::fs::read_to_string(place).ok()?;
    Some(nanoseconds.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_cpu_and_memory() {
        let before = cpu_seconds();
        let sum: f64 = (0..40_000_000_u64).map(|n| (n as f64).sqrt()).sum();
        assert!(sum > 0.0);
        if let (Some(before), Some(after)) = (before, cpu_seconds()) {
            assert!(after > before, "{after} after {before}");
            assert!(peak_mebibytes() > Some(1.0));
        }
    }
}
