//! When the decision is made: hour and weekday, UTC.

use std::f64::consts::TAU;

use super::{Feature, QueryInput, Write, columns};
use crate::schema::ColumnKind::{Code, Cosine, Flag, Number};

pub(super) const FEATURE: Feature = Feature {
    name: "time",
    summary: "hour and weekday",
    columns: |_| {
        columns(
            "time",
            &[
                ("time_hour", Number, "hours since midnight UTC, in [0, 24)"),
                ("time_hour_sine", Cosine, "sine of the hour on a circle of 24"),
                ("time_hour_cosine", Cosine, "cosine of the hour on a circle of 24"),
                ("time_weekday", Code, "0 Monday to 6 Sunday, UTC"),
                ("time_weekend", Flag, "Saturday or Sunday, UTC"),
            ],
        )
    },
    write: Write::Query(write),
};

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    let hour = input.request.timestamp.hour_of_day();
    let weekday = input.request.timestamp.weekday();
    let (sine, cosine) = (hour / 24.0 * TAU).sin_cos();
    row.copy_from_slice(&[hour as f32, sine as f32, cosine as f32, f32::from(weekday), f32::from(u8::from(weekday >= 5))]);
}
