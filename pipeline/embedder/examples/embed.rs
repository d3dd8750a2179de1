//! Embeds texts and says how fast: `cargo run --release -p routewright-embedder --example embed -- RUNTIME MODEL_DIR TEXTS [VECTORS]`.
//!
//! `TEXTS` holds one text per record, records end with a NUL byte. `VECTORS` gets the vectors as little-endian floats, in the same order.
#![expect(clippy::print_stdout, reason = "an example measures and prints")]

use std::path::Path;
use std::time::Instant;

use routewright_embedder::{Place, SentenceEmbedder, batch_order};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runtime, model_dir, texts, vectors @ ..] = arguments.as_slice() else {
        return Err("usage: embed RUNTIME MODEL_DIR TEXTS [VECTORS]".into());
    };
    let place = Place { runtime: Path::new(runtime), model_dir: Path::new(model_dir), model: "", max_length: 256 };
    let mut embedder = SentenceEmbedder::open(&place)?;
    let text = std::fs::read_to_string(texts)?;
    let texts: Vec<&str> = text.split_terminator('\0').collect();
    println!("{} texts, model {} of {} numbers", texts.len(), embedder.name(), embedder.dimensions());
    let alone = timed(&mut embedder, &texts, 1)?;
    let batched = timed(&mut embedder, &texts, 64)?;
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let lowest = alone.iter().zip(&batched).map(|(a, b)| cosine(a, b)).fold(1.0, f64::min);
    let n_same = alone.iter().zip(&batched).filter(|(a, b)| a == b).count();
    let again = timed(&mut embedder, &texts, 1)?;
    println!("batch 64 against 1: lowest cosine {lowest:.9}, {n_same} of {} equal to the last bit", texts.len());
    println!("batch 1 again: {} equal to the last bit", alone.iter().zip(&again).filter(|(a, b)| a == b).count());
    if let Some(place) = vectors.first() {
        let bytes: Vec<u8> = alone.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
        std::fs::write(place, bytes)?;
    }
    Ok(())
}

/// Embeds all texts in batches of like length and prints how many per second.
fn timed(embedder: &mut SentenceEmbedder, texts: &[&str], batch: usize) -> Result<Vec<Vec<f32>>, Box<dyn std::error::Error>> {
    let started = Instant::now();
    let mut vectors = vec![Vec::new(); texts.len()];
    for positions in batch_order(texts).chunks(batch) {
        let batch: Vec<&str> = positions.iter().map(|position| texts[*position]).collect();
        for (position, vector) in positions.iter().zip(embedder.embed(&batch)?) {
            vectors[*position] = vector;
        }
    }
    println!("batch {batch:3}: {:.1} texts/s", texts.len() as f64 / started.elapsed().as_secs_f64());
    Ok(vectors)
}
