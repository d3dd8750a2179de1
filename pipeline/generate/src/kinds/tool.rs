//! Lookups and actions: commands to a tool, and questions that a tool may answer.

use super::QueryKind;

/// Commands are clear; questions need more than the tool.
pub(super) const KIND: QueryKind =
    QueryKind { name: "tool", day_share: 0.29, evening_share: 0.22, trend: -0.4, groups: &[(0.70, COMMANDS), (0.30, QUESTIONS)] };

const COMMANDS: &[&str] = &[
    "Show the %metric% on %host% for the last %number% minutes",
    "Show me %metric% for all hosts in %region%",
    "List the %number% largest files on the disk of %host%",
    "Check the status of the %service% service on %host%",
    "Check %metric% on %host%, then on %host%",
    "Get the uptime of %host%",
    "Get the %service% logs from %host% between %number% and %number% minutes ago",
    "Restart the %service% service on %host% and report its status",
    "Run a backup of the %service% database to %host%",
    "Ping %host% %number% times and report the latency",
    "Take a snapshot of %host% before the %service% rollout",
    "Convert %number% %currency% to %currency% at the rate of today",
    "Add a meeting with %person% to my calendar on %weekday% at %number% past nine",
    "Fetch the weather forecast for %city% on %weekday%",
    "Create a calendar entry: %activity% on %weekday%",
    "Look up the price of %product% in %city%",
    "Please check the network metrics of %region% and list hosts above %number% percent",
];

const QUESTIONS: &[&str] = &[
    "What is the weather in %city% on %weekday%?",
    "What is the temperature in %city% tonight, in degrees?",
    "Which host in %region% has the highest %metric%?",
    "Is the %service% service up, and what is its uptime on %host%?",
    "How much memory does %service% take on %host%?",
    "What is the price of %product% in %currency%?",
    "When is my next meeting with %person%?",
    "Are there news about %company% from %weekday%?",
    "How many %currency% do I get for %number% %currency% at the current rate?",
    "Does %host% have a backup from %weekday%?",
];
