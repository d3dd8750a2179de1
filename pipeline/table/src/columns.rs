//! The canonical tables: every column with type, unit and meaning, and how a row gives and takes its value.

use routewright_domain::{Decision, LayerAttempt, Propensity, Timestamp};

/// A column of a canonical table that is read into rows of type `T`.
pub(crate) struct Column<T: 'static> {
    /// Its name in Parquet.
    pub(crate) name: &'static str,
    /// Its unit, or `-`.
    pub(crate) unit: &'static str,
    /// What it holds.
    pub(crate) meaning: &'static str,
    /// When it is known.
    pub(crate) known: Known,
    /// Its type, and how a row takes it.
    pub(crate) access: Access<T>,
}

/// When a column's value is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// At the decision, in every row.
    Always,
    /// At the decision, where it was logged.
    Logged,
    /// After the path ran; null while pending or where it was not logged.
    Outcome,
}

/// The type of a column and how a row takes its value; [`rows`](crate::rows) writes the columns in the same order.
pub(crate) enum Access<T: 'static> {
    /// Microseconds since 1970, UTC.
    Time(fn(&mut T, Timestamp)),
    /// UTF-8 text.
    Text(fn(&mut T, String)),
    /// A list of texts; empty is null.
    Texts(fn(&mut T, Vec<String>)),
    /// A double.
    Number(fn(&mut T, f64)),
    /// A 64-bit integer.
    Integer(fn(&mut T, i64)),
    /// True or false.
    Flag(fn(&mut T, bool)),
}

impl<T> Access<T> {
    /// The type's name in [`schema`](crate::schema).
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Access::Time(..) => "timestamp (µs, UTC)",
            Access::Text(..) => "text",
            Access::Texts(..) => "list of text",
            Access::Number(..) => "double",
            Access::Integer(..) => "integer",
            Access::Flag(..) => "bool",
        }
    }
}

/// One column of a list.
pub(crate) const fn column<T>(name: &'static str, known: Known, unit: &'static str, meaning: &'static str, access: Access<T>) -> Column<T> {
    Column { name, unit, meaning, known, access }
}

/// The columns of `decisions`, in the order of the files; the log's further scalars follow as one column each.
pub(crate) static DECISION_COLUMNS: &[Column<Decision>] = &[
    column("trace_id", Known::Always, "-", "identifies the decision", Access::Text(|row, value| row.trace_id = value)),
    column("timestamp", Known::Always, "UTC", "when the decision was made", Access::Time(|row, value| row.timestamp = value)),
    column("query", Known::Always, "-", "the query text", Access::Text(|row, value| row.query = value)),
    column(
        "query_id",
        Known::Always,
        "-",
        "groups rows that ran the same query; `trace_id` where the log has none",
        Access::Text(|row, value| row.query_id = value),
    ),
    column("session_id", Known::Logged, "-", "cluster: session", Access::Text(|row, value| row.session_id = Some(value))),
    column("user_id", Known::Logged, "-", "cluster: user", Access::Text(|row, value| row.user_id = Some(value))),
    column("path", Known::Always, "-", "the path that ran", Access::Text(|row, value| row.path = value)),
    column("static_path", Known::Logged, "-", "what the static rules chose", Access::Text(|row, value| row.static_path = Some(value))),
    column(
        "propensity",
        Known::Logged,
        "(0, 1]",
        "probability with which the logger chose `path`",
        Access::Number(|row, value| row.propensity = Propensity::try_from(value).ok()),
    ),
    column(
        "propensities",
        Known::Logged,
        "[0, 1]",
        "probability of every path, as a JSON object",
        Access::Text(|row, value| row.propensities = serde_json::from_str(&value).unwrap_or_default()),
    ),
    column(
        "candidates",
        Known::Logged,
        "-",
        "paths that were allowed for this query; null means all",
        Access::Texts(|row, value| row.candidates = value),
    ),
    column("policy_id", Known::Logged, "-", "the logging policy", Access::Text(|row, value| row.policy_id = Some(value))),
    column(
        "explored",
        Known::Logged,
        "-",
        "whether the logger deviated from its rules to explore",
        Access::Flag(|row, value| row.explored = Some(value)),
    ),
    column("tool_name", Known::Logged, "-", "tool that the path used", Access::Text(|row, value| row.tool_name = Some(value))),
    column("confidence", Known::Logged, "[0, 1]", "the logger's own confidence", Access::Number(|row, value| row.confidence = Some(value))),
    column(
        "query_type",
        Known::Logged,
        "-",
        "kind of query: stage 1's, else the logged type or category",
        Access::Text(|row, value| row.query_type = Some(value)),
    ),
    column(
        "complexity",
        Known::Logged,
        "-",
        "stage 1's complexity: simple, medium, complex",
        Access::Text(|row, value| row.complexity = Some(value)),
    ),
    column(
        "success",
        Known::Outcome,
        "-",
        "whether the path succeeded; null while pending",
        Access::Flag(|row, value| row.success = Some(value)),
    ),
    column("latency_ms", Known::Outcome, "ms", "time to the outcome", Access::Number(|row, value| row.latency_ms = Some(value))),
    column("error", Known::Outcome, "-", "the error the path ended with", Access::Text(|row, value| row.error = Some(value))),
    column(
        "tool_execution_time_ms",
        Known::Outcome,
        "ms",
        "time spent in the tool",
        Access::Number(|row, value| row.tool_execution_time_ms = Some(value)),
    ),
    column("llm_calls", Known::Outcome, "calls", "number of model calls", Access::Integer(|row, value| row.llm_calls = Some(value))),
    column("cost", Known::Outcome, "USD", "cost of the run", Access::Number(|row, value| row.cost = Some(value))),
    column(
        "user_feedback",
        Known::Outcome,
        "-",
        "what the user said: positive, negative, …",
        Access::Text(|row, value| row.user_feedback = Some(value)),
    ),
    column(
        "response_length",
        Known::Outcome,
        "logger's unit",
        "length of the answer",
        Access::Integer(|row, value| row.response_length = Some(value)),
    ),
    column(
        "hallucination_detected",
        Known::Outcome,
        "-",
        "whether a hallucination was found",
        Access::Flag(|row, value| row.hallucination_detected = Some(value)),
    ),
    column("quality_score", Known::Outcome, "[0, 1]", "rated quality", Access::Number(|row, value| row.quality_score = Some(value))),
    column(
        "optimal_path",
        Known::Outcome,
        "-",
        "the path a reviewer would have chosen",
        Access::Text(|row, value| row.optimal_path = Some(value)),
    ),
];

