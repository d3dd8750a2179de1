//! What quality costs: every path and policy as a point, and the frontier that mixtures of paths reach.

use crate::axes::{Axis, Panel, panel, room_for};
use crate::figure::{Figure, PlotError, Role, render};
use crate::page::{Key, Page, SMALL_SIZE, Symbol, WIDTH};
use crate::palette::{MUTED, TEXT, role_ink};
use crate::rows::{role_key, role_marker};
use crate::scale::{Scale, is_drawable, range, short_number};
use crate::scene::{Anchor, Bounds, Dash, Label, Point};
use crate::text;

/// Paths and policies by cost and quality.
#[derive(Clone, Copy, Debug)]
pub struct CostQuality<'a> {
    /// The finding.
    pub title: &'a str,
    /// What was measured.
    pub subtitle: Option<&'a str>,
    /// Paths, controls, the static and the learned router.
    pub points: &'a [CostQualityPoint<'a>],
    /// What cost is, with its unit, such as `mean latency (ms)`.
    pub cost_axis: &'a str,
    /// What quality is, with its unit.
    pub quality_axis: &'a str,
}

/// One path or policy.
#[derive(Clone, Copy, Debug)]
pub struct CostQualityPoint<'a> {
    /// Its name.
    pub name: &'a str,
    /// Less is better.
    pub cost: f64,
    /// More is better.
    pub quality: f64,
    /// Decides colour and marker. Paths and controls span the hull; the two routers do not.
    pub role: Role,
}

/// Costs that span more than this factor are drawn on a logarithmic axis.
const LOG_FROM: f64 = 30.0;
/// Names at points are shortened to this width.
const NAME_ROOM: f64 = 150.0;
/// Offsets of a name from its point that are tried in turn, in pixels: right, left, then above and below, then farther away.
const PLACES: [(f64, f64, Anchor); 10] = [
    (10.0, 0.0, Anchor::Start),
    (-10.0, 0.0, Anchor::End),
    (0.0, -14.0, Anchor::Middle),
    (0.0, 14.0, Anchor::Middle),
    (8.0, -12.0, Anchor::Start),
    (8.0, 12.0, Anchor::Start),
    (-8.0, -12.0, Anchor::End),
    (-8.0, 12.0, Anchor::End),
    (0.0, -26.0, Anchor::Middle),
    (0.0, 26.0, Anchor::Middle),
];

/// Draws every point, and the upper left hull of paths and controls: what random mixtures of them reach.
/// Names that find no free place are left out; routers and the hull come first, and a note counts the rest.
///
/// # Errors
/// Only if drawing itself fails; no point is a note on the page.
pub fn cost_quality(input: &CostQuality<'_>) -> Result<Figure, PlotError> {
    let points: Vec<CostQualityPoint<'_>> =
        input.points.iter().copied().filter(|point| is_drawable(point.cost) && is_drawable(point.quality)).collect();
    let costs = || points.iter().map(|point| point.cost);
    let logarithmic = range(costs()).is_some_and(|(low, high)| 0.0 < low && LOG_FROM < high / low);
    let x = if logarithmic { Scale::log(costs()) } else { Scale::linear(costs()) };
    let (Some(x), Some(y)) = (x, Scale::linear(points.iter().map(|point| point.quality))) else {
        return render(&Page::without_data(input.title, input.subtitle, "no path has both a cost and a quality"));
    };
    let hull = upper_left_hull(&points);

    let mut page = Page::open(input.title, input.subtitle, WIDTH);
    let roles = [(Role::Learned, "learned"), (Role::Static, "static"), (Role::Control, "control"), (Role::Path, "path")];
    let present = roles.into_iter().filter(|(role, _)| points.iter().any(|point| point.role == *role));
    let mut keys: Vec<Key> = present.map(|(role, text)| role_key(role, text)).collect();
    if 1 < hull.len() {
        keys.push(Key::new(Symbol::Line(Dash::Solid, MUTED), "hull: what mixtures reach"));
    }
    page.legend(&keys);
    let x_title = format!("{}{}", input.cost_axis, if logarithmic { ", logarithmic" } else { "" });
    let (x, y) = (Axis::new(&x_title, x), Axis::new(input.quality_axis, y));
    let panel = panel(&mut page, &x, &y, 480.0, room_for(&y, 480.0));
    page.scene.stroke(hull_line(&panel, &points, &hull), 1.6, Dash::Solid, MUTED);
    let first = |point: &CostQualityPoint<'_>| matches!(point.role, Role::Learned | Role::Static);
    for late in [false, true] {
        for point in points.iter().filter(|point| first(point) == late) {
            page.scene.marker(
                role_marker(point.role),
                panel.at(point.cost, point.quality),
                if late { 6.5 } else { 4.6 },
                role_ink(point.role),
            );
            page.scene.hover(format!("{}: {} for {}", point.name, short_number(point.quality), short_number(point.cost)));
        }
    }
    let unnamed = name_points(&mut page, &panel, &points, &hull);
    if 0 < unnamed {
        page.note(&format!("{unnamed} of {} points have no room for a name; the SVG names them on hover.", points.len()));
    }
    let missing = input.points.len() - points.len();
    if 0 < missing {
        page.note(&format!("{missing} points without cost or quality are left out."));
    }
    render(&page.close())
}

