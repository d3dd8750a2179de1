//! What was done: the data window, counts, rejects, seed and digests; and what the numbers cannot say.

use routewright_ope::Identification;

use super::document::{Block, Cell, Table, Words};
use super::format::{as_words, grouped, minute, short};
use super::sources::Sources;

/// What was done.
pub(super) fn provenance(sources: &Sources<'_>) -> Vec<Block> {
    let (decision, ingest) = (sources.decision, sources.ingest);
    let totals = &ingest.totals;
    let from = &decision.provenance;
    let mut table = Table::of(&["what", "value"]);
    let mut row = |name: &str, value: String| table.row([Cell::text(name), Cell { words: Words::plain(value), sort: None }]);
    let time = |time: Option<routewright_domain::Timestamp>| time.map_or_else(|| "?".to_owned(), |time| minute(time.0));
    row("log files read", grouped(ingest.files.len() as u64));
    row("records read", grouped(totals.read));
    row("decisions kept", grouped(totals.kept));
    row("of these, outcome pending", grouped(totals.pending));
    row("duplicates", grouped(totals.duplicate));
    row("in quarantine", grouped(totals.n_quarantined()));
    row("first and last decision", format!("{} to {}", time(ingest.first), time(ingest.last)));
    row("training window", format!("{} to {}", minute(sources.training.window_us.0), minute(sources.training.window_us.1)));
    row("held-out window", format!("{} to {}", minute(sources.replay.window_us.0), minute(sources.replay.window_us.1)));
    row("seed", from.seed.to_string());
    row("version", from.version.clone());
    row("digest of the data", short(&from.data_digest).to_owned());
    row("digest of the rule's settings", short(&from.settings_digest).to_owned());
    row("digest of the models", short(&from.artifact_digest).to_owned());
    let mut blocks = vec![
        Block::Chapter("What was done".to_owned()),
        Block::paragraph(
            "Every setting in force, who set it, and what each stage took is in `reports/runs/<id>/manifest.json`; equal data, settings and seed give these bytes again.",
        ),
        Block::Table(table),
    ];
    if totals.n_quarantined() > 0 {
        let mut reasons: Vec<_> = totals.quarantined.iter().collect();
        reasons.sort_by(|left, right| right.1.cmp(left.1).then(left.0.cmp(right.0)));
        let mut table = Table::of(&["reason for quarantine", "records #"]);
        for (reason, count) in reasons {
            table.row([Cell::text(&as_words(reason)), Cell::count(*count)]);
        }
        blocks.push(Block::Table(table));
    }
    blocks
}

/// What the numbers cannot say, in plain words.
pub(super) fn limits(sources: &Sources<'_>) -> Vec<Block> {
    let regime = match sources.decision.identification {
        Identification::FullInformation => {
            "Every path ran on (nearly) every query, so values are exact for these queries; the intervals speak about other queries like them."
        }
        Identification::Randomised => "Groups were randomised: the difference between them is the effect, as long as the split was kept.",
        Identification::Identified => {
            "Values of paths that did not run follow from exploration with logged propensities; they are as good as these propensities."
        }
        Identification::Partial => "Part of what the learned router would do was never tried: for that part there are only bounds.",
        Identification::EstimatedPropensity => {
            "Propensities were estimated, not logged: the numbers hold only if nothing hidden drove the choice of path."
        }
        Identification::NotIdentified => {
            "The log shows only what its own rules chose. No statistic can say what other paths would have earned there: exploration or shadow runs can."
        }
    };
    let mut limits = vec![
        regime.to_owned(),
        "The held-out window lies after the training window; what changes later is not in these numbers.".to_owned(),
        "Success means what the log calls success. What it does not log (an answer that was right but useless, say) no router here has learned.".to_owned(),
    ];
    let pending = sources.ingest.totals.pending;
    if pending > 0 {
        limits.push(format!("{} decisions with a pending outcome are left out.", grouped(pending)));
    }
    if sources.replay.rows_without_static > 0 {
        limits.push(format!(
            "{} held-out rows are left out because nobody knows what the static router would have chosen.",
            grouped(sources.replay.rows_without_static as u64)
        ));
    }
    limits.push(
        "The verdict is one look at one log. Looking every night and stopping at the first good one finds it by luck; the intervals over all nights are for that."
            .to_owned(),
    );
    vec![Block::Chapter("Limits".to_owned()), Block::Bullets(limits.iter().map(|limit| Words::marked(limit)).collect())]
}
