//! The best cut of one column: a histogram over the node's rows, and a pass over its occupied bins.

use std::array;

use rand::Rng as _;
use routewright_domain::Rng;
use routewright_router::{CategorySet, Side, Test};

use crate::binned::{Coding, MISSING};
use crate::cells::{Cell, Sample};
use crate::params::Cuts;
use crate::view::Views;

/// Codes that a column may have, with the one for missing values.
pub(crate) const N_CODES: usize = 256;

/// Rows from which the occupied bins are found by a pass over the histogram instead of one mark per row.
const DENSE_ROWS: usize = 512;

/// Columns whose histograms are filled together: what a row adds is then worked out once for all of them.
pub(crate) const BLOCK_COLUMNS: usize = 4;

/// What goes left, in codes.
#[derive(Clone, Copy)]
pub(crate) enum Cut {
    /// Bins up to this one.
    UpTo(u8),
    /// These categories.
    Of(CategorySet),
}

impl Cut {
    /// Whether a code that is not missing goes left.
    #[inline]
    pub(crate) fn takes(&self, code: u8) -> bool {
        match self {
            Self::UpTo(last) => code <= *last,
            Self::Of(set) => set.contains(code),
        }
    }
}

/// The purity of both sides of a cut as a fraction: to compare two of them takes no division.
#[derive(Clone, Copy)]
pub(crate) struct Purity {
    numerator: f64,
    denominator: f64,
}

impl Purity {
    /// Less than any other.
    const LEAST: Self = Self { numerator: -1.0, denominator: 0.0 };

    #[inline]
    fn of_sides<C: Cell>(left: &C, right: &C) -> Self {
        let ((left, left_parts), (right, right_parts)) = (left.purity_parts(), right.purity_parts());
        Self { numerator: left * right_parts + right * left_parts, denominator: left_parts * right_parts }
    }

    #[inline]
    fn is_above(&self, other: &Self) -> bool {
        self.numerator * other.denominator > other.numerator * self.denominator
    }

    /// The sum over both sides.
    pub(crate) fn value(&self) -> f64 {
        self.numerator / self.denominator
    }
}

/// The best cut so far.
#[derive(Clone, Copy)]
pub(crate) struct Split<C> {
    pub purity: Purity,
    pub column: u16,
    pub cut: Cut,
    pub missing: Side,
    pub left: C,
}

/// What a leaf must have.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub n_draws: u32,
    pub weight: f64,
}

impl Limits {
    /// Whether both sides have it.
    #[inline]
    fn allow<C: Cell>(&self, left: &C, right: &C) -> bool {
        self.n_draws <= left.n_draws().min(right.n_draws()) && self.weight <= left.weight().min(right.weight())
    }
}

/// Codes that occur.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bits([u64; 4]);

impl Bits {
    /// Codes with rows in a histogram.
    pub(crate) fn of_histogram<C: Cell>(histogram: &[C]) -> Self {
        let mut bits = Self::default();
        for (code, cell) in histogram.iter().enumerate() {
            bits.0[code >> 6] |= u64::from(cell.n_draws() > 0) << (code & 63);
        }
        bits
    }

    #[inline]
    fn insert(&mut self, code: u8) {
        self.0[usize::from(code >> 6)] |= 1 << (code & 63);
    }

    /// Removes a code; whether it was there.
    fn remove(&mut self, code: u8) -> bool {
        let (word, bit) = (usize::from(code >> 6), 1 << (code & 63));
        let is_there = self.0[word] & bit != 0;
        self.0[word] &= !bit;
        is_there
    }