/// Positions of the points on the upper left hull, by ascending cost: nothing cheaper is as good, no mixture is better.
fn upper_left_hull(points: &[CostQualityPoint<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).filter(|at| matches!(points[*at].role, Role::Path | Role::Control)).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&points[*a], &points[*b]);
        a.cost.total_cmp(&b.cost).then(b.quality.total_cmp(&a.quality))
    });
    let mut hull: Vec<usize> = Vec::new();
    for candidate in order {
        let (cost, quality) = (points[candidate].cost, points[candidate].quality);
        if hull.last().is_some_and(|last| quality <= points[*last].quality) {
            continue;
        }
        while let [.., before, last] = hull.as_slice() {
            let (from, middle) = (&points[*before], &points[*last]);
            let below = (middle.quality - from.quality) * (cost - from.cost) <= (quality - from.quality) * (middle.cost - from.cost);
            if !below {
                break;
            }
            hull.pop();
        }
        hull.push(candidate);
    }
    hull
}

/// The hull as drawn: straight in cost, hence bent on a logarithmic axis.
fn hull_line(panel: &Panel, points: &[CostQualityPoint<'_>], hull: &[usize]) -> Vec<Point> {
    let mut line: Vec<Point> = Vec::new();
    for pair in hull.windows(2) {
        let (from, to) = (&points[pair[0]], &points[pair[1]]);
        for step in 0..=24 {
            let share = f64::from(step) / 24.0;
            line.push(panel.at(from.cost + (to.cost - from.cost) * share, from.quality + (to.quality - from.quality) * share));
        }
    }
    line
}

/// Small boxes along a line, which names keep off.
fn beads(from: Point, to: Point) -> impl Iterator<Item = Bounds> {
    let steps = ((to.0 - from.0).hypot(to.1 - from.1) / 4.0).ceil().clamp(1.0, 500.0);
    (0..=steps as usize).map(move |step| {
        let share = step as f64 / steps;
        let (x, y) = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
        Bounds { left: x - 2.0, top: y - 2.0, right: x + 2.0, bottom: y + 2.0 }
    })
}

/// Writes names where they touch no name, no point and not the hull; returns how many found no place.
fn name_points(page: &mut Page, panel: &Panel, points: &[CostQualityPoint<'_>], hull: &[usize]) -> usize {
    let inside = Bounds { left: panel.left + 2.0, top: panel.top + 2.0, right: panel.right - 2.0, bottom: panel.bottom - 2.0 };
    let mut taken: Vec<Bounds> = points
        .iter()
        .map(|point| panel.at(point.cost, point.quality))
        .map(|(x, y)| Bounds { left: x - 6.0, top: y - 6.0, right: x + 6.0, bottom: y + 6.0 })
        .chain(hull_line(panel, points, hull).windows(2).flat_map(|pair| beads(pair[0], pair[1])))
        .collect();
    let rank = |at: usize| match points[at].role {
        Role::Learned | Role::Static => 0,
        _ if hull.contains(&at) => 1,
        Role::Control => 2,
        Role::Path => 3,
    };
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|at| (rank(*at), *at));
    let mut unnamed = 0;
    for at in order {
        let point = &points[at];
        let (x, y) = panel.at(point.cost, point.quality);
        let name = text::shorten(point.name, NAME_ROOM, SMALL_SIZE);
        let label = Label::new(name, (x, y), SMALL_SIZE, TEXT);
        let label = if rank(at) == 0 { label.bold() } else { label };
        let free = PLACES.iter().map(|(dx, dy, anchor)| Label { at: (x + dx, y + dy), anchor: *anchor, ..label.clone() }).find(|label| {
            let bounds = label.bounds();
            inside.holds(&bounds) && taken.iter().all(|other| !other.overlaps(&bounds))
        });
        match free {
            Some(label) => {
                taken.push(label.bounds());
                page.scene.label(label);
                page.scene.hover(point.name);
            }
            None => unnamed += 1,
        }
    }
    unnamed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, cost: f64, quality: f64) -> CostQualityPoint<'_> {
        CostQualityPoint { name, cost, quality, role: Role::Path }
    }

    #[test]
    fn the_hull_holds_what_no_mixture_beats() {
        let points = [point("good", 10.0, 0.9), point("cheap", 1.0, 0.5), point("mixed away", 5.0, 0.6), point("worse", 12.0, 0.8)];
        assert_eq!(upper_left_hull(&points), [1, 0]);
    }

    #[test]
    fn routers_are_no_part_of_the_hull() {
        let learned = CostQualityPoint { role: Role::Learned, ..point("learned", 0.5, 0.99) };
        assert_eq!(upper_left_hull(&[point("a", 1.0, 0.5), learned]), [0]);
    }
}
