//! Router and tracker for Python. Structured values cross the border as JSON; the Python side of the package gives them their shape.

mod gateway;
mod router;
mod tracker;

use std::collections::BTreeMap;
use std::error::Error;

use pyo3::exceptions::{PyKeyError, PyOSError, PyValueError};
use pyo3::prelude::*;
use routewright_domain::Scalar;
use routewright_router::TrackerError;
use serde_json::Value;

/// The native half of the package `routewright`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<router::Router>()?;
    module.add_class::<router::Decision>()?;
    module.add_class::<tracker::Tracker>()?;
    module.add_class::<tracker::Routing>()?;
    module.add_class::<gateway::Gateway>()?;
    module.add_class::<gateway::Shared>()?;
    module.add_class::<gateway::OutcomeLog>()?;
    module.add_class::<gateway::Rules>()?;
    Ok(())
}

/// An error with its causes, as a `ValueError`.
fn invalid(error: impl Error) -> PyErr {
    PyValueError::new_err(chain(&error))
}

/// A tracker's error as Python knows such errors.
fn tracking(error: TrackerError) -> PyErr {
    match &error {
        TrackerError::Log { .. } => PyOSError::new_err(chain(&error)),
        TrackerError::Unknown { .. } => PyKeyError::new_err(chain(&error)),
        _ => PyValueError::new_err(chain(&error)),
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// An object of scalars and lists of texts; anything else is refused by its key.
fn scalars(json: &str) -> PyResult<BTreeMap<String, Scalar>> {
    let object: BTreeMap<String, Value> = serde_json::from_str(json).map_err(invalid)?;
    let mut scalars = BTreeMap::new();
    for (key, value) in object {
        let scalar = match value {
            Value::Null => continue,
            Value::Bool(flag) => Some(Scalar::Bool(flag)),
            Value::Number(number) => number.as_f64().map(Scalar::Number),
            Value::String(text) => Some(Scalar::Text(text)),
            Value::Array(items) => items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>().map(Scalar::List),
            Value::Object(_) => None,
        };
        let scalar = scalar.ok_or_else(|| PyValueError::new_err(format!("`{key}` must be a bool, a number, a text or a list of texts")))?;
        scalars.insert(key, scalar);
    }
    Ok(scalars)
}
