//! Share of decisions without a value, per column.

use polars::prelude::*;

use super::{Finding, Subject, above, aggregate, number, percent};
use crate::error::TableError;

pub(super) fn find(subject: &Subject<'_>) -> Result<Vec<Finding>, TableError> {
    let columns: Vec<&str> = subject.settings.nulls.keys().map(String::as_str).collect();
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    // Whether there is a value is all that matters, and every type can be cast to text.
    let wanted: Vec<_> = columns.iter().map(|column| (*column, kind_of(column, subject))).collect();
    let mut aggregates = vec![len().cast(DataType::Float64).alias("rows")];
    aggregates.extend(columns.iter().map(|column| col(*column).null_count().cast(DataType::Float64)));
    let frame = aggregate(subject.newest, &wanted, aggregates)?;
    let n_rows = number(&frame, "rows").max(1.0);
    let finding = |column: &str| {
        let limits = subject.settings.nulls[column];
        let share = number(&frame, column) / n_rows;
        Finding {
            name: format!("nulls.{column}"),
            status: above(share, limits),
            detail: format!("{} of the decisions have no `{column}`, up to {} are expected", percent(share), percent(limits.warn)),
        }
    };
    Ok(columns.into_iter().map(finding).collect())
}

/// The type to read a column as: lists stay what they are, since they are no texts.
fn kind_of(column: &str, subject: &Subject<'_>) -> DataType {
    let is_list = column == "candidates" || subject.all.extras().get(column) == Some(&crate::extras::ExtraKind::List);
    if is_list { DataType::List(Box::new(DataType::String)) } else { DataType::String }
}
