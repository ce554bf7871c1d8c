//! What a benchmark is made of.

use std::path::PathBuf;

use razor_data::DataFile;
use serde_json::Value;

use crate::choice_scoring::ChoiceMetric;
use crate::text_scoring::TextScoring;

/// One document: a question with what may follow it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The row of the data set.
    pub record: Value,
    /// The question. Where the choices stand in the question, one text per choice.
    pub contexts: Vec<String>,
    /// What is scored after it: one text per choice, or a single one where the choices stand in the question.
    pub continuations: Vec<String>,
    /// Which choice is right.
    pub gold: usize,
    /// Which choices are true, where that is more than one; otherwise empty.
    pub is_true: Vec<bool>,
    /// The right answer, as the record of results names it.
    pub target: String,
    /// What the model's answer begins with; empty for nothing.
    pub answer_start: String,
}

impl Document {
    /// Number of choices.
    pub fn n_choices(&self) -> usize {
        self.contexts.len().max(self.continuations.len())
    }

    /// The question with the right choice in it, where choices stand there.
    pub(crate) fn gold_context(&self) -> &str {
        &self.contexts[self.gold.min(self.contexts.len() - 1)]
    }

    /// The right answer, as a few-shot example shows it.
    pub(crate) fn answer(&self) -> &str {
        &self.continuations[self.gold.min(self.continuations.len() - 1)]
    }
}

/// Where few-shot examples come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Shots {
    /// The task has none, whatever is asked for.
    Never,
    /// The first ones of a split, in order.
    FirstOf(Vec<Document>),
    /// Drawn anew for each document from a training split.
    SampledFrom(Vec<Document>),
    /// Drawn anew for each document from the other documents of the task: no training split is at hand.
    FromOtherDocuments,
}

/// How the answers of a task come about.
#[derive(Debug, Clone, Copy)]
pub enum Scoring {
    /// Given choices by their log-likelihoods.
    Choice(&'static [ChoiceMetric]),
    /// What the policy writes.
    Text(TextScoring),
}

impl Scoring {
    /// Cuts written answers after so many tokens.
    pub fn cut_answers_after(&mut self, max_new_tokens: usize) {
        if let Self::Text(scoring) = self {
            scoring.max_new_tokens = max_new_tokens;
        }
    }
}

/// A set of documents that is scored as one.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its name in lm-evaluation-harness.
    pub name: String,
    /// What it is called among the tasks of its benchmark.
    pub alias: String,
    /// Version of its definition there.
    pub version: f64,
    /// What stands before the first example; empty for nothing.
    pub description: String,
    /// What is evaluated, in the order of the data set.
    pub documents: Vec<Document>,
    /// Where examples come from.
    pub shots: Shots,
    /// Few-shot examples of each prompt.
    pub n_shots: usize,
    /// What is asked of the policy, and how its answers are judged.
    pub scoring: Scoring,
    /// The files it was read from.
    pub files: Vec<TaskSource>,
}

/// A file of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSource {
    /// Where it was found.
    pub path: PathBuf,
    /// SHA-256 of the unpacked bytes.
    pub sha256: String,
    /// Whether these are the bytes of `datasets/manifest.toml`; `None` where it lists no such file.
    pub matches_manifest: Option<bool>,
}

impl From<&DataFile> for TaskSource {
    fn from(file: &DataFile) -> Self {
        Self {
            path: file.path.clone(),
            sha256: file.sha256.clone(),
            matches_manifest: file.matches_manifest(),
        }
    }
}
