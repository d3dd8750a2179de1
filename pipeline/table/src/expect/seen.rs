//! One look at the newest days for all expectations: what their columns hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::compute::{cast, filter_record_batch, is_null};
use arrow::datatypes::DataType;
use rayon::prelude::*;

use crate::assignments::GROUP;
use crate::decisions::Decisions;
use crate::error::TableError;
use crate::parquet_file::TableReader;

/// The column of paths.
const PATH: &str = "path";

/// What is looked at.
#[derive(Debug, Default)]
pub(super) struct Wanted<'w> {
    /// Columns of which it matters whether there is a value.
    pub(super) values: BTreeSet<&'w str>,
    /// Columns of numbers, with the range that is plausible where there is one.
    pub(super) numbers: BTreeMap<&'w str, Option<[f64; 2]>>,
}

impl<'w> Wanted<'w> {
    /// Every column, once.
    fn columns(&self) -> BTreeSet<&'w str> {
        self.values.iter().chain(self.numbers.keys()).copied().collect()
    }
}

/// What the newest days hold.
///
/// The rows of an A/B gateway are left out, paths excepted: they say which group a task was in, and have neither text nor time nor cost of
/// their own.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) n_rows: u64,
    columns: BTreeMap<String, OfColumn>,
    /// All decisions by path.
    pub(super) paths: BTreeMap<String, u64>,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct OfColumn {
    pub(super) n_values: u64,
    /// Values that are numbers.
    pub(super) n_numbers: u64,
    /// Of these, numbers outside the plausible range.
    pub(super) n_outside: u64,
    /// Smallest and largest number; 0 where there is none.
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Seen {
    /// Looks at decisions.
    ///
    /// # Errors
    /// [`TableError`] for a file that cannot be read, and for a column of numbers whose values can be none.
    pub(super) fn of(decisions: &Decisions, wanted: &Wanted<'_>) -> Result<Self, TableError> {
        let files: Vec<&Path> = decisions.files().collect();
        let parts = files.par_iter().map(|path| Self::of_file(path, wanted)).collect::<Result<Vec<_>, _>>()?;
        let mut all = Self::default();
        for part in parts {
            all.n_rows += part.n_rows;
            part.columns.into_iter().for_each(|(name, column)| all.columns.entry(name).or_default().add(&column));
            part.paths.into_iter().for_each(|(path, count)| *all.paths.entry(path).or_default() += count);
        }
        Ok(all)
    }

    /// What is known of a column.
    pub(super) fn column(&self, name: &str) -> OfColumn {
        self.columns.get(name).copied().unwrap_or_default()
    }

    fn of_file(path: &Path, wanted: &Wanted<'_>) -> Result<Self, TableError> {
        let reader = TableReader::open(path)?;
        let names = wanted.columns().into_iter().chain([PATH, GROUP]);
        let positions: BTreeSet<usize> = names.filter_map(|name| reader.schema().index_of(name).ok()).collect();
        let mut seen = Self::default();
        for batch in reader.with_columns(positions).batches()? {
            seen.add(&batch?, wanted, path)?;
        }
        Ok(seen)
    }

    fn add(&mut self, batch: &RecordBatch, wanted: &Wanted<'_>, path: &Path) -> Result<(), TableError> {
        let failed = |error| TableError::columns(path, error);
        self.count_paths(batch, path)?;
        let others = match batch.column_by_name(GROUP) {
            Some(groups) if groups.null_count() < groups.len() => {
                filter_record_batch(batch, &is_null(groups).map_err(failed)?).map_err(failed)?
            }
            _ => batch.clone(),
        };
        self.n_rows += others.num_rows() as u64;
        for name in wanted.columns() {
            let Some(column) = others.column_by_name(name) else { continue };
            let mut of_column = OfColumn { n_values: (column.len() - column.null_count()) as u64, ..OfColumn::default() };
            if let Some(range) = wanted.numbers.get(name) {
                let numbers = cast(column, &DataType::Float64).map_err(failed)?;
                of_column.take_numbers(&numbers, *range);
            }
            self.columns.entry(name.to_owned()).or_default().add(&of_column);
        }
        Ok(())
    }

    fn count_paths(&mut self, batch: &RecordBatch, path: &Path) -> Result<(), TableError> {
        let column = batch.column_by_name(PATH).map(|column| cast(column, &DataType::Utf8)).transpose();
        let column = column.map_err(|error| TableError::columns(path, error))?;
        let texts = column.as_ref().and_then(|column| column.as_any().downcast_ref::<StringArray>());
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        match texts {
            Some(texts) => texts.iter().for_each(|path| *counts.entry(path.unwrap_or_default()).or_default() += 1),
            None => drop(counts.insert("", batch.num_rows() as u64)),
        }
        counts.into_iter().for_each(|(path, count)| *self.paths.entry(path.to_owned()).or_default() += count);
        Ok(())
    }
}

impl OfColumn {
    /// Largest distance from 0.
    pub(super) fn largest(&self) -> f64 {
        self.min.abs().max(self.max.abs())
    }

    fn take_numbers(&mut self, numbers: &ArrayRef, range: Option<[f64; 2]>) {
        let Some(numbers) = numbers.as_any().downcast_ref::<Float64Array>() else { return };
        let (mut min, mut max) = (f64::NAN, f64::NAN);
        for number in numbers.iter().flatten() {
            self.n_numbers += 1;
            (min, max) = (min.min(number), max.max(number));
            let is_inside = range.is_none_or(|[low, high]| low <= number && number <= high);
            self.n_outside += u64::from(!is_inside);
        }
        if self.n_numbers > 0 {
            (self.min, self.max) = (min, max);
        }
    }

    fn add(&mut self, other: &Self) {
        (self.min, self.max) = match (self.n_numbers, other.n_numbers) {
            (_, 0) => (self.min, self.max),
            (0, _) => (other.min, other.max),
            _ => (self.min.min(other.min), self.max.max(other.max)),
        };
        self.n_values += other.n_values;
        self.n_numbers += other.n_numbers;
        self.n_outside += other.n_outside;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn parts_of_a_column_add_up_and_those_without_numbers_say_nothing() {
        let part = |numbers: &[Option<f64>]| {
            let mut column = OfColumn::default();
            let numbers: ArrayRef = Arc::new(Float64Array::from(numbers.to_vec()));
            column.take_numbers(&numbers, Some([0.0, 5.0]));
            column
        };
        let mut all = OfColumn::default();
        for numbers in [&[None][..], &[Some(3.0), None, Some(4.0)], &[], &[Some(-7.0), Some(f64::NAN)]] {
            all.add(&part(numbers));
        }
        assert_eq!((all.n_numbers, all.n_outside, all.min, all.max, all.largest()), (4, 2, -7.0, 4.0, 7.0));
    }
}
