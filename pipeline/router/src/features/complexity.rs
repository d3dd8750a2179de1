//! How complex the query is: stage 1's word, and an own estimate.

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
    let structure = profile.topic(Topic::Structure) as f32;
    let parts = [
        profile.n_words() as f32,
        profile.n_sentences as f32,
        structure,
        profile.n_items as f32,
        profile.n_numbers as f32,
        profile.n_code_marks as f32,
        profile.topic(Topic::Reasoning) as f32,
    ];
    let estimate: f32 = parts.iter().map(|part| (1.0 + part).ln()).sum();
    row.copy_from_slice(&[or_missing(stage1), estimate, structure]);
}
