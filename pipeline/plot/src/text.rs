//! Letters: the bundled font, how wide a line is, how a name is shortened and a sentence broken.

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont};
use std::sync::LazyLock;

/// How heavy letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    Regular,
    Bold,
}

/// Space a line takes above the middle of its capitals, in sizes: ascenders and accents of DejaVu Sans.
pub(crate) const ABOVE_MIDDLE: f64 = 0.46;
/// Space a line takes below the middle of its capitals, in sizes: descenders of DejaVu Sans.
pub(crate) const BELOW_MIDDLE: f64 = 0.60;
/// From the middle of the capitals down to the baseline, in sizes.
pub(crate) const MIDDLE_TO_BASELINE: f64 = 0.365;

/// The fonts, read once for the whole process; `None` only if the bundled bytes were damaged.
static FONTS: LazyLock<Option<[FontRef<'static>; 2]>> = LazyLock::new(|| {
    let regular = FontRef::try_from_slice(dejavu::sans::regular()).ok()?;
    let bold = FontRef::try_from_slice(dejavu::sans::bold()).ok()?;
    Some([regular, bold])
});

/// The font of a weight.
pub(crate) fn font(weight: Weight) -> Option<&'static FontRef<'static>> {
    let [regular, bold] = FONTS.as_ref()?;
    Some(match weight {
        Weight::Regular => regular,
        Weight::Bold => bold,
    })
}

/// The scale at which an em is `size` pixels.
pub(crate) fn em_scale(font: &FontRef<'static>, size: f32) -> PxScale {
    PxScale::from(size * font.height_unscaled() / font.units_per_em().unwrap_or(2048.0))
}

/// Each letter of a line with its offset from the start, in pixels.
pub(crate) fn glyphs(font: &FontRef<'static>, text: &str, size: f32) -> (Vec<(GlyphId, f32)>, f32) {
    let scaled = font.as_scaled(em_scale(font, size));
    let mut offset = 0.0;
    let mut placed = Vec::with_capacity(text.len());
    for letter in text.chars() {
        let glyph = font.glyph_id(letter);
        placed.push((glyph, offset));
        offset += scaled.h_advance(glyph);
    }
    (placed, offset)
}

/// The width of a line, in pixels.
pub(crate) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    match font(weight) {
        Some(font) => f64::from(glyphs(font, text, size as f32).1),
        // Rendering will report the damaged font; until then a rough width will do.
        None => text.chars().count() as f64 * size * 0.6,
    }
}

/// The width of a regular line, in pixels.
pub(crate) fn regular_width(text: &str, size: f64) -> f64 {
    width(text, size, Weight::Regular)
}

/// The widest of some regular lines, in pixels; 0 for none.
pub(crate) fn widest<'a>(texts: impl IntoIterator<Item = &'a str>, size: f64) -> f64 {
    texts.into_iter().map(|text| regular_width(&clean(text), size)).fold(0.0, f64::max)
}

/// Line breaks and control characters as spaces: one line, and nothing an SVG may not hold.
pub(crate) fn clean(text: &str) -> String {
    let allowed = |letter: char| !letter.is_control() && letter != '\u{fffe}' && letter != '\u{ffff}';
    text.chars().map(|letter| if allowed(letter) { letter } else { ' ' }).collect()
}

/// A name that fits into `most` pixels: the middle gives way to an ellipsis, since names differ at both ends.
pub(crate) fn shorten(name: &str, most: f64, size: f64) -> String {
    let name = clean(name);
    if regular_width(&name, size) <= most {
        return name;
    }
    let letters: Vec<char> = name.chars().collect();
    let kept = |n: usize| -> String {
        let head = n.div_ceil(2);
        letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - (n - head)..]).collect()
    };
    let (mut fits, mut fails) = (0, letters.len());
    while fails - fits > 1 {
        let middle = fits.midpoint(fails);
        if regular_width(&kept(middle), size) <= most {
            fits = middle;
        } else {
            fails = middle;
        }
    }
    kept(fits)
}

