//! Honest trees: some rows choose the splits, others say what the leaves hold.
//!
//! A leaf that was both found and filled by the same rows says too loudly what these rows had by chance. Source: Wager & Athey (2018).

use routewright_domain::Rng;
use routewright_router::NodeKind;

use crate::binned::Coding;
use crate::cells::{Cell, Sample};
use crate::grow::Grown;
use crate::search::{below, goes_left};

/// Takes a share of the rows out of a sample, to fill the leaves with; none where either part would be empty.
pub(crate) fn part<P: Copy>(samples: &mut Vec<Sample<P>>, share: f64, rng: &mut Rng) -> Vec<Sample<P>> {
    let n_judges = (share * samples.len() as f64) as usize;
    if n_judges == 0 {
        return Vec::new();
    }
    for position in 0..n_judges {
        let other = position + below(rng, samples.len() - position);
        samples.swap(position, other);
    }
    let mut judges: Vec<Sample<P>> = samples.drain(..n_judges).collect();
    judges.sort_unstable_by_key(|sample| sample.row);
    samples.sort_unstable_by_key(|sample| sample.row);
    judges
}

/// Fills the leaves with what other rows say; a leaf that none of them reaches takes what they say in the nearest node above.
pub(crate) fn refill<C: Cell>(grown: &mut Grown, coding: &Coding, judges: &[Sample<C::Payload>], leaf: &impl Fn(&C, &mut Vec<f32>)) {
    let nodes = &grown.tree.nodes;
    let mut cells = vec![C::default(); nodes.len()];
    for sample in judges {
        let codes = coding.row(sample.row as usize);
        let mut node = 0;
        loop {
            cells[node].add(sample.n_draws, sample.payload);
            let NodeKind::Split { feature, test, missing, left, right } = nodes[node].kind() else { break };
            let is_left = goes_left(codes[feature], grown.cuts[node], test, missing, &grown.tree.sets);
            node = if is_left { left } else { right };
        }
    }
    // Parents come before their children, so what is handed down is complete when it is read.
    let mut filled: Vec<(usize, C)> = Vec::new();
    for node in 0..nodes.len() {
        match nodes[node].kind() {
            NodeKind::Leaf { leaf } => filled.push((leaf, cells[node])),
            NodeKind::Split { left, right, .. } => {
                for child in [left, right] {
                    if cells[child].n_draws() == 0 {
                        cells[child] = cells[node];
                    }
                }
            }
        }
    }
    filled.sort_unstable_by_key(|(leaf, _)| *leaf);
    grown.tree.values.clear();
    filled.iter().for_each(|(_, cell)| leaf(cell, &mut grown.tree.values));
}
