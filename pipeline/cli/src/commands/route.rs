//! `route`: decides with an artifact, as an online router would.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use routewright_domain::{Scalar, Timestamp};
use routewright_router::{Fallback, Request, Routed, Router};
use serde::Serialize;
use serde_json::Value;
use stages::QueryEmbedder;

use crate::commands::verify::{ARTIFACT, load};
use crate::exit::{Exit, UsageError};
use crate::messages::Messages;
use crate::project::ProjectArguments;

/// Flags of `route`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The query
    #[arg(required_unless_present = "stdin")]
    query: Option<String>,
    /// Read queries from standard input, one per line: plain text, or a JSON object as in the log
    #[arg(long, conflicts_with = "query")]
    stdin: bool,
    /// Folder of the artifact; the project's own by default
    #[arg(long, value_name = "DIR")]
    artifact: Option<PathBuf>,
    /// What the static rules would choose
    #[arg(long, value_name = "PATH")]
    static_path: Option<String>,
    /// Kind of query according to stage 1
    #[arg(long, value_name = "TYPE")]
    query_type: Option<String>,
    /// A further scalar of the log, such as context.system_mode=ALERT
    #[arg(long, value_name = "KEY=VALUE")]
    with: Vec<String>,
    /// When the decision is made (RFC 3339); now by default
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// A query as it was given.
#[derive(Debug, Default)]
struct Asked {
    query: String,
    timestamp: Option<Timestamp>,
    query_type: Option<String>,
    complexity: Option<String>,
    static_path: Option<String>,
    extras: BTreeMap<String, Scalar>,
}

/// Decides about one query, or about every line of standard input.
pub(crate) fn run(arguments: &Arguments, project: &ProjectArguments, messages: &Messages) -> anyhow::Result<Exit> {
    let router = load(&arguments.artifact.clone().unwrap_or_else(|| project.project.join(ARTIFACT)))?;
    let common = common(arguments)?;
    // The settings are read only where the artifact needs what they name.
    let mut embedder = match router.sentence_source() {
        None => None,
        Some(source) => {
            let loaded = project.load(&[])?;
            Some(QueryEmbedder::open(&loaded.config, &loaded.folder, source)?)
        }
    };
    if let Some(query) = &arguments.query {
        let asked = Asked { query: query.clone(), ..common };
        let sentence = embedder.as_mut().map(|embedder| embedder.embed(query)).transpose()?;
        let answer = Answer::new(&router, &router.route(&asked.request(sentence.as_deref())));
        messages.result(&answer.in_words(), &answer)?;
        return Ok(Exit::Done);
    }
    for (position, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.context("cannot read standard input")?;
        if line.trim().is_empty() {
            continue;
        }
        let asked = parse_line(&line, &common).with_context(|| format!("standard input, line {}", position + 1))?;
        let sentence = embedder.as_mut().map(|embedder| embedder.embed(&asked.query)).transpose()?;
        let answer = Answer::new(&router, &router.route(&asked.request(sentence.as_deref())));
        let text = if messages.json() { serde_json::to_string(&answer)? } else { answer.path.clone().unwrap_or_default() };
        messages.bytes(format!("{text}\n").as_bytes())?;
    }
    Ok(Exit::Done)
}

impl Asked {
    fn request<'a>(&'a self, sentence: Option<&'a [f32]>) -> Request<'a> {
        Request {
            query: &self.query,
            timestamp: self.timestamp.unwrap_or_else(now),
            query_type: self.query_type.as_deref(),
            complexity: self.complexity.as_deref(),
            static_path: self.static_path.as_deref(),
            session_id: None,
            sentence,
            extras: &self.extras,
        }
    }

    fn copy(&self) -> Self {
        Self {
            query: String::new(),
            timestamp: self.timestamp,
            query_type: self.query_type.clone(),
            complexity: self.complexity.clone(),
            static_path: self.static_path.clone(),
            extras: self.extras.clone(),
        }
    }
}

/// What the flags say about every query.
fn common(arguments: &Arguments) -> anyhow::Result<Asked> {
    let mut extras = BTreeMap::new();
    for pair in &arguments.with {
        let (key, value) = pair.split_once('=').ok_or_else(|| UsageError(format!("`--with {pair}`: expected KEY=VALUE")))?;
        let scalar = match (value.parse::<f64>(), value) {
            (Ok(number), _) if number.is_finite() => Scalar::Number(number),
            (_, "true") => Scalar::Bool(true),
            (_, "false") => Scalar::Bool(false),
            _ => Scalar::Text(value.to_owned()),
        };
        extras.insert(key.to_owned(), scalar);
    }
    let timestamp = arguments.at.as_deref().map(timestamp).transpose()?;
    Ok(Asked {
        timestamp,
        query_type: arguments.query_type.clone(),
        static_path: arguments.static_path.clone(),
        extras,
        ..Asked::default()
    })
}

