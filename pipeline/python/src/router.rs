//! The router: loaded from an artifact's folder, decides, and gives the numbers that other runtimes are compared with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use routewright_domain::{Scalar, Timestamp};
use routewright_router::{Fallback, PolicyScratch, Request, RouterScratch, onnx_files};

use crate::{invalid, scalars};

/// A router from an artifact; shared by threads.
#[pyclass(frozen, module = "routewright._native")]
pub(crate) struct Router(pub(crate) routewright_router::Router);

/// A decision.
#[pyclass(frozen, get_all, module = "routewright._native")]
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    path: Option<String>,
    learned_path: Option<String>,
    success: BTreeMap<String, f64>,
    latency_ms: BTreeMap<String, f64>,
    confidence: f64,
    fallback: Option<&'static str>,
    propensity: f64,
    artifact_digest: String,
}

/// A request with everything it owns.
pub(crate) struct Asked {
    pub query: String,
    pub timestamp: Timestamp,
    pub query_type: Option<String>,
    pub complexity: Option<String>,
    pub static_path: Option<String>,
    pub session_id: Option<String>,
    pub sentence: Option<Vec<f32>>,
    pub extras: BTreeMap<String, Scalar>,
}

/// What Python hands over: query, microseconds, type, complexity, static path, session, sentence vector, extras as JSON.
pub(crate) type Handed = (String, i64, Option<String>, Option<String>, Option<String>, Option<String>, Option<Vec<f32>>, String);

impl Asked {
    pub(crate) fn new((query, timestamp, query_type, complexity, static_path, session_id, sentence, extras): Handed) -> PyResult<Self> {
        let extras = scalars(&extras)?;
        Ok(Self { query, timestamp: Timestamp(timestamp), query_type, complexity, static_path, session_id, sentence, extras })
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            query: &self.query,
            timestamp: self.timestamp,
            query_type: self.query_type.as_deref(),
            complexity: self.complexity.as_deref(),
            static_path: self.static_path.as_deref(),
            session_id: self.session_id.as_deref(),
            sentence: self.sentence.as_deref(),
            extras: &self.extras,
        }
    }
}

impl Router {
    fn decide(&self, asked: &Asked) -> Decision {
        let request = asked.request();
        let routed = self.0.route(&request);
        let by_path = |numbers: &[f64]| {
            let names = self.0.policy().paths.names().iter().cloned();
            names.zip(numbers.iter().copied()).filter(|(_, number)| !number.is_nan()).collect()
        };
        Decision {
            path: routed.path.map(str::to_owned),
            learned_path: routed.learned_path.map(str::to_owned),
            success: by_path(&routed.success),
            latency_ms: by_path(&routed.latency_ms),
            confidence: routed.confidence,
            fallback: routed.fallback.map(Fallback::name),
            propensity: routed.propensity,
            artifact_digest: routed.artifact_digest.to_owned(),
        }
    }
}

#[pymethods]
impl Router {
    #[staticmethod]
    fn load(folder: PathBuf) -> PyResult<Self> {
        let files = read_folder(&folder).map_err(|error| PyOSError::new_err(format!("{}: {error}", folder.display())))?;
        routewright_router::Router::load(&files).map(Self).map_err(invalid)
    }

    fn verify(&self) -> PyResult<usize> {
        self.0.verify().map_err(invalid)
    }

    fn route(&self, py: Python<'_>, handed: Handed) -> PyResult<Decision> {
        let asked = Asked::new(handed)?;
        Ok(py.detach(|| self.decide(&asked)))
    }

    fn route_many(&self, py: Python<'_>, handed: Vec<Handed>) -> PyResult<Vec<Decision>> {
        let asked: Vec<Asked> = handed.into_iter().map(Asked::new).collect::<PyResult<_>>()?;
        Ok(py.detach(|| asked.iter().map(|asked| self.decide(asked)).collect()))
    }

    /// The feature rows of requests: 32-bit floats, row after row.
    fn features<'py>(&self, py: Python<'py>, handed: Vec<Handed>) -> PyResult<Bound<'py, PyBytes>> {
        let mut bytes = Vec::new();
        let mut scratch = RouterScratch::default();
        for handed in handed {
            let asked = Asked::new(handed)?;
            self.0.decide(&asked.request(), &mut scratch);
            bytes.extend(scratch.row().iter().flat_map(|number| number.to_le_bytes()));
        }
        Ok(PyBytes::new(py, &bytes))
    }

    /// Success, latency and imitation of rows as `features` gives them: three times doubles, row after row, one per path.
    fn predict<'py>(&self, py: Python<'py>, rows: &[u8]) -> PyResult<[Bound<'py, PyBytes>; 3]> {
        let n_columns = self.0.encoder().n_columns();
        if !rows.len().is_multiple_of(4 * n_columns) {
            return Err(PyValueError::new_err(format!("{} bytes are no rows of {n_columns} 32-bit floats", rows.len())));
        }
        let numbers: Vec<f32> = rows.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect();
        let (mut outputs, mut scratch, mut imitation) = ([vec![], vec![], vec![]], PolicyScratch::default(), vec![]);
        for row in numbers.chunks_exact(n_columns) {
            self.0.policy().predict(row, &mut scratch);
            self.0.policy().classify(row, &mut imitation);
            for (output, numbers) in outputs.iter_mut().zip([&scratch.success, &scratch.latency_ms, &imitation]) {
                output.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            }
        }
        Ok(outputs.map(|bytes| PyBytes::new(py, &bytes)))
    }

    /// The models as ONNX, by file name.
    fn onnx_files<'py>(&self, py: Python<'py>) -> BTreeMap<String, Bound<'py, PyBytes>> {
        let files = onnx_files(self.0.policy(), self.0.encoder().n_columns());
        files.into_iter().map(|(name, bytes)| (name, PyBytes::new(py, &bytes))).collect()
    }

    /// Name and length of the vector that every request must carry; `None` where the built-in embedder is used.
    #[getter]
    fn sentence_source(&self) -> Option<(String, usize)> {
        self.0.sentence_source().map(|source| (source.name.clone(), source.dimensions))
    }

    #[getter]
    fn paths(&self) -> Vec<String> {
        self.0.policy().paths.names().to_vec()
    }

    #[getter]
    fn columns(&self) -> Vec<String> {
        self.0.encoder().schema().columns().iter().map(|column| column.name.clone()).collect()
    }

    #[getter]
    fn digest(&self) -> &str {
        self.0.digest()
    }
}

fn read_folder(folder: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            files.insert(name.to_string_lossy().into_owned(), std::fs::read(&path)?);
        }
    }
    Ok(files)
}
