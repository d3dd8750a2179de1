//! Estimates, errors, intervals, bootstraps, tuning and bounds.

use routewright_domain::{Arm, Interval, Seed};

use super::*;
use crate::{
    Confidence, ESTIMATORS, Estimator, Terms, anytime_interval, cressie_read, cressie_read_interval, deterministic_bounds,
    empirical_likelihood, estimator, least_error, paired_difference, partial_identification, percentile_interval, slope, weight_summary,
    weighted_clopper_pearson,
};

/// The tolerance of issue 6.
const TIGHT: f64 = 1e-12;
const TWO: Confidence = Confidence::TWO_SIDED_95;

/// Our name for the golden file's key, and the limit it carries.
fn ours(key: &str) -> (&'static Estimator, Option<f64>) {
    let (name, limit) = key.split_once('@').map_or((key, None), |(name, limit)| (name, Some(limit.parse().unwrap())));
    let name = match name {
        "rm" => "replay",
        "ipw" => "ips",
        "snipw" => "snips",
        "cipw" => "clipped_ips",
        "cdr" => "clipped_dr",
        "switch-dr" => "switch_dr",
        "dr-os" => "dr_os",
        "sg-ipw" => "sg_ips",
        "sg-dr" => "sg_dr",
        other => other,
    };
    (estimator(name).unwrap(), limit)
}

fn terms(key: &str, sample: &Sample<'_>) -> Terms {
    match ours(key) {
        (estimator, Some(limit)) => estimator.terms_with_limit(sample, limit).unwrap(),
        (estimator, None) => estimator.terms(sample).unwrap(),
    }
}

#[test]
fn every_estimate_error_interval_and_paired_uplift_is_golden() {
    let mut compared = std::collections::BTreeMap::new();
    for (name, scenario) in scenarios() {
        let sample = scenario.sample();
        let logged = Terms { additive: scenario.rewards.clone(), ratio: None };
        for (key, expected) in scenario.expected["estimates"].as_object().unwrap() {
            let terms = terms(key, &sample);
            let estimate = terms.estimate(TWO);
            let what = |part: &str| format!("{name} {key} {part}");
            assert_close(estimate.value, number(&expected["value"]), TIGHT, &what("value"));
            *compared.entry(ours(key).0.name).or_insert(0) += 1;
            if expected.get("influence_se").is_none() {
                continue;
            }
            // Ends of intervals and differences near 0 lose digits to cancellation: compared on the scale of the estimate.
            let near = |found: f64, key: &str| {
                let error = (found - key_number(expected, key)).abs() / number(&expected["value"]).abs();
                assert!(error <= TIGHT, "{}: {error:e}", what(key));
            };
            assert_close(estimate.std_error, number(&expected["influence_se"]), TIGHT, &what("influence_se"));
            near(estimate.interval.lower, "wald95/0");
            near(estimate.interval.upper, "wald95/1");
            let uplift = paired_difference(&terms, &logged, None, TWO).unwrap();
            near(uplift.value, "uplift_vs_log");
            near(uplift.std_error, "uplift_se_paired");
            near(uplift.interval.lower, "uplift_wald95/0");
            near(uplift.interval.upper, "uplift_wald95/1");
        }
    }
    let names: Vec<&str> = compared.keys().copied().collect();
    assert_eq!(names.len(), ESTIMATORS.len(), "every estimator has golden values, found {names:?}");
}

/// A number under a key, or under `key/position`.
fn key_number(value: &Value, key: &str) -> f64 {
    match key.split_once('/') {
        Some((key, position)) => number(&value[key][position.parse::<usize>().unwrap()]),
        None => number(&value[key]),
    }
}

#[test]
fn weights_are_golden() {
    for (name, scenario) in scenarios() {
        let summary = weight_summary(scenario.sample().weights());
        let expected = &scenario.expected["diagnostics"];
        for (found, key) in [
            (summary.mean, "mean_w"),
            (summary.largest, "max_w"),
            (summary.variance, "var_w_ddof0"),
            (summary.effective_sample_size, "ess"),
            (summary.largest_share, "max_w_share"),
            (summary.zero_share, "frac_zero_w"),
            (summary.effective_sample_size / scenario.arms.len() as f64, "ess_over_n"),
            (scenario.propensities.iter().map(|propensity| propensity.get()).fold(1.0, f64::min), "min_pscore"),
        ] {
            assert_close(found, number(&expected[key]), TIGHT, &format!("{name} {key}"));
        }
    }
}

