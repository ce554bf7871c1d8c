//! Questions that a training set shares with test sets.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::task::example::TaskExample;

/// Identifiers that a report lists at most.
const MAX_IDS: usize = 8;

/// What was taken out of a training set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlapReport {
    /// Training examples removed.
    pub removed: usize,
    /// Training examples left.
    pub kept: usize,
    /// Identifiers of the first few removed.
    pub removed_ids: Vec<String>,
    /// One entry a test set, in the order given.
    pub by_source: Vec<SourceOverlap>,
}

/// What a training set shares with one test set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceOverlap {
    /// Name of the test set.
    pub source: String,
    /// Training examples whose question is in it; one that is in several sets counts for each.
    pub removed: usize,
    /// Its own examples whose question is in the training set.
    pub shared: usize,
}

/// A question with case folded, white space collapsed, and ASCII punctuation and white space at both ends gone.
///
/// SMILES strings that differ only in case read the same: a training question too many may be removed, never too few.
pub fn normalize_question(question: &str) -> String {
    let folded = question.to_lowercase();
    let words: Vec<&str> = folded.split_whitespace().collect();
    let is_edge = |c: char| c.is_ascii_punctuation() || c.is_whitespace();
    words.join(" ").trim_matches(is_edge).to_owned()
}

/// Removes from `train` every example whose normalized question is in one of the named test sets.
pub fn remove_overlap(
    train: Vec<TaskExample>,
    tests: &[(&str, &[TaskExample])],
) -> (Vec<TaskExample>, OverlapReport) {
    let normalized: Vec<String> = train.iter().map(|example| normalize_question(&example.question)).collect();
    let in_train: HashSet<&str> = normalized.iter().map(String::as_str).collect();
    let mut is_removed = vec![false; train.len()];
    let mut by_source = Vec::with_capacity(tests.len());
    for (source, test) in tests {
        let questions: Vec<String> =
            test.iter().map(|example| normalize_question(&example.question)).collect();
        let in_test: HashSet<&str> = questions.iter().map(String::as_str).collect();
        let mut removed = 0;
        for (question, is_removed) in normalized.iter().zip(&mut is_removed) {
            if in_test.contains(question.as_str()) {
                *is_removed = true;
                removed += 1;
            }
        }
        let shared = questions.iter().filter(|question| in_train.contains(question.as_str())).count();
        by_source.push(SourceOverlap { source: (*source).to_owned(), removed, shared });
    }
    let (mut kept, mut removed_ids, mut removed) = (Vec::new(), Vec::new(), 0);
    for (example, is_removed) in train.into_iter().zip(is_removed) {
        if !is_removed {
            kept.push(example);
            continue;
        }
        removed += 1;
        if removed_ids.len() < MAX_IDS {
            removed_ids.push(example.id);
        }
    }
    let report = OverlapReport { removed, kept: kept.len(), removed_ids, by_source };
    (kept, report)
}

/// Identifiers of examples whose question, to the letter, came before.
pub(super) fn repeated_questions(examples: &[TaskExample]) -> Vec<String> {
    let mut seen = HashSet::new();
    let repeats = examples.iter().filter(|example| !seen.insert(example.question.as_str()));
    repeats.map(|example| example.id.clone()).collect()
}
