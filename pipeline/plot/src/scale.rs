//! From numbers to places: linear and logarithmic scales, their ticks, and how numbers are written.

/// Numbers beyond this say nothing in a figure and would overflow the arithmetic of an axis; they count as missing.
const LARGEST: f64 = 1e100;

/// How far arithmetic may push the end of a scale off the scale.
const ROUNDING: f64 = 1e-9;

/// A range of numbers and how it is spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    Linear { low: f64, high: f64 },
    Log { low: f64, high: f64 },
}

/// A number on an axis, and how it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub value: f64,
    pub text: String,
}

/// Whether a number can be drawn.
pub(crate) fn is_drawable(value: f64) -> bool {
    value.is_finite() && value.abs() <= LARGEST
}

/// The smallest and the largest number that can be drawn.
pub(crate) fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| is_drawable(*value)).fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

impl Scale {
    /// A linear scale with some air at both ends; `None` when there is nothing to draw.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values)?;
        let span = high - low;
        let tiny = 1e-9 * low.abs().max(high.abs());
        let air = match span {
            _ if tiny < span => span * 0.05,
            _ if low == 0.0 => 0.5,
            _ => low.abs() * 0.1,
        };
        Some(Self::Linear { low: low - air, high: high + air })
    }

    /// The same scale, not reaching beyond what the numbers can be.
    pub(crate) fn within(self, least: f64, most: f64) -> Self {
        match self {
            Self::Linear { low, high } if low < most && least < high => Self::Linear { low: low.max(least), high: high.min(most) },
            other => other,
        }
    }

    /// A logarithmic scale over the positive numbers; `None` when there is none.
    pub(crate) fn log(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values.into_iter().filter(|value| 1e-100 < *value))?;
        let air = if high <= low * 1.0001 { 2.0 } else { (high / low).powf(0.03).max(1.02) };
        Some(Self::Log { low: low / air, high: high * air })
    }

    /// Where a number lies: 0 at the low end, 1 at the high end; NaN for what a logarithm cannot take.
    pub(crate) fn share(self, value: f64) -> f64 {
        match self {
            Self::Linear { low, high } => (value - low) / (high - low),
            Self::Log { low, high } if 0.0 < value => (value / low).ln() / (high / low).ln(),
            Self::Log { .. } => f64::NAN,
        }
    }

    /// Whether a number lies on the scale.
    pub(crate) fn holds(self, value: f64) -> bool {
        (-ROUNDING..=1.0 + ROUNDING).contains(&self.share(value))
    }

    /// Round numbers on the scale, `most` at the most (and at least 2).
    pub(crate) fn ticks(self, most: usize) -> Vec<Tick> {
        let most = most.max(2);
        match self {
            Self::Linear { low, high } => linear_ticks(low, high, most),
            Self::Log { low, high } => log_ticks(low, high, most),
        }
    }
}

fn linear_ticks(low: f64, high: f64, most: usize) -> Vec<Tick> {
    let raw = (high - low) / most as f64;
    let magnitude = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| (high / step).floor() - (low / step).ceil() < most as f64)
        .unwrap_or(magnitude * 10.0);
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    if !(0.0..=1000.0).contains(&(last - first)) {
        return Vec::new();
    }
    let values: Vec<f64> = (0..=(last - first) as usize).map(|position| (first + position as f64) * step).collect();
    values.iter().map(|value| Tick { value: *value, text: axis_number(*value, step, low.abs().max(high.abs())) }).collect()
}

fn log_ticks(low: f64, high: f64, most: usize) -> Vec<Tick> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    for factors in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
        let values: Vec<f64> = (first..=last)
            .flat_map(|power| factors.iter().map(move |factor| decade(*factor, power)))
            .filter(|value| low <= *value && *value <= high)
            .collect();
        if 3 <= values.len() && values.len() <= most {
            return values.into_iter().map(|value| Tick { value, text: short_number(value) }).collect();
        }
    }
    let decades: Vec<f64> = (first..=last).map(|power| decade(1.0, power)).filter(|value| low <= *value && *value <= high).collect();
    if decades.len() < 3 {
        return linear_ticks(low, high, most.min(5)).into_iter().filter(|tick| 0.0 < tick.value).collect();
    }
    let every = decades.len().div_ceil(most);
    decades.into_iter().step_by(every).map(|value| Tick { value, text: short_number(value) }).collect()
}

/// `factor` × 10^`power` as the nearest number to its decimal notation.
fn decade(factor: f64, power: i32) -> f64 {
    if power < 0 { factor / 10_f64.powi(-power) } else { factor * 10_f64.powi(power) }
}