/// A sentence in lines of at most `most` pixels; words longer than a line are shortened, lines after the `n_lines`-th are cut off with an ellipsis.
pub(crate) fn wrap(sentence: &str, most: f64, size: f64, weight: Weight, n_lines: usize) -> Vec<String> {
    let sentence = clean(sentence);
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split_whitespace() {
        let word = if most < width(word, size, weight) { shorten(word, most * 0.9, size) } else { word.to_owned() };
        let longer = lines.last().map(|line| format!("{line} {word}")).filter(|longer| width(longer, size, weight) <= most);
        match longer {
            Some(longer) => {
                lines.pop();
                lines.push(longer);
            }
            None if lines.len() < n_lines => lines.push(word),
            None => {
                let last = lines.pop().map(|line| cut_off(&line, most, size, weight));
                lines.extend(last);
                break;
            }
        }
    }
    lines
}

/// A name in at most `n_lines` lines of at most `most` pixels, broken after separators where possible, shortened in the middle before.
pub(crate) fn break_name(name: &str, most: f64, size: f64, n_lines: usize) -> Vec<String> {
    let fits = |line: &str| regular_width(line.trim_end(), size) <= most;
    let broken = |name: &str| {
        let mut lines: Vec<String> = vec![String::new()];
        for piece in name.split_inclusive([' ', '_', '-', '/', '@', '.', ':']) {
            let line = lines.pop().unwrap_or_default();
            let longer = format!("{line}{piece}");
            if line.is_empty() || fits(&longer) {
                lines.push(longer);
            } else {
                lines.extend([line, piece.to_owned()]);
            }
            while let Some(line) = lines.pop_if(|line| !fits(line)) {
                let head = (1..line.chars().count()).rev().map(|n| line.chars().take(n).collect::<String>()).find(|head| fits(head));
                let Some(head) = head else { break };
                let tail = line[head.len()..].to_owned();
                lines.extend([head, tail]);
            }
        }
        lines.iter().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    (0..=8)
        .map(|step| shorten(name, most * n_lines as f64 * (1.0 - 0.1 * f64::from(step)), size))
        .map(|name| broken(&name))
        .find(|lines| lines.len() <= n_lines)
        .unwrap_or_else(|| vec![shorten(name, most, size)])
}

/// A line that ends in an ellipsis within `most` pixels.
fn cut_off(line: &str, most: f64, size: f64, weight: Weight) -> String {
    let letters: Vec<char> = line.chars().collect();
    let cut = (0..=letters.len()).rev().map(|kept| letters[..kept].iter().chain(&['…']).collect::<String>());
    cut.into_iter().find(|text| width(text, size, weight) <= most).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_name_keeps_both_ends() {
        let short = shorten("deterministic_tool_execution_with_cache_v2", 120.0, 12.0);
        assert!(short.starts_with("deter") && short.ends_with("_v2") && short.contains('…'), "{short}");
    }

    #[test]
    fn a_short_name_is_left_alone() {
        assert_eq!(shorten("tool", 120.0, 12.0), "tool");
    }

    #[test]
    fn wide_letters_take_more_room_than_narrow_ones() {
        assert!(regular_width("iiii", 12.0) < regular_width("WWWW", 12.0) / 2.0);
    }

    #[test]
    fn a_sentence_is_broken_between_words() {
        assert_eq!(wrap("one two three", 60.0, 12.0, Weight::Regular, 3), ["one two", "three"]);
    }

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        assert_eq!(wrap("one two three", 60.0, 12.0, Weight::Regular, 1), ["one tw…"]);
    }

    #[test]
    fn a_column_name_is_broken_after_its_separators() {
        assert_eq!(break_name("multi-step planning with tools", 86.0, 12.0, 4), ["multi-step", "planning with", "tools"]);
        assert_eq!(break_name("deterministic_tool_execution", 86.0, 12.0, 4), ["deterministic_", "tool_", "execution"]);
    }

    proptest! {
        #[test]
        fn broken_names_fit(name in "\\PC{0,80}", most in 30.0..120.0f64) {
            let lines = break_name(&name, most, 12.0, 4);
            prop_assert!(lines.len() <= 4);
            prop_assert!(lines.iter().all(|line| regular_width(line, 12.0) <= most), "{:?}", lines);
        }

        #[test]
        fn shortened_names_fit(name in "\\PC{0,80}", most in 30.0..300.0f64) {
            prop_assert!(regular_width(&shorten(&name, most, 12.0), 12.0) <= most);
        }
    }
}
