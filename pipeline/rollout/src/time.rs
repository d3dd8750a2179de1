//! Moments as texts, in UTC.

use routewright_domain::Timestamp;

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;
/// Microseconds of an hour.
pub(crate) const HOUR: f64 = 3.6e9;

/// A moment as RFC 3339.
pub fn rfc3339(timestamp: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(timestamp.0).unwrap_or_default().to_string()
}

/// A day since 1970 as `YYYY-MM-DD`.
pub fn date(day: i64) -> String {
    let moment = jiff::Timestamp::from_microsecond(day.saturating_mul(DAY)).unwrap_or_default();
    moment.strftime("%Y-%m-%d").to_string()
}

/// Moments in JSON as RFC 3339.
pub(crate) mod as_text {
    use routewright_domain::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a moment.
    pub(crate) fn serialize<S: Serializer>(timestamp: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::rfc3339(*timestamp))
    }

    /// Reads a moment.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Timestamp(moment.as_microsecond()))
    }
}
