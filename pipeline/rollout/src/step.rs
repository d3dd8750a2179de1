//! The steps of a rollout: which share of the traffic follows the new artifact.

use serde::{Deserialize, Serialize};

/// A step; later ones are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Step {
    /// The artifact is asked and takes no traffic.
    #[serde(rename = "shadow")]
    Shadow,
    /// 10 %.
    #[serde(rename = "canary")]
    Canary,
    /// 25 %.
    #[serde(rename = "25")]
    Quarter,
    /// 50 %.
    #[serde(rename = "50")]
    Half,
    /// 75 %.
    #[serde(rename = "75")]
    ThreeQuarters,
    /// All traffic, but for what `holdback` keeps.
    #[serde(rename = "full")]
    Full,
}

/// Every step, in order.
pub const LADDER: [Step; 6] = [Step::Shadow, Step::Canary, Step::Quarter, Step::Half, Step::ThreeQuarters, Step::Full];

impl Step {
    /// Share of the traffic that follows the artifact. `holdback`: share that stays on the baseline at [`Step::Full`].
    pub fn share(self, holdback: f64) -> f64 {
        match self {
            Self::Shadow => 0.0,
            Self::Canary => 0.1,
            Self::Quarter => 0.25,
            Self::Half => 0.5,
            Self::ThreeQuarters => 0.75,
            Self::Full => 1.0 - holdback,
        }
    }

    /// As it is written on the command line and in `deployment.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Quarter => "25",
            Self::Half => "50",
            Self::ThreeQuarters => "75",
            Self::Full => "full",
        }
    }

    /// As people say it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Shadow => "shadow (0 %)",
            Self::Canary => "canary (10 %)",
            Self::Quarter => "25 %",
            Self::Half => "50 %",
            Self::ThreeQuarters => "75 %",
            Self::Full => "full (100 %)",
        }
    }

    /// The step after this one; none after the last.
    pub fn next(self) -> Option<Self> {
        LADDER.into_iter().find(|step| *step > self)
    }

    /// A step as people write it: its name, a percentage (`25`, `25%`), or a share (`0.25`). None for shares that are no step.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(step) = LADDER.into_iter().find(|step| step.name() == text) {
            return Some(step);
        }
        let number: f64 = text.strip_suffix('%').unwrap_or(text).trim().parse().ok()?;
        let is_share = !text.ends_with('%') && number <= 1.0;
        let share = if is_share { number } else { number / 100.0 };
        LADDER.into_iter().find(|step| (step.share(0.0) - share).abs() < 1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_written_in_several_ways() {
        for (text, step) in
            [("shadow", Step::Shadow), ("0", Step::Shadow), ("0.1", Step::Canary), ("10%", Step::Canary), ("75", Step::ThreeQuarters)]
        {
            assert_eq!(Step::parse(text), Some(step), "{text}");
        }
        assert_eq!([Step::parse("1.0"), Step::parse("100"), Step::parse("full")], [Some(Step::Full); 3]);
        assert!(["", "30", "1%", "-10", "200", "NaN", "half"].iter().all(|text| Step::parse(text).is_none()));
        assert!(LADDER.iter().all(|step| Step::parse(step.name()) == Some(*step)));
    }

    #[test]
    fn the_ladder_rises() {
        let climbed: Vec<Step> = std::iter::successors(Some(Step::Shadow), |step| step.next()).collect();
        assert_eq!(climbed, LADDER);
        assert!(LADDER.windows(2).all(|pair| pair[0].share(0.02) < pair[1].share(0.02)));
    }
}
