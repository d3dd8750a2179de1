//! A cascade's own `config.json`: its layers and thresholds, read, and changed without touching any other byte.

use std::ops::Range;

use serde::Deserialize;

/// What is needed of a cascade's `config.json`; other keys are left alone.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CascadeConfig {
    /// The layers, in the order of the cascade.
    pub routing_layers: Vec<ConfiguredLayer>,
    /// What the cascade says about its own tuning.
    #[serde(default)]
    pub performance_tracking: Tracking,
}

/// A layer as it is configured.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ConfiguredLayer {
    /// Its name.
    pub layer_name: String,
    /// Its threshold, in [0, 1].
    pub confidence_threshold: f64,
    /// Whether it is asked at all.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

fn enabled() -> bool {
    true
}

/// What a cascade says about its own tuning.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Tracking {
    /// False keeps thresholds from being changed.
    pub enable_auto_tuning: Option<bool>,
}

/// A `config.json` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CascadeConfigError {
    /// No JSON, or another shape.
    #[error("no configuration of a cascade")]
    Shape(#[from] serde_json::Error),
    /// A threshold out of range.
    #[error("layer `{layer}`: `confidence_threshold` must lie in [0, 1], found {found}")]
    Threshold {
        /// The layer.
        layer: String,
        /// What was found.
        found: f64,
    },
    /// A layer twice.
    #[error("layer `{layer}` is configured twice")]
    Repeated {
        /// The layer.
        layer: String,
    },
    /// A layer that is to be changed and is not there.
    #[error("there is no layer `{layer}` with a `confidence_threshold`")]
    Missing {
        /// The layer.
        layer: String,
    },
}

impl CascadeConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// [`CascadeConfigError`] for another shape, a threshold out of range, or a layer that is there twice.
    pub fn parse(text: &str) -> Result<Self, CascadeConfigError> {
        let config: Self = serde_json::from_str(text)?;
        for (row, layer) in config.routing_layers.iter().enumerate() {
            if !(0.0..=1.0).contains(&layer.confidence_threshold) {
                return Err(CascadeConfigError::Threshold { layer: layer.layer_name.clone(), found: layer.confidence_threshold });
            }
            if config.routing_layers[..row].iter().any(|other| other.layer_name == layer.layer_name) {
                return Err(CascadeConfigError::Repeated { layer: layer.layer_name.clone() });
            }
        }
        Ok(config)
    }

    /// The threshold of a layer.
    pub fn threshold(&self, layer: &str) -> Option<f64> {
        self.routing_layers.iter().find(|known| known.layer_name == layer).map(|known| known.confidence_threshold)
    }
}

/// The text with other thresholds: layer and number. Every other byte stays as it is.
///
/// # Errors
/// [`CascadeConfigError`] where the text is no configuration, or a layer is not in it.
pub fn with_thresholds(text: &str, thresholds: &[(&str, f64)]) -> Result<String, CascadeConfigError> {
    CascadeConfig::parse(text)?;
    let mut edits = Vec::new();
    let spans = spans(text);
    for (layer, threshold) in thresholds {
        let missing = || CascadeConfigError::Missing { layer: (*layer).to_owned() };
        let (_, span) = spans.iter().find(|(name, _)| name == layer).ok_or_else(missing)?;
        edits.push((span.clone(), written(*threshold)));
    }
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut changed = text.to_owned();
    for (span, number) in edits {
        changed.replace_range(span, &number);
    }
    Ok(changed)
}

/// A threshold as people write it: two digits at least.
fn written(threshold: f64) -> String {
    let short = format!("{threshold:.2}");
    if short.parse() == Ok(threshold) { short } else { threshold.to_string() }
}

