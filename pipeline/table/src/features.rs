//! The feature table: one row per decision, what was known when it was made, and what came of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;
use routewright_domain::{Arm, Paths, Propensity, Timestamp};

use crate::parquet_file::{append_group, encode, next_batch};

/// Version of the table's layout, in the Parquet footer.
const VERSION: &str = "1";

/// Footer keys.
const VERSION_KEY: &str = "routewright.features.version";
const PATHS_KEY: &str = "routewright.paths";

/// Rows of a row group.
const ROW_GROUP_ROWS: usize = 1 << 20;

/// Columns that one thread reads at a time.
const COLUMNS_AT_ONCE: usize = 8;

/// Prefix of the columns that are features.
const FEATURE_PREFIX: &str = "feature.";

/// Prefix of the columns that hold the logged probability of a path.
const PROPENSITY_PREFIX: &str = "propensity_of.";

/// Which side of the time split a decision lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Models learn from it.
    Training,
    /// Models are judged on it.
    HeldOut,
    /// Made before the held-out window began, but its outcome became known only afterwards: nobody could have learnt from it.
    Embargoed,
}

/// Rows of the training window whose outcome is known. Fitting takes nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingRows(Vec<u32>);

/// Rows of the held-out window whose outcome is known. Judging takes nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldOutRows(Vec<u32>);

impl TrainingRows {
    /// Positions in the table, in time order.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// The rows for which something holds.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(u32) -> bool) -> Self {
        Self(self.0.iter().copied().filter(|row| keep(*row)).collect())
    }
}

impl HeldOutRows {
    /// Positions in the table, in time order.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }
}

/// One feature of every row; `NaN` means missing.
#[derive(Clone, Debug)]
pub struct FeatureColumn {
    /// Its name, as in the feature schema.
    pub name: String,
    /// Its values, one per row.
    pub values: Vec<f32>,
}

impl AsRef<[f32]> for FeatureColumn {
    fn as_ref(&self) -> &[f32] {
        &self.values
    }
}

/// What happened to every row: columns of equal length, in time order.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// Identifies the row.
    pub trace_ids: Vec<String>,
    /// Groups rows that ran the same query.
    pub query_ids: Vec<String>,
    /// Session, or user, or trace: the cluster of the row.
    pub clusters: Vec<String>,
    /// When the decision was made.
    pub timestamps: Vec<Timestamp>,
    /// Side of the time split.
    pub windows: Vec<Window>,
    /// The path that ran.
    pub arms: Vec<Arm>,
    /// What the static rules chose, where known.
    pub static_arms: Vec<Option<Arm>>,
    /// Logged probability of the path that ran.
    pub propensities: Vec<Option<Propensity>>,
    /// Logged probability of every path, row after row, `NaN` where unknown; empty when the log has none.
    pub propensities_of_all: Vec<f64>,
    /// Paths that were allowed, per row; an empty list, or no list at all, means every path.
    pub candidates: Vec<Vec<Arm>>,
    /// Whether the logger explored.
    pub explored: Vec<Option<bool>>,
    /// Whether the path succeeded; `None` while pending.
    pub successes: Vec<Option<bool>>,
    /// Time to the outcome in milliseconds; `NaN` where unknown.
    pub latencies_ms: Vec<f64>,
    /// Cost in US dollars; `NaN` where unknown.
    pub costs: Vec<f64>,
    /// Kind of query.
    pub query_types: Vec<String>,
    /// Whether a hallucination was found, where looked for.
    pub hallucinations: Vec<Option<bool>>,
    /// Whether the user was satisfied, where they said so.
    pub satisfactions: Vec<Option<bool>>,
    /// The path a reviewer would have chosen.
    pub optimal_arms: Vec<Option<Arm>>,
}

/// Features and outcomes of every decision, in time order.
#[derive(Clone, Debug, Default)]
pub struct FeatureTable {
    /// The paths that an [`Arm`] stands for.
    pub paths: Paths,
    /// The features.
    pub features: Vec<FeatureColumn>,
    /// What happened.
    pub outcomes: Outcomes,
}

