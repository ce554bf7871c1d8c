//! From raw files to examples: MNIST, FashionMNIST and their procedural stand-ins, and tasks for language models.
//!
//! Files are found, unpacked, parsed and compared with the SHA-256 sums of `datasets/manifest.toml` before anyone sees a
//! pixel; a file that is there but wrong is an error, never a reason to fall back. Without files, stand-ins are drawn
//! from a seed, and carry [`Provenance::Procedural`] into every record.
//!
//! [`load_task`] reads questions with checkable answers, puts them into prompts and says what it skipped; a damaged
//! record is refused by file, line and field.
//!
//! This crate must never hold a tensor, download anything that nobody was told of, or pass procedural images off as
//! real ones.
//!
//! ```
//! use razor_core::Seed;
//! use razor_data::{DatasetId, PictureStyle, Split, procedural_images, render_example};
//!
//! let digits = procedural_images(DatasetId::Mnist, Seed::new(0), 100, 10);
//! assert_eq!(digits.train.len(), 100);
//! let text = render_example(&digits, Split::Train, 0, PictureStyle::Ascii)?;
//! assert!(text.contains("procedural data"));
//! # Ok::<(), razor_data::DataError>(())
//! ```

mod answer;
mod data_file;
mod dataset;
mod error;
mod fetch;
#[cfg(feature = "hub")]
mod hub;
#[cfg(not(feature = "hub"))]
#[path = "no_hub.rs"]
mod hub;
#[cfg(feature = "hub")]
mod hub_parquet;
mod idx;
mod image_set;
mod load;
mod manifest;
mod picture;
mod procedural;
mod sources;
mod state;
mod task;
#[cfg(test)]
mod testing;
mod text;
mod tiny_language;
mod unpack;

pub use answer::{Answer, ChoiceOption, ToolCall};
pub use data_file::DataFile;
pub use dataset::{DatasetId, Provenance, Split};
pub use error::{DataError, Looked};
pub use fetch::{FetchEvent, Fetched, fetch};
pub use idx::{parse_idx_images, parse_idx_labels};
pub use image_set::{FileRecord, IMAGE_LEN, IMAGE_SIDE, ImageDataset, ImageSet, N_CLASSES};
pub use load::{DataPolicy, load_images, load_or_generate};
pub use manifest::{BenchmarkEntry, DatasetEntry, FileEntry, HubEntry, Manifest, TaskEntry, TaskFileEntry};
pub use picture::{PictureStyle, render_example};
pub use procedural::procedural_images;
pub use sources::{FetchListener, Sources};
pub use state::{DatasetState, FileCheck, inspect};
pub use task::{
    AnswerFormat, NoteKind, OverlapReport, PromptMessage, SourceOverlap, TaskData, TaskExample, TaskFile,
    TaskId, TaskNote, TaskSplit, final_answer_text, is_test_question, load_task, load_task_from,
    load_user_task, normalize_question, remove_overlap, split_by_question,
};
pub use text::{
    ChatOptions, ChatTemplate, EncodedContinuation, ExampleCounts, ExampleProblem, ExampleRecipe,
    ExampleText, LengthPolicy, Message, PreviewStyle, PromptTime, StopStrings, TemplateName, TokenBatch,
    TokenExample, Tokenizer, build_example, build_examples, encode_continuation, encode_continuations,
    render_tokens,
};
pub use tiny_language::{
    CorpusMix, SkillItem, TinyDocument, TinySkill, completion_style, skill_items, tiny_documents,
    tokenizer_files,
};
pub use unpack::sha256_hex;
