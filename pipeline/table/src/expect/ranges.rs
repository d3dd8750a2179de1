//! Share of values outside the plausible range, per column.

use polars::prelude::*;

use super::{Finding, Subject, above, aggregate, number, percent};
use crate::error::TableError;

pub(super) fn find(subject: &Subject<'_>) -> Result<Vec<Finding>, TableError> {
    let ranges = &subject.settings.ranges;
    if ranges.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<_> = ranges.keys().map(|column| (column.as_str(), DataType::Float64)).collect();
    let counted = |expression: Expr, name: String| expression.sum().cast(DataType::Float64).alias(name);
    let mut aggregates = Vec::new();
    for (column, [low, high]) in ranges {
        let value = || col(column.as_str());
        aggregates.push(counted(value().is_not_null(), format!("{column} values")));
        aggregates.push(counted(value().lt(lit(*low)).or(value().gt(lit(*high))), format!("{column} outside")));
    }
    let frame = aggregate(subject.newest, &wanted, aggregates)?;
    let finding = |(column, [low, high]): (&String, &[f64; 2])| {
        let (n_values, n_outside) = (number(&frame, &format!("{column} values")), number(&frame, &format!("{column} outside")));
        Finding {
            name: format!("ranges.{column}"),
            status: above(n_outside / n_values.max(1.0), subject.settings.outside),
            detail: format!("{n_outside} of {n_values} values ({}) lie outside [{low}, {high}]", percent(n_outside / n_values.max(1.0))),
        }
    };
    Ok(ranges.iter().map(finding).collect())
}
