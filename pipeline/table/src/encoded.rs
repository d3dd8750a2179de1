//! Columns of a Parquet file that go into another one as they are encoded, beside columns that are encoded anew.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::compute_leaves;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, PageIndexPolicy, ParquetMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use crate::error::TableError;
use crate::parquet_file::{BATCH_ROWS, TableReader, check_version, properties};
use crate::storage::Storage;

/// A Parquet file whose columns can be taken over.
pub(crate) struct EncodedFile {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
}

/// Where a column of a new file comes from.
pub(crate) enum Origin {
    /// The column at a position of the other file, as it is encoded.
    Taken(usize),
    /// The values of all rows.
    Values(ArrayRef),
}

impl EncodedFile {
    /// Opens a file and checks that this program can read its version.
    pub(crate) fn open(path: &Path) -> Result<Self, TableError> {
        let file = File::open(path).map_err(|error| TableError::read(path, error))?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional).with_encoding_stats_as_mask(false);
        let metadata = ArrowReaderMetadata::load(&file, options).map_err(|error| TableError::parquet(path, error))?;
        check_version(path, metadata.metadata())?;
        Ok(Self { path: path.to_owned(), file, metadata })
    }

    /// Its place.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the values.
    pub(crate) fn reader(&self) -> Result<TableReader, TableError> {
        let file = self.file.try_clone().map_err(|error| TableError::read(&self.path, error))?;
        Ok(TableReader::of(&self.path, ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())))
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// Number of rows.
    pub(crate) fn n_rows(&self) -> usize {
        usize::try_from(self.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Position of a column that is no list.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.metadata().file_metadata().schema_descr().columns().iter().position(|column| column.path().parts() == [name])
    }

    fn chunks(&self, position: usize) -> impl Iterator<Item = Option<&ColumnChunkMetaData>> {
        self.metadata().row_groups().iter().map(move |group| group.columns().get(position))
    }

    /// Nulls of a column; nothing where the file does not say.
    pub(crate) fn n_nulls(&self, position: usize) -> Option<u64> {
        self.chunks(position).map(|chunk| chunk?.statistics()?.null_count_opt()).sum()
    }

    /// Whether the file says that a column has no value but empty texts.
    pub(crate) fn has_empty_texts_only(&self, position: usize) -> bool {
        let is_empty = |chunk: Option<&ColumnChunkMetaData>| Some(chunk?.statistics()?.max_bytes_opt()?.is_empty());
        self.chunks(position).all(|chunk| is_empty(chunk) == Some(true))
    }

    /// Whether a column is what [`Self::write_with`] would write of its values as a field. Which values are null is encoded by batch, and
    /// not the same in one of all rows as in several.
    pub(crate) fn is_written_as(&self, position: usize, field: &Field) -> bool {
        let schema = self.metadata.schema();
        let Some((_, own)) = self.column_name(position).and_then(|name| schema.column_with_name(name)) else { return false };
        let n_rows = self.n_rows();
        let has_same_nulls = !field.is_nullable() || n_rows <= BATCH_ROWS;
        let has_no_filter = |chunk: Option<&ColumnChunkMetaData>| chunk.is_some_and(|chunk| chunk.bloom_filter_offset().is_none());
        let is_same_field = own.data_type() == field.data_type() && own.is_nullable() == field.is_nullable();
        is_same_field && has_same_nulls && self.chunks(position).all(has_no_filter)
    }

    fn column_name(&self, position: usize) -> Option<&str> {
        let columns = self.metadata().file_metadata().schema_descr().columns();
        columns.get(position).map(|column| column.name())
    }

    /// Writes a file with as many rows in the same groups; its footer gets key-value metadata.
    pub(crate) fn write_with(
        &self,
        fields: Vec<Field>,
        columns: &[Origin],
        metadata: &[(&str, String)],
        path: &Path,
    ) -> Result<(), TableError> {
        let file = File::create(path).map_err(|error| TableError::write(path, error))?;
        let schema = Arc::new(Schema::new(fields));
        let storage = |position: usize| match columns.get(position) {
            Some(Origin::Values(values)) => Some(Storage::of(values)),
            _ => None,
        };
        let failed = |error: ParquetError| TableError::parquet(path, error);
        let properties = properties(&schema, storage).map_err(failed)?;
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(failed)?;
        let (mut writer, encoders) = writer.into_serialized_writer().map_err(failed)?;
        let described = writer.schema_descr().columns().to_vec();
        let mut start = 0;
        for (number, rows) in self.metadata().row_groups().iter().enumerate() {
            let n_rows = usize::try_from(rows.num_rows()).unwrap_or(0);
            let encoders = encoders.create_column_writers(number).map_err(failed)?;
            let mut group = writer.next_row_group().map_err(failed)?;
            for (((field, described), column), mut encoder) in schema.fields().iter().zip(&described).zip(columns).zip(encoders) {
                match column {
                    Origin::Taken(position) => {
                        let (bytes, closed) = self.chunk(number, *position, described).map_err(failed)?;
                        group.append_column(&bytes, closed).map_err(failed)?;
                    }
                    Origin::Values(values) => {
                        for leaf in compute_leaves(field, &values.slice(start, n_rows)).map_err(failed)? {
                            encoder.write(&leaf).map_err(failed)?;
                        }
                        encoder.close().and_then(|chunk| chunk.append_to_row_group(&mut group)).map_err(failed)?;
                    }
                }
            }
            group.close().map_err(failed)?;
            start += n_rows;
        }
        for (key, value) in metadata {
            writer.append_key_value_metadata(KeyValue::new((*key).to_owned(), value.clone()));
        }
        writer.finish().map_err(failed)?;
        Ok(())
    }

    /// A column's bytes in a row group, and what is known of them, as of a column of another name.
    fn chunk(
        &self,
        group: usize,
        position: usize,
        described: &ColumnDescPtr,
    ) -> Result<(impl ChunkReader + use<>, ColumnCloseResult), ParquetError> {
        let rows = self.metadata().row_group(group);
        let chunk = rows.column(position);
        let (start, length) = chunk.byte_range();
        let bytes = self.file.get_bytes(start, usize::try_from(length).unwrap_or(usize::MAX))?;
        let from_start = |offset: i64| offset - start as i64;
        let mut metadata = ColumnChunkMetaData::builder(Arc::clone(described))
            .set_compression_codec(chunk.compression_codec())
            .set_encodings_mask(*chunk.encodings_mask())
            .set_total_compressed_size(chunk.compressed_size())
            .set_total_uncompressed_size(chunk.uncompressed_size())
            .set_num_values(chunk.num_values())
            .set_data_page_offset(from_start(chunk.data_page_offset()))
            .set_dictionary_page_offset(chunk.dictionary_page_offset().map(from_start))
            .set_unencoded_byte_array_data_bytes(chunk.unencoded_byte_array_data_bytes())
            .set_repetition_level_histogram(chunk.repetition_level_histogram().cloned())
            .set_definition_level_histogram(chunk.definition_level_histogram().cloned());
        if let Some(statistics) = chunk.statistics() {
            metadata = metadata.set_statistics(for_old_readers(statistics.clone(), described.sort_order().is_signed()));
        }
        if let Some(encodings) = chunk.page_encoding_stats() {
            metadata = metadata.set_page_encoding_stats(encodings.clone());
        }
        let index = self.metadata().page_index_for_row_group(group);
        let mut offset_index = index.offset_index(position).cloned();
        for location in offset_index.iter_mut().flat_map(|index| &mut index.page_locations) {
            location.offset = from_start(location.offset);
        }
        let closed = ColumnCloseResult {
            bytes_written: length,
            rows_written: u64::try_from(rows.num_rows()).unwrap_or(0),
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: index.column_index(position).cloned(),
            offset_index,
        };
        Ok((bytes, closed))
    }
}

/// Statistics with the ends written once more for old readers, as they are wherever those order values in the same way: what was read of a
/// file has them once.
fn for_old_readers(statistics: Statistics, is_signed: bool) -> Statistics {
    match statistics {
        Statistics::Boolean(ends) => Statistics::Boolean(ends.with_backwards_compatible_min_max(is_signed)),
        Statistics::Int64(ends) => Statistics::Int64(ends.with_backwards_compatible_min_max(is_signed)),
        Statistics::Double(ends) => Statistics::Double(ends.with_backwards_compatible_min_max(is_signed)),
        other => other,
    }
}
