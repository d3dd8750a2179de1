//! Colours: the Okabe-Ito palette, which stays apart for all common kinds of colour blindness, greys, and one ramp.

use crate::figure::Role;

/// A colour with opacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ink {
    /// Red, green, blue.
    pub rgb: (u8, u8, u8),
    /// Opacity in 0..=1.
    pub alpha: f64,
}

impl Ink {
    const fn opaque(r: u8, g: u8, b: u8) -> Self {
        Self { rgb: (r, g, b), alpha: 1.0 }
    }

    /// The same colour, see-through.
    pub(crate) const fn with_alpha(self, alpha: f64) -> Self {
        Self { rgb: self.rgb, alpha }
    }
}

pub(crate) const WHITE: Ink = Ink::opaque(255, 255, 255);
pub(crate) const TEXT: Ink = Ink::opaque(31, 36, 43);
pub(crate) const MUTED: Ink = Ink::opaque(88, 96, 107);
pub(crate) const GRID: Ink = Ink::opaque(229, 232, 236);
pub(crate) const AXIS: Ink = Ink::opaque(150, 157, 166);
pub(crate) const STRIPE: Ink = Ink::opaque(247, 248, 250);
pub(crate) const OTHERS: Ink = Ink::opaque(201, 206, 212);

pub(crate) const BLACK: Ink = Ink::opaque(0, 0, 0);
pub(crate) const ORANGE: Ink = Ink::opaque(230, 159, 0);
pub(crate) const SKY: Ink = Ink::opaque(86, 180, 233);
pub(crate) const GREEN: Ink = Ink::opaque(0, 158, 115);
pub(crate) const BLUE: Ink = Ink::opaque(0, 114, 178);
pub(crate) const VERMILLION: Ink = Ink::opaque(213, 94, 0);
pub(crate) const PURPLE: Ink = Ink::opaque(204, 121, 167);

/// Colours of series, in the order they are given out. Yellow is left out: it cannot be read on white.
pub(crate) const SERIES: [Ink; 7] = [BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK];

/// The colour of a role.
pub(crate) fn role_ink(role: Role) -> Ink {
    match role {
        Role::Static => BLACK,
        Role::Learned => VERMILLION,
        Role::Control => BLUE,
        Role::Path => SKY,
    }
}

/// Stops of the ramp from low to high; lightness falls monotonically, so it reads in grey too.
const RAMP: [(f64, f64, f64); 5] =
    [(247.0, 250.0, 253.0), (198.0, 221.0, 240.0), (116.0, 176.0, 220.0), (0.0, 114.0, 178.0), (4.0, 48.0, 97.0)];

/// A colour of the ramp; `share` is cut to 0..=1.
pub(crate) fn ramp(share: f64) -> Ink {
    let place = share.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
    let below = (place.floor() as usize).min(RAMP.len() - 2);
    let within = place - below as f64;
    let (from, to) = (RAMP[below], RAMP[below + 1]);
    let mix = |a: f64, b: f64| (a + (b - a) * within).round() as u8;
    Ink::opaque(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// From this contrast on, white is used on a fill: on blues of middle lightness it reads better than dark text of slightly more contrast.
const WHITE_FROM: f64 = 3.6;

/// Dark or white, whichever reads better on a fill.
pub(crate) fn text_on(fill: Ink) -> Ink {
    if WHITE_FROM <= contrast(WHITE, fill) { WHITE } else { TEXT }
}

/// The contrast of two colours, from 1 (none) to 21 (WCAG 2).
pub(crate) fn contrast(a: Ink, b: Ink) -> f64 {
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    f64::max(a / b, b / a)
}

/// Relative luminance, with the plain gamma of 2.2.
fn luminance(ink: Ink) -> f64 {
    let linear = |channel: u8| (f64::from(channel) / 255.0).powf(2.2);
    0.2126 * linear(ink.rgb.0) + 0.7152 * linear(ink.rgb.1) + 0.0722 * linear(ink.rgb.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_on_every_step_of_the_ramp() {
        let worst = (0..=100).map(|step| ramp(f64::from(step) / 100.0)).map(|fill| contrast(text_on(fill), fill)).fold(21.0, f64::min);
        assert!(WHITE_FROM <= worst, "contrast {worst}");
    }

    #[test]
    fn the_ramp_darkens_all_the_way() {
        let steps: Vec<f64> = (0..=20).map(|step| luminance(ramp(f64::from(step) / 20.0))).collect();
        assert!(steps.windows(2).all(|pair| pair[1] < pair[0]), "{steps:?}");
    }

    #[test]
    fn series_colours_show_on_white() {
        assert!(SERIES.iter().all(|ink| 2.0 < contrast(*ink, WHITE)));
    }
}
