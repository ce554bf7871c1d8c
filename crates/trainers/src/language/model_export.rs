//! A policy as a folder that other programs load.

use std::path::{Path, PathBuf};

use burn::tensor::DType;
use razor_models::{Decoder, LoraConfig, ModelError, WeightDtype};

/// Weights of one file, bytes; as Hugging Face's libraries cut them.
const MAX_SHARD_BYTES: u64 = 5_000_000_000;

/// How a policy is written.
#[derive(Debug, Clone)]
pub struct ModelExport {
    /// Folder of the base, whose tokenizer and generation files are copied.
    pub base_folder: PathBuf,
    /// What the base was called; adapters refer to it.
    pub base_name: String,
    /// The adapter that is written instead of all weights.
    pub lora: Option<LoraConfig>,
}

impl ModelExport {
    /// Writes a model folder in Hugging Face's layout, or an adapter folder in PEFT's.
    ///
    /// # Errors
    /// As [`Decoder::save`] and [`Decoder::save_peft_adapter`].
    pub fn write(&self, policy: &Decoder, folder: &Path) -> Result<(), ModelError> {
        match &self.lora {
            Some(config) => policy.save_peft_adapter(folder, config, &self.base_name),
            None => {
                let is_narrow = policy.head().dtype() == DType::BF16;
                let dtype = if is_narrow { WeightDtype::Bf16 } else { WeightDtype::F32 };
                policy.save(folder, Some(&self.base_folder), dtype, MAX_SHARD_BYTES)
            }
        }
    }
}
