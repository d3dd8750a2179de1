//! Documents as one HTML page: figures, style and script are inside, nothing is fetched, and without scripts everything can still be read.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use routewright_plot::Figure;
use serde::Serialize;

use super::document::{Block, Document};
use super::first_page::reason_in_words;
use super::format::{as_words, grouped, milliseconds, minute, share, short, signed, spelled};
use super::sources::Sources;

/// The page. Names that end in `.html` make the template engine escape what it fills in.
const TEMPLATE: (&str, &str) = ("page.html", include_str!("page.html"));

/// How it looks, and what it does.
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What stands at the top of the page.
#[derive(Serialize)]
pub(super) struct Head {
    verdict: String,
    /// `good`, `mixed`, `bad` or `open`: decides the colour of the verdict.
    tone: &'static str,
    reason: String,
    tiles: Vec<Tile>,
    footer: String,
}

/// A number that people look for first.
#[derive(Serialize)]
struct Tile {
    label: &'static str,
    value: String,
    note: String,
}

/// A chapter with its place in the page.
#[derive(Serialize)]
struct Chapter<'a> {
    id: String,
    title: &'a str,
    blocks: Vec<&'a Block>,
}

impl Head {
    /// The head of the report.
    pub(super) fn of(sources: &Sources<'_>) -> Self {
        use routewright_ope::Verdict;
        let (decision, replay) = (sources.decision, sources.replay);
        let tone = match decision.verdict {
            Verdict::Adopt => "good",
            _ if !decision.reason.is_conclusive() => "open",
            Verdict::Keep => "bad",
            _ => "mixed",
        };
        let rate = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), share);
        let mut tiles = vec![
            Tile {
                label: "uplift",
                value: decision.success.uplift_points.map_or_else(|| "unknown".to_owned(), |points| format!("{} points", signed(points))),
                note: format!("one-sided 95 % bounds {} and {}", signed(decision.success.lower), signed(decision.success.upper)),
            },
            Tile {
                label: "success, static → learned",
                value: format!("{} → {}", rate(decision.success.static_rate), rate(decision.success.learned)),
                note: format!("{} held-out queries", grouped(replay.n_queries as u64)),
            },
        ];
        if let Some(ratio) = replay.latency {
            tiles.push(Tile {
                label: "mean latency, learned against static",
                value: format!("× {:.2}", ratio.ratio),
                note: format!("{} → {}", milliseconds(ratio.static_mean), milliseconds(ratio.learned_mean)),
            });
        }
        let gates = &decision.diagnostics.gates;
        tiles.push(Tile {
            label: "gates passed",
            value: format!("{} of {}", gates.iter().filter(|gate| gate.passed).count(), gates.len()),
            note: format!("the log is {}", as_words(&spelled(&decision.identification))),
        });
        let from = &decision.provenance;
        Self {
            verdict: spelled(&decision.verdict).replace('_', " "),
            tone,
            reason: reason_in_words(sources),
            tiles,
            footer: format!(
                "routewright {}, seed {}, data {}, models {}; decisions from {} to {}",
                from.version,
                from.seed,
                short(&from.data_digest),
                short(&from.artifact_digest),
                minute(sources.training.window_us.0),
                minute(replay.window_us.1)
            ),
        }
    }
}

/// Writes a page. `figures`: the figures that the document names.
///
/// # Errors
/// What the template engine says: a mistake in the template.
pub(super) fn render(document: &Document, head: &Head, figures: &[(&'static str, Figure)]) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template(TEMPLATE.0, TEMPLATE.1)?;
    let pictures: BTreeMap<&str, &str> = figures.iter().map(|(name, figure)| (*name, figure.svg.as_str())).collect();
    environment.get_template(TEMPLATE.0)?.render(context! {
        title => document.title.as_str(),
        head => Value::from(Serde(head)),
        chapters => Value::from(Serde(chapters(document))),
        pictures => Value::from(Serde(pictures)),
        style => STYLE,
        script => SCRIPT,
    })
}

/// The blocks by chapter; what comes before the first chapter is the summary.
fn chapters(document: &Document) -> Vec<Chapter<'_>> {
    let mut chapters = vec![Chapter { id: "summary".to_owned(), title: "Summary", blocks: Vec::new() }];
    for block in &document.blocks {
        if let Block::Chapter(title) = block {
            chapters.push(Chapter { id: format!("chapter-{}", chapters.len()), title, blocks: Vec::new() });
        } else if let Some(chapter) = chapters.last_mut() {
            chapter.blocks.push(block);
        }
    }
    chapters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::document::{Cell, Table};

    fn page(name: &str) -> String {
        let mut table = Table::of(&["path", "n #"]);
        table.row([Cell::name(name), Cell::count(12_u64)]);
        let blocks = vec![Block::Chapter("Policies".into()), Block::Table(table)];
        let head = Head { verdict: "KEEP".into(), tone: "bad", reason: "r".into(), tiles: Vec::new(), footer: String::new() };
        render(&Document { title: "<t>".into(), blocks }, &head, &[]).unwrap()
    }

    #[test]
    fn names_are_escaped() {
        let page = page("<script>alert(1)</script>");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"), "{page}");
        assert!(page.contains("<title>&lt;t&gt;</title>"));
    }

    #[test]
    fn nothing_is_fetched() {
        let page = page("a");
        for forbidden in ["http://", "https://", "src=", "@import", "url("] {
            let found = page.replace("http://www.w3.org/2000/svg", "").contains(forbidden);
            assert!(!found, "{forbidden}");
        }
    }

    #[test]
    fn chapters_are_linked_and_numbers_can_be_sorted() {
        let page = page("a");
        assert!(page.contains("href=\"#chapter-1\"") && page.contains("id=\"chapter-1\""));
        assert!(page.contains("data-sort=\"12.0\"") || page.contains("data-sort=\"12\""), "{page}");
    }
}
