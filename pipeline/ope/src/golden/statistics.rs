//! Intervals, tests, corrections and quantiles.

use routewright_domain::Interval;

use super::*;
use crate::Confidence;
use crate::stats::{
    acceleration, agresti_caffo, agresti_coull, asymptotic_half_width, asymptotic_tuning, basic_interval, bca_interval, benjamini_hochberg,
    benjamini_yekutieli, bernoulli_sequence, betting_sequence, bonferroni, clopper_pearson, cuped, cuped_adjusted,
    empirical_bernstein_sequence, fieller, fisher_exact, gamma_exponential_mixture_bound, hochberg, hoeffding_sequence, holm, hommel,
    jeffreys, kolmogorov_smirnov, mann_whitney, mcnemar, mean, median_bias, mixture_sprt, newcombe, normal_mixture_bound,
    normal_mixture_bound_one_sided, order_statistic_interval, poly_stitching_bound, pooled_z, quantile, ratio_of_means,
    ratio_of_proportions, sample_ratio, sidak, wald, welch, wilson,
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
        let unadjusted = |group: usize| successes[group] / trials[group] * (1.0 - successes[group] / trials[group]) / trials[group];
        let (difference, half) = (x1 / n1 - x2 / n2, TWO.z() * (unadjusted(0) + unadjusted(1)).sqrt());
        assert_interval(Interval { lower: difference - half, upper: difference + half }, &case["wald"], 1e-14, "wald");
        assert_interval(ratio_of_proportions(successes, trials, TWO), &case["ratio_log_adjusted"], 1e-13, "ratio");
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
        for key in ["scipy_p", "gbstats_p"] {
            assert_close(sample_ratio(&counts, &weights), number(&case[key]), 1e-10, key);
        }
    }
}

