//! Intervals, tests, corrections and quantiles.

use routewright_domain::Interval;

use super::*;
use crate::Confidence;
use crate::stats::{
    agresti_caffo, agresti_coull, asymptotic_half_width, benjamini_hochberg, bernoulli_sequence, bonferroni, clopper_pearson, cuped,
    fieller, fisher_exact, gamma_exponential_mixture_bound, hoeffding_sequence, holm, jeffreys, mcnemar, mixture_sprt, newcombe,
    normal_mixture_bound, normal_mixture_bound_one_sided, order_statistic_interval, poly_stitching_bound, pooled_z, quantile,
    ratio_of_means, sample_ratio, wald, welch, wilson,
};

const TWO: Confidence = Confidence::TWO_SIDED_95;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../../tests/golden/stats/stats_golden.json")).unwrap()
}

fn columns(text: &str) -> Vec<Vec<f64>> {
    text.lines().map(|line| line.split(',').filter_map(|cell| cell.trim().parse().ok()).collect()).collect()
}

#[track_caller]
fn assert_interval(found: Interval, expected: &Value, tolerance: f64, what: &str) {
    for (found, expected) in [found.lower, found.upper].into_iter().zip(expected.as_array().unwrap()) {
        assert!((found - number(expected)).abs() <= tolerance, "{what}: found {found}, expected {expected}");
    }
}

#[test]
fn intervals_of_a_proportion_are_golden() {
    for case in golden()["proportion_ci"].as_array().unwrap() {
        let (x, n) = (number(&case["x"]), number(&case["n"]));
        let what = format!("{x} of {n}");
        assert_interval(wilson(x, n, TWO), &case["wilson"], 1e-14, &what);
        assert_interval(wald(x, n, TWO), &case["normal"], 1e-14, &what);
        assert_interval(agresti_coull(x, n, TWO), &case["agresti_coull"], 1e-14, &what);
        assert_interval(clopper_pearson(x, n, TWO), &case["beta"], 1e-12, &what);
        assert_interval(jeffreys(x, n, TWO), &case["jeffreys"], 1e-12, &what);
    }
}

#[test]
fn comparisons_of_two_proportions_are_golden() {
    for case in golden()["two_proportions"].as_array().unwrap() {
        let [x1, n1, x2, n2] = ["x1", "n1", "x2", "n2"].map(|key| number(&case[key]));
        let (successes, trials) = ([x1, x2], [n1, n2]);
        assert_interval(newcombe(successes, trials, TWO), &case["newcomb"], 1e-14, "newcombe");
        assert_interval(agresti_caffo(successes, trials, TWO), &case["agresti-caffo"], 1e-14, "agresti-caffo");
        let (z, p) = pooled_z(successes, trials);
        assert_close(z, number(&case["pooled_z"]), 1e-12, "pooled z");
        assert_close(p, number(&case["pooled_z_p_two_sided"]), 1e-12, "pooled p");
        let fisher = fisher_exact([x1 as u64, x2 as u64], [n1 as u64, n2 as u64]);
        // A sum of exponentials of log-factorials of thousands: digits are lost in the exponent.
        assert_close(fisher, number(&case["fisher_p_two_sided"]), 1e-9, "fisher");
    }
}

#[test]
fn mcnemar_is_golden() {
    for case in golden()["mcnemar"].as_array().unwrap() {
        let test = mcnemar(case["b"].as_u64().unwrap(), case["c"].as_u64().unwrap());
        assert_close(test.exact, number(&case["exact_p"]), 1e-12, "exact");
        if let (Some(chi2), Some(mid)) = (case["chi2_p"].as_f64(), case["midp"].as_f64()) {
            assert_close(test.chi_square, chi2, 1e-12, "chi square");
            assert_close(test.mid, mid, 1e-12, "mid-p");
        }
    }
}

