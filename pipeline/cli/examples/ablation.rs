//! What each group of features is worth: held-out log loss of the success regressors, group by group.
//!
//! `cargo run --release -p routewright --example ablation -- ROUTEWRIGHT PROJECT LOG [KEY=VALUE…]`: the program, an empty folder to work
//! in, a log file or folder, and settings for every run. With `features.embedding.runtime` among them the sentence model is compared too.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Columns that depend on the text alone, on what else the log says at the decision, and on the past.
const QUERY: [&str; 9] = ["text", "language", "code", "entities", "tone", "keywords", "complexity", "query_type", "embedding"];
const CONTEXT: [&str; 3] = ["context", "time", "extras"];
const HISTORY: [&str; 1] = ["history"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, project, log, settings @ ..] = arguments.as_slice() else {
        return Err("usage: ablation ROUTEWRIGHT PROJECT LOG [KEY=VALUE…]".into());
    };
    let without_embedding: Vec<&str> = QUERY.into_iter().filter(|group| *group != "embedding").collect();
    let hashed = "features.embedding.backend=\"hashed\"";
    let fastembed = "features.embedding.backend=\"fastembed\"";
    let variants: [(&str, Vec<&str>, &str); 7] = [
        ("text counts", without_embedding, hashed),
        ("query, hashed", QUERY.to_vec(), hashed),
        ("query + context, hashed", [&QUERY[..], &CONTEXT].concat(), hashed),
        ("query + history, hashed", [&QUERY[..], &HISTORY].concat(), hashed),
        ("all, hashed", [&QUERY[..], &CONTEXT, &HISTORY].concat(), hashed),
        ("query, sentence model", QUERY.to_vec(), fastembed),
        ("all, sentence model", [&QUERY[..], &CONTEXT, &HISTORY].concat(), fastembed),
    ];
    let has_model = settings.iter().any(|setting| setting.starts_with("features.embedding.runtime="));
    println!("{log}\n{:26} {:>9} {:>9} {:>8} {:>7}", "features", "log loss", "of rates", "gain", "rows");
    for (name, groups, backend) in variants.iter().filter(|(_, _, backend)| has_model || *backend == hashed) {
        let groups = format!("features.schema.groups={}", serde_json::to_string(groups)?);
        let mut command = Command::new(program);
        command.args(["--quiet", "--project", project, "--set", &groups, "--set", backend]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        let status = command.args(["run", "evaluate", "--input", log]).status()?;
        if !status.success() {
            return Err(format!("`{name}` failed with {status}").into());
        }
        let evaluation: Value = serde_json::from_slice(&std::fs::read(Path::new(project).join("reports/evaluation.json"))?)?;
        let (log_loss, of_rates, n_rows) = losses(&evaluation);
        println!("{name:26} {log_loss:9.4} {of_rates:9.4} {:7.2} % {n_rows:6}", 100.0 * (1.0 - log_loss / of_rates));
    }
    Ok(())
}

/// Log loss of all success regressors, that of always predicting each path's rate, and the rows judged.
fn losses(evaluation: &Value) -> (f64, f64, f64) {
    let number = |model: &Value, key: &str| model[key].as_f64().unwrap_or(0.0);
    let models = evaluation["success"].as_array().cloned().unwrap_or_default();
    let n_rows: f64 = models.iter().map(|model| number(model, "n_rows")).sum();
    let mean = |key: &str| models.iter().map(|model| number(model, "n_rows") * number(model, key)).sum::<f64>() / n_rows;
    (mean("log_loss"), mean("log_loss_of_rate"), n_rows)
}