#[test]
fn stored_resamples_give_the_joint_bootstrap() {
    let mut reader = Reader::new(include_bytes!("../../../../tests/golden/ope/resamples.bin.gz"), b"RWIDX1");
    let (resamples, rows) = (reader.integer(), reader.integer());
    let drawn: Vec<u32> =
        reader.take(2 * resamples * rows).chunks_exact(2).map(|row| u32::from(u16::from_le_bytes([row[0], row[1]]))).collect();
    for (name, scenario) in scenarios() {
        let first = scenario.first(rows);
        for (key, expected) in scenario.expected["small_boot_first500"].as_object().unwrap() {
            let terms = terms(key, &first.sample());
            let what = |part: &str| format!("{name} {key} {part}");
            assert_close(terms.value(), number(&expected["value"]), TIGHT, &what("value"));
            assert_close(terms.estimate(TWO).std_error, number(&expected["influence_se"]), TIGHT, &what("influence_se"));
            let values: Vec<f64> = drawn.chunks_exact(rows).map(|resample| terms.value_on(resample).unwrap()).collect();
            let interval = percentile_interval(&values, TWO);
            assert_close(interval.lower, number(&expected["joint_percentile_95"][0]), TIGHT, &what("lower"));
            assert_close(interval.upper, number(&expected["joint_percentile_95"][1]), TIGHT, &what("upper"));
            // What that library does instead: the denominator of the whole sample, in every resample.
            let below = terms.ratio.as_ref().map_or(1.0, |ratio| crate::stats::mean(&ratio.denominator));
            let above = |row: usize| terms.ratio.as_ref().map_or(0.0, |ratio| ratio.numerator[row] / below);
            let frozen = Terms { additive: terms.additive.iter().enumerate().map(|(row, term)| term + above(row)).collect(), ratio: None };
            let values: Vec<f64> = drawn.chunks_exact(rows).map(|resample| frozen.value_on(resample).unwrap()).collect();
            let interval = percentile_interval(&values, TWO);
            let theirs = &expected["fixed_denominator_percentile_95_obp_style"];
            assert_close(interval.lower, number(&theirs[0]), TIGHT, &what("lower, frozen"));
            assert_close(interval.upper, number(&theirs[1]), TIGHT, &what("upper, frozen"));
        }
    }
}

#[test]
fn our_own_resamples_come_near_the_joint_bootstrap_of_all_rows() {
    // The resamples behind `joint_bootstrap_95` were not stored. An end of a 95 % interval from 1,000 resamples has an error of about 0.085
    // standard errors; theirs has one too. Six times both together is 0.7.
    for (name, scenario) in scenarios() {
        let sample = scenario.sample();
        for key in ["ipw", "snipw", "dr", "sndr"] {
            let expected = &scenario.expected["estimates"][key];
            let terms = terms(key, &sample);
            let interval = percentile_interval(&terms.bootstrap(1_000, &mut Seed(7).derive(key, 0).rng()), TWO);
            let std_error = terms.estimate(TWO).std_error;
            for (found, position) in [(interval.lower, 0), (interval.upper, 1)] {
                let distance = (found - number(&expected["joint_bootstrap_95"][position])).abs() / std_error;
                assert!(distance < 0.7, "{name} {key}: {distance} standard errors");
            }
        }
    }
}

/// A limit as it is written in the golden files.
fn limit_of(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::INFINITY)
}

#[test]
fn tuned_limits_are_golden() {
    const LIMITS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0, f64::INFINITY];
    for (name, scenario) in scenarios() {
        let sample = scenario.sample();
        for (key, ours) in [("switch-dr", "switch_dr"), ("dr-os", "dr_os"), ("dr", "clipped_dr"), ("ipw", "clipped_ips")] {
            let expected = &scenario.expected["tuned"][format!("{key}/slope")];
            let tuned = slope(estimator(ours).unwrap(), &sample, &LIMITS, number(&expected["delta"])).unwrap();
            assert_close(tuned.value, number(&expected["value"]), TIGHT, &format!("{name} {key}"));
            // Limits above the largest weight are all the same: theirs may be another of them, with the same estimate.
            let at_theirs = estimator(ours).unwrap().terms_with_limit(&sample, limit_of(&expected["best_lambda"])).unwrap().value();
            assert_close(tuned.value, at_theirs, TIGHT, &format!("{name} {key} limit"));
        }
    }
}

