//! Tables to learn from as raw numbers in a folder, so that every library is trained on exactly the same ones.
//!
//! `train.f32` and `test.f32` hold little-endian numbers, row after row of [`N_COLUMNS`]; `train.u16` and `test.u16` the classes.

use std::fs;
use std::path::Path;

use anyhow::Context;
use rand::{Rng as _, RngExt as _};
use routewright_domain::Seed;

use crate::exit::DataError;

/// Columns of a table.
pub(super) const N_COLUMNS: usize = 40;

/// Classes to tell apart.
pub(super) const N_CLASSES: usize = 4;

/// Rows that models are judged on.
const N_TEST: usize = 10_000;

/// Columns that tell something, and mixtures of them; the rest is noise.
const N_INFORMATIVE: usize = 15;
const N_MIXED: usize = 5;

/// Share of the labels that are drawn at random.
const RANDOM_LABELS: f64 = 0.05;

/// One part of a table.
pub(super) struct Part {
    /// Numbers, column by column.
    pub columns: Vec<Vec<f32>>,
    /// One class per row.
    pub labels: Vec<u16>,
}

/// Reads the part of a folder called `train` or `test`.
pub(super) fn read(folder: &Path, name: &str) -> anyhow::Result<Part> {
    let bytes = |kind: &str| {
        let path = folder.join(format!("{name}.{kind}"));
        fs::read(&path).map_err(|error| DataError(format!("`{}`: {error}", path.display())))
    };
    let (numbers, labels) = (bytes("f32")?, bytes("u16")?);
    let labels: Vec<u16> = labels.as_chunks::<2>().0.iter().map(|two| u16::from_le_bytes(*two)).collect();
    let n_bytes = labels.len() * N_COLUMNS * 4;
    if labels.is_empty() || numbers.len() != n_bytes {
        let found = numbers.len();
        let message = format!("`{}`: {found} bytes in `{name}.f32`, {n_bytes} for {} rows of {N_COLUMNS}", folder.display(), labels.len());
        return Err(DataError(message).into());
    }
    if let Some(row) = labels.iter().position(|label| N_CLASSES <= usize::from(*label)) {
        let message = format!("`{}/{name}.u16`, row {}: class {} of {N_CLASSES}", folder.display(), row + 1, labels[row]);
        return Err(DataError(message).into());
    }
    let mut columns: Vec<Vec<f32>> = (0..N_COLUMNS).map(|_| Vec::with_capacity(labels.len())).collect();
    for (position, four) in numbers.as_chunks::<4>().0.iter().enumerate() {
        columns[position % N_COLUMNS].push(f32::from_le_bytes(*four));
    }
    Ok(Part { columns, labels })
}

/// Writes a generated table into a folder.
pub(super) fn write(folder: &Path, n_rows: usize) -> anyhow::Result<()> {
    for (name, n_rows, stream) in [("train", n_rows, 1), ("test", N_TEST, 2)] {
        let part = generate(n_rows, stream);
        let mut numbers = Vec::with_capacity(n_rows * N_COLUMNS * 4);
        for row in 0..n_rows {
            part.columns.iter().for_each(|column| numbers.extend(column[row].to_le_bytes()));
        }
        let labels: Vec<u8> = part.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        for (kind, bytes) in [("f32", numbers), ("u16", labels)] {
            let path = folder.join(format!("{name}.{kind}"));
            fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Informative columns around two centres per class, mixtures of them, noise; some labels at random.
fn generate(n_rows: usize, stream: u64) -> Part {
    let mut centres_rng = Seed(7).rng();
    let mut sign = || f32::from(centres_rng.random_bool(0.5)) * 2.0 - 1.0;
    let centres: Vec<[f32; N_INFORMATIVE]> = (0..2 * N_CLASSES).map(|_| std::array::from_fn(|_| sign())).collect();
    let mixes: Vec<[f32; N_INFORMATIVE]> = (0..N_MIXED).map(|_| std::array::from_fn(|_| centres_rng.random_range(-1.0..1.0))).collect();
    let mut rng = Seed(7).derive("rows", stream).rng();
    // Twelve uniform numbers have a variance of 1.
    let mut normal = move || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
    let mut label_rng = Seed(7).derive("labels", stream).rng();
    let mut columns = vec![Vec::new(); N_COLUMNS];
    let mut labels = Vec::with_capacity(n_rows);
    for _ in 0..n_rows {
        let centre = label_rng.next_u32() as usize % centres.len();
        let informative: [f32; N_INFORMATIVE] = std::array::from_fn(|column| centres[centre][column] + 1.2 * normal());
        let mixed = mixes.iter().map(|mix| informative.iter().zip(mix).map(|(value, share)| value * share).sum());
        let values: Vec<f32> = informative.iter().copied().chain(mixed).collect();
        let noise = std::iter::repeat_with(&mut normal);
        columns.iter_mut().zip(values.into_iter().chain(noise)).for_each(|(column, value)| column.push(value));
        let is_random = label_rng.random_bool(RANDOM_LABELS);
        labels.push((if is_random { label_rng.next_u32() as usize } else { centre } % N_CLASSES) as u16);
    }
    Part { columns, labels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_was_written_and_a_broken_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 50).unwrap();
        let (written, found) = (generate(50, 1), read(folder.path(), "train").unwrap());
        assert_eq!((found.columns, found.labels), (written.columns, written.labels));
        fs::write(folder.path().join("train.f32"), [0; 12]).unwrap();
        let error = read(folder.path(), "train").err().unwrap().to_string();
        assert!(error.ends_with("12 bytes in `train.f32`, 8000 for 50 rows of 40"), "{error}");
        assert!(read(folder.path(), "none").err().unwrap().to_string().contains("none.f32"));
    }

    #[test]
    fn every_class_occurs_about_as_often() {
        let part = generate(4000, 3);
        for class in 0..N_CLASSES as u16 {
            let count = part.labels.iter().filter(|label| **label == class).count();
            assert!((900..1100).contains(&count), "{count} of class {class}");
        }
    }
}
