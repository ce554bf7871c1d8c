//! Answers that outlive the run that found them.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use razor_benchmarks::{Answer, FEW_SHOT_SEED, Prompt, Scoring, Task};
use razor_core::fingerprint;
use razor_data::{ChatTemplate, sha256_hex};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::backend::BACKEND;
use crate::eval::EvalArgs;
use crate::model::LoadedModel;

/// Bytes of a file that are read at a time.
const PIECE: usize = 1 << 24;

/// The answers of one model in one file, a line each, written as they come. Without `--out` nothing is kept.
pub(crate) struct KeptAnswers {
    known: HashMap<String, Answer>,
    file: Option<(PathBuf, File)>,
    failure: Option<io::Error>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    answer: Answer,
}

impl KeptAnswers {
    /// Opens the file of this model: of its weights, tokenizer, chat template, their type in memory, that of the logits and
    /// the seed.
    pub(crate) fn open(
        name: &str,
        model: &LoadedModel,
        template: Option<&ChatTemplate>,
        args: &EvalArgs,
    ) -> anyhow::Result<Self> {
        let Some(out) = &args.out else {
            return Ok(Self { known: HashMap::new(), file: None, failure: None });
        };
        let mut key = json!({
            "weights": hash_files(&model.folder, "safetensors")?,
            "config_and_tokenizer": hash_files(&model.folder, "json")?,
            "template": template.map(ChatTemplate::source),
            "dtype": format!("{:?}", model.decoder.head().dtype()),
            "backend": BACKEND,
            "seed": FEW_SHOT_SEED,
        });
        // Only where it matters, so that answers of earlier versions are still found.
        if let Some(softmax) = args.bf16_softmax(model) {
            key["logits"] = json!(format!("bf16, {softmax:?}"));
        }
        let path = out.join("answers").join(format!("{}.jsonl", fingerprint(&key)));
        Self::read(&path).with_context(|| format!("cannot keep the answers of {name} in {}", path.display()))
    }

    /// Reads what is there. A last line that was cut, by a crash for instance, is dropped.
    fn read(path: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64)?;
        }
        let mut known = HashMap::new();
        for (idx, line) in text[..whole].lines().enumerate() {
            let Line { key, answer } = serde_json::from_str(line)
                .with_context(|| format!("line {} is damaged, remove it", idx + 1))?;
            known.insert(key, answer);
        }
        Ok(Self { known, file: Some((path.to_owned(), file)), failure: None })
    }

    /// The answer to a prompt of a task, if it is known.
    pub(crate) fn get(&self, task: &Task, prompt: &Prompt) -> Option<Answer> {
        if self.known.is_empty() { None } else { self.known.get(&key(task, prompt)).cloned() }
    }

    /// Keeps an answer. A failure is told by [`finish`](Self::finish): the run itself goes on.
    pub(crate) fn put(&mut self, task: &Task, prompt: &Prompt, answer: &Answer) {
        let Some((_, file)) = &mut self.file else { return };
        let line = Line { key: key(task, prompt), answer: answer.clone() };
        let text = serde_json::to_string(&line).expect("an answer is plain data") + "\n";
        if let Err(error) = file.write_all(text.as_bytes()) {
            self.failure.get_or_insert(error);
        }
    }

    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match (self.failure, self.file) {
            (Some(error), Some((path, _))) => {
                Err(error).with_context(|| format!("cannot write {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Of everything that the answer depends on besides the model.
fn key(task: &Task, prompt: &Prompt) -> String {
    let written = match &task.scoring {
        Scoring::Choice(_) => None,
        Scoring::Text(scoring) => Some((scoring.stops, scoring.max_new_tokens)),
    };
    let parts = json!([task.name, task.version, prompt.contexts, prompt.continuations, written]);
    sha256_hex(parts.to_string().as_bytes())[..32].to_owned()
}

/// Of the names and contents of a folder's files with this extension.
fn hash_files(folder: &Path, extension: &str) -> anyhow::Result<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_file() && path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut hashes = String::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        hashes.push_str(&format!("{name}\n{}\n", hash_file(&path)?));
    }
    Ok(sha256_hex(hashes.as_bytes()))
}

/// Piece by piece: a file of weights need not fit in memory.
fn hash_file(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut hashes = String::new();
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        if Read::by_ref(&mut file).take(PIECE as u64).read_to_end(&mut piece)? == 0 {
            return Ok(sha256_hex(hashes.as_bytes()));
        }
        hashes.push_str(&sha256_hex(&piece));
    }
}
