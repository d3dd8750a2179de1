//! Tables for people: aligned columns, long texts shortened.

/// On which side a column's values stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// Lines of aligned columns, the header first where there is one; two spaces between columns, none at the end of a line.
pub(crate) fn aligned(header: &[&str], rows: &[Vec<String>], align: &[Align]) -> String {
    let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&header).filter(|header| !header.is_empty()).chain(rows).collect();
    let n_columns = lines.iter().map(|line| line.len()).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|text| text.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (value, &width))| match align.get(column) {
                Some(Align::Right) => format!("{value:>width$}"),
                _ => format!("{value:width$}"),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Lines of aligned columns of texts.
pub(crate) fn aligned_texts(header: &[&str], rows: &[Vec<String>]) -> String {
    aligned(header, rows, &[])
}

/// A text on one line that is at most `longest` characters long.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    let line: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    if line.chars().count() <= longest {
        return line;
    }
    let kept: String = line.chars().take(longest.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A count with a comma between thousands.
pub(crate) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        let rows = [vec!["a".to_owned(), "10".to_owned()], vec!["long".to_owned(), "9".to_owned()]];
        assert_eq!(aligned(&["name", "n"], &rows, &[Align::Left, Align::Right]), "name   n\na     10\nlong   9\n");
        assert_eq!(aligned_texts(&[], &rows), "a     10\nlong  9\n");
    }

    #[test]
    fn long_texts_are_shortened_on_one_line() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("two\nlines are long", 10), "two lines…");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1_000, 69_400, 1_234_567].map(grouped), ["0", "999", "1,000", "69,400", "1,234,567"]);
    }
}
