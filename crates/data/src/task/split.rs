//! Training and test questions, told apart by a hash of the question.

use sha2::{Digest, Sha256};

use crate::task::example::TaskExample;
use crate::task::overlap::normalize_question;

/// One question in this many is a test question.
const TEST_ONE_IN: u64 = 10;

/// Two sets without a common question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSplit {
    /// About nine in ten, in the order given.
    pub train: Vec<TaskExample>,
    /// About one in ten, in the order given.
    pub test: Vec<TaskExample>,
}

/// Whether a question belongs to the test side.
///
/// Depends on nothing but the [normalized](normalize_question) question: the first eight bytes of its SHA-256, read as
/// a big-endian number, are a multiple of ten.
pub fn is_test_question(question: &str) -> bool {
    let digest = Sha256::digest(normalize_question(question).as_bytes());
    let head: [u8; 8] = digest[..8].try_into().expect("a SHA-256 has 32 bytes");
    u64::from_be_bytes(head).is_multiple_of(TEST_ONE_IN)
}

/// Splits examples 90/10 by their questions; neither their order nor what else is there matters.
///
/// Questions that read the same always fall on one side. Paper: arXiv 2509.04259 states no split; this is ours.
pub fn split_by_question(examples: Vec<TaskExample>) -> TaskSplit {
    let (test, train) = examples.into_iter().partition(|example| is_test_question(&example.question));
    TaskSplit { train, test }
}
