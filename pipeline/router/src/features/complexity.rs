//! How complex the query is: stage 1's word, and an own estimate.

use std::array;
use std::sync::LazyLock;

use super::{Feature, QueryInput, Write, columns, or_missing};
use crate::lexicon::Topic;
use crate::schema::ColumnKind::{Code, Number};

pub(super) const FEATURE: Feature = Feature {
    name: "complexity",
    summary: "stage 1's complexity and an own estimate",
    columns: |_| {
        columns(
            "complexity",
            &[
                ("complexity_stage1", Code, "0 simple, 1 medium, 2 complex; missing where stage 1 did not run"),
                (
                    "complexity_estimate",
                    Number,
                    "grows with words, sentences, steps, numbers, code and reasoning words, each with falling returns",
                ),
                ("complexity_structure_words", Number, "words that order steps or set conditions"),
            ],
        )
    },
    write: Write::Query(write),
};

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    let profile = input.profile;
    let stage1 = match input.request.complexity {
        Some("simple") => Some(0.0),
        Some("medium") => Some(1.0),
        Some("complex") => Some(2.0),
        _ => None,
    };
    let parts = [
        profile.n_words(),
        profile.n_sentences,
        profile.topic(Topic::Structure),
        profile.n_items,
        profile.n_numbers,
        profile.n_code_marks,
        profile.topic(Topic::Reasoning),
    ];
    let estimate: f32 = parts.into_iter().map(falling_returns).sum();
    row.copy_from_slice(&[or_missing(stage1), estimate, profile.topic(Topic::Structure) as f32]);
}

/// ln(1 + count), with a table of what most counts give.
fn falling_returns(count: u32) -> f32 {
    static OF_SMALL: LazyLock<[f32; 64]> = LazyLock::new(|| array::from_fn(|count| of(count as u32)));
    fn of(count: u32) -> f32 {
        (1.0 + count as f32).ln()
    }
    OF_SMALL.get(count as usize).copied().unwrap_or_else(|| of(count))
}
