//! Examples before a question.

use crate::python_random::PythonRandom;
use crate::task::{Document, Shots, Task};

/// Seed of the draws, the reference's.
pub const FEW_SHOT_SEED: u32 = 1234;

/// Gives the documents of a task their examples, one document after the other: the generator goes on from each to the
/// next, so they must come in order.
#[derive(Debug)]
pub(crate) struct FewShot<'a> {
    task: &'a Task,
    random: PythonRandom,
}

impl<'a> FewShot<'a> {
    pub(crate) fn new(task: &'a Task) -> Self {
        Self { task, random: PythonRandom::new(FEW_SHOT_SEED) }
    }

    /// The examples of the next document.
    pub(crate) fn examples(&mut self, document: &Document) -> Vec<&'a Document> {
        let n_shots = self.task.n_shots;
        match &self.task.shots {
            _ if n_shots == 0 => Vec::new(),
            Shots::Never => Vec::new(),
            Shots::FirstOf(examples) => examples.iter().take(n_shots).collect(),
            Shots::SampledFrom(examples) => {
                let drawn = self.random.sample(examples.len(), n_shots);
                drawn.into_iter().map(|idx| &examples[idx]).collect()
            }
            Shots::FromOtherDocuments => self.other_documents(document),
        }
    }

    /// One more than needed is drawn, so that the document itself may be among them.
    fn other_documents(&mut self, document: &Document) -> Vec<&'a Document> {
        let n_shots = self.task.n_shots;
        let documents = &self.task.documents;
        let drawn = self.random.sample(documents.len(), n_shots + 1);
        let is_other = |other: &&Document| other.record != document.record;
        let mut examples: Vec<&Document> =
            drawn.into_iter().map(|idx| &documents[idx]).filter(is_other).collect();
        examples.truncate(n_shots);
        if examples.len() < n_shots {
            // The data repeats this document; the reference draws again from all that differ.
            let others: Vec<&Document> = documents.iter().filter(is_other).collect();
            let n_drawn = n_shots.min(others.len());
            examples = self.random.sample(others.len(), n_drawn).into_iter().map(|idx| others[idx]).collect();
        }
        examples
    }
}
