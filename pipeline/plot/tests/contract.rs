//! What holds for every figure: decodable and well-formed output, equal bytes, labels that do not touch, and no panic on numbers that are none.

#![expect(clippy::unwrap_used, reason = "what the tests share may fail like a test")]

#[path = "../examples/gallery/samples.rs"]
mod samples;

use proptest::prelude::*;
use routewright_plot::{Figure, PlotError};
use samples::{FIGURES, Sample, path_names};
use std::collections::BTreeSet;

/// A label in an SVG and the box its letters lie in.
#[derive(Debug)]
struct Text {
    text: String,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

fn sample(n_paths: usize) -> Sample {
    Sample { paths: path_names(n_paths), number: |value| value }
}

fn draw(sample: &Sample) -> Vec<(&'static str, Figure)> {
    FIGURES.into_iter().map(|(name, draw)| (name, draw(sample).unwrap())).collect()
}

/// Width, height and RGB pixels.
fn decode(png: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(png).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgb);
    (info.width as usize, info.height as usize, pixels)
}

/// Every label of an SVG, and the size of the page. The boxes hold the letters from ascender to descender.
fn texts(svg: &str) -> (Vec<Text>, (f64, f64)) {
    let document = roxmltree::Document::parse(svg).unwrap();
    let number = |node: roxmltree::Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
    let root = document.root_element();
    let texts = document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .map(|node| {
            let (length, size) = (number(node, "textLength"), number(node, "font-size"));
            let start = match node.attribute("text-anchor") {
                Some("middle") => -length / 2.0,
                Some("end") => -length,
                _ => 0.0,
            };
            let (above, below) = (0.76 * size, 0.24 * size);
            let text = node.children().filter(|child| child.is_text()).filter_map(|child| child.text()).collect();
            match node.attribute("transform") {
                Some(transform) => {
                    let place = transform.strip_prefix("translate(").unwrap().strip_suffix(") rotate(-90)").unwrap();
                    let (x, y) = place.split_once(' ').unwrap();
                    let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                    Text { text, left: x - above, right: x + below, top: y - start - length, bottom: y - start }
                }
                None => {
                    let (x, y) = (number(node, "x") + start, number(node, "y"));
                    Text { text, left: x, right: x + length, top: y - above, bottom: y + below }
                }
            }
        })
        .collect();
    (texts, (number(root, "width"), number(root, "height")))
}

/// The first pair of labels that touch, or the first that leaves the page.
fn clash(svg: &str) -> Option<String> {
    let (mut texts, (width, height)) = texts(svg);
    if let Some(text) = texts.iter().find(|text| text.left < 0.0 || text.top < 0.0 || width < text.right || height < text.bottom) {
        return Some(format!("{text:?} leaves the page of {width} x {height}"));
    }
    texts.sort_by(|a, b| a.top.total_cmp(&b.top));
    for (position, text) in texts.iter().enumerate() {
        let near = texts[position + 1..].iter().take_while(|other| other.top < text.bottom);
        if let Some(other) = near.into_iter().find(|other| text.left < other.right && other.left < text.right) {
            return Some(format!("{text:?} touches {other:?}"));
        }
    }
    None
}

#[test]
fn every_png_decodes_and_shows_something() {
    for (name, figure) in draw(&sample(8)) {
        let (width, height, pixels) = decode(&figure.png);
        let colours: BTreeSet<&[u8]> = pixels.chunks_exact(3).collect();
        let drawn = pixels.chunks_exact(3).filter(|pixel| *pixel != [255, 255, 255]).count() as f64 / (width * height) as f64;
        assert!(100 < colours.len() && 0.02 < drawn && drawn < 0.9, "{name}: {} colours, {drawn:.3} of the page drawn", colours.len());
    }
}

#[test]
fn png_and_svg_have_the_same_size() {
    for (name, figure) in draw(&sample(8)) {
        let (width, height, _) = decode(&figure.png);
        assert_eq!(texts(&figure.svg).1, (width as f64, height as f64), "{name}");
    }
}

