//! New tasks for language models: questions with answers that can be checked, from the files of public data sets.

mod example;
mod gsm8k;
mod id;
mod layout;
mod load;
mod math;
mod notes;
mod open_reasoner_zero;
mod overlap;
mod prompt;
mod record;
mod sciknoweval;
mod self_distillation;
mod split;
mod toolalpaca;
mod user_jsonl;

pub use example::{AnswerFormat, PromptMessage, TaskData, TaskExample, TaskFile};
pub use id::TaskId;
pub use load::{load_task, load_task_from};
pub use notes::{NoteKind, TaskNote};
pub use overlap::{OverlapReport, SourceOverlap, normalize_question, remove_overlap};
pub use prompt::final_answer_text;
pub(crate) use record::{read_text, records};
pub use split::{TaskSplit, is_test_question, split_by_question};
pub use user_jsonl::load_user_task;
