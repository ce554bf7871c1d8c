//! A procedural tiny language: three new tasks, nine prior skills and the corpus of a base model, all drawn from seeds.
//!
//! Small enough that a decoder of a million weights learns it in minutes, and built so that fine-tuning it raises the
//! questions of the study: the new tasks can be answered in several styles, most of them right, the commonest a guess; the
//! annotator whose completions are imitated writes in a style that the corpus never has.
//!
//! Held-out questions of the tasks and of the generated skills, told by [`is_test_question`](crate::is_test_question),
//! are never in the corpus. Recipe and figures: `datasets/tiny_base/README.md`.

mod corpus;
mod math;
mod science;
mod skill;
mod skill_draw;
mod task;
mod tokenizer;
mod tools;
mod vocabulary;
mod world;

pub use corpus::{CorpusMix, TinyDocument, tiny_documents};
pub use skill::{SkillItem, TinySkill, skill_items};
pub use task::completion_style;
pub(crate) use task::tiny_task;
pub use tokenizer::tokenizer_files;
