//! The seven questions of E-009, section 8, answered with the numbers of this run.

use routewright_ope::Confidence;
use routewright_ope::stats::wilson;
use serde_json::json;

use crate::artifacts::{Evaluation, QuestionAnswer, ReplayReport};

/// Features that are named in an answer.
const NAMED_FEATURES: usize = 5;

/// Every question with its answer, in the order of E-009.
pub(super) fn all(replay: &ReplayReport, evaluation: &Evaluation) -> Vec<QuestionAnswer> {
    vec![
        benefiting_types(replay),
        predictive_features(evaluation),
        surprising_patterns(replay, evaluation),
        edge_cases(replay),
        disagreement(replay),
        right_when_disagreeing(replay),
        explainable(evaluation),
    ]
}

fn answer(question: &str, answer: String, figures: serde_json::Value) -> QuestionAnswer {
    QuestionAnswer { question: question.to_owned(), answer, figures }
}

fn benefiting_types(replay: &ReplayReport) -> QuestionAnswer {
    let mut segments = replay.segments.clone();
    segments.sort_by(|left, right| right.uplift_points.total_cmp(&left.uplift_points));
    let text = match segments.first() {
        None => "The log does not identify the uplift of any query type.".to_owned(),
        Some(best) => {
            let confirmed: Vec<&str> = segments.iter().filter(|segment| segment.use_learned).map(|segment| segment.name.as_str()).collect();
            let confirmed = if confirmed.is_empty() {
                "none is confirmed on the second half of the window".to_owned()
            } else {
                format!("confirmed on the second half: {}", confirmed.join(", "))
            };
            format!(
                "The largest estimate is that of `{}`, {:+.1} points [{:.1}, {:.1}]; {confirmed}.",
                best.name, best.uplift_points, best.lower, best.upper
            )
        }
    };
    answer("Which query types benefit most from learned routing?", text, json!({ "segments": segments }))
}

fn predictive_features(evaluation: &Evaluation) -> QuestionAnswer {
    let top: Vec<_> = evaluation.importance.iter().take(NAMED_FEATURES).collect();
    let named: Vec<String> =
        top.iter().map(|feature| format!("`{}` ({:+.4} ± {:.4})", feature.label, feature.permutation, feature.permutation_sd)).collect();
    let text = if named.is_empty() {
        "No feature was measured.".to_owned()
    } else {
        format!("By the rise in held-out log loss when a column is shuffled: {}.", named.join(", "))
    };
    answer("What features are most predictive of routing success?", text, json!({ "importance": top }))
}

fn surprising_patterns(replay: &ReplayReport, evaluation: &Evaluation) -> QuestionAnswer {
    let harmed = if replay.harmed_segments.is_empty() {
        "no harm to a query type is proven".to_owned()
    } else {
        format!("harmed: {}", replay.harmed_segments.join(", "))
    };
    // A surprise is a query type whose uplift is shown to have the other sign than the whole.
    let overall = replay.uplift.points.value.unwrap_or(0.0);
    let against: Vec<String> = replay
        .segments
        .iter()
        .filter(|segment| overall > 0.0 && segment.upper < 0.0 || overall < 0.0 && segment.lower > 0.0)
        .map(|segment| format!("`{}` {:+.1} points [{:.1}, {:.1}]", segment.name, segment.uplift_points, segment.lower, segment.upper))
        .collect();
    let against = if against.is_empty() {
        format!("none of {} query types goes against the overall {overall:+.1} points", replay.segments.len())
    } else {
        format!("against the overall {overall:+.1} points go {}", against.join(", "))
    };
    let history = evaluation.importance.iter().take(10).filter(|feature| feature.feature.starts_with("history")).count();
    let text = format!(
        "The shallow tree that imitates the learned router says where it leaves the static one (see the report); {against}; {harmed}; {history} of the ten most important features come from the history of similar queries."
    );
    answer(
        "Are there surprising patterns the learned model discovered?",
        text,
        json!({ "rules": evaluation.surrogate_rules, "harmed_segments": replay.harmed_segments, "segments": replay.segments }),
    )
}