/// Names of the layers with the places of their thresholds, in a text that is known to be JSON.
fn spans(text: &str) -> Vec<(String, Range<usize>)> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0, path: Vec::new(), values: Vec::new() };
    reader.value();
    let text_of = |span: &Range<usize>| serde_json::from_str::<String>(&text[span.clone()]).ok();
    let layer_key = |path: &[String], key: &str| path.len() == 3 && path[0] == "routing_layers" && path[2] == key;
    let names = reader.values.iter().filter(|(path, _)| layer_key(path, "layer_name"));
    names
        .filter_map(|(path, span)| {
            let of_layer = |(other, _): &&(Vec<String>, Range<usize>)| layer_key(other, "confidence_threshold") && other[1] == path[1];
            // Of a key that stands twice the last one counts.
            let (_, threshold) = reader.values.iter().rev().find(of_layer)?;
            Some((text_of(span)?, threshold.clone()))
        })
        .collect()
}

/// Walks over JSON and notes where every scalar stands.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    path: Vec<String>,
    values: Vec<(Vec<String>, Range<usize>)>,
}

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn value(&mut self) {
        match self.byte() {
            b'{' => self.members(b'}'),
            b'[' => self.members(b']'),
            b'"' => {
                let span = self.string();
                self.values.push((self.path.clone(), span));
            }
            _ => {
                let start = self.at;
                let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                while self.bytes.get(self.at).is_some_and(is_word) {
                    self.at += 1;
                }
                self.values.push((self.path.clone(), start..self.at));
            }
        }
    }

    /// Reads members up to a closing bracket; those of a list are named by their positions.
    fn members(&mut self, end: u8) {
        self.at += 1;
        for position in 0_usize.. {
            let start = self.at;
            match self.byte() {
                b',' => self.at += 1,
                0 => return,
                byte if byte == end => {
                    self.at += 1;
                    return;
                }
                _ => {}
            }
            if self.byte() == end {
                continue;
            }
            let name = if end == b'}' {
                let span = self.string();
                self.byte();
                self.at += 1;
                serde_json::from_slice(&self.bytes[span]).unwrap_or_default()
            } else {
                position.to_string()
            };
            self.path.push(name);
            self.value();
            self.path.pop();
            if self.at == start {
                return;
            }
        }
    }

    fn string(&mut self) -> Range<usize> {
        let start = self.at;
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        start..self.at.min(self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"{
  "confidence_threshold": 0.1, "note": "a \"quoted\" {brace] \\",
  "routing_layers": [
    {"layer_id": 1, "layer_name": "keyword", "deep": {"confidence_threshold": 0.3}, "confidence_threshold": 0.85, "enabled": true},
    {"confidence_threshold": 0.70, "layer_name": "sem\u0061ntic"}
  ],
  "performance_tracking": {"enable_auto_tuning": true}, "empty": [], "none": {}
}
"#;

    #[test]
    fn only_the_numbers_change() {
        let changed = with_thresholds(TEXT, &[("semantic", 0.65), ("keyword", 0.9125)]).unwrap();
        assert_eq!(changed, TEXT.replace("0.85", "0.9125").replace("0.70", "0.65"));
        assert_eq!(CascadeConfig::parse(&changed).unwrap().threshold("semantic"), Some(0.65));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |text: &str| CascadeConfig::parse(text).unwrap_err().to_string();
        assert_eq!(message(&TEXT.replace("0.85", "8.5")), "layer `keyword`: `confidence_threshold` must lie in [0, 1], found 8.5");
        assert_eq!(message(&TEXT.replace("sem\\u0061ntic", "keyword")), "layer `keyword` is configured twice");
        assert_eq!(message("{}"), "no configuration of a cascade");
        assert_eq!(
            with_thresholds(TEXT, &[("rag", 0.5)]).unwrap_err().to_string(),
            "there is no layer `rag` with a `confidence_threshold`"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[\\[\\]{}\",:0-9a-z\\\\ ]{0,60}") {
            spans(&text);
        }

        #[test]
        fn thresholds_come_back(first in 0.0..=1.0_f64, second in 0.0..=1.0_f64) {
            let config = CascadeConfig::parse(&with_thresholds(TEXT, &[("keyword", first), ("semantic", second)]).unwrap()).unwrap();
            prop_assert_eq!([config.threshold("keyword"), config.threshold("semantic")], [Some(first), Some(second)]);
        }
    }
}
