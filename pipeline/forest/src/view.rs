//! The codes that nodes read: the table's, or once a subtree holds few of its rows, those of the subtree alone.
//!
//! Deep nodes are many, and each reads a few columns of a few rows: from the whole table, every code would come from another cache line.

use std::ops::Range;

use crate::binned::Coding;
use crate::cells::Sample;

/// A subtree that holds at most one in this many of the rows around it gets codes of its own.
const SHARE: usize = 16;

/// A tree whose sample holds at most one in this many of the table's rows gets codes of its own at once: what else the table's cache lines hold
/// would be read with them at every node, and the sample is smaller than the cache where the table is not.
const SHARE_OF_TABLE: usize = 4;

/// Fewer rows than these are left where they are: their codes stay in the cache.
const FEWEST_ROWS: usize = 4096;

/// Rows whose codes are moved at a time: few enough that they stay in the first cache.
const CHUNK_ROWS: usize = 256;

/// The codes of a tree's rows: the table's, and those of the subtrees that hold the node that is looked at, innermost last.
pub(crate) struct Views<'a> {
    coding: &'a Coding,
    subtrees: Vec<Subtree>,
    spare: Vec<Vec<u8>>,
}

/// The codes of a subtree's rows, column after column; its samples name rows by their positions here.
struct Subtree {
    /// Positions among the samples.
    range: Range<usize>,
    codes: Vec<u8>,
}

impl<'a> Views<'a> {
    /// The codes of the table.
    pub(crate) fn new(coding: &'a Coding) -> Self {
        Self { coding, subtrees: Vec::new(), spare: Vec::new() }
    }

    /// Leaves the subtrees that end before a sample. Nodes come from left to right.
    pub(crate) fn go_to(&mut self, start: usize) {
        while let Some(subtree) = self.subtrees.pop_if(|subtree| subtree.range.end <= start) {
            self.spare.push(subtree.codes);
        }
    }

    /// Gives the samples in a range codes of their own where they are few among the rows around them.
    pub(crate) fn narrow<P>(&mut self, range: Range<usize>, samples: &mut [Sample<P>]) {
        let (n_rows, n_around) = (range.len(), self.n_rows());
        let share = if n_rows == samples.len() { SHARE_OF_TABLE } else { SHARE };
        if n_around < FEWEST_ROWS || n_around < n_rows * share {
            return;
        }
        let samples = &mut samples[range.clone()];
        let mut codes = self.spare.pop().unwrap_or_default();
        codes.clear();
        codes.resize(n_rows * self.coding.n_columns(), 0);
        for (chunk, samples) in samples.chunks(CHUNK_ROWS).enumerate() {
            for (column, codes) in codes.chunks_exact_mut(n_rows).enumerate() {
                let codes = codes[chunk * CHUNK_ROWS..].iter_mut().zip(samples);
                match self.subtrees.last() {
                    None => codes.for_each(|(code, sample)| *code = self.coding.code(sample.row, column)),
                    Some(around) => {
                        let around = around.column(column);
                        codes.for_each(|(code, sample)| *code = around[sample.row as usize]);
                    }
                }
            }
        }
        samples.iter_mut().zip(0..).for_each(|(sample, row)| sample.row = row);
        self.subtrees.push(Subtree { range, codes });
    }

    /// The codes of a column, by the rows that samples name.
    pub(crate) fn column(&self, column: usize) -> &[u8] {
        self.subtrees.last().map_or_else(|| self.coding.column_codes(column), |subtree| subtree.column(column))
    }

    /// Rows that are looked at.
    fn n_rows(&self) -> usize {
        self.subtrees.last().map_or(self.coding.n_rows(), |subtree| subtree.range.len())
    }
}

impl Subtree {
    fn column(&self, column: usize) -> &[u8] {
        &self.codes[column * self.range.len()..(column + 1) * self.range.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binned::Binned;
    use crate::{MAX_BINS, Matrix};

    #[test]
    fn a_subtree_has_the_codes_of_its_rows_until_it_is_left() {
        let columns = [(0..5000).map(|row| (row % 250) as f32).collect::<Vec<f32>>(), (0..5000).map(|row| (row / 250) as f32).collect()];
        let binned = Binned::new(&Matrix::new(&columns).unwrap(), MAX_BINS);
        let coding = binned.coding(0);
        let mut samples: Vec<Sample<u16>> = (0..5000).map(|row| Sample { row: row * 7 % 5000, n_draws: 1, payload: 0 }).collect();
        let rows: Vec<u32> = samples.iter().map(|sample| sample.row).collect();
        let mut views = Views::new(coding);
        views.narrow(1000..1600, &mut samples);
        assert_eq!(views.n_rows(), 5000, "600 of 5,000 rows are not few");
        views.narrow(1000..1300, &mut samples);
        assert_eq!(views.n_rows(), 300);
        // More than one in sixteen of them, and few altogether.
        views.narrow(1000..1010, &mut samples);
        for column in 0..2 {
            let found: Vec<u8> = samples[1000..1300].iter().map(|sample| views.column(column)[sample.row as usize]).collect();
            let expected: Vec<u8> = rows[1000..1300].iter().map(|&row| coding.code(row, column)).collect();
            assert_eq!(found, expected);
        }
        views.go_to(1299);
        assert_eq!(views.n_rows(), 300);
        views.go_to(1300);
        assert_eq!(views.column(1), coding.column_codes(1));
    }
}
