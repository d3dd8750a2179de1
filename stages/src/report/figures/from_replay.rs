//! Figures of the comparison: policies, estimators, segments, overlap.

use routewright_ope::Segment;
use routewright_plot::{
    Controls, CostQuality, CostQualityPoint, Curve, Figure, IntervalRow, OperatingPoint, PathOverlap, PlotError, RiskCoverage,
    Role as PlotRole, UpliftByEstimator, UpliftBySegment, WeightOverlap,
};

use super::Drawn;
use crate::artifacts::{Bounded, Role, ThresholdPoint};
use crate::report::format::{grouped, milliseconds, signed};

/// The confidence below which E-009 falls back to the static router.
const FALLBACK: f64 = 0.7;

fn role(role: Role) -> PlotRole {
    match role {
        Role::Static => PlotRole::Static,
        Role::Learned => PlotRole::Learned,
        Role::Alternative | Role::Control | Role::Oracle => PlotRole::Control,
    }
}

fn row<'a>(name: &'a str, estimate: Bounded, role: PlotRole) -> IntervalRow<'a> {
    IntervalRow { name, n: None, value: estimate.value.unwrap_or(f64::NAN), low: estimate.lower, high: estimate.upper, role }
}

pub(super) fn controls(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let policies: Vec<IntervalRow<'_>> =
        drawn.replay.policies.iter().map(|policy| row(&policy.name, policy.success, role(policy.role))).collect();
    let uplift = drawn.replay.uplift.points;
    let title = match uplift.value {
        Some(points) if uplift.lower <= 0.0 && 0.0 <= uplift.upper => {
            format!("The learned router is not shown to differ from the static one ({} points)", signed(points))
        }
        Some(points) => {
            format!("The learned router is {:.1} points {} the static one", points.abs(), if points < 0.0 { "behind" } else { "ahead of" })
        }
        None => "The log does not say how the learned router would have done".to_owned(),
    };
    let subtitle = format!("success rate on {} held-out queries, 95 % intervals", grouped(drawn.replay.n_queries as u64));
    Some(routewright_plot::controls(&Controls { title: &title, subtitle: Some(&subtitle), policies: &policies }))
}

/// A threshold with the failures of the whole router.
fn risk(point: &ThresholdPoint) -> Option<(f64, f64, f64)> {
    point.success.map(|success| (point.coverage, 1.0 - success, point.threshold))
}

pub(super) fn risk_coverage(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let mut points: Vec<(f64, f64, f64)> = drawn.replay.thresholds.iter().filter_map(risk).collect();
    let used = *points.iter().find(|point| (point.2 - FALLBACK).abs() < 1e-9)?;
    let fixed = drawn.replay.policy("static").and_then(|policy| policy.success.value).map(|success| 1.0 - success);
    // At coverage 0 the whole router is the static one.
    points.extend(fixed.map(|risk| (0.0, risk, f64::INFINITY)));
    points.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.2.total_cmp(&right.2)));
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|point| (point.0, point.1)).unzip();
    let mut operating = vec![OperatingPoint { name: "confidence ≥ 0.7", coverage: used.0, risk: used.1 }];
    operating.extend(fixed.map(|risk| OperatingPoint { name: "static alone", coverage: 0.0, risk }));
    let curves = [Curve { name: "router with fallback", x: &x, y: &y, ..Curve::default() }];
    let against = fixed.map(|risk| format!(" against {:.1} % of the static router", 100.0 * risk)).unwrap_or_default();
    let title = format!("The router with fallback fails on {:.1} % of the queries{against}", 100.0 * used.1);
    let subtitle = format!("at a confidence of 0.7 the model decides {:.0} % of the queries, the static router the rest", 100.0 * used.0);
    Some(routewright_plot::risk_coverage(&RiskCoverage {
        title: &title,
        subtitle: Some(&subtitle),
        curves: &curves,
        operating_points: &operating,
        risk: "failures of the whole router",
    }))
}