fn edge_cases(replay: &ReplayReport) -> QuestionAnswer {
    let small: Vec<_> = replay.segments.iter().filter(|segment| segment.name == "ambiguous" || segment.name == "(others)").collect();
    let mut text = match small.first() {
        Some(segment) => format!(
            "On `{}` ({:.1} % of queries) by {:+.1} points [{:.1}, {:.1}].",
            segment.name,
            100.0 * segment.weight,
            segment.uplift_points,
            segment.lower,
            segment.upper
        ),
        None => "No rare or ambiguous query type is large enough to say.".to_owned(),
    };
    let learner = replay.policy("edge_cases");
    if let Some((policy, value)) = learner.and_then(|policy| Some((policy, policy.success.value?))) {
        text.push_str(&format!(
            " A learner grown on the queries on which static routing is likely to fail, and used there alone, succeeds on {:.1} % [{:.1}, {:.1}] of all queries.",
            100.0 * value,
            100.0 * policy.success.lower,
            100.0 * policy.success.upper
        ));
    }
    answer(
        "Does learned routing handle edge cases better than static routing?",
        text,
        json!({ "segments": small, "edge_case_learner": learner }),
    )
}

fn disagreement(replay: &ReplayReport) -> QuestionAnswer {
    let share = replay.disagreement.share;
    let n = replay.n_queries as f64;
    let interval = wilson((share * n).round(), n, Confidence::TWO_SIDED_95);
    let text = format!(
        "On {:.1} % [{:.1}, {:.1}] of {} held-out queries.",
        100.0 * share,
        100.0 * interval.lower,
        100.0 * interval.upper,
        replay.n_queries
    );
    let figures = json!({ "share": share, "interval": interval, "queries": replay.n_queries });
    answer("How often does learned routing disagree with static routing?", text, figures)
}

fn right_when_disagreeing(replay: &ReplayReport) -> QuestionAnswer {
    let found = &replay.disagreement;
    let text = match (found.difference_points.value, found.gains.zip(found.losses)) {
        _ if found.share == 0.0 => "It never disagrees.".to_owned(),
        (None, _) => "The log does not say: the other path never ran on these queries.".to_owned(),
        (Some(points), Some((gains, losses))) => {
            let decided = (gains + losses) as f64;
            let right = wilson(gains as f64, decided, Confidence::TWO_SIDED_95);
            format!(
                "It wins {gains} queries and loses {losses}: right on {:.0} % [{:.0}, {:.0}] of those where the outcomes differ, {points:+.1} points [{:.1}, {:.1}] where they disagree.",
                if decided > 0.0 { 100.0 * gains as f64 / decided } else { 0.0 },
                100.0 * right.lower,
                100.0 * right.upper,
                found.difference_points.lower,
                found.difference_points.upper
            )
        }
        (Some(points), None) => {
            format!(
                "Its path succeeds {points:+.1} points [{:.1}, {:.1}] more often where they disagree.",
                found.difference_points.lower, found.difference_points.upper
            )
        }
    };
    answer("When learned routing disagrees, is it usually right?", text, json!({ "disagreement": found }))
}

fn explainable(evaluation: &Evaluation) -> QuestionAnswer {
    let found = evaluation.explainability;
    let n = evaluation.n_held_out as f64;
    let interval = wilson((found.surrogate_fidelity * n).round(), n, Confidence::TWO_SIDED_95);
    let text = format!(
        "{}: a tree of depth {} chooses as it does on {:.1} % [{:.1}, {:.1}] of held-out rows; the ten most important features carry {:.0} % of the importance.",
        if found.acceptable { "Yes" } else { "No" },
        found.surrogate_depth,
        100.0 * found.surrogate_fidelity,
        100.0 * interval.lower,
        100.0 * interval.upper,
        100.0 * found.top10_importance
    );
    answer("Is the model explainable enough for production use?", text, json!({ "explainability": found, "interval": interval }))
}