    /// Calls back for every code in order.
    #[inline]
    pub(crate) fn for_each(self, mut callback: impl FnMut(usize)) {
        for (word, mut bits) in self.0.into_iter().enumerate() {
            while bits != 0 {
                callback(word << 6 | bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }
}

/// Adds rows to a histogram that is empty, one cell per code; returns the codes that occur.
pub(crate) fn fill<C: Cell>(codes: &[u8], samples: &[Sample<C::Payload>], histogram: &mut [C]) -> Bits {
    let mut bits = Bits::default();
    // Of a length that the compiler knows, so that no code is checked against it.
    let [histogram] = histogram.as_chunks_mut::<N_CODES>().0 else { return bits };
    if samples.len() < DENSE_ROWS {
        for sample in samples {
            let code = codes[sample.row as usize];
            histogram[usize::from(code)].add(sample.n_draws, sample.payload);
            bits.insert(code);
        }
        return bits;
    }
    for sample in samples {
        histogram[usize::from(codes[sample.row as usize])].add(sample.n_draws, sample.payload);
    }
    Bits::of_histogram(histogram)
}

/// Adds rows to the histograms of neighbouring columns, at most [`BLOCK_COLUMNS`] of them, which are empty.
pub(crate) fn fill_many<C: Cell>(views: &Views<'_>, samples: &[Sample<C::Payload>], first: usize, histograms: &mut [C]) {
    let histograms = histograms.as_chunks_mut::<N_CODES>().0;
    let Some(histograms) = histograms.first_chunk_mut::<BLOCK_COLUMNS>() else {
        for (column, histogram) in histograms.iter_mut().enumerate() {
            fill(views.column(first + column), samples, histogram);
        }
        return;
    };
    let columns: [&[u8]; BLOCK_COLUMNS] = array::from_fn(|column| views.column(first + column));
    for sample in samples {
        for (histogram, codes) in histograms.iter_mut().zip(columns) {
            histogram[usize::from(codes[sample.row as usize])].add(sample.n_draws, sample.payload);
        }
    }
}

/// A search over the columns of one node.
pub(crate) struct Search<'a, C> {
    pub total: &'a C,
    pub limits: Limits,
    pub cuts: Cuts,
    pub rng: &'a mut Rng,
    pub best: &'a mut Option<Split<C>>,
}

impl<C: Cell> Search<'_, C> {
    /// Keeps the column's best cut where it beats the best so far; false where the column is constant.
    pub(crate) fn run(&mut self, coding: &Coding, column: u16, histogram: &[C], mut bits: Bits) -> bool {
        let missing = bits.remove(MISSING).then(|| histogram[usize::from(MISSING)]);
        let n_occupied: u32 = bits.0.iter().map(|word| word.count_ones()).sum();
        if n_occupied + u32::from(missing.is_some()) < 2 {
            return false;
        }
        if coding.column(usize::from(column)).is_category {
            match self.cuts {
                Cuts::Best => (0..C::N_ORDERS).for_each(|order| self.sets_in_order(column, histogram, bits, missing.as_ref(), order)),
                Cuts::Random => self.one_set(column, histogram, bits, missing.as_ref()),
            }
            return true;
        }
        match self.cuts {
            Cuts::Best => self.all_cuts(column, histogram, bits, missing.as_ref()),
            Cuts::Random => self.one_cut(column, histogram, bits, missing.as_ref()),
        }
        true
    }

    /// Tries a cut between every two occupied bins, and the one between all values and the missing ones.
    fn all_cuts(&mut self, column: u16, histogram: &[C], bits: Bits, missing: Option<&C>) {
        let mut left = C::default();
        let mut last = None;
        let (total, limits) = (*self.total, self.limits);
        let (mut best, mut found) = (self.best.as_ref().map_or(Purity::LEAST, |best| best.purity), None);
        let mut keep_better = |cut: usize, left: C, missing: Option<Side>| {
            let mut right = total;
            right.remove(&left);
            let purity = Purity::of_sides(&left, &right);
            if purity.is_above(&best) && limits.allow(&left, &right) {
                best = purity;
                found = Some((cut, left, missing));
            }
        };
        bits.for_each(|code| {
            if let Some(last) = last {
                // Half-way between occupied bins, as a threshold half-way between values would be.
                let cut = (last + code) / 2;
                match missing {
                    None => keep_better(cut, left, None),
                    Some(missing) => {
                        keep_better(cut, left, Some(Side::Right));
                        let mut with_missing = left;
                        with_missing.merge(missing);
                        keep_better(cut, with_missing, Some(Side::Left));
                    }
                }
            }
            left.merge(&histogram[code]);
            last = Some(code);
        });
        if missing.is_some() {
            keep_better(usize::from(MISSING - 1), left, Some(Side::Right));
        }
        if let Some((cut, left, missing)) = found {
            let missing = missing.unwrap_or_else(|| self.heavier_side(&left));
            *self.best = Some(Split { purity: best, column, cut: Cut::UpTo(cut as u8), missing, left });
        }
    }

    /// Puts the categories into the order of their mean target (or share of a class) and tries a cut between every two of them, and the one
    /// between all of them and the missing values.
    fn sets_in_order(&mut self, column: u16, histogram: &[C], bits: Bits, missing: Option<&C>, order: usize) {
        if C::N_ORDERS > 1 && self.total.mean(order) == 0.0 {
            return;
        }
        let mut categories = Vec::new();
        bits.for_each(|code| categories.push((histogram[code].mean(order), code)));
        categories.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let (mut left, mut set) = (C::default(), CategorySet::default());
        for (position, &(_, code)) in categories.iter().enumerate() {
            if position > 0 {
                self.consider(column, Cut::Of(set), &left, missing);
            }
            left.merge(&histogram[code]);
            set.insert(code as u8);
        }
        if missing.is_some() {
            self.keep_better(column, Cut::Of(set), &left, Side::Right);
        }
    }

    /// Tries one set, in which each category is with a probability of one half.
    fn one_set(&mut self, column: u16, histogram: &[C], bits: Bits, missing: Option<&C>) {
        let (mut left, mut set) = (C::default(), CategorySet::default());
        bits.for_each(|code| {
            if below(self.rng, 2) == 0 {
                left.merge(&histogram[code]);
                set.insert(code as u8);
            }
        });
        self.consider(column, Cut::Of(set), &left, missing);
    }

    /// Tries one cut, drawn between the lowest and the highest occupied bin; or after the highest, where values are missing.
    fn one_cut(&mut self, column: u16, histogram: &[C], bits: Bits, missing: Option<&C>) {
        let (mut low, mut high) = (usize::from(MISSING), 0);
        bits.for_each(|code| {
            low = low.min(code);
            high = high.max(code);
        });
        let n_cuts = high.saturating_sub(low) + usize::from(missing.is_some());
        let cut = low + below(self.rng, n_cuts.max(1));
        let mut left = C::default();
        bits.for_each(|code| {
            if code <= cut {
                left.merge(&histogram[code]);
            }
        });
        if cut < high {
            self.consider(column, Cut::UpTo(cut as u8), &left, missing);
        } else {
            self.keep_better(column, Cut::UpTo(MISSING - 1), &left, Side::Right);
        }
    }

    /// Tries a cut with the missing values on either side; without any, they will go with the heavier side.
    fn consider(&mut self, column: u16, cut: Cut, left: &C, missing: Option<&C>) {
        let Some(missing) = missing else { return self.keep_better(column, cut, left, self.heavier_side(left)) };
        self.keep_better(column, cut, left, Side::Right);
        let mut with_missing = *left;
        with_missing.merge(missing);
        self.keep_better(column, cut, &with_missing, Side::Left);
    }

    /// The side of more weight, to which values that were never missing go when they are.
    fn heavier_side(&self, left: &C) -> Side {
        if 2.0 * left.weight() >= self.total.weight() { Side::Left } else { Side::Right }
    }

    /// Keeps a cut when both sides may be leaves and it is purer than the best.
    fn keep_better(&mut self, column: u16, cut: Cut, left: &C, missing: Side) {
        let mut right = *self.total;
        right.remove(left);
        let purity = Purity::of_sides(left, &right);
        if self.best.as_ref().is_none_or(|best| purity.is_above(&best.purity)) && self.limits.allow(left, &right) {
            *self.best = Some(Split { purity, column, cut, missing, left: *left });
        }
    }
}

/// Whether a code goes left at a split. `last`: the last bin that goes left, where a threshold is tested; `sets`: those of the tree.
#[inline]
pub(crate) fn goes_left(code: u8, last: u8, test: Test, missing: Side, sets: &[CategorySet]) -> bool {
    match test {
        _ if code == MISSING => missing == Side::Left,
        Test::AtMost(_) => code <= last,
        Test::OneOf(set) => sets[set].contains(code),
    }
}

/// A number drawn from 0 to below `n`, with a bias of at most n / 2³².
#[inline]
pub(crate) fn below(rng: &mut Rng, n: usize) -> usize {
    ((u64::from(rng.next_u32()) * n as u64) >> 32) as usize
}