/// The columns of `layers`, in the order of the file.
pub(crate) static LAYER_COLUMNS: &[Column<LayerAttempt>] = &[
    column("trace_id", Known::Always, "-", "the decision it belongs to", Access::Text(|row, value| row.trace_id = value)),
    column("timestamp", Known::Always, "UTC", "when the decision was made", Access::Time(|row, value| row.timestamp = value)),
    column("layer_id", Known::Always, "position", "position in the cascade, from 1", Access::Integer(|row, value| row.layer_id = value)),
    column("layer_name", Known::Always, "-", "name of the layer", Access::Text(|row, value| row.layer_name = value)),
    column("success", Known::Logged, "-", "whether the layer's answer was taken", Access::Flag(|row, value| row.success = Some(value))),
    column("confidence", Known::Always, "[0, 1]", "the layer's confidence", Access::Number(|row, value| row.confidence = value)),
    column(
        "threshold",
        Known::Logged,
        "[0, 1]",
        "threshold that the confidence was compared with",
        Access::Number(|row, value| row.threshold = Some(value)),
    ),
    column(
        "selected_path",
        Known::Logged,
        "-",
        "the path the layer would have taken",
        Access::Text(|row, value| row.selected_path = Some(value)),
    ),
    column("latency_ms", Known::Logged, "ms", "time spent in the layer", Access::Number(|row, value| row.latency_ms = Some(value))),
    column("backend", Known::Logged, "-", "what served the layer", Access::Text(|row, value| row.backend = Some(value))),
    column("cache_hit", Known::Logged, "-", "whether a cache answered", Access::Flag(|row, value| row.cache_hit = Some(value))),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_column_is_named_like_a_further_scalar_and_no_two_alike() {
        let mut names: Vec<&str> = DECISION_COLUMNS.iter().map(|column| column.name).collect();
        assert!(names.iter().all(|name| !name.contains('.')), "dotted names are the log's further scalars");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DECISION_COLUMNS.len());
    }

    #[test]
    fn the_presence_of_every_outcome_fits_sixteen_bits() {
        assert!(DECISION_COLUMNS.iter().filter(|column| column.known == Known::Outcome).count() <= 15);
    }
}
