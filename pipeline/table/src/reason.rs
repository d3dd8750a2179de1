//! Why a record was refused: one list of reasons with stable codes.

use std::fmt;

use serde::{Serialize, Serializer};

/// Why a record could not become a decision; [`REASONS`] gives code and meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No JSON value.
    NotJson,
    /// A JSON value, but no object.
    NotAnObject,
    /// The file ends inside a record.
    TruncatedLine,
    /// Bytes that are no UTF-8.
    InvalidUtf8,
    /// Zero bytes in the text.
    NulBytes,
    /// Larger than the size limit.
    RecordTooLarge,
    /// Nested deeper than the depth limit.
    NestingTooDeep,
    /// A required key is absent, null or empty.
    MissingKey,
    /// A value of another type than its key has.
    WrongType,
    /// A text that names no point in time.
    UnparsableTimestamp,
    /// A point in time outside the plausible range.
    ImplausibleTimestamp,
    /// A number outside its range.
    NumberOutOfRange,
    /// NaN or infinity.
    NotFinite,
    /// A propensity outside (0, 1].
    PropensityOutOfRange,
    /// Propensities that do not sum to 1.
    PropensitiesSum,
    /// The propensity and the vector of propensities contradict each other.
    PropensityMismatch,
    /// A file in no known format.
    UnknownFormat,
    /// The same id with other content.
    ConflictingDuplicate,
    /// Compressed data that cannot be read further.
    DecompressionError,
    /// A text that is none of those that its key may have.
    ValueNotAllowed,
    /// A row of a wide table with another number of values than its header.
    RaggedRow,
}

/// A reason with its stable code (snake case, in quarantine files and reports) and one line of meaning.
pub struct ReasonEntry {
    /// The reason.
    pub reason: Reason,
    /// Its code.
    pub code: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// Every reason, in the order of the enum.
pub const REASONS: &[ReasonEntry] = &[
    entry(Reason::NotJson, "not_json", "the text is no JSON value"),
    entry(Reason::NotAnObject, "not_an_object", "a JSON value, but no object"),
    entry(Reason::TruncatedLine, "truncated_line", "the file ends inside a record"),
    entry(Reason::InvalidUtf8, "invalid_utf8", "the bytes are no UTF-8"),
    entry(Reason::NulBytes, "nul_bytes", "the text holds zero bytes"),
    entry(Reason::RecordTooLarge, "record_too_large", "the record is larger than `max_record_bytes`"),
    entry(Reason::NestingTooDeep, "nesting_too_deep", "the record is nested deeper than `max_depth`"),
    entry(Reason::MissingKey, "missing_key", "a required key is absent, null or empty"),
    entry(Reason::WrongType, "wrong_type", "a value has another type than its key"),
    entry(Reason::UnparsableTimestamp, "unparsable_timestamp", "the timestamp is not RFC 3339 with an offset"),
    entry(Reason::ImplausibleTimestamp, "implausible_timestamp", "the timestamp lies outside the plausible range"),
    entry(Reason::NumberOutOfRange, "number_out_of_range", "a number lies outside the range of its key"),
    entry(Reason::NotFinite, "not_finite", "a number is NaN or infinite"),
    entry(Reason::PropensityOutOfRange, "propensity_out_of_range", "the propensity lies outside (0, 1]"),
    entry(Reason::PropensitiesSum, "propensities_sum", "the propensities do not sum to 1"),
    entry(Reason::PropensityMismatch, "propensity_mismatch", "`propensity` differs from `propensities` of the path that ran"),
    entry(Reason::UnknownFormat, "unknown_format", "the file is in no known format"),
    entry(Reason::ConflictingDuplicate, "conflicting_duplicate", "the same id was read before with other content"),
    entry(Reason::DecompressionError, "decompression_error", "the compressed data cannot be read further"),
    entry(Reason::ValueNotAllowed, "value_not_allowed", "a text is none of those that its key may have"),
    entry(Reason::RaggedRow, "ragged_row", "a row of a wide table has another number of values than the header"),
];

const fn entry(reason: Reason, code: &'static str, meaning: &'static str) -> ReasonEntry {
    ReasonEntry { reason, code, meaning }
}

impl Reason {
    /// The stable code.
    pub fn code(self) -> &'static str {
        REASONS.get(self as usize).map_or("", |entry| entry.code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// A record that cannot become a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// What was found where, with the key.
    pub message: String,
}

impl Rejection {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub(crate) fn missing(key: &str) -> Self {
        Self::new(Reason::MissingKey, format!("`{key}` is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_at_its_own_position_with_a_code_of_its_own() {
        let mut codes: Vec<&str> = REASONS.iter().map(|entry| entry.code).collect();
        for (position, entry) in REASONS.iter().enumerate() {
            assert_eq!(entry.reason as usize, position);
            assert!(entry.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit()), "{}", entry.code);
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), REASONS.len());
        assert_eq!(Reason::RaggedRow as usize + 1, REASONS.len());
    }
}
