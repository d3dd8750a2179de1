//! Prometheus' text exposition format, version 0.0.4.

use std::fmt::Write as _;

/// Metrics with their samples; families stand in the order in which they were first named, samples in the order they came.
///
/// Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    families: Vec<Family>,
}

/// All samples of one name.
#[derive(Clone, Debug, PartialEq)]
struct Family {
    name: String,
    kind: &'static str,
    help: String,
    /// Labels as they are written, and the value.
    samples: Vec<(String, f64)>,
}

impl Metrics {
    /// Adds a number that goes up and down. `labels`: name and value; a second sample with equal labels takes the first one's place.
    ///
    /// Characters that names may not hold become `_`.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.add("gauge", name, help, labels, value);
    }

    /// Adds a number that only goes up; by custom its name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.add("counter", name, help, labels, value);
    }

    /// Everything in the text format; empty without samples.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for family in &self.families {
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            // Writing to a string does not fail.
            let _ = writeln!(text, "# HELP {} {help}\n# TYPE {} {}", family.name, family.name, family.kind);
            for (labels, value) in &family.samples {
                let _ = writeln!(text, "{}{labels} {}", family.name, number(*value));
            }
        }
        text
    }

    fn add(&mut self, kind: &'static str, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        let name = valid_name(name, true);
        let position = self.families.iter().position(|family| family.name == name);
        let position = position.unwrap_or_else(|| {
            self.families.push(Family { name, kind, help: help.to_owned(), samples: Vec::new() });
            self.families.len() - 1
        });
        let samples = &mut self.families[position].samples;
        let labels = written(labels);
        match samples.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, known)) => *known = value,
            None => samples.push((labels, value)),
        }
    }
}

/// Labels in braces, nothing where there are none.
fn written(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{}=\"{}\"", valid_name(name, false), escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

/// A name with `_` for every character that may not stand there; colons may stand in names of metrics only.
fn valid_name(name: &str, is_metric: bool) -> String {
    let is_valid = |character: char| character.is_ascii_alphanumeric() || character == '_' || (is_metric && character == ':');
    let valid: String = name.chars().map(|character| if is_valid(character) { character } else { '_' }).collect();
    if valid.starts_with(|first: char| first.is_ascii_digit()) || valid.is_empty() { format!("_{valid}") } else { valid }
}

/// A number as Prometheus reads it.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_name_stand_together_below_their_help() {
        let mut metrics = Metrics::default();
        metrics.gauge("a", "First.", &[("layer", "one")], 1.5);
        metrics.counter("b_total", "Second.", &[], 3.0);
        metrics.gauge("a", "First.", &[("layer", "two")], f64::NAN);
        metrics.gauge("a", "First.", &[("layer", "one")], 2.0);
        assert_eq!(
            metrics.text(),
            "# HELP a First.\n# TYPE a gauge\na{layer=\"one\"} 2\na{layer=\"two\"} NaN\n# HELP b_total Second.\n# TYPE b_total counter\nb_total 3\n"
        );
    }

    #[test]
    fn what_names_and_labels_may_not_hold_is_escaped() {
        let mut metrics = Metrics::default();
        metrics.gauge("9 lives", "Line\nbreak \\", &[("a-b", "say \"hi\"\n\\")], f64::INFINITY);
        assert_eq!(
            metrics.text(),
            "# HELP _9_lives Line\\nbreak \\\\\n# TYPE _9_lives gauge\n_9_lives{a_b=\"say \\\"hi\\\"\\n\\\\\"} +Inf\n"
        );
    }
}
