//! Short English word lists, chosen for this project: which words hint at which kind of query.

use std::sync::LazyLock;

/// A kind of word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// Haste.
    Urgent,
    /// Praise and thanks.
    Positive,
    /// Complaint and failure.
    Negative,
    /// Courtesy.
    Polite,
    /// Words that open a question.
    Question,
    /// Verbs that open a command.
    Command,
    /// Tools and actions on systems.
    Tool,
    /// Programming.
    Coding,
    /// Words that stand in programs.
    CodeToken,
    /// Explaining, comparing, proving.
    Reasoning,
    /// Small talk.
    Chat,
    /// Numbers and mathematics.
    Mathematics,
    /// Machines and operations.
    System,
    /// Data and documents.
    Data,
    /// Steps and conditions.
    Structure,
}

/// Number of topics.
pub(crate) const N_TOPICS: usize = 15;

/// The words of every topic, in the order of [`Topic`].
const WORDS: [(Topic, &str); N_TOPICS] = [
    (
        Topic::Urgent,
        "urgent urgently asap immediately now quickly quick hurry emergency critical deadline today tonight right-away instantly soon outage blocked blocking",
    ),
    (
        Topic::Positive,
        "good great nice love thanks thank excellent awesome perfect happy helpful glad wonderful amazing works cool best fine enjoy",
    ),
    (
        Topic::Negative,
        "bad wrong broken fail failed fails failing failure error errors bug crash crashed crashes issue problem hate terrible awful useless stuck angry annoying slow worse worst never not cannot can't doesn't won't",
    ),
    (Topic::Polite, "please kindly could would thanks thank appreciate sorry excuse"),
    (
        Topic::Question,
        "what why how when where who whom whose which is are was were do does did can could should would will whether am may",
    ),
    (
        Topic::Command,
        "show list find get give tell create make write run execute start stop open close delete remove add update set send check search compute calculate convert translate summarize summarise explain fix refactor implement generate build deploy install fetch read book schedule order play turn compare analyze analyse review draw plot describe sort count print restart kill move copy rename download upload",
    ),
    (
        Topic::Tool,
        "run execute start stop restart open close launch list show search fetch get set send email mail message call calendar schedule book order timer alarm reminder remind weather temperature forecast stock price flight hotel map directions file files folder directory screenshot browser api endpoint lookup status tool command shell terminal play volume light lights turn toggle enable disable download upload ticket inventory",
    ),
    (
        Topic::Coding,
        "code function functions class method methods variable bug debug refactor compile compiler test tests unit python rust java javascript typescript c sql regex algorithm implement implementation script library package module api json yaml xml html css git commit branch merge exception stacktrace stack trace loop array string integer pointer async thread recursion recursive struct enum interface database query index docker kubernetes pipeline lint parser parse program programming snippet",
    ),
    (
        Topic::CodeToken,
        "def fn func return const let var import from class public private static void int str bool self null none true false elif else if for while try except catch finally lambda struct impl enum match async await select where print println include namespace",
    ),
    (
        Topic::Reasoning,
        "why explain reason reasoning because therefore prove proof derive compare contrast difference differences tradeoff tradeoffs trade-offs pros cons advantages disadvantages evaluate assess analyze analyse analysis argue argument implications consequences hypothesis infer conclude conclusion strategy plan design decide should optimal philosophy ethical impact cause effect consider logic logical puzzle understand interpret",
    ),
    (
        Topic::Chat,
        "hi hello hey yo morning evening afternoon bye goodbye thanks thank you joke story poem fun chat talk feel feeling lonely bored happy sad weekend favorite favourite movie song music lol haha friend who are name",
    ),
    (
        Topic::Mathematics,
        "calculate compute sum add subtract multiply divide product ratio percent percentage average mean median equation solve integral derivative probability area volume distance speed triangle circle square root factorial prime number numbers total interest rate many much equal equals twice half algebra geometry matrix vector sqrt factor",
    ),
    (
        Topic::System,
        "server servers service services process processes memory cpu gpu vram disk network port log logs latency cluster node nodes container containers pod deploy deployment restart database cache queue backup monitor monitoring alert alerts metrics status health uptime security vulnerability scan firewall certificate permission permissions user users password login token",
    ),
    (
        Topic::Data,
        "data table csv excel spreadsheet report dataset column row rows columns document documents pdf article text summary summarize summarise translate extract classify label chart plot graph dashboard statistics record records paper email page website list",
    ),
    (
        Topic::Structure,
        "first second third then next finally after before if unless when while until step steps also and or but however additionally both each every either otherwise given assume suppose such using multiple several",
    ),
];

/// Every word with its topic, sorted by word.
static ENTRIES: LazyLock<Vec<(&'static str, Topic)>> = LazyLock::new(|| {
    let mut entries: Vec<(&str, Topic)> =
        WORDS.iter().flat_map(|&(topic, words)| words.split_ascii_whitespace().map(move |word| (word, topic))).collect();
    entries.sort_unstable();
    entries.dedup();
    entries
});

/// Counts a lower-case word in every topic that holds it.
pub(crate) fn count_topics(word: &str, counts: &mut [u32; N_TOPICS]) {
    let first = ENTRIES.partition_point(|&(entry, _)| entry < word);
    for &(_, topic) in ENTRIES[first..].iter().take_while(|&&(entry, _)| entry == word) {
        counts[topic as usize] += 1;
    }
}

/// Whether a topic holds a lower-case word.
pub(crate) fn has_word(topic: Topic, word: &str) -> bool {
    ENTRIES.binary_search(&(word, topic)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_stand_in_the_order_of_their_numbers() {
        for (position, (topic, _)) in WORDS.iter().enumerate() {
            assert_eq!(*topic as usize, position);
        }
    }

    #[test]
    fn a_word_counts_in_every_topic_that_holds_it() {
        let mut counts = [0; N_TOPICS];
        count_topics("debug", &mut counts);
        count_topics("thanks", &mut counts);
        count_topics("zyzzyva", &mut counts);
        assert_eq!(counts.iter().sum::<u32>(), 4);
        assert_eq!((counts[Topic::Coding as usize], counts[Topic::Chat as usize], counts[Topic::Polite as usize]), (1, 1, 1));
        assert!(has_word(Topic::Question, "why") && !has_word(Topic::Question, "because"));
    }
}
