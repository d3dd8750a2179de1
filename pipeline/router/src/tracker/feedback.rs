//! What an outcome teaches about the cascade that led to it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cascade::Outcome;

/// What to learn from a routed task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearningFeedback {
    /// Whether the right path was selected; unknown while nobody has said.
    pub correct_routing: Option<bool>,
    /// The path that would have been right.
    pub should_have_routed_to: Option<String>,
    /// The first layer that had the right path and was not believed.
    pub layer_should_have_caught: Option<String>,
    /// Whether a threshold kept a right answer of an earlier layer from being taken: it is too high for this task.
    pub threshold_too_high: bool,
    /// Whether the deciding layer passed its threshold with a wrong answer: it is too low for this task.
    pub threshold_too_low: bool,
}

impl LearningFeedback {
    /// Compares a logged event with its outcome. The right path is the selected one where it was correct, else the one a person chose.
    pub(super) fn new(event: &Map<String, Value>, outcome: &Outcome) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let decided = event.get("final_decision");
        let selected = text(decided.and_then(|decided| decided.get("selected_master")));
        let deciding_layer = text(decided.and_then(|decided| decided.get("routing_layer")));
        let right = match outcome.was_correct_master {
            Some(true) => selected,
            Some(false) => outcome.user_corrected_to.clone(),
            None => None,
        };
        let layers = event.get("routing_layers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let field = |layer: &Value, key: &str| text(layer.get(key));
        let succeeded = |layer: &Value| layer.get("success").and_then(Value::as_bool);
        let missed = layers.iter().find(|layer| {
            let is_right = right.is_some() && field(layer, "selected_master") == right;
            is_right && succeeded(layer) == Some(false) && field(layer, "layer_name") != deciding_layer
        });
        let trusted_wrong = |layer: &Value| field(layer, "layer_name") == deciding_layer && succeeded(layer) == Some(true);
        Self {
            correct_routing: outcome.was_correct_master,
            should_have_routed_to: right.filter(|_| outcome.was_correct_master == Some(false)),
            layer_should_have_caught: missed.and_then(|layer| field(layer, "layer_name")),
            threshold_too_high: missed.is_some(),
            threshold_too_low: outcome.was_correct_master == Some(false) && layers.iter().any(trusted_wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Keyword said `a` below its threshold, semantic decided for `b`.
    fn feedback(correct: Option<bool>, corrected_to: Option<&str>) -> LearningFeedback {
        let event = json!({
            "routing_layers": [
                { "layer_name": "keyword", "selected_master": "a", "success": false },
                { "layer_name": "semantic", "selected_master": "b", "success": true },
            ],
            "final_decision": { "selected_master": "b", "routing_layer": "semantic" },
        });
        let outcome = Outcome { was_correct_master: correct, user_corrected_to: corrected_to.map(str::to_owned), ..Outcome::default() };
        LearningFeedback::new(event.as_object().unwrap(), &outcome)
    }

    #[test]
    fn a_correction_says_which_layer_knew_and_which_was_believed_wrongly() {
        let expected = LearningFeedback {
            correct_routing: Some(false),
            should_have_routed_to: Some("a".into()),
            layer_should_have_caught: Some("keyword".into()),
            threshold_too_high: true,
            threshold_too_low: true,
        };
        assert_eq!(feedback(Some(false), Some("a")), expected);
        let elsewhere = LearningFeedback {
            should_have_routed_to: Some("c".into()),
            layer_should_have_caught: None,
            threshold_too_high: false,
            ..expected
        };
        assert_eq!(feedback(Some(false), Some("c")), elsewhere);
    }

    #[test]
    fn a_right_decision_teaches_nothing_where_no_layer_knew_before() {
        let right = LearningFeedback { correct_routing: Some(true), ..LearningFeedback::default() };
        assert_eq!(feedback(Some(true), None), right);
        assert_eq!(feedback(None, None), LearningFeedback::default());
    }
}
