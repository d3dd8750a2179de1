//! Asks an artifact's ONNX models with ONNX Runtime from Rust, compares the answers with the native ones, and says how fast they come:
//! `cargo run --release -p routewright-embedder --example onnx_forest -- RUNTIME FOLDER`.
//!
//! `FOLDER` is what `pipeline/python/examples/onnx_router.py ARTIFACT QUERIES FOLDER` writes: models, feature rows, native answers.
//! One thread; `routewright bench decisions` times the native forests of the same artifact.
#![expect(clippy::print_stdout, reason = "an example measures and prints")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use ort::session::Session;
use ort::value::TensorRef;

/// Largest difference of an answer, relative where it is above 1: the runtime adds in 32 bits where ours adds in 64.
const TOLERANCE: f64 = 1e-6;

/// Models, and the output that is compared.
const MODELS: [(&str, &str); 3] = [("success", "probabilities"), ("latency", "latency_ms"), ("classifier", "probabilities")];

/// Rows that are asked one by one, and at once.
const SINGLE: usize = 5_000;
const BATCH: usize = 10_000;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runtime, folder] = arguments.as_slice() else { return Err("usage: onnx_forest RUNTIME FOLDER".into()) };
    let environment = ort::init_from(runtime)?.build()?;
    let folder = Path::new(folder);
    let features = numbers(&folder.join("features.bin"), f32::from_le_bytes)?;
    for (name, output) in MODELS {
        let file = folder.join(format!("{name}.onnx"));
        if !file.exists() {
            println!("{name}: the artifact has no such model");
            continue;
        }
        let expected = numbers(&folder.join(format!("{name}.bin")), f64::from_le_bytes)?;
        let mut session = Session::builder(&environment)?.with_intra_threads(1)?.commit_from_file(&file)?;
        let n_columns = session.inputs().first().and_then(|input| input.dtype().tensor_shape()?.last().copied()).unwrap_or(0);
        let n_columns = usize::try_from(n_columns)?;
        let mut largest: f64 = 0.0;
        let mut next = expected.iter();
        for rows in features.chunks(BATCH * n_columns) {
            for (found, expected) in ask(&mut session, rows, n_columns, output)?.into_iter().zip(&mut next) {
                if found.is_nan() != expected.is_nan() {
                    return Err(format!("{name}: {found} where {expected} is expected").into());
                }
                largest = largest.max((found - expected).abs() / expected.abs().max(1.0));
            }
        }
        println!("{name}: {} rows, largest difference {largest:.2e}", features.len() / n_columns);
        if TOLERANCE < largest || next.next().is_some() {
            return Err(format!("{name}: the answers are not the native ones").into());
        }
        time(name, &mut session, &features, n_columns, output)?;
    }
    Ok(())
}

/// The numbers of a file of little-endian ones.
fn numbers<const N: usize, T>(file: &Path, read: fn([u8; N]) -> T) -> Result<Vec<T>, Failure> {
    let bytes = std::fs::read(file).map_err(|source| format!("cannot read `{}`: {source}", file.display()))?;
    Ok(bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect())
}

/// The model's answers for some rows; missing ones are NaN.
fn ask(session: &mut Session, rows: &[f32], n_columns: usize, output: &str) -> Result<Vec<f64>, Failure> {
    let input = TensorRef::from_array_view(([rows.len() / n_columns, n_columns], rows))?;
    let found = session.run(ort::inputs!["features" => input])?;
    let answers = found.get(output).ok_or("the model has no such output")?;
    let single = answers.try_extract_tensor::<f32>().map(|(_, numbers)| numbers.iter().map(|number| f64::from(*number)).collect());
    Ok(single.or_else(|_| answers.try_extract_tensor::<f64>().map(|(_, numbers)| numbers.to_vec()))?)
}

/// Asks row by row, then many rows at once.
fn time(name: &str, session: &mut Session, features: &[f32], n_columns: usize, output: &str) -> Result<(), Failure> {
    let mut micros = Vec::new();
    let started = Instant::now();
    for row in features.chunks_exact(n_columns).cycle().take(SINGLE) {
        let clock = Instant::now();
        black_box(ask(session, row, n_columns, output)?);
        micros.push(clock.elapsed().as_secs_f64() * 1e6);
    }
    let per_second = SINGLE as f64 / started.elapsed().as_secs_f64();
    micros.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| micros[(share * (SINGLE - 1) as f64) as usize];
    println!("{name}, row by row: {per_second:.0} per second, p50 {:.1}, p99 {:.1}, p99.9 {:.1} µs", at(0.5), at(0.99), at(0.999));
    let rows = &features[..features.len().min(BATCH * n_columns)];
    let best = (0..5).try_fold(f64::INFINITY, |best, _| {
        let clock = Instant::now();
        black_box(ask(session, rows, n_columns, output)?);
        Ok::<f64, Failure>(best.min(clock.elapsed().as_secs_f64()))
    })?;
    let n_rows = rows.len() / n_columns;
    println!("{name}, {n_rows} at once: {:.0} rows per second", n_rows as f64 / best);
    Ok(())
}
