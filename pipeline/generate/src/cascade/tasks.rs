//! The masters of the cascade and the tasks that belong to them.

use routewright_domain::Rng;

use crate::draw::position;
use crate::kinds::fill;

/// Every master.
pub const MASTERS: [&str; 5] = ["development-master", "security-master", "inventory-master", "cicd-master", "coordinator-master"];

/// Templates of tasks by master, and the keywords of the first layer.
const TASKS: [(&[&str], &[&str]); 5] = [
    (
        &[
            "Fix the %service% bug that shows after %weekday% imports",
            "Implement paging in the %service% API for %number% rows",
            "Refactor the %service% module to use %language%",
            "Add unit tests for %pattern% in %service%",
            "Optimise the query behind the %service% report for %city%",
        ],
        &["fix", "bug", "feature", "refactor"],
    ),
    (
        &[
            "Scan %service% for known vulnerabilities in its dependencies",
            "Rotate the credentials of %service% on %host%",
            "Review %service% for injection in user input",
            "Renew the TLS certificate of %host% within %number% days",
            "Audit who can read %service% data in %region%",
        ],
        &["security", "vulnerability", "audit", "certificate"],
    ),
    (
        &[
            "List all repositories that use %language% with their versions",
            "Document the owners of %service% and its %number% endpoints",
            "Catalog the hosts in %region% with their packages",
            "Find repositories without a commit for %number% months",
            "Map which services depend on %service%",
        ],
        &["list", "catalog", "document", "inventory"],
    ),
    (
        &[
            "Deploy %service% to %region% with %number% replicas",
            "Set up a pipeline that builds %service% on every merge",
            "Roll back the %weekday% release of %service%",
            "Configure caching in the %service% build on %host%",
            "Speed up the %service% test stage below %number% minutes",
        ],
        &["deploy", "pipeline", "build", "release"],
    ),
    (
        &[
            "Plan the move of %service% to %region% across %number% teams",
            "Coordinate the %weekday% maintenance of %host% and %service%",
            "Decide which team takes over %service% from %person%",
            "Split the %company% request for %service% into tasks",
        ],
        &["plan", "coordinate", "split"],
    ),
];

/// Keyword that the first layer reports when nothing matched.
pub(super) const NO_KEYWORD: &str = "general";

/// Draws the text of a task of a master.
pub(super) fn description(master: usize, rng: &mut Rng) -> String {
    let templates = TASKS[master].0;
    let mut text = String::with_capacity(96);
    fill(templates[position(rng, templates.len())], rng, &mut text);
    text
}

/// Draws a keyword that speaks for a master.
pub(super) fn keyword(master: usize, rng: &mut Rng) -> &'static str {
    let keywords = TASKS[master].1;
    keywords[position(rng, keywords.len())]
}
