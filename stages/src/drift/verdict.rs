//! From comparisons to a verdict: multiplicity, severity, whether it fires, whether a new router is due.

use routewright_ope::stats::quantile;

use super::DriftParams;
use super::classifier::Told;
use super::concept::Expectations;
use super::windows::{Compared, date};
use crate::artifacts::{
    DRIFT_SCHEMA_VERSION, DriftFinding, DriftKind, DriftMeasure, DriftReport, DriftSeverity, OddDay, PathDay, PathOverTime, RetrainingGain,
};

/// Families that share the level: features, features together, outcomes, success given the features, changes.
pub(super) const N_FAMILIES: f64 = 5.0;

/// Times its threshold from which a movement is severe.
const SEVERE: f64 = 2.5;

/// Usual differences from which a day is odd: of 35 usual days one in 50,000 sets has one.
const ODD: f64 = 5.0;

/// Standard deviations in a median absolute deviation of normal numbers.
const NORMAL_SPREAD: f64 = 1.482_6;

/// Features that are named as telling the windows apart.
const N_TELLING: usize = 10;

/// One comparison; its p-value holds together with those of its family.
pub(super) struct Tested {
    pub kind: DriftKind,
    pub name: String,
    pub measure: DriftMeasure,
    pub reference: Option<f64>,
    pub current: Option<f64>,
    pub effect: f64,
    pub distance: Option<f64>,
    pub p: f64,
    pub since: Option<String>,
}

/// Comparisons whose p-values hold together.
pub(super) struct Family {
    pub n_comparisons: usize,
    pub tested: Vec<Tested>,
}

/// The report of windows that are too short.
pub(super) fn nothing(params: &DriftParams, compared: &Compared<'_>, why: String) -> DriftReport {
    DriftReport {
        schema_version: DRIFT_SCHEMA_VERSION,
        fired: false,
        severity: DriftSeverity::None,
        retrain: false,
        reasons: Vec::new(),
        summary: format!("Nothing is said about drift: {why}."),
        reference: compared.window(false),
        current: compared.window(true),
        level: params.level,
        comparisons: 0,
        too_short: Some(why),
        findings: Vec::new(),
        classifier: None,
        tells_apart: Vec::new(),
        paths: Vec::new(),
        odd_days: Vec::new(),
        retraining: None,
        left_out: params.left_out.clone(),
    }
}

/// Puts the families together.
pub(super) fn verdict(
    params: &DriftParams,
    compared: &Compared<'_>,
    families: [Vec<Family>; 5],
    told: Told,
    expectations: &Expectations,
    retraining: Option<RetrainingGain>,
) -> DriftReport {
    let comparisons = families.iter().flatten().map(|family| family.n_comparisons).sum();
    let mut findings = Vec::new();
    for family in families {
        // Parts of a family that were permuted apart share the family's part of the level.
        let parts = family.len() as f64;
        let all = family.into_iter().flat_map(|part| part.tested);
        findings.extend(all.map(|tested| finding(params, tested, N_FAMILIES * parts)));
    }
    findings.sort_by(|one, other| {
        let strength = |found: &DriftFinding| (found.effect.abs() / found.threshold, -found.p);
        let (one_strength, other_strength) = (strength(one), strength(other));
        other.severity.cmp(&one.severity).then(other_strength.0.total_cmp(&one_strength.0)).then_with(|| one.name.cmp(&other.name))
    });
    let severity = findings.first().map_or(DriftSeverity::None, |first| first.severity);
    let fired = params.fire_at <= severity;
    let asking: Vec<&DriftFinding> =
        findings.iter().filter(|found| params.fire_at <= found.severity && params.retrain.on.contains(&found.kind)).collect();
    let helps = params.retrain.on_gain && retraining.as_ref().is_some_and(|gain| gain.helps);
    let mut reasons: Vec<String> = asking.iter().take(3).map(|found| words(found)).collect();
    if let Some(gain) = &retraining {
        let verb = if gain.helps { "predicts" } else { "does not provably predict" };
        reasons.push(format!(
            "a router that knows the newest days {verb} success better (Brier score {:.4} against {:.4}, gain at least {:+.4})",
            gain.brier_fresh, gain.brier_old, gain.lower
        ));
    }
    let reference = compared.window(false);
    let current = compared.window(true);
    let found: Vec<String> = findings.iter().take_while(|found| params.fire_at <= found.severity).take(3).map(words).collect();
    let summary = format!(
        "{} to {} against {} to {}: {}",
        current.first,
        current.last,
        reference.first,
        reference.last,
        match (fired, severity) {
            (true, _) => format!("{}.", found.join("; ")),
            (false, DriftSeverity::None) => format!("nothing moved that chance would not move ({comparisons} comparisons)."),
            (false, _) => format!("only little moved; most: {}.", findings.first().map(words).unwrap_or_default()),
        }
    );
    DriftReport {
        schema_version: DRIFT_SCHEMA_VERSION,
        fired,
        severity,
        retrain: !asking.is_empty() || helps,
        reasons,
        summary,
        reference,
        current,
        level: params.level,
        comparisons,
        too_short: None,
        findings,
        classifier: told.auc,
        tells_apart: told.importance.into_iter().take(N_TELLING).collect(),
        paths: paths(compared, expectations),
        odd_days: odd_days(compared, expectations),
        retraining,
        left_out: params.left_out.clone(),
    }
}

