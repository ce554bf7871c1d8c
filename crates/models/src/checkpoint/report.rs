//! Whether the tensors of a checkpoint are those of a config.

use std::collections::HashSet;

use crate::checkpoint::header::Entry;
use crate::checkpoint::numbers::Stored;
use crate::checkpoint::reader::{Checkpoint, EMBEDDING, LM_HEAD, Located, not_a_float};
use crate::error::ModelError;
use crate::lm_config::LmConfig;
use crate::strict_json::shown;

/// What a load will use and what it will leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// Tensors that the model takes.
    pub n_tensors: usize,
    /// Their bytes in the files.
    pub n_bytes: u64,
    /// Types of those tensors in the files, each once, in the order of the files: `BF16`.
    pub dtypes: Vec<&'static str>,
    /// The files hold the shared embedding only as `lm_head.weight`.
    pub embedding_is_lm_head: bool,
    /// Tensors that are left on the disk because nothing needs them.
    pub ignored: Vec<Ignored>,
}

/// A tensor that no load reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Name in the file.
    pub name: String,
    /// Why it can be left.
    pub reason: &'static str,
}

impl Checkpoint {
    /// Compares names, shapes and types with what `config` asks for.
    ///
    /// Reads no weights, except that the two copies of a shared embedding are compared byte for byte.
    ///
    /// # Errors
    /// [`ModelError::Mismatch`] with every missing, unexpected, wrongly shaped or wrongly typed tensor;
    /// [`ModelError::Read`] or [`ModelError::Tensor`] when the comparison of the copies cannot read.
    pub fn check(&self, config: &LmConfig) -> Result<LoadReport, ModelError> {
        let mut report = LoadReport {
            n_tensors: 0,
            n_bytes: 0,
            dtypes: vec![],
            embedding_is_lm_head: false,
            ignored: vec![],
        };
        let (mut problems, mut used) = (Vec::new(), HashSet::new());
        for spec in config.tensors() {
            // Without a tie the output layer is no stand-in for the embedding.
            let stands_in =
                |located: &&Located| located.entry.name == spec.name || config.tie_word_embeddings;
            let Some(located) = self.find(&spec.name).filter(stands_in) else {
                problems.push(format!("`{}` {:?} is missing", spec.name, spec.shape));
                continue;
            };
            let entry = &located.entry;
            used.insert(entry.name.as_str());
            problems.extend(entry_problem(entry, &spec.shape));
            report.n_tensors += 1;
            report.n_bytes += entry.n_bytes;
            report.embedding_is_lm_head |= spec.name == EMBEDDING && entry.name == LM_HEAD;
            if !report.dtypes.contains(&entry.dtype) {
                report.dtypes.push(entry.dtype);
            }
        }
        for located in self.entries().iter().filter(|located| !used.contains(located.entry.name.as_str())) {
            match self.reason_to_ignore(located, config)? {
                Ok(reason) => report.ignored.push(Ignored { name: located.entry.name.clone(), reason }),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            return Ok(report);
        }
        Err(ModelError::Mismatch { path: self.folder().to_owned(), problems })
    }

    /// Why a tensor that the config does not name may stay on the disk, or what is wrong with it.
    fn reason_to_ignore(
        &self,
        located: &Located,
        config: &LmConfig,
    ) -> Result<Result<&'static str, String>, ModelError> {
        let entry = &located.entry;
        if is_rotary_buffer(&entry.name) {
            return Ok(Ok("rotary frequencies follow from the config"));
        }
        let embedding = self.find(EMBEDDING).filter(|_| config.tie_word_embeddings && entry.name == LM_HEAD);
        let Some(embedding) = embedding else {
            return Ok(Err(format!("`{}` {:?} is not expected", shown(&entry.name), entry.shape)));
        };
        let alike = embedding.entry.shape == entry.shape && embedding.entry.dtype == entry.dtype;
        if alike && self.same_bytes(embedding, located)? {
            return Ok(Ok("a copy of the shared embedding"));
        }
        let message = format!(
            "`{LM_HEAD}` differs from `{EMBEDDING}`, but `tie_word_embeddings` says they are one: set it to false or \
             remove one"
        );
        Ok(Err(message))
    }
}

fn entry_problem(entry: &Entry, shape: &[usize]) -> Option<String> {
    if entry.shape != shape {
        return Some(format!("`{}` has shape {:?}, expected {shape:?}", entry.name, entry.shape));
    }
    Stored::of(entry.dtype).is_none().then(|| format!("`{}` {}", entry.name, not_a_float(entry)))
}

/// Buffers that early versions of transformers stored: of each layer, or one for all.
fn is_rotary_buffer(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("model.") else { return false };
    let of_layer = rest.strip_prefix("layers.").and_then(|rest| rest.split_once('.'));
    match of_layer {
        Some((layer, tail)) => layer.parse::<usize>().is_ok() && tail == "self_attn.rotary_emb.inv_freq",
        None => rest == "rotary_emb.inv_freq",
    }
}
