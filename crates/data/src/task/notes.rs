//! What was skipped while loading, or kept although out of the ordinary.

use serde::{Deserialize, Serialize};

/// Places that a note lists at most; the count goes on.
const MAX_PLACES: usize = 8;

/// What became of the records of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Not among the examples.
    Skipped,
    /// Among the examples, but worth knowing.
    Flagged,
}

/// Something that holds for some records of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskNote {
    /// What became of them.
    pub kind: NoteKind,
    /// What it is about them.
    pub reason: String,
    /// How many.
    pub count: usize,
    /// Identifiers of the first few examples, `file:line` of records that gave none.
    pub places: Vec<String>,
}

/// Notes in the making.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<TaskNote>);

impl Notes {
    pub(super) fn skip(&mut self, reason: &str, place: String) {
        self.add(NoteKind::Skipped, reason, 1, place);
    }

    pub(super) fn flag(&mut self, reason: &str, place: String) {
        self.add(NoteKind::Flagged, reason, 1, place);
    }

    /// Flags `count` things at one place; nothing when it is 0.
    pub(super) fn flag_many(&mut self, reason: &str, count: usize, place: &str) {
        if count > 0 {
            self.add(NoteKind::Flagged, reason, count, place.to_owned());
        }
    }

    pub(super) fn into_vec(self) -> Vec<TaskNote> {
        self.0
    }

    fn add(&mut self, kind: NoteKind, reason: &str, count: usize, place: String) {
        let known = self.0.iter_mut().find(|note| note.kind == kind && note.reason == reason);
        match known {
            Some(note) => {
                note.count += count;
                if note.places.len() < MAX_PLACES {
                    note.places.push(place);
                }
            }
            None => self.0.push(TaskNote { kind, reason: reason.to_owned(), count, places: vec![place] }),
        }
    }
}
