//! The kind of query: as stage 1 or the log names it, else the kind whose texts lie nearest.

use super::{Feature, QueryInput, Write, column, or_missing};
use crate::schema::ColumnKind::{Code, Flag};
use crate::schema::{Column, Schema};

pub(super) const FEATURE: Feature =
    Feature { name: "query_type", summary: "kind of query, logged or guessed from the text", columns, write: Write::Query(write) };

fn columns(schema: &Schema) -> Vec<Column> {
    let meaning = if schema.types_are_clusters() {
        "cluster of texts nearest to the query, for the training window logged no types; missing for a text without words"
    } else {
        "position of the query type by falling frequency: as logged, else the type whose texts lie nearest"
    };
    vec![column("query_type", "query_type", Code, meaning), column("query_type", "query_type_logged", Flag, "whether the type was logged")]
}

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    row.copy_from_slice(&[or_missing(input.query_type.map(f64::from)), f32::from(u8::from(input.is_type_logged))]);
}
