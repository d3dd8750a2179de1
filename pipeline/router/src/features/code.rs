//! Code in the query: blocks, and the programming language they are most likely in.

use super::{Feature, QueryInput, Write, columns, or_missing};
use crate::schema::ColumnKind::{Code, Count, Share};

/// Programming languages with names that follow a fence, and marks that hint at them; a language's code is its position.
const LANGUAGES: [(&[&str], &[&str]); 8] = [
    (&["python", "py"], &["def ", "import ", "print(", "self.", "elif ", "__", "lambda ", "None"]),
    (&["javascript", "js", "typescript", "ts", "jsx", "tsx"], &["const ", "let ", "=>", "function ", "console.", "===", "null", "await "]),
    (&["sql"], &["SELECT ", "select ", " FROM ", " from ", " WHERE ", " where ", " JOIN ", "GROUP BY", "INSERT INTO"]),
    (&["java", "kotlin", "scala"], &["public ", "private ", "void ", "static ", "new ", "System.", "String ", "@Override"]),
    (&["rust", "rs"], &["fn ", "let mut", "impl ", "::", "->", "&mut", "unwrap()", "pub "]),
    (&["c", "cpp", "c++", "h"], &["#include", "int ", "std::", "->", "printf(", "void ", "char *", "nullptr"]),
    (&["bash", "sh", "shell", "console"], &["#!/", "sudo ", "grep ", "echo ", "$(", " | ", "chmod ", "&& "]),
    (&["html", "xml", "css"], &["<div", "</", "<html", "class=\"", "href=", "{ color", "/>", "<!--"]),
];

/// Marks from which on a language is named.
const MIN_MARKS: usize = 2;

pub(super) const FEATURE: Feature = Feature {
    name: "code",
    summary: "code blocks and their language",
    columns: |_| {
        columns(
            "code",
            &[
                ("code_blocks", Count, "blocks between fences of three backticks, an open one included"),
                ("code_block_share", Share, "share of the characters inside such blocks"),
                (
                    "code_language",
                    Code,
                    "0 Python, 1 JavaScript, 2 SQL, 3 Java, 4 Rust, 5 C, 6 shell, 7 markup, by the fence's name or by marks; missing without",
                ),
            ],
        )
    },
    write: Write::Query(write),
};

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    let text = input.profile.head(input.request.query);
    let (mut n_blocks, mut block_bytes, mut named) = (0_u32, 0, None);
    let fenced = if 0 < input.profile.n_fences { text } else { "" };
    for block in fenced.split("```").skip(1).step_by(2) {
        n_blocks += 1;
        block_bytes += block.len();
        named = named.or_else(|| language_named(block.lines().next().unwrap_or_default().trim()));
    }
    let language = named.or_else(|| if input.profile.code_likelihood() > 0.0 { language_marked(text) } else { None });
    let share = block_bytes as f32 / text.len().max(1) as f32;
    row.copy_from_slice(&[n_blocks as f32, share, or_missing(language.map(|language| language as f64))]);
}

/// The language that a fence names.
fn language_named(name: &str) -> Option<usize> {
    LANGUAGES.iter().position(|(names, _)| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// The language with the most marks in a text, the first of equals.
fn language_marked(text: &str) -> Option<usize> {
    let marks = |(_, marks): &(&[&str], &[&str])| marks.iter().filter(|mark| text.contains(**mark)).count();
    let counts = LANGUAGES.iter().map(marks).enumerate();
    let (language, count) = counts.reduce(|best, other| if other.1 > best.1 { other } else { best })?;
    (count >= MIN_MARKS).then_some(language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_names_the_language_and_marks_give_it_away() {
        assert_eq!(language_named("Rust"), Some(4));
        assert_eq!(language_named("please"), None);
        assert_eq!(language_marked("def area(self): return self.width * 2"), Some(0));
        assert_eq!(language_marked("select name from users where id = 3"), Some(2));
        assert_eq!(language_marked("tell me a story"), None);
    }
}
