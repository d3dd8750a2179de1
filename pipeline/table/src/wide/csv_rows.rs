//! Rows of a CSV or TSV table with a header.

use std::io::{self, Read};

use csv::{ByteRecord, ReaderBuilder};

use super::{Cell, Row, Rows};
use crate::reason::Reason;

/// A table that is being read.
pub(super) struct CsvRows {
    reader: csv::Reader<Box<dyn Read + Send>>,
    header: Vec<String>,
    /// An error that the header ended with.
    failure: Option<io::Error>,
    record: ByteRecord,
}

/// Byte order mark, which spreadsheets write before the first name.
const MARK: char = '\u{feff}';

impl CsvRows {
    /// Reads the header.
    pub(super) fn new(text: Box<dyn Read + Send>, separator: u8) -> Self {
        let mut reader = ReaderBuilder::new().delimiter(separator).flexible(true).has_headers(true).from_reader(text);
        let (header, failure) = match reader.byte_headers() {
            Ok(names) => {
                (names.iter().map(|name| String::from_utf8_lossy(name).trim().trim_start_matches(MARK).to_owned()).collect(), None)
            }
            Err(error) => (Vec::new(), Some(io::Error::other(error.to_string()))),
        };
        Self { reader, header, failure, record: ByteRecord::new() }
    }
}

impl Rows for CsvRows {
    fn header(&self) -> &[String] {
        &self.header
    }

    fn next_row(&mut self) -> io::Result<Option<Row>> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        if !self.reader.read_byte_record(&mut self.record).map_err(io::Error::other)? {
            return Ok(None);
        }
        let line = self.record.position().map_or(1, csv::Position::line);
        let raw = || self.record.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(", ");
        if self.record.len() != self.header.len() {
            let message = format!("{} values under a header of {}: {}", self.record.len(), self.header.len(), raw());
            return Ok(Some(Row { line, cells: Err((Reason::RaggedRow, message)) }));
        }
        let texts: Result<Vec<&str>, _> = self.record.iter().map(std::str::from_utf8).collect();
        let cells = match texts {
            Ok(texts) => Ok(texts.into_iter().map(cell).collect()),
            Err(_) => Err((Reason::InvalidUtf8, format!("a value is no UTF-8: {}", raw()))),
        };
        Ok(Some(Row { line, cells }))
    }
}

/// A value by its looks.
fn cell(text: &str) -> Cell {
    match text.trim() {
        "" => Cell::Empty,
        "true" | "True" | "TRUE" => Cell::Flag(true),
        "false" | "False" | "FALSE" => Cell::Flag(false),
        trimmed => match trimmed.parse::<f64>() {
            Ok(number) => Cell::Number(number),
            Err(_) => Cell::Text(text.to_owned()),
        },
    }
}
