//! One seed for a run, from which everything random derives its own.

use rand::SeedableRng;
use serde::{Deserialize, Serialize};

/// The generator that every random draw of the product uses: small, fast, the same on every machine.
pub type Rng = rand_xoshiro::Xoshiro256PlusPlus;

/// A seed. Stages, trees and folds derive theirs by name and index, so results do not depend on the order of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of one named part: FNV-1a over the name, then SplitMix64 over seed, name and index.
    #[must_use]
    pub fn derive(self, name: &str, index: u64) -> Self {
        let name_hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self(split_mix(split_mix(self.0 ^ name_hash).wrapping_add(index)))
    }

    /// A generator that starts from this seed.
    pub fn rng(self) -> Rng {
        Rng::seed_from_u64(self.0)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): one step of the generator as a hash of a word.
fn split_mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indices_give_different_seeds() {
        let run = Seed(42);
        assert_ne!(run.derive("train", 0), run.derive("train", 1));
        assert_ne!(run.derive("train", 0), run.derive("replay", 0));
        assert_eq!(run.derive("train", 7), run.derive("train", 7));
    }
}
