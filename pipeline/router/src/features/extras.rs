//! Every further scalar of the log that the training window held often enough.

use routewright_domain::Scalar;

use super::{Feature, QueryInput, Write, column};
use crate::schema::{Column, ColumnKind, ExtraColumn, ExtraEncoding, Schema};

pub(super) const FEATURE: Feature = Feature { name: "extras", summary: "further scalars of the log", columns, write: Write::Query(write) };

fn columns(schema: &Schema) -> Vec<Column> {
    let describe = |extra: &ExtraColumn| {
        let (kind, meaning) = match &extra.encoding {
            ExtraEncoding::Number => (ColumnKind::Number, format!("`{}` as logged; true is 1", extra.key)),
            ExtraEncoding::Code(_) => (ColumnKind::Code, format!("`{}` as its position by falling frequency", extra.key)),
            ExtraEncoding::Length => (ColumnKind::Count, format!("length of `{}`", extra.key)),
        };
        column("extras", format!("extra:{}", extra.key), kind, meaning)
    };
    schema.extras.iter().map(describe).collect()
}

/// Logged scalars that are passed over before one is looked up.
const LOOK_AHEAD: usize = 8;

fn write(input: &QueryInput<'_>, row: &mut [f32]) {
    // Both lists are in the order of their keys: what is looked for next mostly stands next. Equality asks for lengths first, order cannot.
    let mut logged = input.request.extras.iter();
    for (number, extra) in row.iter_mut().zip(&input.schema.extras) {
        let mut ahead = logged.clone();
        let next = ahead.by_ref().take(LOOK_AHEAD).find(|(key, _)| **key == extra.key).map(|(_, value)| value);
        if next.is_some() {
            logged = ahead;
        }
        let value = next.or_else(|| input.request.extras.get(&extra.key));
        *number = match (&extra.encoding, value) {
            (ExtraEncoding::Number, Some(Scalar::Number(value))) => *value as f32,
            (ExtraEncoding::Number, Some(Scalar::Bool(value))) => f32::from(u8::from(*value)),
            (ExtraEncoding::Code(dictionary), Some(Scalar::Text(text))) => dictionary.code(text) as f32,
            (ExtraEncoding::Length, Some(Scalar::List(list))) => list.len() as f32,
            _ => f32::NAN,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;
    use routewright_domain::{Paths, Scalar, Seed, Timestamp};

    use crate::{Encoder, Request, Schema, SchemaSettings, Scratch};

    fn numbers(keys: impl IntoIterator<Item = u8>) -> BTreeMap<String, Scalar> {
        keys.into_iter().map(|key| (format!("{key:02}"), Scalar::Number(f64::from(key)))).collect()
    }

    proptest! {
        #[test]
        fn every_logged_scalar_is_found_wherever_it_stands(
            known in prop::collection::btree_set(0..90_u8, 1..40),
            logged in prop::collection::btree_set(0..90_u8, 0..60),
        ) {
            let (known, logged) = (numbers(known), numbers(logged));
            let settings = SchemaSettings { groups: vec!["extras".to_owned()], ..SchemaSettings::default() };
            let request = |extras| Request { extras, ..Request::new("", Timestamp(0)) };
            let schema = Schema::fit(&Paths::from_names(["a"]), [request(&known)].into_iter(), &settings, Seed(1)).unwrap();
            let encoder = Encoder::new(Arc::new(schema));
            let mut row = vec![-1.0; encoder.n_columns()];
            encoder.encode_query(&request(&logged), &mut Scratch::default(), &mut row);
            for (number, key) in row.iter().zip(known.keys()) {
                let expected = logged.get(key).map(|_| key.parse::<f32>().unwrap());
                prop_assert_eq!((!number.is_nan()).then_some(*number), expected, "{}", key);
            }
        }
    }
}
