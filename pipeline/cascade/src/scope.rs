//! The part of a log that is looked at, with the layers that occur in it.

use std::ops::Range;

use routewright_domain::{CascadeAttempt, CascadeEvent, CascadeLog, Name};

/// A layer of the cascade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Its position in the cascade, from 1: the smallest that was logged.
    pub position: i64,
    key: Name,
}

/// Events of a log, and the layers of its whole cascade.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    log: &'a CascadeLog,
    events: Range<usize>,
    layers: Vec<Layer>,
    clarification: Option<usize>,
}

impl<'a> Scope<'a> {
    /// The events at some positions of a log. Layers are those of the whole log, in the order of the cascade.
    ///
    /// `clarification`: name of the layer that asks the user; empty takes the last layer where each of its confidences is 1.
    pub fn new(log: &'a CascadeLog, events: Range<usize>, clarification: &str) -> Self {
        let mut layers: Vec<Layer> = Vec::new();
        let mut always_sure: Vec<bool> = Vec::new();
        for attempt in log.events().iter().flat_map(|event| log.attempts(event)) {
            match layers.iter().position(|layer| layer.key == attempt.layer) {
                Some(at) => {
                    layers[at].position = layers[at].position.min(attempt.position);
                    always_sure[at] &= attempt.confidence >= 1.0;
                }
                None => {
                    layers.push(Layer { name: log.text(attempt.layer).to_owned(), position: attempt.position, key: attempt.layer });
                    always_sure.push(attempt.confidence >= 1.0);
                }
            }
        }
        let mut ordered: Vec<(Layer, bool)> = layers.into_iter().zip(always_sure).collect();
        ordered.sort_by(|(one, _), (other, _)| (one.position, &one.name).cmp(&(other.position, &other.name)));
        let clarification = if clarification.is_empty() {
            ordered.len().checked_sub(1).filter(|last| ordered[*last].1)
        } else {
            ordered.iter().position(|(layer, _)| layer.name == clarification)
        };
        let events = events.start.min(log.events().len())..events.end.min(log.events().len());
        Self { log, events, layers: ordered.into_iter().map(|(layer, _)| layer).collect(), clarification }
    }

    /// The same log with other events.
    pub fn with_events(&self, events: Range<usize>) -> Self {
        Self { events, ..self.clone() }
    }

    /// The log.
    pub fn log(&self) -> &'a CascadeLog {
        self.log
    }

    /// The events.
    pub fn events(&self) -> &'a [CascadeEvent] {
        &self.log.events()[self.events.clone()]
    }

    /// Positions of the events in the log.
    pub fn range(&self) -> Range<usize> {
        self.events.clone()
    }

    /// The layers, in the order of the cascade.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Position in [`Self::layers`] of the layer that asks the user.
    pub fn clarification(&self) -> Option<usize> {
        self.clarification
    }

    /// Position in [`Self::layers`] of the layer of that name, or at that place of the cascade (from 1).
    pub fn find(&self, name_or_place: &str) -> Option<usize> {
        let by_name = self.layers.iter().position(|layer| layer.name == name_or_place);
        by_name
            .or_else(|| name_or_place.parse::<usize>().ok().filter(|place| (1..=self.layers.len()).contains(place)).map(|place| place - 1))
    }

    /// Position in [`Self::layers`] of an attempt's layer.
    pub(crate) fn layer_of(&self, attempt: &CascadeAttempt) -> usize {
        self.layers.iter().position(|layer| layer.key == attempt.layer).unwrap_or(0)
    }
}

/// Position of the attempt whose answer was taken: of the layer that the event names; else the first that is marked; else the first whose
/// confidence reaches its threshold; else the last. Nothing without attempts.
pub(crate) fn settled(event: &CascadeEvent, attempts: &[CascadeAttempt]) -> Option<usize> {
    let named = attempts.iter().position(|attempt| Some(attempt.layer) == event.settled_by);
    let marked = || attempts.iter().position(|attempt| attempt.taken == Some(true));
    let sure = |attempt: &CascadeAttempt| attempt.threshold.is_some_and(|threshold| attempt.confidence >= threshold);
    named.or_else(marked).or_else(|| attempts.iter().position(sure)).or(attempts.len().checked_sub(1))
}

/// Whether an attempt's answer was right, where that is known.
///
/// Where the path that ran was wrong and nobody said which is right, another answer may have been right or not.
pub(crate) fn is_right(event: &CascadeEvent, attempt: &CascadeAttempt) -> Option<bool> {
    let path = attempt.path?;
    match (event.right_path, event.right) {
        (Some(right_path), _) => Some(path == right_path),
        (None, Some(true)) => Some(path == event.path),
        (None, Some(false)) if path == event.path => Some(false),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{answer, log_of};

    #[test]
    fn layers_of_any_number_and_name_stand_in_the_order_of_the_cascade() {
        let log = log_of(&[
            (Some("a"), &[answer("z", 1, 0.2, "a")][..]),
            (Some("a"), &[answer("z", 1, 0.2, "a"), answer("m", 2, 0.3, "a"), answer("a", 7, 1.0, "a")][..]),
        ]);
        let scope = Scope::new(&log, 0..2, "");
        let names: Vec<&str> = scope.layers().iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!((names, scope.clarification()), (vec!["z", "m", "a"], Some(2)));
        assert_eq!([scope.find("m"), scope.find("3"), scope.find("4")], [Some(1), Some(2), None]);
        assert_eq!(Scope::new(&log, 0..2, "m").clarification(), Some(1));
    }

    #[test]
    fn an_answer_is_judged_only_where_the_right_path_is_known() {
        let log = log_of(&[(Some("a"), &[answer("one", 1, 0.2, "b"), answer("two", 2, 0.9, "a")][..])]);
        let mut event = log.events()[0];
        let attempts = log.attempts(&event);
        assert_eq!([is_right(&event, &attempts[0]), is_right(&event, &attempts[1])], [Some(false), Some(true)]);
        (event.right_path, event.right) = (None, Some(false));
        assert_eq!([is_right(&event, &attempts[0]), is_right(&event, &attempts[1])], [None, Some(false)]);
        assert_eq!(settled(&event, attempts), Some(1));
        event.settled_by = Some(attempts[0].layer);
        assert_eq!(settled(&event, attempts), Some(0), "what the log names counts before its marks");
    }
}
