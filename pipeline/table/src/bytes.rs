//! Compares short runs of bytes, such as keys: a call of the system's comparison takes longer than they do.

/// Whether bytes begin with others.
#[inline]
pub(crate) fn begins_with(bytes: &[u8], beginning: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..beginning.len()) else { return false };
    match (bytes.last_chunk(), beginning.last_chunk()) {
        // The last eight bytes may overlap those before them.
        (Some(ours), Some(theirs)) => {
            let mut eights = bytes.as_chunks::<8>().0.iter().zip(beginning.as_chunks::<8>().0);
            u64::from_ne_bytes(*ours) == u64::from_ne_bytes(*theirs)
                && eights.all(|(ours, theirs)| u64::from_ne_bytes(*ours) == u64::from_ne_bytes(*theirs))
        }
        _ => bytes.iter().zip(beginning).all(|(ours, theirs)| ours == theirs),
    }
}

/// Whether two texts are equal.
#[inline]
pub(crate) fn is_same(text: &str, other: &str) -> bool {
    text.len() == other.len() && begins_with(text.as_bytes(), other.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_compared_as_the_system_does(text in "[ab]{0,20}", other in "[ab]{0,20}", at in 0..20_usize) {
            prop_assert_eq!(begins_with(text.as_bytes(), other.as_bytes()), text.starts_with(&other));
            prop_assert!(begins_with(text.as_bytes(), &text.as_bytes()[..at.min(text.len())]));
            prop_assert_eq!(is_same(&text, &other), text == other);
            prop_assert!(is_same(&text, &text.clone()));
        }
    }
}
