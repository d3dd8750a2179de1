//! Columns of costs that are all zero: they were logged and never computed.

use polars::prelude::*;

use super::{Finding, Severity, Subject, aggregate, number, number_columns, severity};
use crate::error::TableError;

pub(super) fn find(subject: &Subject<'_>) -> Result<Vec<Finding>, TableError> {
    if subject.settings.zero_cost == Severity::Off {
        return Ok(Vec::new());
    }
    let columns = number_columns(subject.newest, &["cost"], |name| name == "cost" || name.ends_with("_cost") || name.starts_with("cost_"));
    let wanted: Vec<_> = columns.iter().map(|column| (*column, DataType::Float64)).collect();
    let of = |column: &str, what: &str| format!("{column} {what}");
    let aggregates = columns.iter().flat_map(|column| {
        let value = || col(*column);
        [value().count().cast(DataType::Float64).alias(of(column, "n")), value().abs().max().alias(of(column, "max"))]
    });
    let frame = aggregate(subject.newest, &wanted, aggregates.collect())?;
    let is_zero =
        |column: &&str| number(&frame, &of(column, "n")) >= subject.settings.min_rows as f64 && number(&frame, &of(column, "max")) == 0.0;
    let zero: Vec<String> = columns.iter().copied().filter(is_zero).map(|column| format!("every `{column}` is 0")).collect();
    let detail = if zero.is_empty() { "no column of costs is all zero".to_owned() } else { zero.join("; ") };
    let status = severity(!zero.is_empty(), subject.settings.zero_cost);
    Ok(vec![Finding { name: "zero_cost".to_owned(), status, detail }])
}
