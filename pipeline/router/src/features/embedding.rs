//! Leading components of the query's embedding.

use super::{Feature, QueryInput, Write, column};
use crate::schema::{Column, ColumnKind, Schema};

pub(super) const FEATURE: Feature =
    Feature { name: "embedding", summary: "leading components of the text's direction", columns, write: Write::Query(write) };

fn columns(schema: &Schema) -> Vec<Column> {
    let meaning = |component: usize| {
        if let Some(source) = schema.embedder.sentence_source() {
            format!("component {component} of the text's direction by `{}`, by falling variance over the training window", source.name)
        } else if schema.embedder.is_fitted() {
            format!("component {component} of the text's direction, by falling variance over the training window")
        } else {
            format!("component {component} of the text's direction, by random signs")
        }
    };
    let components = 0..schema.embedding_columns;
    components.map(|component| column("embedding", format!("embedding_{component:02}"), ColumnKind::Cosine, meaning(component))).collect()
}

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    // Without the vector that a sentence model needs there is no direction, which is missing rather than zero.
    row.fill(f32::NAN);
    for (number, component) in row.iter_mut().zip(input.direction) {
        *number = *component;
    }
}
