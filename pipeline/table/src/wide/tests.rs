//! Wide tables as they come: CSV, TSV, compressed, Parquet, with holes and with damage.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field};

use super::*;
use crate::corpus::Run;
use crate::parquet_file::TableWriter;
use crate::{IngestSettings, format_named};

const TABLE: &str = "query_id,timestamp,query,level,success_A,latency_ms_A,success_B,cost_B,static_path
q1,2026-01-05T10:00:00Z,\"two
lines\",3,1,120,0,0.5,A
q2,2026-01-05T11:00:00Z,hi,4,,,0.7,0.25,A
";

fn run(name: &str, bytes: &[u8], matrix: MatrixSettings) -> Run {
    Run::of_files(&[(name, bytes)], &IngestSettings { max_rejected: 1.0, matrix, ..IngestSettings::default() })
}

/// Query, path, success, latency, cost.
type Found = (String, String, Option<bool>, Option<f64>, Option<f64>);

fn rows(run: &Run) -> Vec<Found> {
    run.decisions().into_iter().map(|row| (row.query_id, row.path, row.success, row.latency_ms, row.cost)).collect()
}

#[test]
fn every_outcome_is_a_decision_and_an_empty_cell_is_none() {
    let expected = [
        ("q1".to_owned(), "A".to_owned(), Some(true), Some(120.0), None),
        ("q1".to_owned(), "B".to_owned(), Some(false), None, Some(0.5)),
        ("q2".to_owned(), "B".to_owned(), Some(true), None, Some(0.25)),
    ];
    let packed = zstd::encode_all(TABLE.as_bytes(), 1).unwrap();
    for (name, bytes) in [("m.csv", TABLE.as_bytes().to_vec()), ("m.tsv", TABLE.replace(',', "\t").into_bytes()), ("m.csv.zst", packed)] {
        let run = run(name, &bytes, MatrixSettings::default());
        assert_eq!((rows(&run), run.reasons()), (expected.to_vec(), vec![]), "{name}");
        assert_eq!(run.report.files[0].format.as_deref(), Some("matrix"));
        let first = &run.decisions()[0];
        assert_eq!((first.trace_id.as_str(), first.query.as_str(), first.static_path.as_deref()), ("q1/A", "two\nlines", Some("A")));
        assert_eq!(first.extras.get("query_features.level"), Some(&routewright_domain::Scalar::Number(3.0)));
    }
}

#[test]
fn names_of_columns_come_from_the_settings() {
    let settings = MatrixSettings {
        query: "prompt".to_owned(),
        success: "{path}".to_owned(),
        cost: "{path}|total_cost".to_owned(),
        paths: vec!["gpt-4".to_owned(), "mixtral".to_owned()],
        success_from: 0.8,
        start: "2026-01-05T00:00:00Z".to_owned(),
        ..MatrixSettings::default()
    };
    let table = "prompt,gpt-4,gpt-4|total_cost,mixtral\nhello,0.8,0.01,0.5\nbye,1.0,0.02,\n";
    let run = run("bench.csv", table.as_bytes(), settings);
    let found: Vec<_> = run.decisions().into_iter().map(|row| (row.trace_id, row.timestamp.0 % 60_000_000, row.success)).collect();
    let expected = [("bench.csv#1/gpt-4", 0, true), ("bench.csv#1/mixtral", 0, false), ("bench.csv#2/gpt-4", 1_000_000, true)];
    assert_eq!(found, expected.map(|(id, time, success)| (id.to_owned(), time, Some(success))));
}