#[test]
fn limits_of_the_least_error_are_golden() {
    const LIMITS: [f64; 9] = [f64::INFINITY, 1000.0, 500.0, 100.0, 50.0, 10.0, 5.0, 2.0, 1.0];
    for (name, scenario) in scenarios() {
        let sample = scenario.sample();
        for (key, ours) in [("switch-dr", "switch_dr"), ("dr-os", "dr_os"), ("dr", "clipped_dr"), ("ipw", "clipped_ips")] {
            let expected = &scenario.expected["tuned"][format!("{key}/mse")];
            // In their order of trying, which decides between equals.
            let mut limits = LIMITS;
            if expected["lambdas"][0] == 1.0 {
                limits.reverse();
            }
            let tuned = least_error(estimator(ours).unwrap(), &sample, &limits, number(&expected["delta"])).unwrap();
            assert_close(tuned.value, number(&expected["value"]), TIGHT, &format!("{name} {key}"));
            // Limits above the largest weight are all the same: theirs may be another of them, with the same estimate.
            let at_theirs = estimator(ours).unwrap().terms_with_limit(&sample, limit_of(&expected["best_lambda"])).unwrap().value();
            assert_close(tuned.value, at_theirs, TIGHT, &format!("{name} {key} limit"));
        }
    }
}

#[test]
fn empirical_likelihood_and_its_intervals_are_golden() {
    const UNIT: Interval = Interval { lower: 0.0, upper: 1.0 };
    for (name, scenario) in scenarios() {
        let expected = &scenario.expected["vw_estimators_0.2.2"];
        if expected.is_null() {
            continue;
        }
        let sample = scenario.sample();
        let range = Interval { lower: 0.0, upper: expected["wmax_used"].as_f64().unwrap_or(f64::INFINITY) };
        let close =
            |found: f64, key: &str, tolerance: f64| assert_close(found, key_number(expected, key), tolerance, &format!("{name} {key}"));
        let pair = |found: Interval, key: &str, tolerance: f64| {
            close(found.lower, &format!("{key}/0"), tolerance);
            close(found.upper, &format!("{key}/1"), tolerance);
        };
        // Their sums of weights are rounded row by row.
        close(terms("ipw", &sample).value(), "ips", 2e-14);
        close(terms("snipw", &sample).value(), "snips", 1e-13);
        close(empirical_likelihood(&sample, range), "mle", TIGHT);
        close(cressie_read(&sample, range).unwrap(), "cressieread", TIGHT);
        // F and beta quantiles of two libraries.
        pair(cressie_read_interval(&sample, range, UNIT, TWO), "interval_cressieread", 1e-10);
        pair(weighted_clopper_pearson(&sample, TWO).unwrap(), "interval_clopper_pearson", 1e-10);
        // Their root finder stops at 2e-12, and the incomplete gamma functions of large shapes agree to ten digits.
        pair(anytime_interval(&sample, TWO), "interval_cs_anytime", 1e-9);
        // Wald's with the variance of n − 1.
        let estimate = terms("ipw", &sample).estimate(TWO);
        let n = scenario.arms.len() as f64;
        let half = TWO.z() * estimate.std_error * (n / (n - 1.0)).sqrt();
        pair(Interval { lower: estimate.value - half, upper: estimate.value + half }, "interval_gaussian", TIGHT);
    }
}

