//! The kind of query, as stage 1 or the log names it.

use super::{Feature, QueryInput, Write, columns, or_missing};
use crate::schema::ColumnKind::Code;

pub(super) const FEATURE: Feature = Feature {
    name: "query_type",
    summary: "kind of query as a code of the schema's dictionary",
    columns: |_| {
        columns("query_type", &[("query_type", Code, "position of the query type by falling frequency; missing where not logged")])
    },
    write: Write::Query(write),
};

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    row.fill(or_missing(input.query_type.map(f64::from)));
}
