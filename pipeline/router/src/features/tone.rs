//! Urgency, sentiment and courtesy, from the project's own short word lists (`lexicon.rs`).

use super::{Feature, QueryInput, Write, columns};
use crate::lexicon::Topic;
use crate::schema::ColumnKind::{Count, Number, Share};

pub(super) const FEATURE: Feature = Feature {
    name: "tone",
    summary: "urgency, sentiment, courtesy",
    columns: |_| {
        columns(
            "tone",
            &[
                ("tone_urgency", Number, "urgent words, exclamation marks at half weight, and one for a query in capitals"),
                ("tone_sentiment", Share, "(positive − negative words) / (both + 1), in [-1, 1]"),
                ("tone_negative_words", Count, "words of complaint and failure"),
                ("tone_polite_words", Count, "words of courtesy"),
                ("tone_exclamation_marks", Count, "exclamation marks"),
            ],
        )
    },
    write: Write::Query(write),
};

/// Letters from which on a query in capitals counts as shouting rather than as an abbreviation.
const MIN_SHOUTED_LETTERS: u32 = 8;

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    let profile = input.profile;
    let (positive, negative) = (profile.topic(Topic::Positive) as f32, profile.topic(Topic::Negative) as f32);
    let shouts = profile.n_letters >= MIN_SHOUTED_LETTERS && profile.n_upper * 10 >= profile.n_letters * 8;
    let exclamations = profile.n_exclamation_marks as f32;
    let urgency = profile.topic(Topic::Urgent) as f32 + 0.5 * exclamations + f32::from(u8::from(shouts));
    let sentiment = (positive - negative) / (positive + negative + 1.0);
    row.copy_from_slice(&[urgency, sentiment, negative, profile.topic(Topic::Polite) as f32, exclamations]);
}
