//! What is known about a query at the moment a path must be chosen.

use std::collections::BTreeMap;

use routewright_domain::{Decision, Scalar, Timestamp};

/// One query as the router sees it: everything known before a path runs, nothing that is known only afterwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request<'a> {
    /// The query text.
    pub query: &'a str,
    /// When the decision is made.
    pub timestamp: Timestamp,
    /// Kind of query according to stage 1, where it ran.
    pub query_type: Option<&'a str>,
    /// Stage 1's complexity: simple, medium, complex.
    pub complexity: Option<&'a str>,
    /// What the static rules would choose; the fallback.
    pub static_path: Option<&'a str>,
    /// The session the query belongs to.
    pub session_id: Option<&'a str>,
    /// The text's vector by the sentence model that the schema names ([`EmbedderModel::sentence_source`](crate::EmbedderModel)); `None`
    /// with the built-in embedder, which needs none.
    pub sentence: Option<&'a [f32]>,
    /// Every further scalar by dotted key, such as `context.system_mode`.
    pub extras: &'a BTreeMap<String, Scalar>,
}

/// The extras of a request that has none.
static NO_EXTRAS: BTreeMap<String, Scalar> = BTreeMap::new();

impl<'a> Request<'a> {
    /// A request of which only the text and the time are known.
    pub fn new(query: &'a str, timestamp: Timestamp) -> Self {
        Self {
            query,
            timestamp,
            query_type: None,
            complexity: None,
            static_path: None,
            session_id: None,
            sentence: None,
            extras: &NO_EXTRAS,
        }
    }

    /// An extra that is a finite number, or a Boolean as 0 or 1.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        match self.extras.get(key)? {
            Scalar::Number(value) => Some(*value),
            Scalar::Bool(value) => Some(f64::from(u8::from(*value))),
            Scalar::Text(_) | Scalar::List(_) => None,
        }
    }

    /// An extra that is text.
    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        match self.extras.get(key)? {
            Scalar::Text(value) => Some(value),
            _ => None,
        }
    }
}

impl<'a> From<&'a Decision> for Request<'a> {
    /// Takes what was known before the path ran; outcome, propensity and the path itself stay behind.
    fn from(decision: &'a Decision) -> Self {
        Self {
            query: &decision.query,
            timestamp: decision.timestamp,
            query_type: decision.query_type.as_deref(),
            complexity: decision.complexity.as_deref(),
            static_path: decision.static_path.as_deref(),
            session_id: decision.session_id.as_deref(),
            sentence: None,
            extras: &decision.extras,
        }
    }
}
