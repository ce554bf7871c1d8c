//! Why a data set could not be read, fetched or shown.

use std::fmt;
use std::path::PathBuf;

use razor_core::CoreError;

use crate::dataset::DatasetId;
use crate::task::TaskId;
use crate::text::ExampleProblem;

/// Why a data set could not be read, fetched or shown.
///
/// Only [`NotFound`](Self::NotFound) means that there is no data; everything else means that something is wrong with what
/// was given, and is never papered over with stand-ins.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum DataError {
    #[error("no data set is called `{name}`; expected one of: mnist, fashion_mnist")]
    UnknownDataset { name: String },

    #[error(
        "{id} was not found; looked in\n{}\nput its four IDX files there, or name their folder with --data DIR or RAZOR_DATA, \
         or run `razor data fetch {id}` on a machine with a network",
        Looked::list(looked)
    )]
    NotFound { id: DatasetId, looked: Vec<Looked> },
    #[error("{given_by} is {path}, which is not a folder; expected one with {id}'s files in it")]
    NotAFolder { path: PathBuf, given_by: &'static str, id: DatasetId },
    #[error("{given_by} is {path}, which does not hold {id}; expected its four IDX files in {}", expected.join(" or "))]
    LacksSet { path: PathBuf, given_by: &'static str, id: DatasetId, expected: Vec<String> },
    #[error(
        "{path}: {id} is incomplete, missing {} (or .gz); add it or remove the folder",
        missing.join(", ")
    )]
    Incomplete { path: PathBuf, id: DatasetId, missing: Vec<String> },

    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: the gzip stream is damaged after {unpacked} unpacked bytes: {source}")]
    Gzip { path: PathBuf, unpacked: u64, source: std::io::Error },
    #[error("{path}: the gzip stream ends early, expected {expected} unpacked bytes, found {found}")]
    GzipTruncated { path: PathBuf, expected: u64, found: u64 },
    #[error("{path}: expected {expected} unpacked bytes, found more")]
    TooLarge { path: PathBuf, expected: u64 },

    #[error("{path}: expected a header of {expected} bytes, found a file of {found}")]
    Header { path: PathBuf, expected: usize, found: usize },
    #[error("{path}: expected magic number {expected} ({what}), found {found}")]
    Magic { path: PathBuf, what: &'static str, expected: u32, found: u32 },
    #[error("{path}: expected images of 28 x 28 pixels, found {rows} x {columns}")]
    Shape { path: PathBuf, rows: u32, columns: u32 },
    #[error("{path}: truncated, the header's count of {count} needs {expected} bytes, found {found}")]
    Truncated { path: PathBuf, count: u32, expected: u64, found: u64 },
    #[error("{path}: trailing bytes, the header's count of {count} needs {expected} bytes, found {found}")]
    TrailingBytes { path: PathBuf, count: u32, expected: u64, found: u64 },
    #[error("{path}: label {idx} is {found}, expected 0 to 9")]
    Label { path: PathBuf, idx: usize, found: u8 },
    #[error("{path}: expected {expected} items, the header says {found}")]
    Count { path: PathBuf, expected: u32, found: u32 },
    #[error("{images_path} has {n_images} images but {labels_path} has {n_labels} labels")]
    CountMismatch { images_path: PathBuf, n_images: usize, labels_path: PathBuf, n_labels: usize },
    #[error(
        "{path}: expected SHA-256 {expected} of the unpacked bytes, found {found}; the file is not the official one"
    )]
    Checksum { path: PathBuf, expected: String, found: String },

    #[error("cannot store what was fetched: {source}")]
    Store { source: CoreError },
    #[error("cannot fetch {id} from the hub: {reason}")]
    Hub { id: DatasetId, reason: String },
    #[error("{path}: {reason}; `razor data fetch` downloads it again")]
    Parquet { path: PathBuf, reason: String },
    #[error("{split} of {id} has {len} images, no number {idx}; the first is 0")]
    NoSuchExample { id: DatasetId, split: &'static str, idx: usize, len: usize },

    #[error("no task is called `{name}`; expected one of: {expected}")]
    UnknownTask { name: String, expected: String },
    #[error("{task} has no subset `{name}`; expected one of: {expected}")]
    UnknownSubset { task: TaskId, name: String, expected: String },
    #[error(
        "{task} ({subset}) was not found; looked in\n{}\nput its files there, or name the folder above them with --data DIR \
         or RAZOR_DATA",
        Looked::list(looked)
    )]
    TaskNotFound { task: TaskId, subset: String, looked: Vec<Looked> },
    #[error("{given_by} is {path}, which is not a folder; expected one with {task}'s files in it")]
    TaskFolder { path: PathBuf, given_by: &'static str, task: TaskId },
    #[error(
        "{name} was not found; looked in\n{}\nput it there, or name the folder above it with --data DIR or RAZOR_DATA",
        Looked::list(looked)
    )]
    FileNotFound { name: String, looked: Vec<Looked> },
    #[error("{given_by} is {path}, which is not a folder; expected one with {name} in it")]
    DataFolder { path: PathBuf, given_by: &'static str, name: String },
    #[error("{path}:{line}: {reason}")]
    Record { path: PathBuf, line: usize, reason: String },
    #[error("{path}: {task} is incomplete, missing {} (or .gz)", missing.join(", "))]
    TaskIncomplete { path: PathBuf, task: TaskId, missing: Vec<String> },
    #[error("{path}: the gzip stream ends early, after {found} unpacked bytes")]
    GzipCut { path: PathBuf, found: u64 },
    #[error("{path}: expected at most {limit} unpacked bytes, found more")]
    OverLimit { path: PathBuf, limit: u64 },
    #[error("{path}:{line}: {reason}; expected JSON")]
    NotJson { path: PathBuf, line: usize, reason: String },
    #[error("{path}:{line}: field `{field}`: expected {expected}, found {found}")]
    Field { path: PathBuf, line: usize, field: String, expected: String, found: String },
    #[error("{path}: not valid JSON: {source}")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{path}: field `{field}`: expected {expected}, found {found}")]
    JsonField { path: PathBuf, field: String, expected: &'static str, found: String },
    #[error("{path}: not a tokenizer that can be used: {reason}")]
    TokenizerFile { path: PathBuf, reason: String },
    #[error(
        "{path}: field `added_tokens_decoder`: token `{token}` has id {declared}, but tokenizer.json gives it {found}"
    )]
    TokenId { path: PathBuf, token: String, declared: u32, found: u32 },
    #[error("cannot encode the text starting with {start:?}: {reason}")]
    Encode { start: String, reason: String },
    #[error("cannot decode {n_tokens} tokens: {reason}")]
    Decode { n_tokens: usize, reason: String },
    #[error("chat template{}: {reason}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    ChatTemplate { line: Option<usize>, reason: String },

    #[error("an empty context needs a beginning or end token, and the model's files name neither")]
    NoPrefixToken,
    #[error("stop string {idx} is empty; remove it, it would stop every completion at once")]
    EmptyStopString { idx: usize },
    #[error("example {row}: {problem}")]
    Example { row: usize, problem: ExampleProblem },
}

/// A place where a data set was looked for in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The place: an option or variable with its folder, a folder, or the hub.
    pub place: String,
    /// Why it gave nothing.
    pub outcome: String,
}

impl Looked {
    fn list(looked: &[Self]) -> String {
        let lines: Vec<String> = looked.iter().map(|place| format!("  - {place}")).collect();
        lines.join("\n")
    }
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.outcome)
    }
}