#[test]
fn bounds_are_golden() {
    let expected: Value = serde_json::from_str(include_str!("../../../../tests/golden/ope/partial_identification.json")).unwrap();
    let scenarios = scenarios();
    for (key, expected) in expected.as_object().unwrap() {
        let (name, p_min) = key.split_once("|pmin=").unwrap();
        let scenario = &scenarios.iter().find(|(other, _)| *other == name).unwrap().1;
        let found = partial_identification(&scenario.sample(), &scenario.vectors, p_min.parse().unwrap(), TWO).unwrap();
        let pair = |found: [f64; 2], key: &str| {
            for (found, expected) in found.into_iter().zip(expected[key].as_array().unwrap()) {
                assert!((found - number(expected)).abs() <= 2.0 * TIGHT, "{name} {key}: {found} for {expected}");
            }
        };
        assert_close(found.unsupported_mass, number(&expected["unsupported_mass"]), TIGHT, name);
        assert_close(found.value.critical, number(&expected["c"]), TIGHT, name);
        pair([found.value.bounds.lower, found.value.bounds.upper], "V_bounds");
        pair([found.value.lower_std_error, found.value.upper_std_error], "V_se");
        pair([found.value.interval.lower, found.value.interval.upper], "V_ci95_imbens_manski");
        pair([found.uplift_over_log.bounds.lower, found.uplift_over_log.bounds.upper], "uplift_vs_log_bounds");
        pair([found.uplift_over_log.interval.lower, found.uplift_over_log.interval.upper], "uplift_ci95_imbens_manski");
    }
}

#[test]
fn bounds_of_a_log_without_chance_are_golden() {
    for (name, scenario) in scenarios() {
        let expected = &scenario.expected["manski"];
        if expected.is_null() {
            continue;
        }
        let choices: Vec<Arm> = (0..scenario.arms.len())
            .map(|row| Arm(scenario.target.row(row).iter().position(|share| *share == 1.0).unwrap() as u16))
            .collect();
        let set = deterministic_bounds(scenario.log(), &choices, TWO).unwrap();
        assert_close(set.bounds.lower, number(&expected["v_eval_lower"]), TIGHT, name);
        assert_close(set.bounds.upper, number(&expected["v_eval_upper"]), TIGHT, name);
        assert_close(set.lower_std_error, number(&expected["se_lower"]), TIGHT, name);
        assert_close(set.upper_std_error, number(&expected["se_upper"]), TIGHT, name);
        let rows = || choices.iter().zip(&scenario.arms).zip(&scenario.rewards);
        let of = |agrees: bool| {
            let rewards: Vec<f64> = rows().filter(|((choice, ran), _)| (choice == ran) == agrees).map(|(_, reward)| *reward).collect();
            (rewards.len() as f64 / choices.len() as f64, crate::stats::mean(&rewards))
        };
        assert_close(of(true).0, number(&expected["match_rate"]), TIGHT, name);
        assert_close(terms("rm", &scenario.sample()).value(), number(&expected["agreement_subset_success"]), TIGHT, name);
        let (share, success) = of(false);
        assert_close(success, number(&expected["disagreement_subset_logged_success"]), TIGHT, name);
        assert_close(-share * success, number(&expected["check_uplift_lower_eq_minus_P_success_and_mismatch"]), TIGHT, name);
        assert_close(share * (1.0 - success), number(&expected["check_uplift_upper_eq_P_failure_and_mismatch"]), TIGHT, name);
        if name.starts_with("S5a") {
            // The log is deterministic, so what ran is the static policy.
            let comparison = crate::Comparison::new(scenario.log(), &choices, &scenario.arms).unwrap();
            let uplift = crate::uplift_bounds(&comparison, TWO).unwrap();
            assert_close(uplift.bounds.lower, number(&expected["uplift_lower"]), TIGHT, name);
            assert_close(uplift.bounds.upper, number(&expected["uplift_upper"]), TIGHT, name);
            assert!(uplift.interval.contains(number(&expected["true_uplift_on_sample"])));
        }
    }
}

#[test]
fn lower_bounds_for_every_sample_size_are_golden() {
    for (name, scenario) in scenarios() {
        let expected = &scenario.expected["high_confidence_lower_bounds_ipw_delta0.05"];
        let Some(largest) = expected["x_max_used"].as_f64() else { continue };
        let values = terms("ipw", &scenario.sample()).additive;
        assert_close(crate::stats::hoeffding_lower(&values, largest, 0.05), number(&expected["hoeffding"]), TIGHT, name);
        assert_close(crate::stats::bernstein_lower(&values, largest, 0.05), number(&expected["bernstein_MP"]), TIGHT, name);
        let seen = values.iter().copied().fold(0.0, f64::max);
        let invalid = number(&expected["hoeffding_empirical_max_INVALID"]);
        assert_close(crate::stats::hoeffding_lower(&values, seen, 0.05), invalid, TIGHT, name);
        // Student's quantile of two libraries.
        assert_close(crate::stats::student_lower(&values, 0.05), number(&expected["student_t"]), 1e-10, name);
    }
}