/// A feature table that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FeatureTableError {
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The Parquet file.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// The columns.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// A column that is missing or of another type.
    #[error("column `{column}` is missing or not of type {expected}")]
    Column {
        /// The column.
        column: String,
        /// The type it should have.
        expected: &'static str,
    },
    /// A footer that another version wrote.
    #[error("the table has layout version {found}, this program reads {VERSION}; `routewright run features --force` makes it anew")]
    Version {
        /// The version found.
        found: String,
    },
    /// A value that no path or propensity has.
    #[error("column `{column}`, row {row}: {found} is out of range")]
    Value {
        /// The column.
        column: String,
        /// The row, from 0.
        row: usize,
        /// The value.
        found: String,
    },
}

impl FeatureTable {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.outcomes.arms.len()
    }

    /// The feature names, in order.
    pub fn names(&self) -> Vec<&str> {
        self.features.iter().map(|feature| feature.name.as_str()).collect()
    }

    /// The rows that models may learn from.
    pub fn training_rows(&self) -> TrainingRows {
        TrainingRows(self.rows_of(Window::Training))
    }

    /// The rows that models are judged on.
    pub fn held_out_rows(&self) -> HeldOutRows {
        HeldOutRows(self.rows_of(Window::HeldOut))
    }

    /// The features of some rows, column by column.
    pub fn columns_of(&self, rows: &[u32]) -> Vec<Vec<f32>> {
        self.features.par_iter().map(|feature| rows.iter().map(|row| feature.values[*row as usize]).collect()).collect()
    }

    /// Copies one row's features into a slice of the same length.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        for (value, feature) in out.iter_mut().zip(&self.features) {
            *value = feature.values[row];
        }
    }

    /// Rows of a window whose outcome is known.
    fn rows_of(&self, window: Window) -> Vec<u32> {
        let outcomes = &self.outcomes;
        (0..self.n_rows())
            .filter(|row| outcomes.windows[*row] == window && outcomes.successes[*row].is_some())
            .map(|row| row as u32)
            .collect()
    }

    /// Writes the table as one Parquet file (zstd), with layout version and paths in the footer.
    ///
    /// # Errors
    /// [`FeatureTableError`].
    pub fn write(&self, place: &Path) -> Result<(), FeatureTableError> {
        let mut columns = self.outcomes.columns(&self.paths);
        for feature in &self.features {
            let values: Float32Array = feature.values.iter().map(|value| (!value.is_nan()).then_some(*value)).collect();
            columns.push((format!("{FEATURE_PREFIX}{}", feature.name), Arc::new(values)));
        }
        let fields: Vec<Field> = columns.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, array)| array).collect())?;
        let footer = vec![
            KeyValue::new(VERSION_KEY.to_owned(), VERSION.to_owned()),
            KeyValue::new(PATHS_KEY.to_owned(), serde_json::to_string(&self.paths).map_err(std::io::Error::from)?),
        ];
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_key_value_metadata(Some(footer))
            .build();
        let (mut writer, columns) = ArrowWriter::try_new(File::create(place)?, schema, Some(properties))?.into_serialized_writer()?;
        for (number, first) in (0..batch.num_rows()).step_by(ROW_GROUP_ROWS).enumerate() {
            let part = batch.slice(first, ROW_GROUP_ROWS.min(batch.num_rows() - first));
            let mut columns = columns.create_column_writers(number)?;
            encode(&part, &mut columns, true)?;
            append_group(&mut writer, columns, true)?;
        }
        writer.close()?;
        Ok(())
    }

    /// Reads the table.
    ///
    /// # Errors
    /// [`FeatureTableError`] names the column that is not as expected.
    pub fn read(place: &Path) -> Result<Self, FeatureTableError> {
        let metadata = ArrowReaderMetadata::load(&File::open(place)?, ArrowReaderOptions::default())?;
        let footer = metadata.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
        let entry = |key: &str| footer.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone()).unwrap_or_default();
        if entry(VERSION_KEY) != VERSION {
            return Err(FeatureTableError::Version { found: entry(VERSION_KEY) });
        }
        let paths: Paths = serde_json::from_str(&entry(PATHS_KEY)).map_err(std::io::Error::from)?;
        let n_rows = metadata.metadata().file_metadata().num_rows() as usize;
        let names: Vec<String> = metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut table = Self { paths, ..Self::default() };
        table.features = names
            .iter()
            .filter_map(|name| name.strip_prefix(FEATURE_PREFIX))
            .map(|name| FeatureColumn { name: name.to_owned(), values: Vec::with_capacity(n_rows) })
            .collect();
        let batches = |wanted: &dyn Fn(&str) -> bool| {
            let columns = names.iter().enumerate().filter(|(_, name)| wanted(name)).map(|(position, _)| position);
            let wanted = ProjectionMask::roots(metadata.parquet_schema(), columns);
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(File::open(place)?, metadata.clone());
            let mut reader = reader.with_projection(wanted).with_batch_size(1 << 16).build()?;
            Ok::<_, FeatureTableError>(std::iter::from_fn(move || next_batch(&mut reader)))
        };
        let outcomes = || -> Result<(), FeatureTableError> {
            for batch in batches(&|name| !name.starts_with(FEATURE_PREFIX))? {
                table.outcomes.append(&batch?, &table.paths)?;
            }
            Ok(())
        };
        let features = || -> Result<(), FeatureTableError> {
            table.features.par_chunks_mut(COLUMNS_AT_ONCE).try_for_each(|features| {
                let own: BTreeSet<String> = features.iter().map(|feature| format!("{FEATURE_PREFIX}{}", feature.name)).collect();
                for batch in batches(&|name| own.contains(name))? {
                    let batch = batch?;
                    for feature in features.iter_mut() {
                        let column: &Float32Array = column(&batch, &format!("{FEATURE_PREFIX}{}", feature.name), "f32")?;
                        feature.values.extend(column.iter().map(|value| value.unwrap_or(f32::NAN)));
                    }
                }
                Ok(())
            })
        };
        let (features, outcomes) = rayon::join(features, outcomes);
        outcomes.and(features).map(|()| table)
    }
}

