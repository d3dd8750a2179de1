//! `schema`: what the columns of a table hold.

use std::path::Path;

use routewright_table::{ColumnSchema, TABLES, plain_fields, schema};
use serde_json::{Value, json};

use crate::commands::head::place_of;
use crate::exit::{DataError, Exit, UsageError};
use crate::layout::aligned_texts;
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Flags of `schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// decisions, layers, assignments, quarantine, features, or a Parquet or CSV file; all but features by default
    table: Option<String>,
}

/// Shows the columns.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let table = arguments.table.as_deref();
    let (text, columns) = match table.filter(|name| TABLES.iter().all(|entry| entry.name != *name)) {
        None => {
            let columns = schema(table).map_err(|error| UsageError(error.to_string()))?;
            (canonical(&columns), json!(columns))
        }
        Some(table) => on_file(&place_of(table, project)?, table)?,
    };
    messages.result(&text, &json!({ "schema_version": 1, "columns": columns }))?;
    Ok(Exit::Done)
}

/// The columns of our own tables, each table under its name.
fn canonical(columns: &[ColumnSchema]) -> String {
    let mut text = String::new();
    for group in columns.chunk_by(|one, other| one.table == other.table) {
        let cells =
            |column: &ColumnSchema| [column.column, column.kind, column.unit, column.known, column.meaning].map(str::to_owned).to_vec();
        let rows: Vec<Vec<String>> = group.iter().map(cells).collect();
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{}\n\n", group[0].table));
        text.push_str(&aligned_texts(&["COLUMN", "TYPE", "UNIT", "KNOWN", "MEANING"], &rows));
    }
    text
}

/// The columns that a file says it has.
fn on_file(place: &Path, table: &str) -> anyhow::Result<(String, Value)> {
    if place.is_dir() {
        return Err(UsageError(format!("`{table}` is a folder; name one of its files")).into());
    }
    let fields = plain_fields(place).map_err(DataError::of)?;
    let rows: Vec<Vec<String>> = fields.iter().map(|field| vec![field.name.clone(), field.kind.clone()]).collect();
    let columns: Vec<Value> = fields.iter().map(|field| json!({ "table": table, "column": field.name, "kind": field.kind })).collect();
    Ok((aligned_texts(&["COLUMN", "TYPE"], &rows), json!(columns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_line_below_the_name_of_its_table() {
        let columns = schema(None).unwrap();
        let text = canonical(&columns);
        assert!(text.starts_with("decisions\n\nCOLUMN") && text.contains("\n\nlayers\n\nCOLUMN"), "{text}");
        // Per table a name, a blank line and a header, and a blank line between tables.
        assert_eq!(text.lines().count(), columns.len() + 4 * TABLES.len() - 1);
    }
}