#[test]
fn damaged_rows_are_rejected_on_their_own_lines() {
    let table = [
        b"query_id,timestamp,query,success_A\nq1,2026-01-05T10:00:00Z,\"a\nb\",1\nq2,2026-01-05T10:00:00Z,short\nq3,yesterday,c,1\nq4,2026-01-05T10:00:00Z,caf\xe9,1\n"
            .to_vec(),
        b"q5,2026-01-05T10:00:00Z,d,maybe\nq6,2026-01-05T10:00:00Z,e,0\n".to_vec(),
    ]
    .concat();
    let run = run("m.csv", &table, MatrixSettings::default());
    assert_eq!(run.reasons(), [("invalid_utf8", 1), ("ragged_row", 1), ("unparsable_timestamp", 1), ("wrong_type", 1)]);
    let lines: Vec<u64> = run.quarantine.iter().map(|entry| entry["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [4, 5, 6, 7]);
    assert_eq!(run.decisions().len(), 2);
    assert_eq!(run.quarantine[0]["message"], "3 values under a header of 4: q2, 2026-01-05T10:00:00Z, short");
}

#[test]
fn a_table_that_is_no_matrix_is_one_rejected_record() {
    for (name, bytes) in [("notes.csv", &b"date,note\n1,2\n3,4\n"[..]), ("empty.tsv", b"x"), ("torn.parquet", b"PAR1 and no more")] {
        let run = run(name, bytes, MatrixSettings::default());
        assert_eq!((run.report.totals.read, run.reasons()), (1, vec![("unknown_format", 1)]), "{name}");
    }
}

#[test]
fn parquet_gives_the_same_as_csv() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.parquet");
    let kinds = [
        ("query_id", DataType::Int64),
        ("timestamp", DataType::Utf8),
        ("query", DataType::Utf8),
        ("success_A", DataType::Boolean),
        ("success_B", DataType::Float64),
    ];
    let fields = kinds.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect();
    let mut writer = TableWriter::create(&path, fields).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2])),
        Arc::new(StringArray::from(vec!["2026-01-05T10:00:00Z", "2026-01-05T11:00:00Z"])),
        Arc::new(StringArray::from(vec!["x", "y"])),
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(Float64Array::from(vec![0.2, 0.9])),
    ];
    writer.write(columns).unwrap();
    writer.finish(&[]).unwrap();
    let table = "query_id,timestamp,query,success_A,success_B\n1,2026-01-05T10:00:00Z,x,true,0.2\n2,2026-01-05T11:00:00Z,y,,0.9\n";
    let parquet = run("m.parquet", &std::fs::read(path).unwrap(), MatrixSettings::default());
    assert_eq!(parquet.decisions(), run("m.csv", table.as_bytes(), MatrixSettings::default()).decisions());
    assert_eq!((parquet.decisions().len(), parquet.report.files[0].bytes > 500), (3, true));
}

#[test]
fn settings_that_name_no_path_are_refused() {
    let key = |settings: MatrixSettings| settings.check().map_err(|error| error.0);
    assert_eq!(key(MatrixSettings::default()), Ok(()));
    assert_eq!(key(MatrixSettings { cost: "cost".to_owned(), ..MatrixSettings::default() }), Err("matrix.cost"));
    assert_eq!(key(MatrixSettings { start: "now".to_owned(), ..MatrixSettings::default() }), Err("matrix.start"));
    assert!(format_named("matrix").is_some());
}

/// A Parquet file with a byte changed, cut or inserted is read or rejected.
#[test]
fn damaged_parquet_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.parquet");
    let fields = vec![Field::new("query", DataType::Utf8, true), Field::new("success_A", DataType::Boolean, true)];
    let mut writer = TableWriter::create(&path, fields).unwrap();
    let queries = StringArray::from_iter_values((0..50).map(|row| format!("query number {row}")));
    writer.write(vec![Arc::new(queries), Arc::new(BooleanArray::from(vec![true; 50]))]).unwrap();
    writer.finish(&[]).unwrap();
    let good = std::fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] = bad[at].wrapping_add(1 + (at % 250) as u8);
        if at % 7 == 0 {
            bad.truncate(at);
        }
        std::fs::write(&path, bad).unwrap();
        let mut text = Vec::new();
        // An error is as good as an end: the ingest rejects what follows it.
        let _ = of_parquet(&path, File::open(&path).unwrap(), &MatrixSettings::default()).read_to_end(&mut text);
    }
}
