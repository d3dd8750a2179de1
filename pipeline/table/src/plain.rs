//! Columns of any Parquet or CSV file, whoever wrote it: for commands that work on tables that are not ours.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, StringArray};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field};

use crate::error::TableError;
use crate::parquet_file::TableReader;

/// A table of any origin, column by column. Rows are counted from 1 in errors; the header of a CSV file is none.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainTable {
    path: PathBuf,
    names: Vec<String>,
    columns: BTreeMap<String, PlainColumn>,
    n_rows: usize,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum PlainColumn {
    /// Numbers, NaN where there is none; flags are 0 and 1.
    Numbers(Vec<f64>),
    /// Texts, empty where there is none.
    Texts(Vec<String>),
}

/// A column of a file: its name and its type in the words of the file's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainField {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
}

impl PlainTable {
    /// Reads the columns that are wanted, in the order of the file. Files that end in `.csv` or `.tsv` are CSV with a header, all others Parquet.
    ///
    /// Columns of lists and other nested types are left out. A CSV column is one of numbers when every value that is not blank is a number.
    ///
    /// # Errors
    /// [`TableError`] for a file that cannot be read or whose rows are not equally long.
    pub fn read(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Self, TableError> {
        match separator(path) {
            Some(separator) => read_csv(path, separator, wanted),
            None => read_parquet(path, wanted),
        }
    }

    /// The names of the columns that were read, in the order of the file.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// A column.
    ///
    /// # Errors
    /// [`TableError::MissingColumn`].
    pub fn column(&self, name: &str) -> Result<&PlainColumn, TableError> {
        self.columns.get(name).ok_or_else(|| TableError::MissingColumn { path: self.path.clone(), column: name.to_owned() })
    }

    /// A column whose every value is a finite number.
    ///
    /// # Errors
    /// [`TableError::MissingColumn`], and [`TableError::Value`] for the first value that is none.
    pub fn numbers(&self, name: &str) -> Result<&[f64], TableError> {
        match self.column(name)? {
            PlainColumn::Numbers(numbers) => match numbers.iter().position(|number| !number.is_finite()) {
                Some(row) => {
                    let found = if numbers[row].is_nan() { "nothing".to_owned() } else { numbers[row].to_string() };
                    Err(self.value_error(name, row, "a finite number", found))
                }
                None => Ok(numbers),
            },
            PlainColumn::Texts(texts) => {
                let row = texts.iter().position(|text| number(text).is_none()).unwrap_or(0);
                let found = texts.get(row).map_or("no rows", String::as_str);
                Err(self.value_error(name, row, "a finite number", shown(found)))
            }
        }
    }

    /// A column as texts, numbers as they are written.
    ///
    /// # Errors
    /// [`TableError::MissingColumn`], and [`TableError::Value`] for the first row without a value.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, TableError> {
        let texts: Vec<String> = match self.column(name)? {
            PlainColumn::Numbers(numbers) => {
                numbers.iter().map(|number| if number.is_nan() { String::new() } else { number.to_string() }).collect()
            }
            PlainColumn::Texts(texts) => texts.clone(),
        };
        match texts.iter().position(String::is_empty) {
            Some(row) => Err(self.value_error(name, row, "a value", "nothing".to_owned())),
            None => Ok(texts),
        }
    }

    /// The error about one value. `row`: from 0.
    pub fn value_error(&self, column: &str, row: usize, expected: &'static str, found: String) -> TableError {
        TableError::Value { path: self.path.clone(), column: column.to_owned(), row: row + 1, expected, found }
    }
}

/// The columns of a Parquet or CSV file with their types.
///
/// # Errors
/// [`TableError`] for a file that cannot be read.
pub fn plain_fields(path: &Path) -> Result<Vec<PlainField>, TableError> {
    let kind_of = |field: &Field| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        other => other.to_string().to_lowercase(),
    };
    if separator(path).is_none() {
        let fields = TableReader::open(path)?.schema();
        return Ok(fields.fields().iter().map(|field| PlainField { name: field.name().clone(), kind: kind_of(field) }).collect());
    }
    let table = PlainTable::read(path, |_| true)?;
    let kind = |name: &String| if let Some(PlainColumn::Numbers(_)) = table.columns.get(name) { "number" } else { "text" };
    Ok(table.names.iter().map(|name| PlainField { name: name.clone(), kind: kind(name).to_owned() }).collect())
}

