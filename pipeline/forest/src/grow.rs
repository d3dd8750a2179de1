//! Growing one tree: sample rows down the nodes, histograms of the columns drawn, the best cut.

use std::ops::Range;

use rayon::prelude::*;
use routewright_domain::Rng;
use routewright_router::{CategorySet, Node, Side, Tree};

use crate::binned::{Coding, MISSING};
use crate::cells::{Cell, Sample};
use crate::params::{Cuts, ForestParams};
use crate::search::{BLOCK_COLUMNS, Bits, Cut, Limits, N_CODES, Search, Split, below, fill, fill_many};
use crate::view::Views;

/// Rows from which a node's histograms are kept, so that the larger child's follow by subtraction.
const SUBTRACT_ROWS: usize = 1024;

/// Rows from which the histograms of a node are counted by several threads, where trees alone would leave threads idle.
const SHARED_ROWS: usize = 8192;

/// Who grows the trees: a choice of speed only, results are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// One thread per tree.
    PerTree,
    /// All threads on every tree: for fewer trees than threads.
    Shared,
}

/// A grown tree.
#[derive(Clone, Debug)]
pub(crate) struct Grown {
    pub tree: Tree,
    /// Per node, the last bin that goes left.
    pub cuts: Vec<u8>,
    /// Per column, the sum of impurity that its splits removed.
    pub importance: Vec<f64>,
    n_leaves: u32,
}

/// A node that is still to be split or closed.
struct Open<C> {
    node: usize,
    start: usize,
    end: usize,
    depth: usize,
    /// Columns at the front of the list of columns that are known to be constant here.
    n_constant: usize,
    total: C,
    /// Histograms of all columns, where they are kept.
    histograms: Option<Vec<C>>,
}

/// The state of one tree's growth.
struct Grower<'a, C: Cell> {
    coding: &'a Coding,
    views: Views<'a>,
    params: &'a ForestParams,
    n_tries: usize,
    limits: Limits,
    keeps_histograms: bool,
    threads: Threads,
    rng: Rng,
    samples: Vec<Sample<C::Payload>>,
    /// Right side of a partition on its way.
    moved: Vec<Sample<C::Payload>>,
    /// Columns, constant ones first; draws reorder the rest.
    columns: Vec<u16>,
    /// Histogram of one column; all empty between uses.
    histogram: Vec<C>,
    /// Histograms that no node needs any more.
    spare: Vec<Vec<C>>,
}

/// Grows a tree on a sample that is not empty. `leaf` adds a leaf's values to the list.
pub(crate) fn grow<C: Cell>(
    coding: &Coding,
    samples: Vec<Sample<C::Payload>>,
    params: &ForestParams,
    threads: Threads,
    rng: Rng,
    leaf: &impl Fn(&C, &mut Vec<f32>),
) -> Grown {
    let n_columns = coding.n_columns();
    let n_tries = params.max_features.count(n_columns);
    let total = sum::<C>(&samples);
    let mut grower = Grower {
        coding,
        views: Views::new(coding),
        params,
        n_tries,
        limits: Limits { n_draws: params.min_samples_leaf, weight: params.min_leaf_weight * total.weight() },
        keeps_histograms: n_columns <= 2 * n_tries,
        threads,
        rng,
        moved: samples.clone(),
        samples,
        columns: (0..n_columns).map(|column| column as u16).collect(),
        histogram: vec![C::default(); N_CODES],
        spare: Vec::new(),
    };
    let mut grown = Grown { tree: Tree::default(), cuts: vec![0], importance: vec![0.0; n_columns], n_leaves: 0 };
    grown.tree.nodes.push(Node::leaf(0, 0.0));
    let end = grower.samples.len();
    let mut open = vec![Open { node: 0, start: 0, end, depth: 0, n_constant: 0, total, histograms: None }];
    while let Some(mut node) = open.pop() {
        grower.views.go_to(node.start);
        match grower.split(&mut node) {
            Some(split) => {
                let children = grower.apply(node, &split, &mut grown);
                open.extend(children);
            }
            None => grower.close(node, leaf, &mut grown),
        }
    }
    grown
}

