//! A set of ids that is asked for the ids of every day.

/// Digests of ids. Asked in their order, as days hold them, it is walked through once.
pub(crate) struct IdSet {
    /// Sorted, each once.
    ids: Vec<u64>,
    /// Where the ids of each bucket begin; buckets go by the first bits.
    starts: Vec<u32>,
    shift: u32,
}

impl IdSet {
    /// Ids that a set holds at most.
    pub(crate) const MOST: usize = 4 << 20;

    /// A set of up to [`Self::MOST`] ids.
    pub(crate) fn new(mut ids: Vec<u64>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        let bits = (ids.len() + 1).next_power_of_two().trailing_zeros() + 1;
        let shift = u64::BITS - bits;
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        let mut at = 0;
        for bucket in 0..1_u64 << bits {
            starts.push(at as u32);
            at += ids[at..].iter().take_while(|id| **id >> shift == bucket).count();
        }
        starts.push(at as u32);
        Self { ids, starts, shift }
    }

    /// Whether it holds an id.
    pub(crate) fn contains(&self, id: u64) -> bool {
        let bucket = (id >> self.shift) as usize;
        let (start, end) = (self.starts[bucket] as usize, self.starts[bucket + 1] as usize);
        start < end && self.ids[start..end].binary_search(&id).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in_and_nothing_else(ids in proptest::collection::vec(prop_oneof![any::<u64>(), 0..9_u64, u64::MAX - 9..=u64::MAX], 0..60), others in proptest::collection::vec(prop_oneof![any::<u64>(), 0..9_u64], 20)) {
            let set = IdSet::new(ids.clone());
            for id in ids.iter().chain(&others) {
                prop_assert_eq!(set.contains(*id), ids.contains(id));
            }
        }
    }
}