#[test]
fn every_svg_is_well_formed_and_holds_its_words() {
    for (name, figure) in draw(&sample(2)) {
        let (texts, _) = texts(&figure.svg);
        let words: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
        let expected: &[&str] = match name {
            "success_heatmap" => &["query type →", "path ↓", "reasoning", "ambiguous", "73.1 %", "no decision"],
            "latency_by_path" => &["latency (ms, logarithmic)", "tool", "p50", "p95", "p99", "p99 ms"],
            "confusion_matrix" => &["best path ↓", "path chosen by the learned router →", "tool", "100 %"],
            "importance" => &["loss of accuracy when permuted (percentage points)", "query_n_tokens", "± sd"],
            "calibration" => &["observed success rate (%)", "predicted success rate (%)", "decisions", "before (ECE 9.1 points)"],
            "controls" => &["success rate (%)", "static 90.1 %", "oracle", "[94.0, 95.8]"],
            "uplift_by_estimator" => &["uplift over the static router (percentage points)", "SNIPS", "no uplift", "3 points", "5 points"],
            "uplift_by_segment" => &["overall +4.8", "query type = coding", "[+6.7, +11.7]"],
            "risk_coverage" => &["coverage: queries routed by the model (%)", "failures among routed queries (%)", "confidence ≥ 0.7"],
            "cost_quality" => &["mean latency (ms)", "success rate (share)", "learned", "best per category", "reasoning"],
            "learning_curve" => &["accuracy (share)", "decisions trained on (logarithmic)", "held-out folds"],
            "weight_overlap" => &["importance weight (logarithmic)", "share of decisions (%)", "share in the log"],
            "drift" => &["population stability index", "2026-02-01", "alarm", "alarm at 0.2", "tool"],
            "partial_dependence" => &["query length (tokens)", "predicted success (share)", "decisions"],
            other => panic!("`{other}` has no expected words"),
        };
        for word in expected {
            assert!(words.contains(word), "{name} lacks `{word}`: {words:?}");
        }
    }
}

#[test]
fn equal_input_gives_equal_bytes_on_any_thread() {
    let here = draw(&sample(8));
    let there = std::thread::spawn(|| draw(&sample(8))).join().unwrap();
    for ((name, first), (_, second)) in here.iter().zip(&there) {
        assert!(first == second, "{name} differs");
    }
}

#[test]
fn labels_do_not_touch_with_few_or_many_paths() {
    for n_paths in [1, 2, 8, 13, 25, 60] {
        for (name, figure) in draw(&sample(n_paths)) {
            assert_eq!(clash(&figure.svg), None, "{name} with {n_paths} paths");
        }
    }
}

#[test]
fn without_numbers_every_figure_says_so() {
    for (name, figure) in draw(&Sample { paths: path_names(3), number: |_| f64::NAN }) {
        let (texts, _) = texts(&figure.svg);
        assert!(texts.iter().any(|text| text.text == "no data"), "{name}");
    }
}

#[test]
fn without_paths_no_figure_fails() {
    for (name, figure) in draw(&sample(0)) {
        assert_eq!(clash(&figure.svg), None, "{name}");
    }
}

#[test]
fn numbers_at_the_edge_are_drawn_or_said_to_be_missing() {
    let numbers: [fn(f64) -> f64; 9] = [
        |_| 0.5,
        |_| 0.0,
        |_| -3.0,
        |value| value * 1e300,
        |value| value * 1e99,
        |value| value * 1e-300,
        |value| 1.0 / (value - value),
        |value| if value < 0.5 { f64::NAN } else { value },
        |value| if value < 0.5 { f64::INFINITY } else { 1.0 + value * 1e-15 },
    ];
    for (position, number) in numbers.into_iter().enumerate() {
        for (name, figure) in draw(&Sample { paths: path_names(5), number }) {
            assert_eq!(clash(&figure.svg), None, "{name} with numbers {position}");
        }
    }
}

#[test]
fn slices_that_contradict_each_other_are_an_error() {
    let heatmap = routewright_plot::SuccessHeatmap {
        title: "",
        subtitle: None,
        query_types: &["a"],
        paths: &["x", "y"],
        rates: &[0.5],
        counts: &[1, 2],
    };
    let error = routewright_plot::success_heatmap(&heatmap).unwrap_err();
    assert!(matches!(error, PlotError::Length { expected: 2, found: 1, .. }));
    assert_eq!(error.to_string(), "figure `success_heatmap`: `rates` must hold 2 values, found 1");
}

/// Shape and words of a page: what a reader would notice when it changes, and no more.
#[test]
fn the_words_on_the_controls_figure_are_as_reviewed() {
    let drawn = draw(&sample(2));
    let (_, figure) = drawn.iter().find(|(name, _)| *name == "controls").unwrap();
    let (texts, size) = texts(&figure.svg);
    let words: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
    insta::assert_snapshot!(format!("{size:?}\n{}", words.join("\n")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn labels_do_not_touch_whatever_the_names(
        names in prop::collection::vec("\\PC{0,70}|[a-z]{1,6}|[A-Z_]{40,90}|[<>&\"' \\t\\n]{0,5}", 1..30),
        seed in 0_usize..4,
    ) {
        let number: fn(f64) -> f64 = [|value| value, |value| value * 0.01, |value| value + 0.2, |value: f64| (value * 10.0).floor() / 10.0][seed];
        for (name, figure) in draw(&Sample { paths: names, number }) {
            prop_assert_eq!(clash(&figure.svg), None, "{}", name);
        }
    }
}
