//! Documents as Markdown: what comes from a log stays text, whatever it contains.

use super::document::{Block, Cell, Document, Span, Table, Words};

/// Most rows of a table that a person reads on a page; the rest is in the HTML report.
const MAX_ROWS: usize = 20;

/// What must not be read as markup in a sentence.
const SPECIAL: &[char] = &['\\', '`', '*', '_', '[', ']', '<', '>', '&', '#', '|', '~', '$', '!'];

/// Writes a document. `figures`: the folder of the figures as seen from the document.
pub(crate) fn render(document: &Document, figures: &str) -> String {
    let mut text = format!("# {}\n", escape(&document.title));
    for block in &document.blocks {
        text.push('\n');
        text.push_str(&write(block, figures));
    }
    text
}

fn write(block: &Block, figures: &str) -> String {
    match block {
        Block::Chapter(title) => format!("## {}\n", escape(title)),
        Block::Section(title) => format!("### {}\n", escape(title)),
        Block::Paragraph(words) => format!("{}\n", sentence(words)),
        Block::Numbered(items) => {
            items.iter().enumerate().map(|(position, words)| format!("{}. {}\n", position + 1, sentence(words))).collect()
        }
        Block::Bullets(items) => items.iter().map(|words| format!("- {}\n", sentence(words))).collect(),
        Block::Table(rows) => table(rows),
        Block::Figure(figure) => format!("![{}]({figures}/{}.png)\n", escape(&figure.alt), figure.name),
        Block::Verbatim(text) => {
            let fence = "`".repeat(longest_run(text).max(2) + 1);
            format!("{fence}text\n{}\n{fence}\n", text.trim_end())
        }
    }
}

fn table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(table.columns.iter().map(|column| escape(column.head)).collect());
    text.push_str(&line(table.columns.iter().map(|column| if column.is_numeric { "---:" } else { "---" }.to_owned()).collect()));
    for row in table.rows.iter().take(MAX_ROWS) {
        text.push_str(&line(row.iter().map(cell).collect()));
    }
    if table.rows.len() > MAX_ROWS {
        text.push_str(&format!("\n{MAX_ROWS} of {} rows; all of them are in `report.html`.\n", table.rows.len()));
    }
    text
}

fn cell(cell: &Cell) -> String {
    // GitHub's tables end a cell at a bar even inside code, unless it is escaped.
    let written = |span: &Span| match span {
        Span::Code(text) => code(text).replace('|', "\\|"),
        other => sentence(&Words(vec![other.clone()])),
    };
    cell.words.0.iter().map(written).collect()
}

fn sentence(words: &Words) -> String {
    let written = words.0.iter().map(|span| match span {
        Span::Plain(text) => escape(text),
        Span::Strong(text) => format!("**{}**", escape(text)),
        Span::Code(text) => code(text),
    });
    written.collect()
}

/// Text on one line that no reader takes for markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }) {
        if SPECIAL.contains(&letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// Text as code: between more backticks than it holds in a row.
fn code(text: &str) -> String {
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let fence = "`".repeat(longest_run(&text) + 1);
    let air = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{air}{text}{air}{fence}")
}

/// The most backticks in a row.
fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for letter in text.chars() {
        run = if letter == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::document::FigureBlock;

    fn named(name: &str) -> String {
        let mut table = Table::of(&["path", "n #"]);
        table.row([Cell::name(name), Cell::count(12_345_u64)]);
        render(&Document { title: "t".into(), blocks: vec![Block::Table(table)] }, "figures")
    }

    #[test]
    fn a_name_cannot_break_a_table_or_become_markup() {
        assert_eq!(named("a|b"), "# t\n\n| path | n |\n| --- | ---: |\n| `a\\|b` | 12,345 |\n");
        assert!(named("x\ny").contains("| `x y` |"));
        assert!(named("``<img onerror=alert(1)>").contains("| ``` ``<img onerror=alert(1)> ``` |"));
    }

    #[test]
    fn sentences_are_escaped() {
        let words = Words::marked("**5*4** <b>x</b> `a_b` [link](x) p_q");
        assert_eq!(sentence(&words), "**5\\*4** \\<b\\>x\\</b\\> `a_b` \\[link\\](x) p\\_q");
    }

    #[test]
    fn long_tables_say_how_much_is_left_out() {
        let mut table = Table::of(&["n #"]);
        for row in 0..30_u64 {
            table.row([Cell::count(row)]);
        }
        let text = render(&Document { title: "t".into(), blocks: vec![Block::Table(table)] }, "figures");
        assert!(text.contains("| 19 |") && !text.contains("| 20 |") && text.contains("20 of 30 rows"));
    }

    #[test]
    fn verbatim_text_stays_in_its_fence() {
        let text = render(&Document { title: "t".into(), blocks: vec![Block::Verbatim("a\n```\nb".into())] }, "figures");
        assert!(text.ends_with("````text\na\n```\nb\n````\n"), "{text}");
    }

    #[test]
    fn figures_are_linked() {
        let figure = Block::Figure(FigureBlock { name: "controls".into(), alt: "every policy".into() });
        assert!(
            render(&Document { title: "t".into(), blocks: vec![figure] }, "figures").ends_with("![every policy](figures/controls.png)\n")
        );
    }
}