/// Writes a CSV file with a header.
///
/// # Errors
/// [`TableError::Csv`] when the file cannot be written or a row is not as long as the header.
pub fn write_csv(path: &Path, header: &[String], rows: impl Iterator<Item = Vec<String>>) -> Result<(), TableError> {
    let failed = |source| TableError::csv(path, source);
    let file = File::create(path).map_err(|error| TableError::write(path, error))?;
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record(header).map_err(failed)?;
    for row in rows {
        writer.write_record(&row).map_err(failed)?;
    }
    writer.flush().map_err(|error| TableError::write(path, error))
}

/// What separates the values of a text file; `None` for every other file.
fn separator(path: &Path) -> Option<u8> {
    let extension = path.extension()?.to_string_lossy().to_lowercase();
    match extension.as_str() {
        "csv" => Some(b','),
        "tsv" => Some(b'\t'),
        _ => None,
    }
}

fn read_csv(path: &Path, separator: u8, wanted: impl Fn(&str) -> bool) -> Result<PlainTable, TableError> {
    let failed = |source| TableError::csv(path, source);
    let file = File::open(path).map_err(|error| TableError::read(path, error))?;
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).trim(csv::Trim::All).from_reader(file);
    let header = reader.headers().map_err(failed)?.clone();
    let kept: Vec<usize> = (0..header.len()).filter(|&position| wanted(&header[position])).collect();
    check_distinct(path, kept.iter().map(|&position| &header[position]))?;
    let mut texts = vec![Vec::new(); kept.len()];
    let mut n_rows = 0;
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(failed)? {
        for (column, &position) in texts.iter_mut().zip(&kept) {
            column.push(record[position].to_owned());
        }
        n_rows += 1;
    }
    let names: Vec<String> = kept.iter().map(|&position| header[position].to_owned()).collect();
    let columns = names.iter().cloned().zip(texts.into_iter().map(typed)).collect();
    Ok(PlainTable { path: path.to_owned(), names, columns, n_rows })
}

/// Texts as numbers where they all are, blanks as NaN.
fn typed(texts: Vec<String>) -> PlainColumn {
    let numbers: Option<Vec<f64>> = texts.iter().map(|text| if text.is_empty() { Some(f64::NAN) } else { number(text) }).collect();
    numbers.map_or(PlainColumn::Texts(texts), PlainColumn::Numbers)
}

/// A text as a number, or as a flag.
fn number(text: &str) -> Option<f64> {
    match text {
        "true" | "True" | "TRUE" => Some(1.0),
        "false" | "False" | "FALSE" => Some(0.0),
        other => other.parse().ok(),
    }
}

/// A text short enough for a message.
fn shown(text: &str) -> String {
    /// Longest text that is shown in full, in characters.
    const LONGEST: usize = 40;
    if text.is_empty() {
        return "nothing".to_owned();
    }
    let short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() { format!("`{short}…`") } else { format!("`{short}`") }
}

fn read_parquet(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<PlainTable, TableError> {
    let reader = TableReader::open(path)?;
    let schema = reader.schema();
    let is_kept = |field: &Field| wanted(field.name()) && is_plain(field.data_type());
    let positions: Vec<usize> = (0..schema.fields().len()).filter(|&position| is_kept(schema.field(position))).collect();
    let names: Vec<String> = positions.iter().map(|&position| schema.field(position).name().clone()).collect();
    check_distinct(path, names.iter().map(String::as_str))?;
    let n_rows = reader.n_rows() as usize;
    let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); positions.len()];
    for batch in reader.with_columns(positions.iter().copied()).batches()? {
        for (part, array) in parts.iter_mut().zip(batch?.columns()) {
            part.push(Arc::clone(array));
        }
    }
    let failed = |error| TableError::columns(path, error);
    let mut columns = BTreeMap::new();
    for ((&position, name), part) in positions.iter().zip(&names).zip(parts) {
        let is_text = is_text(schema.field(position).data_type());
        let wanted = if is_text { DataType::Utf8 } else { DataType::Float64 };
        let part: Vec<ArrayRef> = part.iter().map(|array| cast_plain(array, &wanted)).collect::<Result<_, _>>().map_err(failed)?;
        let refs: Vec<&dyn Array> = part.iter().map(AsRef::as_ref).collect();
        let whole = if refs.is_empty() { arrow::array::new_empty_array(&wanted) } else { concat(&refs).map_err(failed)? };
        let column = if is_text {
            let texts = whole
                .as_any()
                .downcast_ref::<StringArray>()
                .map(|array| array.iter().map(|text| text.unwrap_or_default().to_owned()).collect());
            PlainColumn::Texts(texts.unwrap_or_default())
        } else {
            let numbers =
                whole.as_any().downcast_ref::<Float64Array>().map(|array| array.iter().map(|number| number.unwrap_or(f64::NAN)).collect());
            PlainColumn::Numbers(numbers.unwrap_or_default())
        };
        columns.insert(name.clone(), column);
    }
    Ok(PlainTable { path: path.to_owned(), names, columns, n_rows })
}

