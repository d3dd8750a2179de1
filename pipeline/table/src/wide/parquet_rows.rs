//! Rows of a Parquet table; columns of nested types are left out.

use std::fs::File;
use std::io;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{Cell, Row, Rows};
use crate::parquet_file::next_batch;

/// A table that is being read.
pub(super) struct ParquetRows {
    header: Vec<String>,
    /// The positions of the columns that are read.
    positions: Vec<usize>,
    batches: ParquetRecordBatchReader,
    batch: Vec<ArrayRef>,
    /// The next row of the batch.
    at: usize,
    /// Rows before it, over all batches.
    n_rows: u64,
}

impl ParquetRows {
    /// Reads the footer.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn new(file: File) -> Result<Self, String> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
        let schema = builder.schema();
        let positions: Vec<usize> =
            (0..schema.fields().len()).filter(|position| kind_of(schema.field(*position).data_type()).is_some()).collect();
        let header = positions.iter().map(|position| schema.field(*position).name().clone()).collect();
        let batches = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { header, positions, batches, batch: Vec::new(), at: 0, n_rows: 0 })
    }

    /// Makes the columns of a batch plain.
    fn take(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let plain = |position: &usize| {
            let array = batch.column(*position);
            match kind_of(array.data_type()) {
                Some(kind) => cast(array, &kind).map_err(io::Error::other),
                None => Ok(ArrayRef::clone(array)),
            }
        };
        self.batch = self.positions.iter().map(plain).collect::<io::Result<_>>()?;
        self.at = 0;
        Ok(())
    }
}

impl Rows for ParquetRows {
    fn header(&self) -> &[String] {
        &self.header
    }

    fn next_row(&mut self) -> io::Result<Option<Row>> {
        while self.batch.first().is_none_or(|column| self.at >= column.len()) {
            let Some(batch) = next_batch(&mut self.batches) else { return Ok(None) };
            self.take(&batch.map_err(io::Error::other)?)?;
            if self.positions.is_empty() {
                return Ok(None);
            }
        }
        let cells = self.batch.iter().map(|column| cell(column, self.at)).collect();
        self.at += 1;
        self.n_rows += 1;
        Ok(Some(Row { line: self.n_rows, cells: Ok(cells) }))
    }
}

/// The plain type that a column is read as.
fn kind_of(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8),
        DataType::Dictionary(_, values) => kind_of(values),
        DataType::Boolean => Some(DataType::Boolean),
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        other if other.is_numeric() => Some(DataType::Float64),
        _ => None,
    }
}

fn cell(column: &ArrayRef, at: usize) -> Cell {
    if column.is_null(at) {
        return Cell::Empty;
    }
    let any = column.as_any();
    if let Some(texts) = any.downcast_ref::<StringArray>() {
        let text = texts.value(at);
        return if text.is_empty() { Cell::Empty } else { Cell::Text(text.to_owned()) };
    }
    if let Some(numbers) = any.downcast_ref::<Float64Array>() {
        return Cell::Number(numbers.value(at));
    }
    if let Some(flags) = any.downcast_ref::<BooleanArray>() {
        return Cell::Flag(flags.value(at));
    }
    match any.downcast_ref::<TimestampMicrosecondArray>() {
        Some(times) => jiff::Timestamp::from_microsecond(times.value(at)).map_or(Cell::Empty, |instant| Cell::Text(instant.to_string())),
        None => Cell::Empty,
    }
}
