//! Rows to Parquet and back, by the lists of columns.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rayon::prelude::*;
use routewright_domain::{Decision, Scalar, Timestamp};

use crate::columns::{Access, Column, DECISION_COLUMNS, Known};
use crate::error::TableError;
use crate::extras::{ExtraKind, as_text};
use crate::storage::Storage;

/// Version of the tables; rises with any change that an old reader would misread. Frozen samples: `tests/golden/store`.
///
/// 1: digests of whole files as sources, the columns of all days in every day, layers in one file. 2: fingerprints of files as sources, the
/// columns of a day only, layers by day.
pub const SCHEMA_VERSION: u32 = 2;

/// Key of the schema version in a file's footer.
pub(crate) const VERSION_KEY: &str = "routewright.schema_version";
/// Key of the program's version.
pub(crate) const PRODUCT_KEY: &str = "routewright.product_version";
/// Key of the fingerprints of the files that rows came from, a JSON list.
pub(crate) const SOURCES_KEY: &str = "routewright.sources";
/// Key of the paths that occur, a JSON list.
pub(crate) const PATHS_KEY: &str = "routewright.paths";

/// Rows of a row group: large enough to compress, small enough for memory to stay bounded.
const ROW_GROUP: usize = 32 << 10;

/// Rows that are read or encoded at once.
pub(crate) const BATCH_ROWS: usize = 8 << 10;

/// A further scalar's column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtraColumn {
    /// Its dotted key, which is its name.
    pub(crate) key: String,
    /// Its type.
    pub(crate) kind: ExtraKind,
}

/// Columns of ids that programs draw: their smallest and largest tell nothing.
const DRAWN: &[&str] = &["trace_id", "query_id", "task_id"];

/// A Parquet file that is being written.
pub(crate) struct TableWriter {
    path: PathBuf,
    schema: SchemaRef,
    is_parallel: bool,
    /// None before the first rows are there.
    writer: Option<GroupWriter>,
}

impl TableWriter {
    /// Creates a file with these columns, once there are rows to write.
    pub(crate) fn create(path: &Path, fields: Vec<Field>) -> Result<Self, TableError> {
        Ok(Self { path: path.to_owned(), schema: Arc::new(Schema::new(fields)), is_parallel: false, writer: None })
    }

    /// Encodes columns side by side, for threads that have nothing better to do: each column's memory wanders from one to another then.
    pub(crate) fn in_parallel(self, is_parallel: bool) -> Self {
        Self { is_parallel, ..self }
    }

    /// Writes rows, as one array per column. The first ones decide how the columns are stored.
    pub(crate) fn write(&mut self, arrays: Vec<ArrayRef>) -> Result<(), TableError> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|error| TableError::columns(&self.path, error))?;
        let written = self.writer(Some(&batch))?.write(&batch);
        written.map_err(|error| TableError::parquet(&self.path, error))
    }

    fn writer(&mut self, first: Option<&RecordBatch>) -> Result<&mut GroupWriter, TableError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.open(first)?,
        };
        Ok(self.writer.insert(writer))
    }

    fn open(&self, first: Option<&RecordBatch>) -> Result<GroupWriter, TableError> {
        let file = File::create(&self.path).map_err(|error| TableError::write(&self.path, error))?;
        let storage = |position| first.map(|first| Storage::of(first.column(position)));
        let properties = properties(&self.schema, storage).map_err(|error| TableError::parquet(&self.path, error))?;
        let writer = ArrowWriter::try_new(file, Arc::clone(&self.schema), Some(properties));
        let (writer, encoders) =
            writer.and_then(ArrowWriter::into_serialized_writer).map_err(|error| TableError::parquet(&self.path, error))?;
        Ok(GroupWriter { writer, encoders, is_parallel: self.is_parallel, columns: Vec::new(), n_rows: 0, n_groups: 0 })
    }

    /// Writes the footer with key-value metadata.
    pub(crate) fn finish(mut self, metadata: &[(&str, String)]) -> Result<(), TableError> {
        let path = self.path.clone();
        self.writer(None)?.finish(metadata).map_err(|error| TableError::parquet(&path, error))
    }
}

/// Row groups that are being written.
struct GroupWriter {
    writer: SerializedFileWriter<File>,
    encoders: ArrowRowGroupWriterFactory,
    is_parallel: bool,
    /// The columns of the group at hand, and its rows so far.
    columns: Vec<ArrowColumnWriter>,
    n_rows: usize,
    n_groups: usize,
}