/// Two columns of one name cannot be told apart.
fn check_distinct<'a>(path: &Path, names: impl Iterator<Item = &'a str>) -> Result<(), TableError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(TableError::RepeatedColumn { path: path.to_owned(), column: name.to_owned() });
        }
    }
    Ok(())
}

/// Casts to a plain type; times go through their whole numbers.
fn cast_plain(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    let is_time = matches!(array.data_type(), DataType::Timestamp(..) | DataType::Date64 | DataType::Duration(_));
    if is_time { cast(&cast(array, &DataType::Int64)?, wanted) } else { cast(array, wanted) }
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn is_plain(kind: &DataType) -> bool {
    let is_time = matches!(kind, DataType::Timestamp(..) | DataType::Date64 | DataType::Duration(_));
    is_text(kind) || is_time || kind.is_numeric() || *kind == DataType::Boolean
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Int64Array};

    use super::*;
    use crate::parquet_file::TableWriter;

    fn csv_of(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn a_csv_column_of_numbers_is_one_and_a_blank_is_missing() {
        let (_folder, path) = csv_of("a,b,c\n1,x,\n-2.5e1,\"y, z\",3\n");
        let table = PlainTable::read(&path, |_| true).unwrap();
        assert_eq!((table.n_rows(), table.names()), (2, &["a".to_owned(), "b".to_owned(), "c".to_owned()][..]));
        assert_eq!(table.numbers("a").unwrap(), [1.0, -25.0]);
        assert_eq!(table.texts("b").unwrap(), ["x", "y, z"]);
        let error = table.numbers("c").unwrap_err().to_string();
        assert_eq!(error, format!("`{}`, column `c`, row 1: expected a finite number, found nothing", path.display()));
    }

    #[test]
    fn errors_name_file_column_and_row() {
        let (_folder, path) = csv_of("a\n1\n2\nmany\n");
        let table = PlainTable::read(&path, |_| true).unwrap();
        let error = table.numbers("a").unwrap_err().to_string();
        assert_eq!(error, format!("`{}`, column `a`, row 3: expected a finite number, found `many`", path.display()));
        assert_eq!(table.numbers("b").unwrap_err().to_string(), format!("`{}` has no column `b`", path.display()));
    }

    #[test]
    fn a_ragged_or_ambiguous_file_is_refused() {
        let (_folder, path) = csv_of("a,b\n1,2\n3\n");
        assert!(matches!(PlainTable::read(&path, |_| true), Err(TableError::Csv { .. })));
        let (_folder, path) = csv_of("a,a\n1,2\n");
        assert!(matches!(PlainTable::read(&path, |_| true), Err(TableError::RepeatedColumn { .. })));
    }

    #[test]
    fn parquet_gives_the_columns_that_are_wanted_and_flags_as_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.parquet");
        let fields = [("n", DataType::Int64), ("flag", DataType::Boolean), ("a.word", DataType::Utf8)];
        let fields = fields.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect();
        let mut writer = TableWriter::create(&path, fields).unwrap();
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(3), None])),
            Arc::new(BooleanArray::from(vec![true, false])),
            Arc::new(StringArray::from(vec!["a", "b"])),
        ];
        writer.write(arrays).unwrap();
        writer.finish(&[]).unwrap();
        let table = PlainTable::read(&path, |name| name != "a.word").unwrap();
        assert_eq!(table.names(), ["n", "flag"]);
        assert_eq!(table.numbers("flag").unwrap(), [1.0, 0.0]);
        assert!(table.numbers("n").unwrap_err().to_string().ends_with("column `n`, row 2: expected a finite number, found nothing"));
        assert!(matches!(table.texts("a.word"), Err(TableError::MissingColumn { .. })));
        assert_eq!(PlainTable::read(&path, |_| true).unwrap().texts("a.word").unwrap(), ["a", "b"]);
        let kinds: Vec<String> = plain_fields(&path).unwrap().into_iter().map(|field| field.kind).collect();
        assert_eq!(kinds, ["int64", "bool", "text"]);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let rows = [vec!["1".to_owned(), "a \"b\", c".to_owned()]];
        write_csv(&path, &["n".to_owned(), "word".to_owned()], rows.into_iter()).unwrap();
        assert_eq!(PlainTable::read(&path, |_| true).unwrap().texts("word").unwrap(), ["a \"b\", c"]);
    }
}
