//! A document for people before it is Markdown or HTML: headings, sentences, tables, figures.

use serde::Serialize;

/// A document.
pub(crate) struct Document {
    /// What it is about.
    pub title: String,
    /// Its parts, in reading order.
    pub blocks: Vec<Block>,
}

/// A part of a document.
#[derive(Clone, Serialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub(crate) enum Block {
    /// Begins a chapter.
    Chapter(String),
    /// Begins a part of a chapter.
    Section(String),
    /// Sentences.
    Paragraph(Words),
    /// Numbered sentences.
    Numbered(Vec<Words>),
    /// Sentences with dots before them.
    Bullets(Vec<Words>),
    /// Rows and columns.
    Table(Table),
    /// A figure by the name of its files.
    Figure(FigureBlock),
    /// Text as it is, in letters of equal width.
    Verbatim(String),
}

/// A figure in a document.
#[derive(Clone, Serialize)]
pub(crate) struct FigureBlock {
    /// Name of its files, without ending.
    pub name: String,
    /// What it shows, for those who cannot see it.
    pub alt: String,
}

/// Sentences in which parts stand out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Words(pub Vec<Span>);

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "text", rename_all = "snake_case")]
pub(crate) enum Span {
    /// As it is.
    Plain(String),
    /// What matters.
    Strong(String),
    /// A name or a value from the log or the settings.
    Code(String),
}

/// Rows and columns.
#[derive(Clone, Serialize)]
pub(crate) struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with one cell per column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column.
#[derive(Clone, Serialize)]
pub(crate) struct Column {
    /// What stands above it.
    pub head: &'static str,
    /// Whether it holds numbers, which stand at the right.
    pub is_numeric: bool,
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Cell {
    /// What it says.
    pub words: Words,
    /// What sorting compares; absent for texts and for what is not known.
    pub sort: Option<f64>,
}

impl Words {
    /// Text in which `` `names` `` and `**what matters**` stand out; marks without a partner stay as they are.
    pub(crate) fn marked(text: &str) -> Self {
        let (mut spans, mut rest) = (Vec::new(), text);
        while let Some((before, span, after)) = next_mark(rest) {
            if !before.is_empty() {
                spans.push(Span::Plain(before.to_owned()));
            }
            spans.push(span);
            rest = after;
        }
        if !rest.is_empty() {
            spans.push(Span::Plain(rest.to_owned()));
        }
        Self(spans)
    }

    /// Text without marks.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self(vec![Span::Plain(text.into())])
    }

    /// A name from the log.
    pub(crate) fn name(name: impl Into<String>) -> Self {
        Self(vec![Span::Code(name.into())])
    }
}

/// The first part that stands out, with the text before and after it.
fn next_mark(text: &str) -> Option<(&str, Span, &str)> {
    let found = |mark: &str, span: fn(String) -> Span| -> Option<(usize, Span, usize)> {
        let from = text.find(mark)?;
        let inside = &text[from + mark.len()..];
        let length = inside.find(mark).filter(|length| *length > 0)?;
        Some((from, span(inside[..length].to_owned()), from + length + 2 * mark.len()))
    };
    let marks = [found("`", Span::Code), found("**", Span::Strong)];
    let (from, span, end) = marks.into_iter().flatten().min_by_key(|(from, ..)| *from)?;
    Some((&text[..from], span, &text[end..]))
}

/// A name in a sentence that [`Words::marked`] reads: in backticks, with its own replaced.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", if name.is_empty() { "(empty)".to_owned() } else { name.replace('`', "'") })
}

impl Cell {
    /// Marked text.
    pub(crate) fn text(text: &str) -> Self {
        Self { words: Words::marked(text), sort: None }
    }

    /// A name from the log.
    pub(crate) fn name(name: &str) -> Self {
        Self { words: Words::name(if name.is_empty() { "(empty)" } else { name }), sort: None }
    }

    /// A number as it is written, with what sorting compares.
    pub(crate) fn number(text: impl Into<String>, value: f64) -> Self {
        Self { words: Words::plain(text), sort: value.is_finite().then_some(value) }
    }

    /// A number that may be unknown.
    pub(crate) fn maybe(value: Option<f64>, write: impl Fn(f64) -> String) -> Self {
        value.map_or_else(|| Self::text("–"), |value| Self::number(write(value), value))
    }

    /// A whole number.
    pub(crate) fn count(count: impl TryInto<u64>) -> Self {
        let count = count.try_into().unwrap_or_default();
        Self::number(super::format::grouped(count), count as f64)
    }
}

impl Table {
    /// A table without rows. Columns whose head ends in `#` hold numbers.
    pub(crate) fn of(heads: &[&'static str]) -> Self {
        let column = |head: &&'static str| match head.strip_suffix('#') {
            Some(head) => Column { head: head.trim_end(), is_numeric: true },
            None => Column { head, is_numeric: false },
        };
        Self { columns: heads.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl Block {
    /// A paragraph of marked text.
    pub(crate) fn paragraph(text: &str) -> Self {
        Self::Paragraph(Words::marked(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_strong_words_stand_out() {
        assert_eq!(
            Words::marked("take `a**b`, **now**").0,
            [Span::Plain("take ".into()), Span::Code("a**b".into()), Span::Plain(", ".into()), Span::Strong("now".into())]
        );
    }

    #[test]
    fn a_mark_without_a_partner_stays() {
        assert_eq!(Words::marked("5 ** 2 ` 3").0, [Span::Plain("5 ** 2 ` 3".into())]);
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(Words::marked(&quoted("a`b`c")).0, [Span::Code("a'b'c".into())]);
    }
}
