//! Compares the feature `language` with the crate `whatlang` on texts of known languages, and measures both.
//!
//! `cargo run --release -p routewright-router --example language -- FILE`: one text per line, before it the language's code and a tab.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example measures and prints, the library does not")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use routewright_domain::{Paths, Seed, Timestamp};
use routewright_router::{Encoder, Request, Schema, SchemaSettings, Scratch};
use whatlang::{Detector, Lang};

/// The languages in the order of their codes.
const LANGUAGES: [Lang; 20] = [
    Lang::Eng,
    Lang::Spa,
    Lang::Por,
    Lang::Fra,
    Lang::Deu,
    Lang::Ita,
    Lang::Nld,
    Lang::Pol,
    Lang::Tur,
    Lang::Swe,
    Lang::Vie,
    Lang::Ind,
    Lang::Rus,
    Lang::Ukr,
    Lang::Cmn,
    Lang::Jpn,
    Lang::Kor,
    Lang::Ara,
    Lang::Hin,
    Lang::Heb,
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: language FILE")?;
    let content = std::fs::read_to_string(path)?;
    let mut texts = Vec::new();
    for line in content.lines() {
        let (code, text) = line.split_once('\t').ok_or("a line without a tab")?;
        texts.push((code.parse::<usize>()?, text));
    }
    let requests = || texts.iter().map(|(_, text)| Request::new(text, Timestamp(0)));
    let encoder = |groups: &[&str]| {
        let settings = SchemaSettings { groups: groups.iter().map(|group| (*group).to_owned()).collect(), ..SchemaSettings::default() };
        Schema::fit(&Paths::from_names(["a"]), requests().take(1000), &settings, Seed(1)).map(|schema| Encoder::new(Arc::new(schema)))
    };
    let (language, tone) = (encoder(&["language"])?, encoder(&["tone"])?);
    let mut ours = Vec::new();
    let mut times = Vec::new();
    for encoder in [&tone, &language] {
        let (mut scratch, mut row) = (Scratch::default(), vec![0.0; encoder.n_columns()]);
        ours.clear();
        let start = Instant::now();
        for request in requests() {
            encoder.encode_query(&request, &mut scratch, &mut row);
            ours.push(black_box(row[0]));
        }
        times.push(start.elapsed().as_secs_f64());
    }
    let detector = Detector::with_allowlist(LANGUAGES.to_vec());
    let start = Instant::now();
    let theirs: Vec<Option<Lang>> = texts.iter().map(|(_, text)| detector.detect_lang(text)).collect();
    times.push(start.elapsed().as_secs_f64());
    let per_text = |seconds: f64| 1e6 * seconds / texts.len() as f64;
    println!("ours {:.2} µs per text beyond reading it, whatlang {:.2} µs", per_text(times[1] - times[0]), per_text(times[2]));
    println!("{:10} {:>6} {:>8} {:>8} {:>9}", "language", "texts", "ours", "missing", "whatlang");
    let (mut right, mut total) = ([0, 0], 0);
    for (code, name) in LANGUAGES.iter().enumerate() {
        let found = || texts.iter().zip(ours.iter().zip(&theirs)).filter(|((language, _), _)| *language == code);
        let n = found().count();
        let n_ours = found().filter(|(_, (ours, _))| **ours == code as f32).count();
        let n_missing = found().filter(|(_, (ours, _))| ours.is_nan()).count();
        let n_theirs = found().filter(|(_, (_, theirs))| **theirs == Some(*name)).count();
        let share = |count: usize| 100.0 * count as f64 / n.max(1) as f64;
        println!("{:10} {n:6} {:7.1}% {:7.1}% {:8.1}%", name.eng_name(), share(n_ours), share(n_missing), share(n_theirs));
        right = [right[0] + n_ours, right[1] + n_theirs];
        total += n;
    }
    let share = |count: usize| 100.0 * count as f64 / total.max(1) as f64;
    println!("{:10} {total:6} {:7.1}% {:>8} {:8.1}%", "all", share(right[0]), "", share(right[1]));
    Ok(())
}
