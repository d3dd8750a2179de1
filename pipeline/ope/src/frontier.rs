//! The cost-quality frontier, measured as the routing literature does.

use routewright_domain::Interval;
use serde::{Deserialize, Serialize};

/// A router setting: what it costs and how well it answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontierPoint {
    /// Mean cost; for [`average_gap_recovered`] and [`call_threshold`] the share of calls to the strong path, in [0, 1].
    pub cost: f64,
    /// Mean quality.
    pub quality: f64,
}

/// The non-decreasing concave hull of settings, by ascending cost: what mixing settings can reach.
pub fn hull(points: &[FrontierPoint]) -> Vec<FrontierPoint> {
    let mut sorted: Vec<FrontierPoint> =
        points.iter().copied().filter(|point| point.cost.is_finite() && point.quality.is_finite()).collect();
    sorted.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(b.quality.total_cmp(&a.quality)));
    let mut hull: Vec<FrontierPoint> = Vec::new();
    for point in sorted {
        if hull.last().is_some_and(|last| point.quality <= last.quality) {
            continue;
        }
        while let [.., before, last] = hull.as_slice() {
            let slope = |from: &FrontierPoint, to: &FrontierPoint| (to.quality - from.quality) / (to.cost - from.cost);
            if slope(before, last) > slope(last, &point) {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    hull
}

/// AIQ: average quality of the hull over a range of costs, constant beyond its last point; `None` without points or where the range starts before
/// the cheapest.
///
/// Source: Hu et al., RouterBench (2024).
pub fn average_quality(points: &[FrontierPoint], costs: Interval) -> Option<f64> {
    let hull = hull(points);
    let first = hull.first()?;
    if !(first.cost <= costs.lower && costs.lower < costs.upper) {
        return None;
    }
    let mut knots: Vec<f64> = hull.iter().map(|point| point.cost).filter(|cost| costs.lower < *cost && *cost < costs.upper).collect();
    knots.insert(0, costs.lower);
    knots.push(costs.upper);
    let area: f64 =
        knots.windows(2).map(|pair| (pair[1] - pair[0]) * f64::midpoint(interpolate(&hull, pair[0]), interpolate(&hull, pair[1]))).sum();
    Some(area / (costs.upper - costs.lower))
}

/// APGR: the share of the quality gap between weak and strong path that a router recovers, averaged over shares of calls to the strong path.
///
/// `None` without points or gap. Settings are joined by straight lines from (0, weak) to (1, strong).
///
/// Source: Ong et al., RouteLLM (2024).
pub fn average_gap_recovered(points: &[FrontierPoint], weak: f64, strong: f64) -> Option<f64> {
    let curve = gap_curve(points, weak, strong)?;
    Some(curve.windows(2).map(|pair| (pair[1].cost - pair[0].cost) * f64::midpoint(pair[0].quality, pair[1].quality)).sum())
}

/// CPT: the smallest share of calls to the strong path at which a share of the quality gap is recovered; `None` where it never is.
///
/// Source: Ong et al., RouteLLM (2024).
pub fn call_threshold(points: &[FrontierPoint], weak: f64, strong: f64, recovered: f64) -> Option<f64> {
    let curve = gap_curve(points, weak, strong)?;
    if curve.first()?.quality >= recovered {
        return Some(curve.first()?.cost);
    }
    curve.windows(2).find(|pair| pair[1].quality >= recovered).map(|pair| {
        let part = (recovered - pair[0].quality) / (pair[1].quality - pair[0].quality);
        pair[0].cost + part * (pair[1].cost - pair[0].cost)
    })
}

/// The recovered gap by share of strong calls, with both ends.
fn gap_curve(points: &[FrontierPoint], weak: f64, strong: f64) -> Option<Vec<FrontierPoint>> {
    if points.is_empty() || strong == weak {
        return None;
    }
    let recovered = |point: &FrontierPoint| FrontierPoint { cost: point.cost, quality: (point.quality - weak) / (strong - weak) };
    let inside = points.iter().filter(|point| 0.0 < point.cost && point.cost < 1.0).map(recovered);
    let mut curve: Vec<FrontierPoint> = inside.collect();
    curve.push(FrontierPoint { cost: 0.0, quality: 0.0 });
    curve.push(FrontierPoint { cost: 1.0, quality: 1.0 });
    curve.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.quality.total_cmp(&b.quality)));
    Some(curve)
}

/// Quality of a hull at a cost not below its first point.
fn interpolate(hull: &[FrontierPoint], cost: f64) -> f64 {
    let after = hull.partition_point(|point| point.cost <= cost);
    let before = &hull[after.saturating_sub(1)];
    hull.get(after)
        .map_or(before.quality, |next| before.quality + (next.quality - before.quality) * (cost - before.cost) / (next.cost - before.cost))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(list: &[(f64, f64)]) -> Vec<FrontierPoint> {
        list.iter().map(|&(cost, quality)| FrontierPoint { cost, quality }).collect()
    }

    #[test]
    fn the_hull_leaves_out_what_a_mixture_beats() {
        let hull = hull(&points(&[(0.0, 0.0), (1.0, 0.4), (2.0, 1.0), (3.0, 0.9)]));
        assert_eq!(hull, points(&[(0.0, 0.0), (2.0, 1.0)]));
    }

    #[test]
    fn the_average_quality_of_a_line_is_its_middle() {
        let quality = average_quality(&points(&[(0.0, 0.0), (2.0, 1.0)]), Interval { lower: 0.0, upper: 4.0 });
        assert_eq!(quality, Some(0.75));
        assert_eq!(average_quality(&points(&[(1.0, 0.0)]), Interval { lower: 0.0, upper: 4.0 }), None);
    }

    #[test]
    fn a_random_router_recovers_half_the_gap() {
        let random = points(&[(0.25, 0.55), (0.5, 0.6), (0.75, 0.65)]);
        assert!((average_gap_recovered(&random, 0.5, 0.7).unwrap() - 0.5).abs() < 1e-12);
        assert!((call_threshold(&random, 0.5, 0.7, 0.8).unwrap() - 0.8).abs() < 1e-12);
        assert_eq!(average_gap_recovered(&random, 0.5, 0.5), None);
    }
}