pub(super) fn cost_quality(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let points: Vec<CostQualityPoint<'_>> = drawn
        .replay
        .policies
        .iter()
        // Nobody can mix in an oracle, so it must not span the hull.
        .filter(|policy| policy.role != Role::Oracle)
        .filter_map(|policy| {
            Some(CostQualityPoint {
                name: &policy.name,
                cost: policy.latency_ms?,
                quality: 100.0 * policy.success.value?,
                role: role(policy.role),
            })
        })
        .collect();
    let place = |name: &str| points.iter().find(|point| point.name == name).map(|point| (point.cost, point.quality));
    let title = match place("static").zip(place("learned")) {
        Some((fixed, learned)) => format!(
            "Learned routing takes {} and succeeds on {:.1} %; static {} and {:.1} %",
            milliseconds(learned.0),
            learned.1,
            milliseconds(fixed.0),
            fixed.1
        ),
        None => "What success costs in time".to_owned(),
    };
    (points.len() > 1).then(|| {
        routewright_plot::cost_quality(&CostQuality {
            title: &title,
            subtitle: Some("means on the held-out window; up and left is better"),
            points: &points,
            cost_axis: "mean latency (ms)",
            quality_axis: "success rate (%)",
        })
    })
}

pub(super) fn weight_overlap(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let sample = drawn.weights?;
    let names = drawn.table.paths.names();
    let paths: Vec<PathOverlap<'_>> =
        names.iter().zip(&sample.shares).map(|(name, (logged, target))| PathOverlap { name, logged: *logged, target: *target }).collect();
    let title = format!("For the learned router, {} held-out decisions are worth {:.0}", grouped(sample.n), sample.effective_size);
    let subtitle = if sample.is_whole { "held-out decisions" } else { "held-out decisions, evenly thinned" };
    Some(routewright_plot::weight_overlap(&WeightOverlap {
        title: &title,
        subtitle: Some(subtitle),
        bin_edges: &sample.edges,
        counts: &sample.counts,
        n_zero: sample.n_zero,
        n: sample.n,
        effective_size: sample.effective_size,
        largest: sample.largest,
        paths: &paths,
    }))
}

pub(super) fn uplift_by_estimator(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let replay = drawn.replay;
    let decides = replay.uplift.points.value?;
    let mut rows = vec![row(&replay.uplift.estimator, replay.uplift.points, PlotRole::Learned)];
    rows.extend(replay.uplift_estimators.iter().map(|answer| row(&answer.name, answer.estimate, PlotRole::Control)));
    let others = || rows[1..].iter().map(|row| row.value).filter(|value| value.is_finite());
    let n = others().count();
    let title = if n == 0 {
        format!("The uplift is {} points", signed(decides))
    } else {
        let (low, high) = others().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        format!("The uplift is {} points; {n} cross-checks say {} to {}", signed(decides), signed(low), signed(high))
    };
    Some(routewright_plot::uplift_by_estimator(&UpliftByEstimator {
        title: &title,
        subtitle: Some("95 % intervals, held-out window"),
        estimators: &rows,
    }))
}

pub(super) fn uplift_by_segment(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let named = drawn.replay.segments.iter().map(|segment| {
        // An uplift of nothing for certain would look like a measurement.
        let name = if segment.is_without_difference() { format!("{} (no difference)", segment.name) } else { segment.name.clone() };
        (segment, name)
    });
    let named: Vec<(&Segment, String)> = named.collect();
    let known = |segment: &Segment, value: f64| if segment.is_without_difference() { f64::NAN } else { value };
    let segments: Vec<IntervalRow<'_>> = named
        .iter()
        .map(|(segment, name)| IntervalRow {
            name,
            n: None,
            value: known(segment, segment.uplift_points),
            low: known(segment, segment.lower),
            high: known(segment, segment.upper),
            role: if segment.use_learned { PlotRole::Learned } else { PlotRole::Control },
        })
        .collect();
    let n_confirmed = drawn.replay.segments.iter().filter(|segment| segment.use_learned).count();
    let title = match (n_confirmed, segments.len()) {
        (_, 1) if n_confirmed == 1 => "Learned routing is confirmed on the second half of the queries".to_owned(),
        (_, 1) => "Learned routing is not confirmed on the second half of the queries".to_owned(),
        (0, n) => format!("Learned routing is confirmed in none of {n} query types"),
        (confirmed, n) => format!("Learned routing is confirmed in {confirmed} of {n} query types"),
    };
    (!segments.is_empty()).then(|| {
        routewright_plot::uplift_by_segment(&UpliftBySegment {
            title: &title,
            subtitle: Some("chosen on one half of the held-out queries, judged on the other; one-sided 95 % bounds"),
            segments: &segments,
            overall: drawn.replay.uplift.points.value,
        })
    })
}
