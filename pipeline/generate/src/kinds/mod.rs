//! The kinds of queries people send, and how their texts are made.

mod ambiguous;
mod chat;
mod coding;
mod reasoning;
mod slots;
mod tool;

use routewright_domain::{Rng, Seed};

use crate::draw::{position, uniform, weighted};

/// A kind of query: how often it comes, and the templates of its texts. The router never sees the kind.
#[derive(Debug)]
pub struct QueryKind {
    /// Name of the kind.
    pub name: &'static str,
    /// Relative frequency by day.
    pub day_share: f64,
    /// Relative frequency from 17:00 to 05:00 UTC.
    pub evening_share: f64,
    /// Change of the frequency over the whole world at drift 1, as a share of itself.
    pub trend: f64,
    /// Groups of templates with their relative frequency; `%name%` is filled from a list of words.
    pub groups: &'static [(f64, &'static [&'static str])],
}

/// Every kind of query.
pub const KINDS: &[QueryKind] = &[tool::KIND, reasoning::KIND, coding::KIND, chat::KIND, ambiguous::KIND];

/// Share of queries that people send word for word again and again.
const POPULAR_SHARE: f64 = 0.10;

/// Number of popular texts per kind.
const POPULAR_TEXTS: f64 = 400.0;

/// Share of queries with a word of haste in front or behind.
const HASTE_SHARE: f64 = 0.07;

/// Words of haste in front of a query.
const HASTE: &[&str] = &["URGENT: ", "Asap please: ", "Emergency! "];

/// Share of queries that say for whom or how.
const REMARK_SHARE: f64 = 0.35;

/// Remarks behind a query; none changes its type.
const REMARKS: &[&str] = &[
    " (keep it under %number% words)",
    " (it is for %person% in %city%)",
    " (%person% from %company% asked for it)",
    " (the %field% team waits for it)",
    " (ticket %number%%number%, opened on %weekday%)",
    " (I have about %number% minutes)",
];

/// Draws the text of a query at a time: some texts are popular and come back, most are new.
pub(crate) fn draw_text(hour: f64, progress: f64, drift: f64, seed: Seed, rng: &mut Rng) -> String {
    let evening = !(5.0..17.0).contains(&hour);
    let shares: [f64; KINDS.len()] = std::array::from_fn(|row| {
        let kind = &KINDS[row];
        let base = if evening { kind.evening_share } else { kind.day_share };
        base * (1.0 + kind.trend * drift * (progress - 0.5))
    });
    let row = weighted(rng, &shares);
    if uniform(rng) < POPULAR_SHARE {
        let rank = (uniform(rng).powi(2) * POPULAR_TEXTS) as u64;
        return text_of(&KINDS[row], &mut seed.derive(KINDS[row].name, rank).rng());
    }
    text_of(&KINDS[row], rng)
}

/// Makes one text of a kind.
fn text_of(kind: &QueryKind, rng: &mut Rng) -> String {
    let total: f64 = kind.groups.iter().map(|(share, _)| share).sum();
    let mut left = uniform(rng) * total;
    let mut templates = kind.groups[0].1;
    for (share, group) in kind.groups {
        if left < *share {
            templates = group;
            break;
        }
        left -= share;
    }
    let mut text = String::with_capacity(160);
    if uniform(rng) < HASTE_SHARE {
        text.push_str(HASTE[position(rng, HASTE.len())]);
    }
    fill(templates[position(rng, templates.len())], rng, &mut text);
    if uniform(rng) < REMARK_SHARE {
        fill(REMARKS[position(rng, REMARKS.len())], rng, &mut text);
    }
    text
}

/// Appends a template with its slots filled; the words of a slot may have slots themselves.
pub(crate) fn fill(template: &str, rng: &mut Rng, text: &mut String) {
    for (row, part) in template.split('%').enumerate() {
        if row % 2 == 0 {
            text.push_str(part);
        } else if part == "number" {
            text.push_str(&(2 + position(rng, 97)).to_string());
        } else if let Some(choices) = slots::choices(part) {
            fill(choices[position(rng, choices.len())], rng, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Every slot of a template exists, also those inside slots.
    fn check(template: &str) {
        assert_eq!(template.split('%').count() % 2, 1, "unbalanced: {template}");
        for slot in template.split('%').skip(1).step_by(2).filter(|slot| *slot != "number") {
            let choices = slots::choices(slot).unwrap_or_else(|| panic!("no slot `{slot}` for: {template}"));
            choices.iter().for_each(|choice| check(choice));
        }
    }

    #[test]
    fn every_slot_is_known() {
        KINDS.iter().flat_map(|kind| kind.groups).flat_map(|(_, group)| *group).for_each(|template| check(template));
    }

    #[test]
    fn texts_are_many_and_some_come_back() {
        let mut rng = Seed(1).rng();
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for row in 0..20_000 {
            *seen.entry(draw_text(f64::from(row % 24), 0.5, 0.2, Seed(2), &mut rng)).or_default() += 1;
        }
        assert!(seen.len() > 14_000, "{} distinct texts", seen.len());
        assert!(seen.values().any(|&count| count > 5));
        assert!(seen.keys().all(|text| !text.contains('%')));
    }

    #[test]
    fn static_rules_see_most_kinds_but_not_all() {
        let mut rng = Seed(3).rng();
        for kind in KINDS {
            let mut types = BTreeSet::new();
            for _ in 0..300 {
                let text = text_of(kind, &mut rng);
                let (features, counts) = crate::features::read(&text);
                let route = crate::router::route(&text, &features, &counts);
                types.insert(route.query_type);
            }
            let expected = if kind.name == "coding" { 2 } else { 1 };
            assert_eq!(types.len(), expected, "{}: {types:?}", kind.name);
        }
    }
}
