//! Words that hint at a kind of query, counted by topic, and the number of keywords that were logged.

use routewright_domain::Scalar;

use super::{Feature, QueryInput, Write, columns};
use crate::lexicon::Topic;
use crate::profile::TextProfile;
use crate::schema::ColumnKind::{Count, Share};

/// Topics that are columns, in their order.
const TOPICS: [Topic; 8] =
    [Topic::Tool, Topic::Coding, Topic::CodeToken, Topic::Reasoning, Topic::Chat, Topic::Mathematics, Topic::System, Topic::Data];

pub(super) const FEATURE: Feature = Feature {
    name: "keywords",
    summary: "topic words and logged keywords",
    columns: |_| {
        columns(
            "keywords",
            &[
                ("keywords_tool", Count, "words about tools and actions"),
                ("keywords_coding", Count, "words about programming"),
                ("keywords_code_tokens", Count, "words that stand in programs"),
                ("keywords_reasoning", Count, "words about explaining and comparing"),
                ("keywords_chat", Count, "words of small talk"),
                ("keywords_mathematics", Count, "words about calculating"),
                ("keywords_system", Count, "words about machines and operations"),
                ("keywords_data", Count, "words about data and documents"),
                ("keywords_topic_share", Share, "topic words per word, at most 1"),
                ("keywords_content", Count, "distinct words that are no function words: the keywords of the text itself"),
                ("keywords_logged_share", Share, "share of the logged keywords that stand in the text; missing where not logged"),
                ("keywords_logged", Count, "length of `query_features.keywords`; missing where not logged"),
            ],
        )
    },
    write: Write::Query(write),
};

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    let mut total = 0;
    for (number, topic) in row.iter_mut().zip(TOPICS) {
        let count = input.profile.topic(topic);
        total += count;
        *number = count as f32;
    }
    let share = (total as f32 / input.profile.n_words().max(1) as f32).min(1.0);
    let keywords = input.request.extras.get("query_features.keywords");
    let (n_content, logged_share) = (input.profile.n_content_words as f32, logged_share(keywords, input.profile));
    let logged = match keywords {
        Some(Scalar::List(keywords)) => keywords.len() as f32,
        Some(Scalar::Text(text)) => text.split([',', ' ']).filter(|word| !word.is_empty()).count() as f32,
        _ => f32::NAN,
    };
    row[TOPICS.len()..].copy_from_slice(&[share, n_content, logged_share, logged]);
}

/// Share of the logged keywords that are words of the text; missing where none are logged.
fn logged_share(keywords: Option<&Scalar>, profile: &TextProfile) -> f32 {
    let stands = |keyword: &str| profile.words().any(|word| word.eq_ignore_ascii_case(keyword.trim()));
    let (n_found, n_logged) = match keywords {
        Some(Scalar::List(keywords)) => (keywords.iter().filter(|keyword| stands(keyword)).count(), keywords.len()),
        Some(Scalar::Text(text)) => {
            let keywords = text.split([',', ' ']).filter(|word| !word.is_empty());
            (keywords.clone().filter(|keyword| stands(keyword)).count(), keywords.count())
        }
        _ => (0, 0),
    };
    if n_logged == 0 { f32::NAN } else { n_found as f32 / n_logged as f32 }
}
