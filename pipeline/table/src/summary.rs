//! What a log says before anything is trained: success, latency, confusion of the static rules, and what goes along with success.
//!
//! Numbers do not depend on threads: counts and order statistics are exact, means are sums of whole nanoseconds, and correlations are
//! computed in the order of the rows.

use polars::prelude::*;
use routewright_domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decisions::Decisions;
use crate::error::TableError;
use crate::extras::{ExtraKind, known_at_decision};
use crate::scan::{DAY, scan_days};

/// Successes among decisions with an outcome: what a Wilson interval needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessCount {
    /// Decisions with an outcome.
    pub n: u64,
    /// Of these, successes.
    pub successes: u64,
}

impl SuccessCount {
    /// Success rate in [0, 1]; none without outcomes.
    pub fn rate(self) -> Option<f64> {
        (self.n > 0).then(|| self.successes as f64 / self.n as f64)
    }
}

/// Success of one path on one kind of query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessCell {
    /// Kind of query; none where it was not logged.
    pub query_type: Option<String>,
    /// The path that ran.
    pub path: String,
    /// Decisions, pending ones too.
    pub n_rows: u64,
    /// Outcomes.
    pub success: SuccessCount,
}

/// Latency of one path over the rows that logged it, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyRow {
    /// The path.
    pub path: String,
    /// Rows with a latency.
    pub n: u64,
    /// Mean.
    pub mean: f64,
    /// Median; between two rows linear, as the other quantiles.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// How often the rules chose a path where a reviewer would have chosen another (or the same).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionCell {
    /// What the static rules chose; the path that ran where that was not logged.
    pub chosen: String,
    /// What the reviewer would have chosen.
    pub optimal: String,
    /// Decisions.
    pub n: u64,
}

/// Success of the static choice on one kind of query: rows where what ran is what the rules chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticSuccess {
    /// Kind of query; none where it was not logged.
    pub query_type: Option<String>,
    /// Outcomes.
    pub success: SuccessCount,
}

/// Point-biserial correlation of a number (or 0/1) with success.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// The log's key, or `query length`.
    pub feature: String,
    /// Rows with an outcome and a value.
    pub n: u64,
    /// The coefficient in [-1, 1]; none where either side is constant.
    pub r: Option<f64>,
}

/// Success by the values of a text with few of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessByValue {
    /// The log's key.
    pub feature: String,
    /// Values in alphabetical order.
    pub values: Vec<(String, SuccessCount)>,
}

/// Decisions of one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCount {
    /// `YYYY-MM-DD`, UTC.
    pub day: String,
    /// Decisions, pending ones too.
    pub n_rows: u64,
    /// Outcomes.
    pub success: SuccessCount,
}

/// What a log says before anything is trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Decisions.
    pub n_rows: u64,
    /// Different queries (`query_id`).
    pub n_queries: u64,
    /// Decisions with a logged propensity.
    pub n_with_propensity: u64,
    /// Decisions that the logger marked as exploration.
    pub n_explored: u64,
    /// All outcomes.
    pub success: SuccessCount,
    /// Earliest decision.
    pub first: Option<Timestamp>,
    /// Latest decision.
    pub last: Option<Timestamp>,
    /// Success by kind of query and path, in the order of their names.
    pub success_by_type_and_path: Vec<SuccessCell>,
    /// Latency by path, in the order of their names.
    pub latency_by_path: Vec<LatencyRow>,
    /// The rules against reviewers, where decisions were reviewed.
    pub confusion: Vec<ConfusionCell>,
    /// Success of the static choice by kind of query, in the order of their names; empty where no static path is known.
    pub static_success_by_type: Vec<StaticSuccess>,
    /// Numbers and flags known at the decision, in the order of their keys; `query length` (characters) first.
    pub correlations: Vec<Correlation>,
    /// Texts known at the decision that have few values, in the order of their keys.
    pub success_by_value: Vec<SuccessByValue>,
    /// Decisions by day.
    pub days: Vec<DayCount>,
}

/// A text with more values than this is no category worth a table.
const MAX_VALUES: usize = 20;

/// Columns of further scalars that are held in memory at once.
const COLUMNS_AT_ONCE: usize = 32;

