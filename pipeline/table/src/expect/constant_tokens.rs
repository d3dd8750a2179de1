//! Columns of token counts whose values are all equal: a default that somebody forgot to fill.

use polars::prelude::*;

use super::{Finding, Severity, Subject, aggregate, number, number_columns, severity};
use crate::error::TableError;

pub(super) fn find(subject: &Subject<'_>) -> Result<Vec<Finding>, TableError> {
    if subject.settings.constant_tokens == Severity::Off {
        return Ok(Vec::new());
    }
    let columns = number_columns(subject.newest, &["response_length"], |name| name.contains("token"));
    let wanted: Vec<_> = columns.iter().map(|column| (*column, DataType::Float64)).collect();
    let of = |column: &str, what: &str| format!("{column} {what}");
    let aggregates = columns.iter().flat_map(|column| {
        let value = || col(*column);
        [
            value().count().cast(DataType::Float64).alias(of(column, "n")),
            value().min().alias(of(column, "min")),
            value().max().alias(of(column, "max")),
        ]
    });
    let frame = aggregate(subject.newest, &wanted, aggregates.collect())?;
    let is_constant = |column: &&str| {
        number(&frame, &of(column, "n")) >= subject.settings.min_rows as f64
            && number(&frame, &of(column, "min")) == number(&frame, &of(column, "max"))
    };
    let constant: Vec<String> = columns
        .iter()
        .copied()
        .filter(is_constant)
        .map(|column| format!("`{column}` is always {}", number(&frame, &of(column, "min"))))
        .collect();
    let detail = if constant.is_empty() { "no column of token counts is constant".to_owned() } else { constant.join("; ") };
    let status = severity(!constant.is_empty(), subject.settings.constant_tokens);
    Ok(vec![Finding { name: "constant_tokens".to_owned(), status, detail }])
}