impl Outcomes {
    /// Whether a path was allowed on a row.
    pub fn allows(&self, row: usize, arm: Arm) -> bool {
        self.candidates.get(row).is_none_or(|allowed| allowed.is_empty() || allowed.contains(&arm))
    }

    /// The columns as Arrow arrays with their names.
    fn columns(&self, paths: &Paths) -> Vec<(String, ArrayRef)> {
        let finite = |values: &[f64]| -> ArrayRef {
            Arc::new(values.iter().map(|value| value.is_finite().then_some(*value)).collect::<Float64Array>())
        };
        let flags = |values: &[Option<bool>]| -> ArrayRef { Arc::new(values.iter().copied().collect::<BooleanArray>()) };
        let texts = |values: &[String]| -> ArrayRef { Arc::new(StringArray::from_iter_values(values)) };
        let optional_arms = |values: &[Option<Arm>]| -> ArrayRef {
            Arc::new(values.iter().map(|arm| arm.map(|arm| i64::from(arm.0))).collect::<Int64Array>())
        };
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("trace_id".into(), texts(&self.trace_ids)),
            ("query_id".into(), texts(&self.query_ids)),
            ("cluster".into(), texts(&self.clusters)),
            ("timestamp_us".into(), Arc::new(self.timestamps.iter().map(|time| Some(time.0)).collect::<Int64Array>())),
            ("held_out".into(), Arc::new(self.windows.iter().map(|window| held_out_flag(*window)).collect::<BooleanArray>())),
            ("arm".into(), Arc::new(self.arms.iter().map(|arm| Some(i64::from(arm.0))).collect::<Int64Array>())),
            ("static_arm".into(), optional_arms(&self.static_arms)),
            ("propensity".into(), Arc::new(self.propensities.iter().map(|p| p.map(Propensity::get)).collect::<Float64Array>())),
            ("explored".into(), flags(&self.explored)),
            ("success".into(), flags(&self.successes)),
            ("latency_ms".into(), finite(&self.latencies_ms)),
            ("cost_usd".into(), finite(&self.costs)),
            ("query_type".into(), texts(&self.query_types)),
            ("hallucination".into(), flags(&self.hallucinations)),
            ("satisfaction".into(), flags(&self.satisfactions)),
            ("optimal_arm".into(), optional_arms(&self.optimal_arms)),
        ];
        if self.candidates.iter().any(|allowed| !allowed.is_empty()) {
            let list = |allowed: &Vec<Arm>| allowed.iter().map(|arm| arm.0.to_string()).collect::<Vec<_>>().join(",");
            columns.push(("candidates".into(), Arc::new(StringArray::from_iter_values(self.candidates.iter().map(list)))));
        }
        if !self.propensities_of_all.is_empty() {
            for (position, name) in paths.names().iter().enumerate() {
                let values: Vec<f64> = self.propensities_of_all.iter().skip(position).step_by(paths.len()).copied().collect();
                columns.push((format!("{PROPENSITY_PREFIX}{name}"), finite(&values)));
            }
        }
        columns
    }

    /// Appends the rows of a batch.
    fn append(&mut self, batch: &RecordBatch, paths: &Paths) -> Result<(), FeatureTableError> {
        let first = self.arms.len();
        for (name, target) in [
            ("trace_id", &mut self.trace_ids),
            ("query_id", &mut self.query_ids),
            ("cluster", &mut self.clusters),
            ("query_type", &mut self.query_types),
        ] {
            let values: &StringArray = column(batch, name, "text")?;
            target.extend(values.iter().map(|value| value.unwrap_or_default().to_owned()));
        }
        for (name, target) in [
            ("explored", &mut self.explored),
            ("success", &mut self.successes),
            ("hallucination", &mut self.hallucinations),
            ("satisfaction", &mut self.satisfactions),
        ] {
            let values: &BooleanArray = column(batch, name, "bool")?;
            target.extend(values.iter());
        }
        for (name, target) in [("latency_ms", &mut self.latencies_ms), ("cost_usd", &mut self.costs)] {
            let values: &Float64Array = column(batch, name, "f64")?;
            target.extend(values.iter().map(|value| value.unwrap_or(f64::NAN)));
        }
        for (name, target) in [("static_arm", &mut self.static_arms), ("optimal_arm", &mut self.optimal_arms)] {
            let values: &Int64Array = column(batch, name, "i64")?;
            for (row, value) in values.iter().enumerate() {
                target.push(value.map(|value| arm_of(name, first + row, value, paths)).transpose()?);
            }
        }
        let arms: &Int64Array = column(batch, "arm", "i64")?;
        for (row, value) in arms.iter().enumerate() {
            self.arms.push(arm_of("arm", first + row, value.unwrap_or(-1), paths)?);
        }
        let times: &Int64Array = column(batch, "timestamp_us", "i64")?;
        self.timestamps.extend(times.iter().map(|value| Timestamp(value.unwrap_or_default())));
        let held_out: &BooleanArray = column(batch, "held_out", "bool")?;
        self.windows.extend(held_out.iter().map(window_of));
        let propensities: &Float64Array = column(batch, "propensity", "f64")?;
        for (row, value) in propensities.iter().enumerate() {
            let propensity = value.map(Propensity::try_from).transpose();
            let out_of_range = |error: routewright_domain::InvalidPropensity| FeatureTableError::Value {
                column: "propensity".into(),
                row: first + row,
                found: error.0.to_string(),
            };
            self.propensities.push(propensity.map_err(out_of_range)?);
        }
        // Only logs that restrict the choice have this column.
        let lists = column::<StringArray>(batch, "candidates", "text").ok();
        for row in 0..batch.num_rows() {
            let text = lists.map_or("", |lists| lists.value(row));
            let numbers = text.split(',').filter(|number| !number.is_empty());
            let arms = numbers.map(|number| arm_of("candidates", first + row, number.parse().unwrap_or(-1), paths));
            self.candidates.push(arms.collect::<Result<_, _>>()?);
        }
        let whole: Vec<&Float64Array> =
            paths.names().iter().filter_map(|name| column(batch, &format!("{PROPENSITY_PREFIX}{name}"), "f64").ok()).collect();
        if whole.len() == paths.len() {
            for row in 0..batch.num_rows() {
                self.propensities_of_all.extend(whole.iter().map(|column| if column.is_null(row) { f64::NAN } else { column.value(row) }));
            }
        }
        Ok(())
    }
}

