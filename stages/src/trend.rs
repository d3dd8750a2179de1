//! How the uplift went from run to run, as a figure.

use routewright_ope::Rule;
use routewright_plot::{Drift, DriftSeries, Figure, PlotError, Threshold};

/// What a run found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What the run is called on the axis.
    pub run: String,
    /// Uplift in points; `NaN` where the run did not identify it.
    pub points: f64,
    /// One-sided 95 % lower bound.
    pub lower: f64,
    /// One-sided 95 % upper bound.
    pub upper: f64,
}

/// Draws the uplift of runs, in their order, between its bounds, against the marks of the decision rule.
///
/// # Errors
/// [`PlotError`], as every figure.
pub fn trend(runs: &[Found]) -> Result<Figure, PlotError> {
    let names: Vec<&str> = runs.iter().map(|found| found.run.as_str()).collect();
    let column = |value: fn(&Found) -> f64| -> Vec<f64> { runs.iter().map(value).collect() };
    let (points, low, high) = (column(|found| found.points), column(|found| found.lower), column(|found| found.upper));
    let known: Vec<f64> = points.iter().copied().filter(|value| value.is_finite()).collect();
    let title = match (known.first(), known.last()) {
        (Some(first), Some(last)) if known.len() > 1 => {
            let (first, last) = (format!("{first:+.1}").replace('-', "−"), format!("{last:+.1}").replace('-', "−"));
            format!("The uplift went from {first} to {last} points over {} runs", known.len())
        }
        _ => "Fewer than two runs know the uplift".to_owned(),
    };
    let thresholds = [Threshold { name: "no uplift", value: 0.0 }, Threshold { name: "needed to adopt", value: Rule::ADOPT_POINTS }];
    routewright_plot::drift(&Drift {
        title: &title,
        subtitle: Some("learned against static router, between one-sided 95 % bounds"),
        periods: &names,
        series: &[DriftSeries { name: "uplift", values: &points, low: &low, high: &high }],
        axis: "uplift (points of success rate)",
        thresholds: &thresholds,
        alarms: &[],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_says_where_it_went() {
        let found = |run: &str, points| Found { run: run.to_owned(), points, lower: points - 1.0, upper: points + 1.0 };
        let figure = trend(&[found("a", 1.0), found("b", f64::NAN), found("c", -2.0)]).unwrap();
        assert!(figure.svg.contains("from +1.0 to −2.0 points over 2 runs"), "{}", figure.svg);
        assert!(trend(&[]).unwrap().svg.contains("no data"));
    }
}