/// A comparison with its place among all others.
fn finding(params: &DriftParams, tested: Tested, share: f64) -> DriftFinding {
    let p = (tested.p * share).min(1.0);
    let threshold = match tested.measure {
        DriftMeasure::Psi => params.psi,
        DriftMeasure::Auc => params.auc - 0.5,
        DriftMeasure::Points => params.success_points,
        DriftMeasure::LogRatio => params.latency_ratio.ln(),
    };
    let strength = tested.effect.abs() / threshold;
    let severity = match () {
        () if params.level < p => DriftSeverity::None,
        () if SEVERE <= strength => DriftSeverity::Severe,
        () if 1.0 <= strength => DriftSeverity::Moderate,
        () => DriftSeverity::Minor,
    };
    DriftFinding {
        kind: tested.kind,
        name: tested.name,
        measure: tested.measure,
        reference: tested.reference,
        current: tested.current,
        effect: tested.effect,
        threshold,
        distance: tested.distance,
        p,
        since: tested.since,
        severity,
    }
}

/// A finding in one phrase.
fn words(found: &DriftFinding) -> String {
    let p = format!("p {:.3}", found.p);
    let since = found.since.as_ref().map(|day| format!(" since {day}")).unwrap_or_default();
    match (found.kind, found.measure) {
        (DriftKind::Features, _) => format!("a forest tells the windows apart (area under the curve {:.2}, {p})", 0.5 + found.effect),
        (DriftKind::Feature, _) => format!("feature `{}` moved (stability index {:.2}, {p})", found.name, found.effect),
        (DriftKind::Mix, _) => format!("another mix of `{}` (stability index {:.2}, {p})", found.name, found.effect),
        (DriftKind::Success, _) => format!("success is {:+.1} points ({p})", found.effect),
        (_, DriftMeasure::LogRatio) => format!("{} is {:.2} times what it was{since} ({p})", found.name, found.effect.exp()),
        _ => format!("{} is {:+.1} points from what was expected{since} ({p})", found.name, found.effect),
    }
}

/// Days on which success lies further from what was expected than on any usual day.
fn odd_days(compared: &Compared<'_>, expectations: &Expectations) -> Vec<OddDay> {
    // Per day: rows, sum of success less expectation, sum of the variance of a success.
    let mut sums = vec![(0.0, 0.0, 0.0); compared.days.len()];
    for (position, day) in compared.day.iter().enumerate() {
        let expected = expectations.expected[position];
        if let Some(success) = expectations.success[position].filter(|_| expected.is_finite()) {
            let sum = &mut sums[*day as usize];
            *sum = (sum.0 + 1.0, sum.1 + f64::from(u8::from(success)) - expected, sum.2 + expected * (1.0 - expected));
        }
    }
    let means: Vec<(usize, f64, f64)> = sums
        .iter()
        .enumerate()
        .filter(|(_, sum)| sum.0 > 0.0)
        .map(|(day, (n, sum, variance)): (usize, &(f64, f64, f64))| (day, sum / n, variance.sqrt() / n))
        .collect();
    let usual = quantile(&means.iter().map(|day| day.1).collect::<Vec<_>>(), 0.5);
    let distances: Vec<f64> = means.iter().map(|day| (day.1 - usual).abs()).collect();
    let spread = NORMAL_SPREAD * quantile(&distances, 0.5);
    let odd = |(day, mean, error): &(usize, f64, f64)| {
        let deviation = (mean - usual) / error.max(spread);
        let found = OddDay { day: date(compared.days[*day]), points: 100.0 * (mean - usual), deviation };
        (ODD <= deviation.abs()).then_some(found)
    };
    means.iter().filter_map(odd).collect()
}

/// Success and calibration per path over time.
fn paths(compared: &Compared<'_>, expectations: &Expectations) -> Vec<PathOverTime> {
    let table = compared.table;
    let of_path = |arm: routewright_domain::Arm| {
        // Per day: rows, successes, expectations.
        let mut sums = vec![(0_usize, 0.0, 0.0); compared.days.len()];
        for (position, day) in compared.day.iter().enumerate() {
            let expected = expectations.expected[position];
            if let Some(success) = expectations.success[position]
                && table.outcomes.arms[compared.rows[position] as usize] == arm
                && expected.is_finite()
            {
                let sum = &mut sums[*day as usize];
                *sum = (sum.0 + 1, sum.1 + f64::from(u8::from(success)), sum.2 + expected);
            }
        }
        let total = |current: bool| {
            let own = sums.iter().zip(compared.windows.current()).filter(|(_, own)| **own == current);
            own.fold((0.0, 0.0, 0.0), |all, (sum, _)| (all.0 + sum.0 as f64, all.1 + sum.1, all.2 + sum.2))
        };
        let (reference, current) = (total(false), total(true));
        let day = |(day, sum): (&i64, &(usize, f64, f64))| PathDay {
            day: date(*day),
            rows: sum.0,
            success: sum.1 / sum.0 as f64,
            expected: sum.2 / sum.0 as f64,
        };
        PathOverTime {
            path: table.paths.name(arm).to_owned(),
            reference_success: (reference.0 > 0.0).then(|| reference.1 / reference.0),
            current_success: (current.0 > 0.0).then(|| current.1 / current.0),
            current_bias_points: (current.0 > 0.0).then(|| 100.0 * (current.1 - current.2) / current.0),
            days: compared.days.iter().zip(&sums).filter(|(_, sum)| sum.0 > 0).map(day).collect(),
        }
    };
    table.paths.arms().map(of_path).collect()
}
