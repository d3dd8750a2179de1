//! A table of numbers, column by column, borrowed and checked once.

/// Rows that a table may have: counts of rows are signed 32-bit numbers.
pub const MAX_ROWS: usize = i32::MAX as usize;

/// Columns that a table may have: a split names its column with 16 bits.
pub const MAX_COLUMNS: usize = u16::MAX as usize;

/// Columns of equal length; NaN is a missing value, infinities are the largest numbers there are.
#[derive(Clone, Debug)]
pub struct Matrix<'a> {
    n_rows: usize,
    columns: Vec<&'a [f32]>,
}

/// Columns that make no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// No columns, or too many.
    #[error("a table needs 1 to {MAX_COLUMNS} columns, found {found}")]
    Columns {
        /// Number of columns.
        found: usize,
    },
    /// No rows, or too many.
    #[error("a table needs 1 to {MAX_ROWS} rows, found {found}")]
    Rows {
        /// Number of rows.
        found: usize,
    },
    /// A column of another length than the first.
    #[error("column {column} has {found} rows where the first has {expected}")]
    Length {
        /// The column, from 0.
        column: usize,
        /// Rows of the first column.
        expected: usize,
        /// Rows of this one.
        found: usize,
    },
}

impl<'a> Matrix<'a> {
    /// Borrows columns, such as `&[Vec<f32>]`: at least one row and one column, equal lengths.
    ///
    /// # Errors
    /// [`MatrixError`] names the first column that does not hold.
    pub fn new<C: AsRef<[f32]>>(columns: &'a [C]) -> Result<Self, MatrixError> {
        let columns: Vec<&[f32]> = columns.iter().map(AsRef::as_ref).collect();
        let n_rows = columns.first().map_or(0, |column| column.len());
        if columns.is_empty() || MAX_COLUMNS < columns.len() {
            return Err(MatrixError::Columns { found: columns.len() });
        }
        if n_rows == 0 || MAX_ROWS < n_rows {
            return Err(MatrixError::Rows { found: n_rows });
        }
        if let Some(column) = columns.iter().position(|column| column.len() != n_rows) {
            return Err(MatrixError::Length { column, expected: n_rows, found: columns[column].len() });
        }
        Ok(Self { n_rows, columns })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of columns.
    pub fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// One column.
    pub fn column(&self, column: usize) -> &'a [f32] {
        self.columns[column]
    }

    /// Writes one row. `row`: one number per column, overwritten.
    pub fn copy_row(&self, position: usize, row: &mut [f32]) {
        for (value, column) in row.iter_mut().zip(&self.columns) {
            *value = column[position];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_different_length_are_refused() {
        let error = Matrix::new(&[vec![1.0, 2.0], vec![1.0]]).unwrap_err();
        assert_eq!(error, MatrixError::Length { column: 1, expected: 2, found: 1 });
        assert_eq!(Matrix::new::<Vec<f32>>(&[]).unwrap_err(), MatrixError::Columns { found: 0 });
        assert_eq!(Matrix::new(&[vec![]]).unwrap_err(), MatrixError::Rows { found: 0 });
    }

    #[test]
    fn a_row_takes_one_number_of_each_column() {
        let columns = [vec![1.0, 2.0], vec![3.0, 4.0]];
        let mut row = [0.0; 2];
        Matrix::new(&columns).unwrap().copy_row(1, &mut row);
        assert_eq!(row, [2.0, 4.0]);
    }
}