impl Summary {
    /// Summarises all decisions.
    ///
    /// # Errors
    /// [`TableError`] for a table that cannot be read.
    pub fn of(decisions: &Decisions) -> Result<Self, TableError> {
        let failed = |error| TableError::query(decisions.folder(), error);
        let core = scan_days(
            decisions,
            &[
                ("query_id", DataType::String),
                ("timestamp", DataType::Int64),
                ("query_type", DataType::String),
                ("path", DataType::String),
                ("static_path", DataType::String),
                ("optimal_path", DataType::String),
                ("propensity", DataType::Float64),
                ("explored", DataType::Boolean),
                ("success", DataType::Boolean),
                ("latency_ms", DataType::Float64),
            ],
        )?;
        let mut summary = Self::default();
        summary.take_totals(core.clone()).map_err(failed)?;
        summary.success_by_type_and_path = success_cells(core.clone()).map_err(failed)?;
        summary.latency_by_path = latencies(core.clone()).map_err(failed)?;
        summary.confusion = confusion(core.clone()).map_err(failed)?;
        summary.static_success_by_type = static_success(core.clone()).map_err(failed)?;
        summary.days = days(core).map_err(failed)?;
        summary.correlations = correlations(decisions)?;
        summary.success_by_value = success_by_value(decisions)?;
        Ok(summary)
    }

    fn take_totals(&mut self, core: LazyFrame) -> PolarsResult<()> {
        let totals = core
            .select([
                len().alias("n_rows"),
                col("query_id").n_unique().alias("n_queries"),
                col("propensity").count().alias("n_with_propensity"),
                col("explored").sum().alias("n_explored"),
                col("success").count().alias("n"),
                col("success").sum().alias("successes"),
                col("timestamp").min().alias("first"),
                col("timestamp").max().alias("last"),
            ])
            .collect()?;
        let totals = Table(totals);
        self.n_rows = totals.count("n_rows", 0)?;
        self.n_queries = if self.n_rows == 0 { 0 } else { totals.count("n_queries", 0)? };
        self.n_with_propensity = totals.count("n_with_propensity", 0)?;
        self.n_explored = totals.count("n_explored", 0)?;
        self.success = totals.success(0)?;
        self.first = totals.integer("first", 0)?.map(Timestamp);
        self.last = totals.integer("last", 0)?.map(Timestamp);
        Ok(())
    }
}

/// Outcomes of a group.
fn outcomes() -> [Expr; 3] {
    [len().alias("n_rows"), col("success").count().alias("n"), col("success").sum().alias("successes")]
}

/// Groups in the order of their keys, nulls first.
fn grouped(frame: LazyFrame, keys: &[&str], aggregates: impl AsRef<[Expr]>) -> PolarsResult<Table> {
    let by: Vec<Expr> = keys.iter().map(|key| col(*key)).collect();
    let sorted = frame.group_by(by).agg(aggregates).sort(keys.iter().copied(), SortMultipleOptions::default());
    sorted.collect().map(Table)
}

fn success_cells(core: LazyFrame) -> PolarsResult<Vec<SuccessCell>> {
    let table = grouped(core, &["query_type", "path"], outcomes())?;
    table.rows(|row| {
        Ok(SuccessCell {
            query_type: table.text("query_type", row)?,
            path: table.text("path", row)?.unwrap_or_default(),
            n_rows: table.count("n_rows", row)?,
            success: table.success(row)?,
        })
    })
}

fn latencies(core: LazyFrame) -> PolarsResult<Vec<LatencyRow>> {
    let latency = || col("latency_ms");
    let quantile = |share: f64| latency().quantile(lit(share), QuantileMethod::Linear);
    // Whole nanoseconds sum to the same number in any order.
    let nanoseconds = (latency() * lit(1e6)).cast(DataType::Int64).sum();
    let aggregates = [
        len().alias("n"),
        nanoseconds.alias("nanoseconds"),
        quantile(0.5).alias("p50"),
        quantile(0.95).alias("p95"),
        quantile(0.99).alias("p99"),
        latency().max().alias("max"),
    ];
    let table = grouped(core.filter(latency().is_not_null()), &["path"], aggregates)?;
    table.rows(|row| {
        let n = table.count("n", row)?;
        let nanoseconds = table.integer("nanoseconds", row)?.unwrap_or(0);
        Ok(LatencyRow {
            path: table.text("path", row)?.unwrap_or_default(),
            n,
            mean: nanoseconds as f64 / 1e6 / n as f64,
            p50: table.number("p50", row)?,
            p95: table.number("p95", row)?,
            p99: table.number("p99", row)?,
            max: table.number("max", row)?,
        })
    })
}

fn confusion(core: LazyFrame) -> PolarsResult<Vec<ConfusionCell>> {
    let reviewed = core.filter(col("optimal_path").is_not_null()).with_column(col("static_path").fill_null(col("path")).alias("chosen"));
    let table = grouped(reviewed, &["chosen", "optimal_path"], [len().alias("n")])?;
    table.rows(|row| {
        Ok(ConfusionCell {
            chosen: table.text("chosen", row)?.unwrap_or_default(),
            optimal: table.text("optimal_path", row)?.unwrap_or_default(),
            n: table.count("n", row)?,
        })
    })
}

