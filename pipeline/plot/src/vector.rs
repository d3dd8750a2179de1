//! A scene as SVG, written tag by tag: plotters' own backend rounds to whole pixels and knows no hover texts.

use crate::palette::{Ink, WHITE};
use crate::scene::{Anchor, DASH, Dash, Direction, Label, Mark, Point, Scene, Shape};
use crate::text::{MIDDLE_TO_BASELINE, Weight};

/// The bundled font first, then fonts of the same width class.
const FONT_FAMILY: &str = "'DejaVu Sans', Verdana, Geneva, sans-serif";

/// Writes a scene as a self-contained SVG.
pub(crate) fn svg(scene: &Scene) -> String {
    let (width, height) = (number(scene.width), number(scene.height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         font-family=\"{FONT_FAMILY}\">\n<title>{}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>\n",
        escape(&scene.title),
        hex(WHITE)
    );
    for mark in &scene.marks {
        write_mark(&mut out, mark);
    }
    out.push_str("</svg>\n");
    out
}

fn write_mark(out: &mut String, mark: &Mark) {
    let (tag, attributes, content) = match &mark.shape {
        Shape::Rect { x, y, width, height, ink } => {
            let place = [number(*x), number(*y), number(*width), number(*height)];
            let attributes = format!("x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {}", place[0], place[1], place[2], place[3], fill(*ink));
            ("rect", attributes, String::new())
        }
        Shape::Polygon { points, ink } => ("polygon", format!("points=\"{}\" {}", list(points), fill(*ink)), String::new()),
        Shape::Disc { centre, radius, ink } => {
            let attributes = format!("cx=\"{}\" cy=\"{}\" r=\"{}\" {}", number(centre.0), number(centre.1), number(*radius), fill(*ink));
            ("circle", attributes, String::new())
        }
        Shape::Stroke { points, width, dash, ink } => ("polyline", stroke(points, *width, *dash, *ink), String::new()),
        Shape::Text(label) => ("text", text(label), escape(&label.text)),
    };
    let hover = mark.hover.as_ref().map_or_else(String::new, |hover| format!("<title>{}</title>", escape(hover)));
    if hover.is_empty() && content.is_empty() {
        out.push_str(&format!("<{tag} {attributes}/>\n"));
    } else {
        out.push_str(&format!("<{tag} {attributes}>{hover}{content}</{tag}>\n"));
    }
}

fn stroke(points: &[Point], width: f64, dash: Dash, ink: Ink) -> String {
    let dashes = match dash {
        Dash::Solid => String::new(),
        Dash::Dashed => format!(" stroke-dasharray=\"{} {}\"", DASH.0, DASH.1),
    };
    let opacity = opacity("stroke-opacity", ink);
    format!(
        "points=\"{}\" fill=\"none\" stroke=\"{}\"{opacity} stroke-width=\"{}\" stroke-linejoin=\"round\"{dashes}",
        list(points),
        hex(ink),
        number(width)
    )
}

/// `textLength` makes another font take the room that the layout left for this one.
fn text(label: &Label) -> String {
    let anchor = match label.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let weight = match label.weight {
        Weight::Regular => "",
        Weight::Bold => " font-weight=\"bold\"",
    };
    let baseline = label.size * MIDDLE_TO_BASELINE;
    let place = match label.direction {
        Direction::Across => format!("x=\"{}\" y=\"{}\"", number(label.at.0), number(label.at.1 + baseline)),
        Direction::Up => format!("transform=\"translate({} {}) rotate(-90)\"", number(label.at.0 + baseline), number(label.at.1)),
    };
    let (size, length) = (number(label.size), number(label.length()));
    format!("{place} font-size=\"{size}\"{anchor}{weight} textLength=\"{length}\" {}", fill(label.ink))
}

fn fill(ink: Ink) -> String {
    format!("fill=\"{}\"{}", hex(ink), opacity("fill-opacity", ink))
}

fn opacity(attribute: &str, ink: Ink) -> String {
    if 1.0 <= ink.alpha { String::new() } else { format!(" {attribute}=\"{}\"", number(ink.alpha)) }
}

fn hex(ink: Ink) -> String {
    let (r, g, b) = ink.rgb;
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn list(points: &[Point]) -> String {
    let pairs: Vec<String> = points.iter().map(|point| format!("{},{}", number(point.0), number(point.1))).collect();
    pairs.join(" ")
}

/// Two decimals at most, no trailing zeros, no negative zero.
fn number(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0 + 0.0;
    format!("{rounded}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palette::TEXT;

    #[test]
    fn a_name_with_markup_stays_text() {
        let mut scene = Scene::new("a < b & c", 10.0);
        scene.label(Label::new("<b>\u{1}&", (1.0, 2.0), 10.0, TEXT));
        let svg = svg(&scene);
        assert!(svg.contains("<title>a &lt; b &amp; c</title>") && svg.contains(">&lt;b&gt; &amp;</text>"), "{svg}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([number(1.0), number(-0.001), number(2.345)], ["1", "0", "2.35"].map(String::from));
    }
}