impl<C: Cell> Grower<'_, C> {
    /// The node's best split; `None` where it must be a leaf.
    fn split(&mut self, node: &mut Open<C>) -> Option<Split<C>> {
        let samples = &self.samples[node.start..node.end];
        let first = samples[0].payload;
        let is_small = node.total.n_draws() < self.limits.n_draws.saturating_mul(2) || node.total.weight() < 2.0 * self.limits.weight;
        if node.depth == self.params.depth_limit() || is_small || samples.iter().all(|sample| C::is_alike(first, sample.payload)) {
            return None;
        }
        if self.n_tries * self.n_levels_below(node) >= self.columns.len() {
            self.views.narrow(node.start..node.end, &mut self.samples);
        }
        if self.keeps_histograms && node.histograms.is_none() && SUBTRACT_ROWS <= node.end - node.start {
            node.histograms = Some(self.all_histograms(node.start..node.end));
        }
        let ahead = self.fill_ahead(node);
        let (mut best, mut n_tried, mut n_left) = (None, 0, self.columns.len());
        while n_tried < self.n_tries && node.n_constant < n_left {
            let drawn = node.n_constant + below(&mut self.rng, n_left - node.n_constant);
            if self.try_column(node, self.columns[drawn], &ahead, &mut best) {
                n_left -= 1;
                self.columns.swap(drawn, n_left);
                n_tried += 1;
            } else {
                self.columns.swap(drawn, node.n_constant);
                node.n_constant += 1;
            }
        }
        best
    }

    /// Levels that are likely to follow below a node.
    fn n_levels_below(&self, node: &Open<C>) -> usize {
        (self.params.depth_limit() - node.depth).min((node.end - node.start).ilog2() as usize)
    }

    /// Histograms of the columns that the node will draw unless one of them is constant, counted by all threads where that pays.
    fn fill_ahead(&self, node: &Open<C>) -> Vec<(u16, Vec<C>)> {
        let n_rows = node.end - node.start;
        // Random cuts draw between the columns, so which ones come next is not known.
        if self.threads == Threads::PerTree || node.histograms.is_some() || n_rows < SHARED_ROWS || self.params.cuts == Cuts::Random {
            return Vec::new();
        }
        let (mut rng, mut columns) = (self.rng.clone(), self.columns[node.n_constant..].to_vec());
        for n_left in (1..=columns.len()).rev().take(self.n_tries) {
            let drawn = below(&mut rng, n_left);
            columns.swap(drawn, n_left - 1);
        }
        let first = columns.len().saturating_sub(self.n_tries);
        let count = |&column: &u16| {
            let mut histogram = vec![C::default(); N_CODES];
            fill(self.views.column(usize::from(column)), &self.samples[node.start..node.end], &mut histogram);
            (column, histogram)
        };
        columns[first..].par_iter().map(count).collect()
    }

    /// Looks for a better cut in one column; false where the column is constant in the node.
    fn try_column(&mut self, node: &Open<C>, column: u16, ahead: &[(u16, Vec<C>)], best: &mut Option<Split<C>>) -> bool {
        let position = usize::from(column);
        let mut search = Search { total: &node.total, limits: self.limits, cuts: self.params.cuts, rng: &mut self.rng, best };
        if let Some(histograms) = &node.histograms {
            let histogram = &histograms[position * N_CODES..(position + 1) * N_CODES];
            return search.run(self.coding, column, histogram, Bits::of_histogram(histogram));
        }
        if let Some((_, histogram)) = ahead.iter().find(|(counted, _)| *counted == column) {
            return search.run(self.coding, column, histogram, Bits::of_histogram(histogram));
        }
        let bits = fill(self.views.column(position), &self.samples[node.start..node.end], &mut self.histogram);
        let is_varied = search.run(self.coding, column, &self.histogram, bits);
        bits.for_each(|code| self.histogram[code] = C::default());
        is_varied
    }

    /// Parts the node's rows, writes the split and returns the children, left one last so that it is grown first.
    fn apply(&mut self, mut node: Open<C>, split: &Split<C>, grown: &mut Grown) -> [Open<C>; 2] {
        let column = usize::from(split.column);
        let middle = self.part(node.start..node.end, split);
        let mut right = node.total;
        right.remove(&split.left);
        let left_node = grown.tree.nodes.len();
        let (left_child, cover) = (left_node as u32, node.total.weight() as f32);
        grown.tree.nodes[node.node] = match split.cut {
            Cut::UpTo(last) => {
                grown.cuts[node.node] = last;
                Node::split(split.column, self.coding.column(column).threshold(usize::from(last)), split.missing, left_child, cover)
            }
            Cut::Of(mut set) => {
                if split.missing == Side::Left {
                    self.add_unseen(&mut set, node.start..node.end, column);
                }
                grown.tree.sets.push(set);
                Node::split_by_set(split.column, grown.tree.sets.len() as u32 - 1, split.missing, left_child, cover)
            }
        };
        grown.tree.nodes.extend([Node::leaf(0, 0.0); 2]);
        grown.cuts.extend([0; 2]);
        grown.importance[column] += (split.purity.value() - node.total.purity()).max(0.0);
        let [left_histograms, right_histograms] = self.histograms_of_children(&mut node, middle);
        let child = |node_index, start, end, total, histograms| Open {
            node: node_index,
            start,
            end,
            depth: node.depth + 1,
            n_constant: node.n_constant,
            total,
            histograms,
        };
        [child(left_node + 1, middle, node.end, right, right_histograms), child(left_node, node.start, middle, split.left, left_histograms)]
    }

    /// Adds the categories that no row of a node has, which then go where missing values go.
    fn add_unseen(&self, set: &mut CategorySet, range: Range<usize>, column: usize) {
        let mut is_seen = [false; N_CODES];
        let codes = self.views.column(column);
        self.samples[range].iter().for_each(|sample| is_seen[usize::from(codes[sample.row as usize])] = true);
        (0..MISSING).filter(|code| !is_seen[usize::from(*code)]).for_each(|code| set.insert(code));
    }

    /// Moves the rows that go left to the front, each side in its order; returns where the right side starts.
    fn part(&mut self, range: Range<usize>, split: &Split<C>) -> usize {
        let codes = self.views.column(usize::from(split.column));
        let samples = &mut self.samples[range.clone()];
        let (mut n_left, mut n_right) = (0, 0);
        for position in 0..samples.len() {
            let sample = samples[position];
            let code = codes[sample.row as usize];
            let is_left = if code == MISSING { split.missing == Side::Left } else { split.cut.takes(code) };
            samples[n_left] = sample;
            self.moved[n_right] = sample;
            n_left += usize::from(is_left);
            n_right += usize::from(!is_left);
        }
        samples[n_left..].copy_from_slice(&self.moved[..n_right]);
        range.start + n_left
    }

    /// Histograms of the left and right child: the smaller one's are counted, the larger one's are what is left of the parent's.
    fn histograms_of_children(&mut self, node: &mut Open<C>, middle: usize) -> [Option<Vec<C>>; 2] {
        let Some(mut large) = node.histograms.take() else { return [None, None] };
        let (n_left, n_right) = (middle - node.start, node.end - middle);
        if n_left.max(n_right) < SUBTRACT_ROWS {
            self.spare.push(large);
            return [None, None];
        }
        let small_range = if n_left < n_right { node.start..middle } else { middle..node.end };
        let small = self.all_histograms(small_range);
        large.iter_mut().zip(&small).for_each(|(cell, other)| cell.remove(other));
        if n_left < n_right { [Some(small), Some(large)] } else { [Some(large), Some(small)] }
    }

    /// Histograms of all columns over some of the rows.
    fn all_histograms(&mut self, range: Range<usize>) -> Vec<C> {
        let mut histograms = self.spare.pop().unwrap_or_default();
        histograms.clear();
        histograms.resize(self.columns.len() * N_CODES, C::default());
        let samples = &self.samples[range];
        let count = |(block, histograms): (usize, &mut [C])| fill_many(&self.views, samples, block * BLOCK_COLUMNS, histograms);
        if self.threads == Threads::Shared && SHARED_ROWS <= samples.len() {
            histograms.par_chunks_mut(BLOCK_COLUMNS * N_CODES).enumerate().for_each(count);
        } else {
            histograms.chunks_mut(BLOCK_COLUMNS * N_CODES).enumerate().for_each(count);
        }
        histograms
    }

    /// Closes a node with its values, summed from its rows.
    fn close(&mut self, node: Open<C>, leaf: &impl Fn(&C, &mut Vec<f32>), grown: &mut Grown) {
        let total = sum::<C>(&self.samples[node.start..node.end]);
        grown.tree.nodes[node.node] = Node::leaf(grown.n_leaves, total.weight() as f32);
        grown.n_leaves += 1;
        leaf(&total, &mut grown.tree.values);
        self.spare.extend(node.histograms);
    }
}

/// The sum over rows.
pub(crate) fn sum<C: Cell>(samples: &[Sample<C::Payload>]) -> C {
    let mut total = C::default();
    samples.iter().for_each(|sample| total.add(sample.n_draws, sample.payload));
    total
}