#[test]
fn sample_ratios_are_golden() {
    for case in golden()["srm"].as_array().unwrap() {
        let counts: Vec<u64> = case["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect();
        let weights: Vec<f64> = case["weights"].as_array().unwrap().iter().map(number).collect();
        assert_close(sample_ratio(&counts, &weights), number(&case["scipy_p"]), 1e-10, "sample ratio");
    }
}

#[test]
fn corrections_are_golden() {
    let golden = golden();
    let case = &golden["multiple_comparisons"];
    let p: Vec<f64> = case["p"].as_array().unwrap().iter().map(number).collect();
    for (found, key) in [(bonferroni(&p), "bonferroni"), (holm(&p), "holm"), (benjamini_hochberg(&p), "fdr_bh")] {
        for (found, expected) in found.iter().zip(case[key]["adjusted"].as_array().unwrap()) {
            assert_close(*found, number(expected), 1e-14, key);
        }
    }
}

#[test]
fn latencies_are_golden() {
    let golden = golden();
    let case = &golden["latency"];
    let read = |text: &str| columns(text).into_iter().flatten().collect::<Vec<f64>>();
    let control = read(include_str!("../../../../tests/golden/stats/latency_control.csv"));
    let mut treatment = read(include_str!("../../../../tests/golden/stats/latency_treatment.csv"));
    assert_eq!((control.len(), treatment.len()), (200, 240));

    let test = welch(&treatment, &control, TWO).unwrap();
    assert_close(test.t, number(&case["welch_t"]), 1e-12, "t");
    assert_close(test.degrees, number(&case["welch_df"]), 1e-12, "degrees");
    assert_interval(test.interval, &case["welch_ci95"], 1e-8, "welch");

    let ratio = ratio_of_means(&treatment, &control, Confidence::ONE_SIDED_95).unwrap();
    assert_close(ratio.ratio, number(&case["ratio_of_means"]), 1e-12, "ratio");
    assert_close(ratio.log_std_error, number(&case["log_ratio_delta_se"]), 1e-12, "log se");
    assert_close(ratio.interval.upper, number(&case["ratio_upper95_one_sided_delta_log"]), 1e-12, "upper");
    let (z, p) = ratio.noninferiority(1.10);
    assert_close(z.abs(), number(&case["noninferiority_10pct_z"]).abs(), 1e-9, "z");
    assert_close(p, number(&case["noninferiority_10pct_p"]), 1e-10, "p");
    assert_interval(fieller(&treatment, &control, Confidence::ONE_SIDED_95).unwrap(), &case["ratio_fieller_90"], 1e-12, "fieller");

    treatment.sort_by(f64::total_cmp);
    for probability in ["0.5", "0.9", "0.95", "0.99"] {
        let p: f64 = probability.parse().unwrap();
        let expected = &case[format!("quantile_{probability}_type7")];
        assert_close(quantile(&control, p), number(&expected[0]), 1e-14, probability);
        assert_close(quantile(&treatment, p), number(&expected[1]), 1e-14, probability);
        let index = &case[format!("treatment_quantile_{probability}_order_idx_1based")];
        // At .99 the golden upper position is 241 of 240: cut to the largest value, which we do not call a bound.
        let Some((positions, interval)) = order_statistic_interval(&treatment, p, TWO) else {
            assert_eq!(index[1], 241);
            continue;
        };
        assert_eq!(positions.map(|position| position as u64), [index[0].as_u64().unwrap(), index[1].as_u64().unwrap()], "{probability}");
        assert_interval(interval, &case[format!("treatment_quantile_{probability}_order_stat_ci95")], 1e-12, probability);
    }
}

#[test]
fn cuped_is_golden() {
    let rows = columns(include_str!("../../../../tests/golden/stats/cuped_x_y_group.csv"));
    let rows: Vec<&Vec<f64>> = rows.iter().filter(|row| row.len() == 3).collect();
    let (x, y): (Vec<f64>, Vec<f64>) = rows.iter().map(|row| (row[0], row[1])).unzip();
    assert_close(cuped(&x, &y).unwrap(), number(&golden()["cuped"]["theta_pooled"]), 1e-12, "theta");
}

#[test]
fn bounds_for_many_looks_are_golden() {
    let golden = golden();
    for case in golden["asymp_cs_gbstats"].as_array().unwrap() {
        let [s2, n, tuning, alpha] = ["s2", "n", "tuning", "alpha"].map(|key| number(&case[key]));
        assert_close(asymptotic_half_width(s2, n, tuning, alpha), number(&case["halfwidth"]), 1e-12, "half-width");
    }
    for case in golden["msprt"].as_array().unwrap() {
        let (ratio, p) = mixture_sprt(number(&case["diff"]), number(&case["V"]), number(&case["tau2"]));
        assert_close(ratio, number(&case["Lambda"]), 1e-12, "likelihood ratio");
        assert_close(p, number(&case["p"]), 1e-12, "p");
    }
    let confseq: Value = serde_json::from_str(include_str!("../../../../tests/golden/stats/confseq_golden.json")).unwrap();
    for case in confseq["normal_mixture_bound"].as_array().unwrap() {
        let [v, alpha, v_opt] = ["v", "alpha", "v_opt"].map(|key| number(&case[key]));
        assert_close(normal_mixture_bound(v, alpha, v_opt), number(&case["two_sided"]), 1e-12, "normal mixture");
        // Their root finder stops at about 1e-12 of the value.
        assert_close(normal_mixture_bound_one_sided(v, alpha, v_opt), number(&case["one_sided"]), 1e-11, "one-sided normal mixture");
    }
    for case in confseq["gamma_exponential_mixture_bound"].as_array().unwrap() {
        let [v, alpha, v_opt, c] = ["v", "alpha", "v_opt", "c"].map(|key| number(&case[key]));
        assert_close(gamma_exponential_mixture_bound(v, alpha, v_opt, c), number(&case["value"]), 1e-9, "gamma-exponential mixture");
    }
    for case in confseq["poly_stitching_bound"].as_array().unwrap() {
        let [v, alpha, v_min] = ["v", "alpha", "v_min"].map(|key| number(&case[key]));
        assert_close(poly_stitching_bound(v, alpha, v_min), number(&case["value"]), 1e-12, "polynomial stitching");
    }
    for case in confseq["bernoulli_confidence_interval"].as_array().unwrap() {
        let [successes, trials, alpha, t_opt] = ["num_successes", "num_trials", "alpha", "t_opt"].map(|key| number(&case[key]));
        // Their root finder stops at 1e-11.
        assert_interval(bernoulli_sequence(successes, trials, alpha, t_opt), &case["ci"], 1e-10, "beta-binomial sequence");
    }
    let values: Vec<f64> = columns(include_str!("../../../../tests/golden/stats/cs_bernoulli_500.csv")).into_iter().flatten().collect();
    let sequence = hoeffding_sequence(&values, 0.05);
    for (looks, expected) in confseq["predmix_hoeffding_cs_bernoulli_500"].as_object().unwrap() {
        assert_interval(sequence[looks.parse::<usize>().unwrap() - 1], expected, 1e-12, "predictable Hoeffding sequence");
    }
}
