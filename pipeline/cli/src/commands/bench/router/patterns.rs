//! Ways to execute what was decided. Executing a path is simulated by waiting; what is measured is what the pattern adds to it.

use std::hint::black_box;
use std::time::Duration;

use routewright_router::{Request, RouterScratch};

use super::measure::each;
use super::{Bench, Kind, Measured};

/// Executions of each pattern: they wait.
const EXECUTIONS: usize = 200;

/// Decisions of the recursive pattern on one query, at most.
const DEPTH: usize = 3;

pub(super) fn measure(bench: &Bench, path_ms: f64) -> Measured {
    let wait = Duration::from_secs_f64((path_ms / 1000.0).clamp(0.0, 10.0));
    let n = bench.n_decisions.min(EXECUTIONS);
    let mut scratch = RouterScratch::default();
    let mut steps = 0_usize;
    let rows = vec![
        each("feed-forward", n, |position| {
            black_box(bench.router.decide(&bench.request(position), &mut scratch));
            std::thread::sleep(wait);
        }),
        each("recursive", n, |position| steps += recursive(bench, position, wait, &mut scratch)),
        each("parallel", n, |position| parallel(bench, position, wait, &mut scratch)),
    ];
    let overhead = |row: &super::measure::Row| {
        format!("{}: {:.0} µs beyond the path's {path_ms} ms", row.name, row.p50_us.unwrap_or(f64::NAN) - path_ms * 1000.0)
    };
    let mut notes: Vec<String> = rows.iter().map(overhead).collect();
    let calls = n.div_ceil(10) + 2 * n;
    notes.push(format!("recursive: {:.2} decisions per query", steps as f64 / calls.max(1) as f64));
    Measured { kind: Kind::Patterns, rows, notes }
}

/// Executes, and where the decision was not sure asks again with the first answer behind the query; returns the number of decisions.
fn recursive(bench: &Bench, position: usize, wait: Duration, scratch: &mut RouterScratch) -> usize {
    let first = bench.request(position);
    let mut query = first.query.to_owned();
    for step in 1..=DEPTH {
        let decided = bench.router.decide(&Request { query: &query, ..first }, scratch);
        std::thread::sleep(wait);
        let is_sure = decided.confidence >= bench.router.policy().settings.min_confidence;
        if is_sure || step == DEPTH {
            return step;
        }
        query.push_str(" (the first answer was not good enough)");
    }
    DEPTH
}

/// Executes the two paths of highest utility at a time and waits for both.
fn parallel(bench: &Bench, position: usize, wait: Duration, scratch: &mut RouterScratch) {
    bench.router.decide(&bench.request(position), scratch);
    let mut ranked: Vec<(usize, f64)> =
        scratch.predictions().utility.iter().copied().enumerate().filter(|(_, value)| !value.is_nan()).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    std::thread::scope(|scope| {
        for path in ranked.iter().take(2) {
            scope.spawn(move || {
                black_box(path);
                std::thread::sleep(wait);
            });
        }
    });
}