impl GroupWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let mut start = 0;
        while start < batch.num_rows() {
            if self.columns.is_empty() {
                self.columns = self.encoders.create_column_writers(self.n_groups)?;
            }
            let part = batch.slice(start, (batch.num_rows() - start).min(ROW_GROUP - self.n_rows));
            encode(&part, &mut self.columns, self.is_parallel)?;
            self.n_rows += part.num_rows();
            start += part.num_rows();
            if self.n_rows == ROW_GROUP {
                self.end_group()?;
            }
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        let columns = std::mem::take(&mut self.columns);
        if columns.is_empty() {
            return Ok(());
        }
        append_group(&mut self.writer, columns, self.is_parallel)?;
        self.n_groups += 1;
        self.n_rows = 0;
        Ok(())
    }

    fn finish(&mut self, metadata: &[(&str, String)]) -> Result<(), ParquetError> {
        self.end_group()?;
        for (key, value) in metadata {
            self.writer.append_key_value_metadata(KeyValue::new((*key).to_owned(), value.clone()));
        }
        self.writer.finish().map(drop)
    }
}

/// Encodes rows, column by column; each has one writer, because none holds columns of its own.
pub(crate) fn encode(rows: &RecordBatch, writers: &mut [ArrowColumnWriter], is_parallel: bool) -> Result<(), ParquetError> {
    let (schema, columns) = (rows.schema_ref(), rows.columns());
    let encode = |(writer, (field, column)): (&mut ArrowColumnWriter, (&Arc<Field>, &ArrayRef))| {
        compute_leaves(field, column)?.iter().try_for_each(|leaf| writer.write(leaf))
    };
    match is_parallel {
        true => writers.par_iter_mut().zip(schema.fields().par_iter().zip(columns)).try_for_each(encode),
        false => writers.iter_mut().zip(schema.fields().iter().zip(columns)).try_for_each(encode),
    }
}

/// Writes the columns of a row group.
pub(crate) fn append_group(
    writer: &mut SerializedFileWriter<File>,
    columns: Vec<ArrowColumnWriter>,
    is_parallel: bool,
) -> Result<(), ParquetError> {
    let chunks: Vec<ArrowColumnChunk> = match is_parallel {
        true => columns.into_par_iter().map(ArrowColumnWriter::close).collect::<Result<_, _>>()?,
        false => columns.into_iter().map(ArrowColumnWriter::close).collect::<Result<_, _>>()?,
    };
    let mut group = writer.next_row_group()?;
    chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut group))?;
    group.close().map(drop)
}

/// How tables are written. `storage`: of the column at a position, where it is known.
pub(crate) fn properties(schema: &Schema, storage: impl Fn(usize) -> Option<Storage>) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_write_batch_size(BATCH_ROWS)
        .set_created_by("routewright".to_owned());
    for name in DRAWN {
        properties = properties.set_column_statistics_enabled(ColumnPath::from(*name), EnabledStatistics::None);
    }
    for (position, field) in schema.fields().iter().enumerate() {
        if let Some(storage) = storage(position) {
            properties = storage.set(properties, field)?;
        }
    }
    Ok(properties.build())
}

/// Arrow type of a canonical column.
fn data_type<T>(access: &Access<T>) -> DataType {
    match access {
        Access::Time(..) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Access::Text(..) => DataType::Utf8,
        Access::Texts(..) => text_list(),
        Access::Number(..) => DataType::Float64,
        Access::Integer(..) => DataType::Int64,
        Access::Flag(..) => DataType::Boolean,
    }
}

fn text_list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

/// Arrow type of a further scalar's column.
fn extra_type(kind: ExtraKind) -> DataType {
    match kind {
        ExtraKind::Bool => DataType::Boolean,
        ExtraKind::Number => DataType::Float64,
        ExtraKind::Text => DataType::Utf8,
        ExtraKind::List => text_list(),
    }
}

/// Arrow fields of canonical columns.
pub(crate) fn fields<T>(columns: &[Column<T>]) -> Vec<Field> {
    columns.iter().map(|column| Field::new(column.name, data_type(&column.access), column.known != Known::Always)).collect()
}

/// Arrow fields of further scalars.
pub(crate) fn extra_fields<'e>(extras: impl Iterator<Item = &'e ExtraColumn>) -> impl Iterator<Item = Field> {
    extras.map(|extra| Field::new(extra.key.as_str(), extra_type(extra.kind), true))
}

