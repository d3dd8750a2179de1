//! Which bytes a text has: one look, after which most texts need no other one.

/// The kinds of bytes of a text.
#[derive(Clone, Copy)]
pub(super) struct Signs(u32);

impl Signs {
    pub(super) fn of(text: &str) -> Self {
        Self(text.bytes().fold(0, |signs, byte| signs | SIGNS[usize::from(byte)]))
    }

    /// Whether it has all of some kinds.
    pub(super) fn has(self, wanted: u32) -> bool {
        self.0 & wanted == wanted
    }

    /// Whether it has one of some kinds.
    pub(super) fn has_one(self, wanted: u32) -> bool {
        self.0 & wanted != 0
    }
}

pub(super) const AT: u32 = 1;
pub(super) const PLUS: u32 = 1 << 1;
pub(super) const OPEN: u32 = 1 << 2;
pub(super) const DASH: u32 = 1 << 3;
pub(super) const DOT: u32 = 1 << 4;
pub(super) const SLASH: u32 = 1 << 5;
pub(super) const COLON: u32 = 1 << 6;
pub(super) const EQUALS: u32 = 1 << 7;
pub(super) const BLANK: u32 = 1 << 8;
pub(super) const UNDERSCORE: u32 = 1 << 9;
/// Characters that passwords are made safe with.
pub(super) const SPECIAL: u32 = 1 << 10;
pub(super) const DIGIT: u32 = 1 << 11;
pub(super) const CAPITAL: u32 = 1 << 12;
pub(super) const SMALL: u32 = 1 << 13;
pub(super) const CAPITAL_A: u32 = 1 << 14;
pub(super) const CAPITAL_G: u32 = 1 << 15;
pub(super) const CAPITAL_I: u32 = 1 << 16;
pub(super) const CAPITAL_J: u32 = 1 << 17;
pub(super) const CAPITAL_O: u32 = 1 << 18;
pub(super) const CAPITAL_S: u32 = 1 << 24;
pub(super) const B: u32 = 1 << 19;
pub(super) const SMALL_Y: u32 = 1 << 20;
/// Letters before the last sign of the prefixes of tokens that end with a dash, and with an underscore.
pub(super) const BEFORE_DASH: u32 = 1 << 21;
pub(super) const BEFORE_UNDERSCORE: u32 = 1 << 22;
/// Parts of characters that are no ASCII: letters, digits, blanks, anything.
pub(super) const STRANGE: u32 = 1 << 23;

/// What every byte is.
const SIGNS: [u32; 256] = {
    let mut signs = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        signs[at] = match byte {
            b'@' => AT,
            b'+' => PLUS,
            b'(' => OPEN,
            b'-' => DASH,
            b'.' => DOT,
            b'/' => SLASH,
            b':' => COLON,
            b'=' => EQUALS,
            b' ' | b'\t'..=b'\r' => BLANK,
            b'_' => UNDERSCORE,
            b'!' | b'#' | b'$' | b'%' | b'^' | b'*' | b'?' => SPECIAL,
            b'0'..=b'9' => DIGIT,
            b'A' => CAPITAL | CAPITAL_A,
            b'B' => CAPITAL | B,
            b'G' => CAPITAL | CAPITAL_G,
            b'I' => CAPITAL | CAPITAL_I,
            b'J' => CAPITAL | CAPITAL_J,
            b'O' => CAPITAL | CAPITAL_O,
            b'S' => CAPITAL | CAPITAL_S,
            b'C'..=b'Z' => CAPITAL,
            b'b' => SMALL | B,
            b'y' => SMALL | SMALL_Y,
            b'a'..=b'z' => SMALL,
            0x80.. => STRANGE,
            _ => 0,
        };
        // `sk-`, `glpat-`, `pypi-`, `xox?-`
        if matches!(byte, b'k' | b't' | b'i' | b'x') {
            signs[at] |= BEFORE_DASH;
        }
        // `sk_`, `github_pat_`, `hf_`, `npm_`, `gh?_`
        if matches!(byte, b'k' | b't' | b'f' | b'm' | b'h') {
            signs[at] |= BEFORE_UNDERSCORE;
        }
        at += 1;
    }
    signs
};