/// A line of standard input: an object as in the log, or the query itself.
fn parse_line(line: &str, common: &Asked) -> anyhow::Result<Asked> {
    let mut asked = common.copy();
    let Some(object) =
        line.trim_start().starts_with('{').then(|| serde_json::from_str::<Value>(line)).transpose().context("not a JSON object")?
    else {
        asked.query = line.to_owned();
        return Ok(asked);
    };
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    asked.query = text("/query").ok_or_else(|| UsageError("the key `query` is missing".to_owned()))?;
    if let Some(at) = text("/timestamp") {
        asked.timestamp = Some(timestamp(&at)?);
    }
    asked.query_type = text("/routing_decision/stage_1_result/query_type")
        .or_else(|| text("/query_features/query_type"))
        .or_else(|| text("/query_features/category"))
        .or(asked.query_type);
    asked.complexity = text("/routing_decision/stage_1_result/complexity").or(asked.complexity);
    asked.static_path = text("/routing_decision/static_path").or_else(|| text("/static_path")).or(asked.static_path);
    for group in ["query_features", "context"] {
        for (key, value) in object.get(group).and_then(Value::as_object).into_iter().flatten() {
            if let Some(scalar) = scalar(value) {
                asked.extras.insert(format!("{group}.{key}"), scalar);
            }
        }
    }
    Ok(asked)
}

/// A JSON value as a scalar of the log.
fn scalar(value: &Value) -> Option<Scalar> {
    match value {
        Value::Bool(flag) => Some(Scalar::Bool(*flag)),
        Value::Number(number) => number.as_f64().map(Scalar::Number),
        Value::String(text) => Some(Scalar::Text(text.clone())),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>().map(Scalar::List),
        Value::Null | Value::Object(_) => None,
    }
}

/// A point in time as people write it.
fn timestamp(text: &str) -> anyhow::Result<Timestamp> {
    let parsed: jiff::Timestamp =
        text.parse().map_err(|_| UsageError(format!("`{text}` is no time; expected RFC 3339, such as 2026-01-31T09:00:00Z")))?;
    Ok(Timestamp(parsed.as_microsecond()))
}

/// Now.
fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_micros() as i64))
}

/// A decision as it is printed.
#[derive(Debug, Serialize)]
struct Answer {
    schema_version: u32,
    /// The path to take; nothing where there is neither a usable model nor a known static path.
    path: Option<String>,
    /// What the model prefers, before any fallback.
    learned_path: Option<String>,
    confidence: f64,
    /// Why the static path was kept.
    fallback: Option<&'static str>,
    /// Probability of success per path.
    success: BTreeMap<String, Option<f64>>,
    /// Expected latency per path, in milliseconds.
    latency_ms: BTreeMap<String, Option<f64>>,
    artifact_digest: String,
}

impl Answer {
    fn new(router: &Router, routed: &Routed<'_>) -> Self {
        let by_path = |numbers: &[f64]| {
            let known = numbers.iter().map(|number| Some(*number).filter(|number| number.is_finite()));
            router.policy().paths.names().iter().cloned().zip(known).collect()
        };
        Self {
            schema_version: 1,
            path: routed.path.map(str::to_owned),
            learned_path: routed.learned_path.map(str::to_owned),
            confidence: routed.confidence,
            fallback: routed.fallback.map(Fallback::name),
            success: by_path(&routed.success),
            latency_ms: by_path(&routed.latency_ms),
            artifact_digest: routed.artifact_digest.to_owned(),
        }
    }

    /// For people.
    fn in_words(&self) -> String {
        let mut text = format!("path        {}\n", self.path.as_deref().unwrap_or("(none: ask the static router)"));
        if let Some(fallback) = self.fallback {
            text.push_str(&format!("fallback    {fallback}; the model prefers {}\n", self.learned_path.as_deref().unwrap_or("nothing")));
        }
        text.push_str(&format!("confidence  {:.3}\n", self.confidence));
        for (path, success) in &self.success {
            let success = success.map_or_else(|| "unknown".to_owned(), |success| format!("{:.1} %", 100.0 * success));
            let latency =
                self.latency_ms.get(path).copied().flatten().map_or_else(|| "unknown".to_owned(), |latency| format!("{latency:.0} ms"));
            text.push_str(&format!("  {path:24} success {success:>8}  latency {latency:>10}\n"));
        }
        text
    }
}
