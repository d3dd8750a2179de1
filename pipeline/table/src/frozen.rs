//! Tables as earlier versions wrote them stay readable.

use std::path::{Path, PathBuf};

use crate::*;

fn sample(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/store").join(version)
}

#[test]
fn tables_of_version_1_are_read_in_full() {
    let decisions = Decisions::open(&sample("v1").join("decisions")).unwrap();
    let days: Vec<(&str, u64)> = decisions.days().collect();
    let rows: Vec<_> = decisions.iter().flat_map(Result::unwrap).collect();
    assert_eq!((days.len(), rows.len() as u64, decisions.n_rows()), (2, 69, 69));
    assert_eq!(decisions.sources().len(), 3);
    assert!(rows.is_sorted_by_key(|row| row.timestamp));
    let outcome = rows.iter().find(|row| row.policy_id.is_some()).unwrap();
    assert_eq!((outcome.propensities.len(), outcome.candidates.len()), (4, 4));
    assert!(outcome.extras.contains_key("query_features.keywords"));
    let event = rows.iter().find(|row| row.trace_id.starts_with("route-")).unwrap();
    assert_eq!(event.static_path.as_deref(), Some(event.path.as_str()));
    let layers = read_layers(&sample("v1").join("layers.parquet")).unwrap();
    assert_eq!((layers.len(), layers[0].layer_id, layers[0].backend.as_deref()), (67, 1, None));
    let cascade = read_cascade(&sample("v1").join("decisions"), &sample("v1").join("layers.parquet"), None).unwrap();
    assert_eq!(cascade.events().len(), 69);
}