/// A Parquet file that is being read.
pub(crate) struct TableReader {
    path: PathBuf,
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl TableReader {
    /// Opens a file and checks that this program can read its version.
    pub(crate) fn open(path: &Path) -> Result<Self, TableError> {
        let file = File::open(path).map_err(|error| TableError::read(path, error))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| TableError::parquet(path, error))?;
        check_version(path, builder.metadata())?;
        Ok(Self::of(path, builder))
    }

    /// Reads a file that was opened and checked.
    pub(crate) fn of(path: &Path, builder: ParquetRecordBatchReaderBuilder<File>) -> Self {
        Self { path: path.to_owned(), builder }
    }

    /// Number of rows.
    pub(crate) fn n_rows(&self) -> u64 {
        u64::try_from(self.builder.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// A value of the footer's key-value metadata.
    pub(crate) fn metadata(&self, key: &str) -> Option<String> {
        value_of(self.builder.metadata(), key)
    }

    /// The columns of the file.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(self.builder.schema())
    }

    /// Reads only the columns at these positions of [`Self::schema`]; names would not do, a dot in one counts as nesting.
    pub(crate) fn with_columns(self, positions: impl IntoIterator<Item = usize>) -> Self {
        let mask = ProjectionMask::roots(self.builder.parquet_schema(), positions);
        Self { path: self.path, builder: self.builder.with_projection(mask) }
    }

    /// Row groups that may hold rows from a moment on, by the largest value of a column of times; every group without that statistic.
    pub(crate) fn row_groups_from(&self, column: &str, from: Timestamp) -> Vec<usize> {
        let groups = self.builder.metadata().row_groups();
        let Some(position) = self.builder.schema().index_of(column).ok() else { return (0..groups.len()).collect() };
        let is_late = |group: &RowGroupMetaData| match group.columns().get(position).and_then(|column| column.statistics()) {
            Some(Statistics::Int64(values)) => values.max_opt().is_none_or(|max| *max >= from.0),
            _ => true,
        };
        (0..groups.len()).filter(|group| is_late(&groups[*group])).collect()
    }

    /// Reads only these row groups.
    pub(crate) fn with_row_groups(self, groups: Vec<usize>) -> Self {
        Self { path: self.path, builder: self.builder.with_row_groups(groups) }
    }

    /// The columns that are no canonical ones.
    pub(crate) fn extras(&self) -> Vec<ExtraColumn> {
        extras_of(self.builder.schema())
    }

    /// Reads all rows in batches.
    pub(crate) fn batches(self) -> Result<Batches, TableError> {
        let path = self.path;
        let reader = self.builder.with_batch_size(BATCH_ROWS).build().map_err(|error| TableError::parquet(&path, error))?;
        Ok(Batches { path, reader })
    }
}

/// Checks that this program can read a file's version.
pub(crate) fn check_version(path: &Path, metadata: &ParquetMetaData) -> Result<(), TableError> {
    let found = value_of(metadata, VERSION_KEY).and_then(|version| version.parse().ok()).unwrap_or(SCHEMA_VERSION);
    match found <= SCHEMA_VERSION {
        true => Ok(()),
        false => Err(TableError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION }),
    }
}

fn value_of(metadata: &ParquetMetaData, key: &str) -> Option<String> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.clone()
}

/// Batches of rows of one file.
pub(crate) struct Batches {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(next_batch(&mut self.reader)?.map_err(|error| TableError::columns(&self.path, error)))
    }
}

/// The next batch of rows. Of damaged pages the decoder panics on some, which becomes an error here; nothing can be read after one.
pub(crate) fn next_batch(reader: &mut ParquetRecordBatchReader) -> Option<Result<RecordBatch, ArrowError>> {
    let damaged = |_| Some(Err(ArrowError::ParquetError("a page is damaged: its values cannot be decoded".to_owned())));
    catch_unwind(AssertUnwindSafe(|| reader.next())).unwrap_or_else(damaged)
}

fn extras_of(schema: &Schema) -> Vec<ExtraColumn> {
    let canonical = |name: &str| DECISION_COLUMNS.iter().any(|column| column.name == name);
    schema
        .fields()
        .iter()
        .filter(|field| !canonical(field.name()))
        .filter_map(|field| {
            let kind = match field.data_type() {
                DataType::Boolean => ExtraKind::Bool,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ExtraKind::Text,
                DataType::List(_) | DataType::LargeList(_) => ExtraKind::List,
                other if other.is_numeric() => ExtraKind::Number,
                _ => return None,
            };
            Some(ExtraColumn { key: field.name().clone(), kind })
        })
        .collect()
}