/// A tick's number with as many decimals as its step needs.
fn axis_number(value: f64, step: f64, largest: f64) -> String {
    let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
    if 1e15 <= largest || step < 1e-6 {
        return if value == 0.0 { "0".to_owned() } else { minus(format!("{value:.2e}")) };
    }
    let (divisor, suffix) = match () {
        () if 1e6 <= largest && 1e5 <= step => (1e6, "M"),
        () if 1e4 <= largest && 1e2 <= step => (1e3, "k"),
        () => (1.0, ""),
    };
    let (value, step) = (value / divisor, step / divisor);
    let decimals =
        (0..=8).find(|decimals| (step * 10_f64.powi(*decimals)).fract().min(1.0 - (step * 10_f64.powi(*decimals)).fract()) < 1e-6);
    let text = grouped(value, decimals.unwrap_or(8) as usize);
    if value == 0.0 { text } else { text + suffix }
}

/// A number in at most three or four characters of precision: `0.05`, `12.3`, `1,234`, `25k`, `1.5M`.
pub(crate) fn short_number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "–".to_owned();
    }
    match () {
        () if size == 0.0 => "0".to_owned(),
        () if !(1e-4..1e15).contains(&size) => minus(format!("{value:.1e}")),
        () if 1e9 <= size => trimmed(value / 1e9, 1) + "G",
        () if 1e6 <= size => trimmed(value / 1e6, 1) + "M",
        () if 1e4 <= size => trimmed(value / 1e3, 1) + "k",
        () if 100.0 <= size => grouped(value, 0),
        () if 10.0 <= size => trimmed(value, 1),
        () if 1.0 <= size => trimmed(value, 2),
        () if 0.01 <= size => trimmed(value, 3),
        () => trimmed(value, 5),
    }
}

/// A count with thousands separated.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if 0 < position && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count in few characters: exact below 10,000.
pub(crate) fn short_count(n: u64) -> String {
    if n < 10_000 { count(n) } else { short_number(n as f64) }
}

/// A number with a fixed number of decimals, thousands separated, a true minus sign; a dash for what is not finite.
pub(crate) fn grouped(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if 1e15 <= value.abs() {
        return minus(format!("{value:.1e}"));
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    let negative = value < 0.0 && text.chars().any(|digit| ('1'..='9').contains(&digit));
    format!("{}{whole}{fraction}", if negative { "−" } else { "" })
}

/// A number with its sign, also when positive.
pub(crate) fn signed(value: f64, decimals: usize) -> String {
    let text = grouped(value, decimals);
    if 0.0 < value && text.chars().any(|digit| ('1'..='9').contains(&digit)) { format!("+{text}") } else { text }
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = grouped(value, decimals);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn minus(text: String) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(ticks: Vec<Tick>) -> Vec<String> {
        ticks.into_iter().map(|tick| tick.text).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(texts(Scale::Linear { low: 0.81, high: 0.96 }.ticks(4)), ["0.85", "0.90", "0.95"]);
        assert_eq!(texts(Scale::Linear { low: -4.0, high: 9.0 }.ticks(8)), ["−4", "−2", "0", "2", "4", "6", "8"]);
    }

    #[test]
    fn log_ticks_are_decades_and_their_parts() {
        assert_eq!(texts(Scale::Log { low: 9.0, high: 2_000.0 }.ticks(8)), ["10", "20", "50", "100", "200", "500", "1,000", "2,000"]);
        assert_eq!(texts(Scale::Log { low: 0.9, high: 2e6 }.ticks(7)), ["1", "10", "100", "1,000", "10k", "100k", "1M"]);
    }

    #[test]
    fn a_narrow_log_scale_still_has_ticks() {
        assert!(2 <= Scale::Log { low: 130.0, high: 180.0 }.ticks(6).len());
    }

    #[test]
    fn equal_values_get_a_scale_with_width() {
        for value in [0.0, 0.9, -3.0, 1e-12, 1e90] {
            let scale = Scale::linear([value, value]).unwrap();
            assert!((scale.share(value) - 0.5).abs() < 1e-6, "{value}: {scale:?}");
        }
    }

    #[test]
    fn numbers_are_written_for_people() {
        let written =
            [count(1_234_567), short_number(12_345.0), short_number(0.05), signed(4.25, 1), signed(-0.04, 1), grouped(f64::NAN, 1)];
        assert_eq!(written, ["1,234,567", "12.3k", "0.05", "+4.2", "0.0", "–"]);
    }

    proptest! {
        #[test]
        fn ticks_lie_on_the_scale_and_are_few(a in -1e9..1e9f64, span in 1e-6..1e9f64, most in 2_usize..14) {
            let scale = Scale::linear([a, a + span]).unwrap();
            let ticks = scale.ticks(most);
            prop_assert!(ticks.len() <= most + 1);
            prop_assert!(ticks.iter().all(|tick| scale.holds(tick.value)));
        }

        #[test]
        fn log_ticks_lie_on_the_scale_and_are_few(a in 1e-6..1e9f64, factor in 1.0..1e9f64, most in 2_usize..14) {
            let scale = Scale::log([a, a * factor]).unwrap();
            let ticks = scale.ticks(most);
            prop_assert!(ticks.len() <= most.max(6));
            prop_assert!(ticks.iter().all(|tick| scale.holds(tick.value)));
        }
    }
}
