//! Every number of the golden files with the test that compares it, or the reason why none does.

use std::collections::BTreeSet;

use super::*;

/// What becomes of a number.
enum Fate {
    /// The test that compares it.
    By(&'static str),
    /// Why nothing does.
    Not(&'static str),
}
use Fate::{By, Not};

const ESTIMATES: &str = "estimates::every_estimate_error_interval_and_paired_uplift_is_golden";
const BOOTSTRAP: &str = "estimates::stored_resamples_give_the_joint_bootstrap";
const WEIGHTS: &str = "estimates::weights_are_golden";
const LIKELIHOOD: &str = "estimates::empirical_likelihood_and_its_intervals_are_golden";
const LOWER: &str = "estimates::lower_bounds_for_every_sample_size_are_golden";
const MANSKI: &str = "estimates::bounds_of_a_log_without_chance_are_golden";
const PARTIAL: &str = "estimates::bounds_are_golden";
const LATENCIES: &str = "statistics::latencies_are_golden";
const LOOKS: &str = "statistics::bounds_for_many_looks_are_golden";
const CALIBRATION: &str = "routewright-forest: reliability, platt and isotonic, from its own copy of these numbers";
const GIVEN: &str = "an input, or a word about how the file was made";
const TRUTH: &str = "the generator's truth, which no estimator knows";
const OF_INPUTS: &str = "describes the inputs only; the product shows the largest weight's share and the effective sample size instead";

/// The numbers of a scenario: parts between slashes, `*` for any part, positions in lists as `#`.
const SCENARIO: &[(&str, Fate)] = &[
    ("name", Not(GIVEN)),
    ("description", Not(GIVEN)),
    ("n", Not(GIVEN)),
    ("n_actions", Not(GIVEN)),
    ("truth/*", Not(TRUTH)),
    ("reward_model/*", Not(GIVEN)),
    ("diagnostics/n", Not(GIVEN)),
    ("diagnostics/mean_w", By(WEIGHTS)),
    ("diagnostics/max_w", By(WEIGHTS)),
    ("diagnostics/var_w_ddof0", By(WEIGHTS)),
    ("diagnostics/ess", By(WEIGHTS)),
    ("diagnostics/ess_over_n", By(WEIGHTS)),
    ("diagnostics/max_w_share", By(WEIGHTS)),
    ("diagnostics/frac_zero_w", By(WEIGHTS)),
    ("diagnostics/min_pscore", By(WEIGHTS)),
    ("diagnostics/top1pct_w_share", Not(OF_INPUTS)),
    ("diagnostics/pareto_top20_mean", Not(OF_INPUTS)),
    ("diagnostics/target_mass_on_zero_propensity_actions", Not(OF_INPUTS)),
    ("diagnostics/target_mass_on_propensity_lt_0.01", Not(OF_INPUTS)),
    ("diagnostics/chi2_plus1_exact=E_b[w^2]", Not(OF_INPUTS)),
    ("diagnostics/match_rate_argmax", Not(OF_INPUTS)),
    ("estimates/*/value", By(ESTIMATES)),
    ("estimates/*/influence_se", By(ESTIMATES)),
    ("estimates/*/wald95/#", By(ESTIMATES)),
    ("estimates/*/uplift_vs_log", By(ESTIMATES)),
    ("estimates/*/uplift_se_paired", By(ESTIMATES)),
    ("estimates/*/uplift_wald95/#", By(ESTIMATES)),
    (
        "estimates/*/joint_bootstrap_95/#",
        By("estimates::our_own_resamples_come_near_the_joint_bootstrap_of_all_rows: their resamples were not stored"),
    ),
    (
        "estimates/*/obp_bootstrap_95/#",
        Not("that library's own resamples, not stored, and with denominators that it holds fixed: wrong for ratios"),
    ),
    ("estimates/*/note", Not(GIVEN)),
    ("small_boot_first500/*/value", By(BOOTSTRAP)),
    ("small_boot_first500/*/influence_se", By(BOOTSTRAP)),
    ("small_boot_first500/*/joint_percentile_95/#", By(BOOTSTRAP)),
    ("small_boot_first500/*/fixed_denominator_percentile_95_obp_style/#", By(BOOTSTRAP)),
    ("tuned/*/slope/value", By("estimates::tuned_limits_are_golden")),
    ("tuned/*/slope/best_lambda", By("estimates::tuned_limits_are_golden")),
    ("tuned/*/mse/value", By("estimates::limits_of_the_least_error_are_golden")),
    ("tuned/*/mse/best_lambda", By("estimates::limits_of_the_least_error_are_golden")),
    ("tuned/*/*/lambdas/#", Not(GIVEN)),
    ("tuned/*/*/delta", Not(GIVEN)),
    ("tuned/*/*/use_bias_upper_bound", Not(GIVEN)),
    ("high_confidence_lower_bounds_ipw_delta0.05/hoeffding", By(LOWER)),
    ("high_confidence_lower_bounds_ipw_delta0.05/bernstein_MP", By(LOWER)),
    ("high_confidence_lower_bounds_ipw_delta0.05/student_t", By(LOWER)),
    ("high_confidence_lower_bounds_ipw_delta0.05/x_max_used", Not(GIVEN)),
    ("high_confidence_lower_bounds_ipw_delta0.05/x_max_empirical", Not(GIVEN)),
    ("high_confidence_lower_bounds_ipw_delta0.05/hoeffding_empirical_max_INVALID", By(LOWER)),
    ("vw_estimators_0.2.2/*", By(LIKELIHOOD)),
    ("vw_estimators_0.2.2/*/#", By(LIKELIHOOD)),
    ("manski/true_uplift_on_sample", Not(TRUTH)),
    ("manski/*", By(MANSKI)),
];

/// The numbers of `partial_identification.json`.
const PARTIAL_IDENTIFICATION: &[(&str, Fate)] =
    &[("*/truth_V", Not(TRUTH)), ("*/truth_uplift_vs_log_policy", Not(TRUTH)), ("*/*", By(PARTIAL)), ("*/*/#", By(PARTIAL))];

/// The numbers of `stats_golden.json`.
const STATISTICS: &[(&str, Fate)] = &[
    ("versions/*", Not(GIVEN)),
    ("proportion_ci/#/*", By("statistics::intervals_of_a_proportion_are_golden")),
    ("proportion_ci/#/*/#", By("statistics::intervals_of_a_proportion_are_golden")),
    ("two_proportions/#/score", Not("a text: their search for the ends gave up")),
    ("two_proportions/#/score/#", Not("see `stats::score`: the cubic has a count where its source has a number of rows")),
    ("two_proportions/#/score_test_H0_diff<=0.03_p", Not("the same cubic")),
    ("two_proportions/#/*", By("statistics::comparisons_of_two_proportions_are_golden")),
    ("two_proportions/#/*/#", By("statistics::comparisons_of_two_proportions_are_golden")),
    ("mcnemar/#/*", By("statistics::mcnemar_is_golden")),
    ("srm/#/*", By("statistics::sample_ratios_are_golden")),
    ("srm/#/*/#", By("statistics::sample_ratios_are_golden")),
    ("latency/*", By(LATENCIES)),
    ("latency/*/#", By(LATENCIES)),
    ("multiple_comparisons/p/#", Not(GIVEN)),
    ("multiple_comparisons/*/adjusted/#", By("statistics::corrections_are_golden")),
    ("multiple_comparisons/*/reject/#", By("statistics::corrections_are_golden")),
    ("calibration/*", By(CALIBRATION)),
    ("calibration/*/*", By(CALIBRATION)),
    ("calibration/*/#", By(CALIBRATION)),
    ("calibration/*/#/#", By(CALIBRATION)),
    ("cuped/*", By("statistics::cuped_is_golden")),
    ("asymp_cs_gbstats/#/*", By(LOOKS)),
    ("msprt/#/*", By(LOOKS)),
    ("bootstrap_mean_latency_treatment/*", By("statistics::bootstrap_intervals_are_golden")),
    ("bootstrap_mean_latency_treatment/*/#", By("statistics::bootstrap_intervals_are_golden")),
    ("power/#/*", By("statistics::sample_sizes_are_golden")),
];

/// The numbers of `confseq_golden.json`.
const SEQUENCES: &[(&str, Fate)] = &[("confseq", Not(GIVEN)), ("*/#/*", By(LOOKS)), ("*/#/*/#", By(LOOKS)), ("*/*/#", By(LOOKS))];

/// All leaves below a value, as paths.
fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let below = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
    match value {
        // No key of these files has a slash.
        Value::Object(fields) => fields.iter().for_each(|(key, value)| leaves(value, &below(key), found)),
        Value::Array(items) => items.iter().for_each(|value| leaves(value, &below("#"), found)),
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// Whether a path is one that a pattern stands for.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len() && pattern.iter().zip(path).all(|(wanted, part)| *wanted == part || (*wanted == "*" && part != "#"))
}

/// A test that says to have compared a number exists.
fn assert_is_a_test(name: &str) {
    let Some((module, name)) = name.split_once("::") else { return };
    let source = match module {
        "estimates" => include_str!("estimates.rs"),
        _ => include_str!("statistics.rs"),
    };
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    assert!(source.contains(&format!("fn {name}()")), "no test `{name}` in `{module}`");
}

#[test]
fn every_number_is_compared_or_it_is_said_why_not() {
    let mut of_scenarios = BTreeSet::new();
    for (_, scenario) in scenarios() {
        leaves(&scenario.expected, "", &mut of_scenarios);
    }
    let of_file = |text: &str| {
        let mut found = BTreeSet::new();
        leaves(&serde_json::from_str(text).unwrap(), "", &mut found);
        found
    };
    for (found, known) in [
        (of_scenarios, SCENARIO),
        (of_file(include_str!("../../../../tests/golden/ope/partial_identification.json")), PARTIAL_IDENTIFICATION),
        (of_file(include_str!("../../../../tests/golden/stats/stats_golden.json")), STATISTICS),
        (of_file(include_str!("../../../../tests/golden/stats/confseq_golden.json")), SEQUENCES),
    ] {
        for path in &found {
            assert!(known.iter().any(|(pattern, _)| fits(pattern, path)), "nobody knows `{path}`");
        }
        for (pattern, fate) in known {
            assert!(found.iter().any(|path| fits(pattern, path)), "no number is called `{pattern}`");
            match fate {
                By(test) => assert_is_a_test(test),
                Not(reason) => assert!(!reason.is_empty()),
            }
        }
    }
}
