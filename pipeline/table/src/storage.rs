//! How columns are stored in a Parquet file, by their first values: a dictionary where values repeat, the better compression for texts that
//! hardly do.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, TimestampMicrosecondType};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::ColumnPath;
use xxhash_rust::xxh3::xxh3_64;

use crate::parquet_file::BATCH_ROWS;

/// Values that are looked at, spread over the first batch of rows.
const SAMPLE: usize = 256;

/// Values from which on they say that a column has no use for a dictionary.
const ENOUGH: usize = 64;

/// How a column is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    /// Whether values may repeat. Where they do not, a dictionary would be made and thrown away.
    has_dictionary: bool,
    /// Whether there is much to compress. A context of the better compressor takes longer to make than most columns to write, and of numbers
    /// it saves a few per cent.
    is_packed: bool,
}

impl Storage {
    /// What suits the first batch of a column's values.
    pub(crate) fn of(values: &dyn Array) -> Self {
        let sample = Sample::of(&values.slice(0, values.len().min(BATCH_ROWS)));
        let is_distinct = sample.n_values >= ENOUGH && sample.n_distinct + 1 >= sample.n_values;
        Self { has_dictionary: !is_distinct, is_packed: values.data_type().is_string() && 4 * sample.n_distinct > SAMPLE }
    }

    /// Stores a column in this way.
    pub(crate) fn set(self, properties: WriterPropertiesBuilder, field: &Field) -> Result<WriterPropertiesBuilder, ParquetError> {
        // The values of a list stand below its name.
        let path = ColumnPath::new(match field.data_type() {
            DataType::List(item) => vec![field.name().clone(), "list".to_owned(), item.name().clone()],
            _ => vec![field.name().clone()],
        });
        let compression = if self.is_packed { Compression::ZSTD(ZstdLevel::try_new(1)?) } else { Compression::SNAPPY };
        Ok(properties.set_column_compression(path.clone(), compression).set_column_dictionary_enabled(path, self.has_dictionary))
    }
}

/// Some values of a column that are not null.
#[derive(Debug, Default)]
struct Sample {
    n_values: usize,
    n_distinct: usize,
}

impl Sample {
    fn of(values: &dyn Array) -> Self {
        if let Some(lists) = values.as_list_opt::<i32>() {
            return Self::of(lists.values());
        }
        if let Some(texts) = values.as_string_opt::<i32>() {
            return Self::by_digest(values, |at| xxh3_64(texts.value(at).as_bytes()));
        }
        if let Some(numbers) = values.as_primitive_opt::<Float64Type>() {
            return Self::by_digest(values, |at| numbers.value(at).to_bits());
        }
        if let Some(numbers) = values.as_primitive_opt::<Int64Type>() {
            return Self::by_digest(values, |at| numbers.value(at).cast_unsigned());
        }
        if let Some(times) = values.as_primitive_opt::<TimestampMicrosecondType>() {
            return Self::by_digest(values, |at| times.value(at).cast_unsigned());
        }
        Self::default()
    }

    fn by_digest(values: &dyn Array, digest: impl Fn(usize) -> u64) -> Self {
        let step = (values.len() / SAMPLE).max(1);
        // Not at even distances, for logs have periods.
        let spread = (0..values.len().min(SAMPLE)).map(|nth| nth * step + nth * nth % step);
        let wanted = spread.filter(|at| values.is_valid(*at));
        let mut digests: Vec<u64> = wanted.map(digest).collect();
        let n_values = digests.len();
        digests.sort_unstable();
        digests.dedup();
        Self { n_values, n_distinct: digests.len() }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, ListArray, StringArray, new_null_array};

    use super::*;

    fn texts(n_rows: usize, text: impl Fn(usize) -> String) -> Storage {
        Storage::of(&StringArray::from_iter_values((0..n_rows).map(text)))
    }

    const DISTINCT_TEXTS: Storage = Storage { has_dictionary: false, is_packed: true };
    const REPEATED: Storage = Storage { has_dictionary: true, is_packed: false };

    #[test]
    fn texts_that_hardly_repeat_are_packed_and_get_no_dictionary() {
        assert_eq!(texts(5000, |row| format!("q {row}")), DISTINCT_TEXTS);
        assert_eq!(texts(5000, |row| format!("q {}", row % 40)), REPEATED);
        assert_eq!(texts(5000, |row| format!("q {}", row * 7919 % 150)), Storage { has_dictionary: true, is_packed: true });
        assert_eq!(texts(50, |row| format!("q {row}")), REPEATED, "of few values nothing is known");
    }

    #[test]
    fn numbers_are_not_packed() {
        let distinct = Storage { has_dictionary: false, is_packed: false };
        assert_eq!(Storage::of(&Float64Array::from_iter_values((0..5000).map(f64::from))), distinct);
        assert_eq!(Storage::of(&Int64Array::from_iter_values((0..5000).map(|row| row % 9))), REPEATED);
    }

    #[test]
    fn values_that_are_null_say_nothing_and_lists_are_what_is_in_them() {
        assert_eq!(Storage::of(&*new_null_array(&DataType::Utf8, 5000)), REPEATED);
        let half = StringArray::from_iter((0..5000).map(|row| (row % 3 == 0).then(|| format!("q {row}"))));
        assert_eq!(Storage::of(&half), DISTINCT_TEXTS);
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>((0..5000).map(|row| Some([Some(row), Some(row + 5000)])));
        assert!(!Storage::of(&lists).has_dictionary);
    }

    #[test]
    fn only_the_first_batch_of_rows_is_looked_at() {
        let late = |row: usize| if row < BATCH_ROWS { "same".to_owned() } else { format!("q {row}") };
        assert_eq!(texts(3 * BATCH_ROWS, late), REPEATED);
    }
}
