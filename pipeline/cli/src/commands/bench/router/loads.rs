//! How long an artifact takes from its files to a router that may decide, and what it takes on disk and in memory.

use std::hint::black_box;

use anyhow::Context;

use super::measure::each;
use super::{Bench, Kind, Measured};
use crate::commands::bench::resident_mebibytes;
use crate::commands::verify::load;

/// Loads, at most: each reads every file and checks every digest.
const LOADS: usize = 10_000;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Measured> {
    let before = resident_mebibytes();
    let router = load(&bench.folder)?;
    let one_more = before.zip(resident_mebibytes()).map(|(before, after)| after - before);
    drop(black_box(router));
    let n = bench.n_decisions.min(LOADS);
    let mut n_failed = 0;
    let row = each("artifact read, checked and ready", n, |_| n_failed += usize::from(black_box(load(&bench.folder)).is_err()));
    let mut bytes = 0;
    for entry in std::fs::read_dir(&bench.folder).with_context(|| format!("cannot read `{}`", bench.folder.display()))? {
        bytes += entry?.metadata()?.len();
    }
    let memory = one_more.map_or_else(|| "not told".to_owned(), |mebibytes| format!("{mebibytes:.1} MiB"));
    let notes = vec![
        format!(
            "artifact: {:.2} MiB on disk, the ONNX exports included; a router more in memory: {memory}",
            bytes as f64 / f64::from(1 << 20)
        ),
        format!("{n_failed} loads failed"),
    ];
    Ok(Measured { kind: Kind::Loads, rows: vec![row], notes })
}