fn static_success(core: LazyFrame) -> PolarsResult<Vec<StaticSuccess>> {
    let table = grouped(core.filter(col("path").eq(col("static_path"))), &["query_type"], outcomes())?;
    table.rows(|row| Ok(StaticSuccess { query_type: table.text("query_type", row)?, success: table.success(row)? }))
}

fn days(core: LazyFrame) -> PolarsResult<Vec<DayCount>> {
    let table = grouped(core, &[DAY], outcomes())?;
    table.rows(|row| {
        Ok(DayCount { day: table.text(DAY, row)?.unwrap_or_default(), n_rows: table.count("n_rows", row)?, success: table.success(row)? })
    })
}

fn correlations(decisions: &Decisions) -> Result<Vec<Correlation>, TableError> {
    let failed = |error| TableError::query(decisions.folder(), error);
    let numeric = |kind: &ExtraKind| matches!(kind, ExtraKind::Bool | ExtraKind::Number);
    let keys: Vec<&str> =
        decisions.extras().iter().filter(|(key, kind)| numeric(kind) && known_at_decision(key)).map(|(key, _)| key.as_str()).collect();
    let lengths = scan_days(decisions, &[("success", DataType::Boolean), ("query", DataType::String)])?;
    let lengths = lengths.select([col("success"), col("query").str().len_chars().cast(DataType::Float64)]).collect().map_err(failed)?;
    let mut found = vec![correlation("query length", &lengths, "query").map_err(failed)?];
    for keys in keys.chunks(COLUMNS_AT_ONCE) {
        let mut wanted = vec![("success", DataType::Boolean)];
        wanted.extend(keys.iter().map(|key| (*key, DataType::Float64)));
        let frame = scan_days(decisions, &wanted)?.collect().map_err(failed)?;
        for key in keys {
            found.push(correlation(key, &frame, key).map_err(failed)?);
        }
    }
    Ok(found)
}

/// Pearson's coefficient of a column with success as 0 and 1, in two passes.
fn correlation(feature: &str, frame: &DataFrame, column: &str) -> PolarsResult<Correlation> {
    let (values, successes) = (frame.column(column)?.f64()?, frame.column("success")?.bool()?);
    let pairs: Vec<(f64, f64)> =
        values.iter().zip(successes.iter()).filter_map(|(value, success)| Some((value?, f64::from(u8::from(success?))))).collect();
    let n = pairs.len() as f64;
    let (mean_x, mean_y) = (pairs.iter().map(|pair| pair.0).sum::<f64>() / n, pairs.iter().map(|pair| pair.1).sum::<f64>() / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in &pairs {
        let (x, y) = (x - mean_x, y - mean_y);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    let r = xy / (xx.sqrt() * yy.sqrt());
    Ok(Correlation { feature: feature.to_owned(), n: pairs.len() as u64, r: r.is_finite().then(|| r.clamp(-1.0, 1.0)) })
}

fn success_by_value(decisions: &Decisions) -> Result<Vec<SuccessByValue>, TableError> {
    let failed = |error| TableError::query(decisions.folder(), error);
    let mut found = Vec::new();
    let keys = decisions.extras().iter().filter(|(key, kind)| **kind == ExtraKind::Text && known_at_decision(key));
    for (key, _) in keys {
        let frame = scan_days(decisions, &[("success", DataType::Boolean), (key, DataType::String)])?;
        let frame = frame.filter(col(key.as_str()).is_not_null());
        let table = grouped(frame, &[key], outcomes()).map_err(failed)?;
        if table.0.height() <= MAX_VALUES {
            let values = table.rows(|row| Ok((table.text(key, row)?.unwrap_or_default(), table.success(row)?))).map_err(failed)?;
            found.push(SuccessByValue { feature: key.clone(), values });
        }
    }
    Ok(found)
}

/// A small collected frame whose values are read one by one.
struct Table(DataFrame);

impl Table {
    fn rows<T>(&self, row: impl Fn(usize) -> PolarsResult<T>) -> PolarsResult<Vec<T>> {
        (0..self.0.height()).map(row).collect()
    }

    fn integer(&self, column: &str, row: usize) -> PolarsResult<Option<i64>> {
        Ok(self.0.column(column)?.get(row)?.extract())
    }

    fn count(&self, column: &str, row: usize) -> PolarsResult<u64> {
        Ok(self.0.column(column)?.get(row)?.extract().unwrap_or(0))
    }

    fn number(&self, column: &str, row: usize) -> PolarsResult<f64> {
        Ok(self.0.column(column)?.get(row)?.extract().unwrap_or(0.0))
    }

    fn text(&self, column: &str, row: usize) -> PolarsResult<Option<String>> {
        Ok(self.0.column(column)?.str()?.get(row).map(str::to_owned))
    }

    fn success(&self, row: usize) -> PolarsResult<SuccessCount> {
        Ok(SuccessCount { n: self.count("n", row)?, successes: self.count("successes", row)? })
    }
}