#[test]
fn corrections_are_golden() {
    let golden = golden();
    let case = &golden["multiple_comparisons"];
    let p: Vec<f64> = case["p"].as_array().unwrap().iter().map(number).collect();
    for (found, key) in [
        (bonferroni(&p), "bonferroni"),
        (sidak(&p), "sidak"),
        (holm(&p), "holm"),
        (hochberg(&p), "simes-hochberg"),
        (hommel(&p), "hommel"),
        (benjamini_hochberg(&p), "fdr_bh"),
        (benjamini_yekutieli(&p), "fdr_by"),
    ] {
        let expected = case[key]["adjusted"].as_array().unwrap().iter().zip(case[key]["reject"].as_array().unwrap());
        assert_eq!(found.len(), expected.len());
        for (found, (expected, rejected)) in found.iter().zip(expected) {
            assert_close(*found, number(expected), 1e-14, key);
            assert_eq!(*found <= 0.05, rejected.as_bool().unwrap(), "{key}");
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

    for (values, group) in [(&control, "control"), (&treatment, "treatment")] {
        assert_eq!(values.len() as f64, number(&case[format!("n_{group}")]));
        assert_close(mean(values), number(&case[format!("mean_{group}")]), 1e-14, group);
        // The ratio of a group's mean to itself has a log-variance of twice var / (n mean²).
        let own = ratio_of_means(values, values, TWO).unwrap().log_std_error;
        let variance = own * own / 2.0 * values.len() as f64 * mean(values).powi(2);
        assert_close(variance, number(&case[format!("var_{group}_ddof1")]), 1e-13, group);
    }
    let ranks = mann_whitney(&treatment, &control).unwrap();
    assert_eq!(ranks.u, number(&case["mannwhitney_U"]));
    assert_close(ranks.p, number(&case["mannwhitney_p_asymptotic_nocontinuity"]), 1e-12, "Mann-Whitney");
    assert_close(ranks.p_continuous, number(&case["mannwhitney_p_asymptotic_continuity"]), 1e-12, "Mann-Whitney, continuous");
    assert_close(kolmogorov_smirnov(&treatment, &control), number(&case["ks_2samp"]), 1e-14, "Kolmogorov-Smirnov");

    let test = welch(&treatment, &control, TWO).unwrap();
    assert_close(test.p_value(), number(&case["welch_p"]), 1e-11, "p");
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
    let golden = golden();
    let case = &golden["cuped"];
    assert_close(cuped(&x, &y).unwrap(), number(&case["theta_pooled"]), 1e-12, "theta");
    let adjusted = cuped_adjusted(&x, &y).unwrap();
    let compare = |values: &[f64]| {
        let of = |group: f64| rows.iter().zip(values).filter(|(row, _)| row[2] == group).map(|(_, value)| *value).collect::<Vec<f64>>();
        let test = welch(&of(1.0), &of(0.0), TWO).unwrap();
        (test.difference, test.difference / test.t)
    };
    for (values, name) in [(&y, "raw"), (&adjusted, "cuped")] {
        let (difference, std_error) = compare(values);
        assert_close(difference, number(&case[format!("{name}_diff")]), 1e-12, name);
        assert_close(std_error, number(&case[format!("{name}_se")]), 1e-12, name);
    }
    let spread = |values: &[f64]| values.iter().map(|value| (value - mean(values)).powi(2)).sum::<f64>();
    assert_close(1.0 - spread(&adjusted) / spread(&y), number(&case["variance_reduction_overall"]), 1e-12, "variance reduction");
}

#[test]
fn bounds_for_many_looks_are_golden() {
    let golden = golden();
    for case in golden["asymp_cs_gbstats"].as_array().unwrap() {
        let [s2, n, tuning, alpha] = ["s2", "n", "tuning", "alpha"].map(|key| number(&case[key]));
        assert_close(asymptotic_half_width(s2, n, tuning, alpha), number(&case["halfwidth"]), 1e-12, "half-width");
        assert_close(asymptotic_tuning(tuning, alpha), number(&case["rho"]), 1e-12, "rho");
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
    let (bernstein, betting) = (empirical_bernstein_sequence(&values, 0.05), betting_sequence(&values, 0.05));
    for looks in ["10", "50", "100", "200", "500"] {
        let at = looks.parse::<usize>().unwrap() - 1;
        assert_interval(bernstein[at], &confseq["predmix_empbern_cs_bernoulli_500"][looks], 1e-12, "empirical Bernstein");
        // Ends are thousandths: equal or wrong.
        assert_interval(betting[at], &confseq["betting_cs_bernoulli_500"][looks], 1e-12, "betting");
    }
}

#[test]
fn sample_sizes_are_golden() {
    for case in golden()["power"].as_array().unwrap() {
        let [p1, p2, alpha, power] = ["p1", "p2", "alpha", "power"].map(|key| number(&case[key]));
        let found = crate::per_arm_arcsine(p1, p2 - p1, power, Confidence::two_sided(1.0 - alpha).unwrap());
        // Their root finder stops at about 1e-8 of the value.
        assert_close(found, number(&case["n_arcsine"]), 1e-7, "rows per group");
    }
}

#[test]
fn bootstrap_intervals_are_golden() {
    let golden = golden();
    let case = &golden["bootstrap_mean_latency_treatment"];
    let values: Vec<f64> = columns(include_str!("../../../../tests/golden/stats/latency_treatment.csv")).into_iter().flatten().collect();
    let value = mean(&values);
    assert_close(value, number(&case["theta"]), 1e-14, "theta");
    let sum: f64 = values.iter().sum();
    let leave_one_out: Vec<f64> = values.iter().map(|one| (sum - one) / (values.len() as f64 - 1.0)).collect();
    assert_close(acceleration(&leave_one_out), number(&case["bca_a"]), 1e-10, "acceleration");
    let end = |key: &str, position: usize| number(&case[key][position]);
    let percentile = Interval { lower: end("percentile95", 0), upper: end("percentile95", 1) };
    assert_interval(basic_interval(value, percentile), &case["basic95"], 1e-12, "basic");
    // Their resamples were not stored. Of 1,999, an end of a 95 % interval has an error of about 0.06 standard errors, the standard error one of
    // 1.6 %, and the bias one of 0.028; theirs have the same. Six times both together.
    let terms = crate::Terms { additive: values.clone(), ratio: None };
    let resampled = terms.bootstrap(1_999, &mut routewright_domain::Seed(3).rng());
    let std_error = number(&case["boot_se_ddof1"]);
    let found = crate::percentile_interval(&resampled, TWO);
    let bca = bca_interval(value, &resampled, &leave_one_out, TWO);
    for (found, key, position) in
        [(found.lower, "percentile95", 0), (found.upper, "percentile95", 1), (bca.lower, "bca95", 0), (bca.upper, "bca95", 1)]
    {
        assert!((found - end(key, position)).abs() / std_error < 0.5, "{key} {position}: {found}");
    }
    let spread = (resampled.iter().map(|one| (one - mean(&resampled)).powi(2)).sum::<f64>() / 1_998.0).sqrt();
    assert!((spread / std_error - 1.0).abs() < 0.14, "{spread} for {std_error}");
    assert!((median_bias(value, &resampled) - number(&case["bca_z0"])).abs() < 0.24);
}
