//! Whether time grows in a straight line with the number of queries.

use std::hint::black_box;

use routewright_router::RouterScratch;

use super::measure::{Row, SEED_LEARNED, time};
use super::{Bench, Kind, Measured};

/// Numbers of queries.
const SIZES: [usize; 4] = [100, 1000, 10_000, 100_000];

pub(super) fn measure(bench: &Bench) -> Measured {
    let mut scratch = RouterScratch::default();
    let mut decide = |n: usize| {
        (0..n).for_each(|position| {
            black_box(bench.router.decide(&bench.request(position), &mut scratch));
        })
    };
    decide(SIZES[0]);
    let rows: Vec<Row> =
        SIZES.iter().map(|&n| Row::of_batch(&format!("{n} queries"), n, time(|| decide(n))).against(SEED_LEARNED)).collect();
    let rates = || rows.iter().map(|row| row.per_second);
    let spread = rates().fold(0.0, f64::max) / rates().fold(f64::INFINITY, f64::min);
    Measured { kind: Kind::Scale, notes: vec![format!("fastest over slowest: {spread:.2}")], rows }
}
