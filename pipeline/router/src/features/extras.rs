//! Every further scalar of the log that the training window held often enough.

use std::cmp::Ordering;

use routewright_domain::Scalar;

use super::{Feature, QueryInput, Write, column};
use crate::schema::{Column, ColumnKind, ExtraColumn, ExtraEncoding, Schema};

pub(super) const FEATURE: Feature = Feature { name: "extras", summary: "further scalars of the log", columns, write: Write::Query(write) };

fn columns(schema: &Schema) -> Vec<Column> {
    let describe = |extra: &ExtraColumn| {
        let (kind, meaning) = match &extra.encoding {
            ExtraEncoding::Number => (ColumnKind::Number, format!("`{}` as logged; true is 1", extra.key)),
            ExtraEncoding::Code(_) => (ColumnKind::Code, format!("`{}` as its position by falling frequency", extra.key)),
            ExtraEncoding::Length => (ColumnKind::Count, format!("length of `{}`", extra.key)),
        };
        column("extras", format!("extra:{}", extra.key), kind, meaning)
    };
    schema.extras.iter().map(describe).collect()
}

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    // Both lists are in the order of their keys, so that one walk through the logged scalars finds them all.
    let mut logged = input.request.extras.iter().peekable();
    for (number, extra) in row.iter_mut().zip(&input.schema.extras) {
        let mut order = Ordering::Greater;
        while logged
            .next_if(|(key, _)| {
                order = (*key).cmp(&extra.key);
                order == Ordering::Less
            })
            .is_some()
        {}
        let value = logged.peek().filter(|_| order == Ordering::Equal).map(|(_, value)| *value);
        *number = match (&extra.encoding, value) {
            (ExtraEncoding::Number, Some(Scalar::Number(value))) => *value as f32,
            (ExtraEncoding::Number, Some(Scalar::Bool(value))) => f32::from(u8::from(*value)),
            (ExtraEncoding::Code(dictionary), Some(Scalar::Text(text))) => dictionary.code(text) as f32,
            (ExtraEncoding::Length, Some(Scalar::List(list))) => list.len() as f32,
            _ => f32::NAN,
        };
    }
}