/// A window as a flag; null stands for what lies on neither side.
fn held_out_flag(window: Window) -> Option<bool> {
    match window {
        Window::Training => Some(false),
        Window::HeldOut => Some(true),
        Window::Embargoed => None,
    }
}

/// The inverse of [`held_out_flag`].
fn window_of(flag: Option<bool>) -> Window {
    match flag {
        Some(false) => Window::Training,
        Some(true) => Window::HeldOut,
        None => Window::Embargoed,
    }
}

/// A column of a batch, by name and type.
fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str, expected: &'static str) -> Result<&'a T, FeatureTableError> {
    batch
        .column_by_name(name)
        .and_then(|array| array.as_any().downcast_ref::<T>())
        .ok_or_else(|| FeatureTableError::Column { column: name.to_owned(), expected })
}

/// A stored position as a path.
fn arm_of(column: &str, row: usize, value: i64, paths: &Paths) -> Result<Arm, FeatureTableError> {
    let arm = u16::try_from(value).map(Arm).ok().filter(|arm| arm.index() < paths.len());
    arm.ok_or_else(|| FeatureTableError::Value { column: column.to_owned(), row, found: value.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> FeatureTable {
        FeatureTable {
            paths: Paths::from_names(["a", "b"]),
            features: vec![FeatureColumn { name: "length".into(), values: vec![1.0, f32::NAN] }],
            outcomes: Outcomes {
                trace_ids: vec!["t1".into(), "t2".into()],
                query_ids: vec!["t1".into(), "t2".into()],
                clusters: vec!["s".into(), "s".into()],
                timestamps: vec![Timestamp(1), Timestamp(2)],
                windows: vec![Window::Training, Window::HeldOut],
                arms: vec![Arm(0), Arm(1)],
                static_arms: vec![Some(Arm(0)), None],
                propensities: vec![Some(Propensity::CERTAIN), None],
                propensities_of_all: vec![1.0, 0.0, f64::NAN, f64::NAN],
                candidates: vec![vec![Arm(0)], Vec::new()],
                explored: vec![Some(false), None],
                successes: vec![Some(true), None],
                latencies_ms: vec![12.5, f64::NAN],
                costs: vec![f64::NAN, f64::NAN],
                query_types: vec!["chat".into(), String::new()],
                hallucinations: vec![None, Some(true)],
                satisfactions: vec![None, None],
                optimal_arms: vec![None, Some(Arm(1))],
            },
        }
    }

    #[test]
    fn a_table_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("features.parquet");
        table().write(&place).unwrap();
        let read = FeatureTable::read(&place).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", table()));
    }

    #[test]
    fn a_row_without_candidates_allows_every_path() {
        let outcomes = table().outcomes;
        assert!(outcomes.allows(0, Arm(0)) && !outcomes.allows(0, Arm(1)));
        assert!(outcomes.allows(1, Arm(0)) && outcomes.allows(1, Arm(1)));
    }

    #[test]
    fn a_row_whose_outcome_is_pending_is_on_no_side() {
        assert_eq!(table().training_rows().as_slice(), [0]);
        assert!(table().held_out_rows().as_slice().is_empty());
    }

    #[test]
    fn a_file_that_is_no_feature_table_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("features.parquet");
        std::fs::write(&place, "nonsense").unwrap();
        assert!(FeatureTable::read(&place).is_err());
    }
}