/// Sets the canonical columns of rows. A column that the file has not leaves them as they are; a column of another type is cast.
pub(crate) fn take_columns<T>(columns: &[Column<T>], batch: &RecordBatch, rows: &mut [T], path: &Path) -> Result<(), TableError> {
    for column in columns {
        let Some(array) = batch.column_by_name(column.name) else {
            if column.known == Known::Always && column.name != "query_id" {
                return Err(TableError::MissingColumn { path: path.to_owned(), column: column.name.to_owned() });
            }
            continue;
        };
        let array = cast_to(array, &data_type(&column.access), path)?;
        match &column.access {
            Access::Time(set) => take(&array, rows, |array: &TimestampMicrosecondArray, at, row| set(row, Timestamp(array.value(at)))),
            Access::Text(set) => take(&array, rows, |array: &StringArray, at, row| set(row, array.value(at).to_owned())),
            Access::Texts(set) => take(&array, rows, |array: &ListArray, at, row| set(row, texts_of(&array.value(at)))),
            Access::Number(set) => take(&array, rows, |array: &Float64Array, at, row| set(row, array.value(at))),
            Access::Integer(set) => take(&array, rows, |array: &Int64Array, at, row| set(row, array.value(at))),
            Access::Flag(set) => take(&array, rows, |array: &BooleanArray, at, row| set(row, array.value(at))),
        }
    }
    Ok(())
}

/// Adds the further scalars of rows; `kinds`: of the columns in all files, where a column that is text in another file becomes text.
pub(crate) fn take_extras(
    batch: &RecordBatch,
    kinds: &BTreeMap<String, ExtraKind>,
    rows: &mut [Decision],
    path: &Path,
) -> Result<(), TableError> {
    for extra in extras_of(batch.schema_ref()) {
        let Some(array) = batch.column_by_name(&extra.key) else { continue };
        let array = cast_to(array, &extra_type(extra.kind), path)?;
        let becomes_text = kinds.get(&extra.key) == Some(&ExtraKind::Text);
        let put = |row: &mut Decision, value| {
            let value = if becomes_text { Scalar::Text(as_text(value)) } else { value };
            row.extras.insert(extra.key.clone(), value);
        };
        match extra.kind {
            ExtraKind::Bool => take(&array, rows, |array: &BooleanArray, at, row| put(row, Scalar::Bool(array.value(at)))),
            ExtraKind::Number => take(&array, rows, |array: &Float64Array, at, row| put(row, Scalar::Number(array.value(at)))),
            ExtraKind::Text => take(&array, rows, |array: &StringArray, at, row| put(row, Scalar::Text(array.value(at).to_owned()))),
            ExtraKind::List => take(&array, rows, |array: &ListArray, at, row| put(row, Scalar::List(texts_of(&array.value(at))))),
        }
    }
    Ok(())
}

fn cast_to(array: &ArrayRef, wanted: &DataType, path: &Path) -> Result<ArrayRef, TableError> {
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    cast(array, wanted).map_err(|error| TableError::columns(path, error))
}

/// Calls back for every row that has a value.
fn take<A: 'static, T>(array: &ArrayRef, rows: &mut [T], mut set: impl FnMut(&A, usize, &mut T)) {
    let Some(values) = array.as_any().downcast_ref::<A>() else { return };
    rows.iter_mut().enumerate().take(array.len()).filter(|(at, _)| array.is_valid(*at)).for_each(|(at, row)| set(values, at, row));
}

fn texts_of(array: &ArrayRef) -> Vec<String> {
    let Some(texts) = array.as_any().downcast_ref::<StringArray>() else { return Vec::new() };
    texts.iter().flatten().map(str::to_owned).collect()
}

/// Metadata that every table carries.
pub(crate) fn provenance(product_version: &str, sources: &[&str]) -> Vec<(&'static str, String)> {
    let sources = serde_json::to_string(sources).unwrap_or_default();
    vec![(VERSION_KEY, SCHEMA_VERSION.to_string()), (PRODUCT_KEY, product_version.to_owned()), (SOURCES_KEY, sources)]
}

/// Merges further scalars of several files: by key; where files disagree about the type, text.
pub(crate) fn merge_extras(all: &mut BTreeMap<String, ExtraKind>, extras: Vec<ExtraColumn>) {
    for extra in extras {
        let kind = all.entry(extra.key).or_insert(extra.kind);
        if *kind != extra.kind {
            *kind = ExtraKind::Text;
        }
    }
}
