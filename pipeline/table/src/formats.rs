//! The log formats: one list, one file per format.

mod cortex;
mod e009;
mod fields;
mod instant;
mod matrix;
mod reading;
mod router_metrics;

pub(crate) use self::cortex::check::Rule;
pub(crate) use self::reading::{Field, Key, LAYERS, Reading, TOP, Take, field};
use crate::json::Json;
use crate::reason::Rejection;

/// Makes a decision of all that a record says.
type Finish = for<'a> fn(&mut Reading<'a>) -> Result<(), Rejection>;

/// A log format.
pub struct Format {
    /// Its name in settings and reports.
    pub name: &'static str,
    /// What it logs.
    pub summary: &'static str,
    /// Whether the first records of a file, all of one shape, are of this format.
    pub(crate) sniff: fn(&[Json<'_>]) -> bool,
    /// The format's own schema, where it has one that says more than [`Self::read`] checks.
    pub(crate) schema: Option<&'static Rule>,
    /// The keys that it knows at a record's top.
    pub(crate) fields: &'static [Field],
    /// What must be there, and what follows from several values.
    pub(crate) finish: Finish,
}

impl Format {
    /// Reads a record into an empty draft of its decision.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn read<'a>(&self, record: &Json<'a>, reading: &mut Reading<'a>) -> Result<(), Rejection> {
        reading.take_record(self.fields, record)?;
        (self.finish)(reading)
    }
}

/// Every format.
pub const FORMATS: &[Format] = &[e009::FORMAT, cortex::FORMAT, router_metrics::FORMAT, matrix::FORMAT];

/// The format of that name.
pub fn format_named(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// The format of a file by its first records: the first record that any format knows sets the shape, the records of that shape decide.
/// The error names the formats that claim them all, where they are several.
pub(crate) fn sniff(records: &[Json<'_>]) -> Result<Option<&'static Format>, Vec<&'static str>> {
    let knows = |record: &Json<'_>| FORMATS.iter().find(|format| (format.sniff)(std::slice::from_ref(record)));
    let Some(shape) = records.iter().find_map(knows) else { return Ok(None) };
    let alike: Vec<Json<'_>> = records.iter().filter(|record| (shape.sniff)(std::slice::from_ref(record))).copied().collect();
    let claims: Vec<&'static Format> = FORMATS.iter().filter(|format| (format.sniff)(&alike)).collect();
    match claims[..] {
        [] => Ok(None),
        [format] => Ok(Some(format)),
        _ => Err(claims.iter().map(|format| format.name).collect()),
    }
}

#[cfg(test)]
pub(crate) mod samples {
    //! One record of every format.

    use bumpalo::Bump;
    use routewright_domain::{Decision, LayerAttempt};
    use serde_json::Value;

    use super::{Format, Reading};
    use crate::json::Json;
    use crate::reason::Rejection;

    /// What a format makes of a record, by way of its row.
    pub(crate) fn parsed(format: &Format, text: &str) -> Result<(Decision, Vec<LayerAttempt>), Rejection> {
        let arena = Bump::new();
        let json = Json::parse(text, &arena)?;
        let mut reading = Reading::default();
        format.read(&json, &mut reading)?;
        Ok(reading.draft.into_parts())
    }

    /// The decision that a format makes of a record.
    pub(crate) fn decision(format: &Format, text: &str) -> Result<Decision, Rejection> {
        parsed(format, text).map(|(decision, _)| decision)
    }

    /// Every place in a record, as the pointers of its values, parents first.
    pub(crate) fn places(record: &Value) -> Vec<String> {
        fn add(value: &Value, at: &str, found: &mut Vec<String>) {
            found.push(at.to_owned());
            match value {
                Value::Object(map) => map.iter().for_each(|(key, value)| add(value, &format!("{at}/{key}"), found)),
                Value::Array(items) => items.iter().enumerate().for_each(|(item, value)| add(value, &format!("{at}/{item}"), found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        add(record, "", &mut found);
        found
    }

    /// An e009 record with every key.
    pub(crate) const E009: &str = r#"{"trace_id":"t-1","timestamp":"2026-01-05T10:00:00.5+02:00","query":"what is the cpu usage?","query_id":"q-1","session_id":"s","user_id":"u",
        "query_features":{"length":22,"has_code":false,"keywords":["cpu","usage"],"query_type":"tool_direct"},"context":{"system_mode":"NORMAL","recent_error_rate":0.02},
        "routing_decision":{"execution_path":"DIRECT_TOOL","tool_name":"metrics","confidence":0.92,"stage_1_result":{"query_type":"tool_direct","complexity":"simple","confidence":0.9,"requires_tools":true},
        "stage_2_result":{"execution_path":"DIRECT_TOOL","rationale":"fits"},"stage_3_result":{"is_valid":true,"concerns":["none"]},
        "static_path":"DIRECT_TOOL","propensity":0.85,"propensities":{"DIRECT_TOOL":0.85,"REASONING":0.15},"candidates":["DIRECT_TOOL","REASONING"],"policy_id":"p1","explored":false},
        "execution_outcome":{"success":true,"latency_ms":234,"error":null,"tool_execution_time_ms":120.5,"llm_calls":0,"cost":0.001},
        "quality_metrics":{"user_feedback":"positive","response_length":150,"hallucination_detected":false,"quality_score":0.8,"optimal_path":"DIRECT_TOOL"}}"#;

    /// A cortex event.
    pub(crate) const CORTEX: &str = r#"{"event_id":"route-20260105-100000-0000007f","timestamp":"2026-01-05T10:00:00+00:00","task_id":"task-1","task_description":"back up the database",
        "task_metadata":{"priority":"low","source":"user","user_id":"u7"},
        "routing_layers":[{"layer_id":1,"layer_name":"keyword","attempted":true,"success":false,"confidence":0.7,"threshold":0.85,"selected_master":"cicd-master","latency_ms":4.6,"metadata":{}},
        {"layer_id":2,"layer_name":"semantic","attempted":true,"success":true,"confidence":0.9,"threshold":0.7,"selected_master":"cicd-master","latency_ms":36.4},
        {"layer_id":3,"layer_name":"rag","attempted":false,"confidence":0.0}],
        "final_decision":{"selected_master":"cicd-master","routing_layer":"semantic","confidence":0.9,"all_probabilities":{"cicd-master":0.9,"security-master":0.1}},"total_latency_ms":41.0,
        "outcome":{"task_completed":true,"task_status":"completed","was_correct_master":true,"user_corrected_to":null,"completion_time_minutes":83,"quality_score":0.88},
        "learning_feedback":{"correct_routing":true,"should_have_routed_to":null,"layer_should_have_caught":null,"threshold_too_high":false,"threshold_too_low":false}}"#;

    /// A line of the A/B gateway.
    pub(crate) const ROUTER_METRICS: &str = r#"{"timestamp":"2026-01-05T10:00:00-06:00","task_id":"task-1","method":"rule-based","selected_master":"cicd-master","confidence":0.8,"ab_test_group":"control","outcome":"completed"}"#;

    /// The same query on another path.
    pub(crate) fn matrix() -> Vec<String> {
        vec![
            E009.to_owned(),
            E009.replace("t-1", "t-2")
                .replace("\"execution_path\":\"DIRECT_TOOL\",\"tool_name\"", "\"execution_path\":\"REASONING\",\"tool_name\""),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::arena;

    fn parse(text: &str) -> Json<'_> {
        Json::parse(text, arena()).unwrap()
    }

    fn found_name(records: &[Json<'_>]) -> Result<Option<&'static str>, Vec<&'static str>> {
        sniff(records).map(|format| format.map(|format| format.name))
    }

    #[test]
    fn every_sample_is_sniffed_as_its_own_format_and_no_other() {
        let matrix = samples::matrix();
        let cases = [
            ("e009", vec![parse(samples::E009)]),
            ("cortex", vec![parse(samples::CORTEX)]),
            ("router-metrics", vec![parse(samples::ROUTER_METRICS)]),
            ("matrix", matrix.iter().map(|text| parse(text)).collect()),
        ];
        assert_eq!(cases.len(), FORMATS.len());
        for (name, records) in cases {
            let found: Vec<&str> = FORMATS.iter().filter(|format| (format.sniff)(&records)).map(|format| format.name).collect();
            assert_eq!(found, [name]);
            assert_eq!(found_name(&records), Ok(Some(name)));
        }
    }

    #[test]
    fn nothing_known_is_no_format() {
        assert_eq!(found_name(&[parse("{\"a\":1}"), parse("[]"), parse("null")]), Ok(None));
        assert_eq!(found_name(&[]), Ok(None));
    }

    #[test]
    fn a_strange_first_record_does_not_hide_the_format() {
        let records = [parse("{\"a\":1}"), parse(samples::CORTEX), parse(samples::E009)];
        assert_eq!(found_name(&records), Ok(Some("cortex")));
    }

    #[test]
    fn records_that_two_formats_claim_are_ambiguous() {
        let both = r#"{"trace_id":"t","query":"q","timestamp":"2026-01-01T00:00:00Z","final_decision":{},"routing_layers":[]}"#;
        assert_eq!(found_name(&[parse(both)]), Err(vec!["e009", "cortex"]));
    }

    #[test]
    fn every_format_refuses_the_others_records() {
        for (name, text) in
            [("e009", samples::CORTEX), ("cortex", samples::E009), ("router-metrics", samples::E009), ("matrix", samples::ROUTER_METRICS)]
        {
            assert!(format_named(name).unwrap().read(&parse(text), &mut Reading::default()).is_err(), "{name}");
        }
    }
}
