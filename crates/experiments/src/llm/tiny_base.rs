//! The base that comes with the program: a decoder of the tiny language, pre-trained by `razor pretrain`.

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device};
use razor_core::{CoreError, write_atomic};
use razor_data::Tokenizer;
use razor_models::{Checkpoint, Decoder, LmConfig, TensorSpec, WeightDtype};

use crate::llm::fine_tune::{BaseModel, ModelText};

macro_rules! embedded {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../../datasets/tiny_base/", $name)).as_slice())),*]
    };
}

/// The model folder, file by file.
const FILES: [(&str, &[u8]); 7] = embedded!(
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
    "recipe.toml",
    "evaluation.json"
);

/// Writes the embedded base to `folder`; files that are there already with the right content stay.
///
/// # Errors
/// [`CoreError::Write`] when a file cannot be written.
pub fn write_tiny_base(folder: &Path) -> Result<(), CoreError> {
    fs::create_dir_all(folder).map_err(|source| CoreError::Write { path: folder.to_owned(), source })?;
    for (name, content) in FILES {
        let path = folder.join(name);
        if fs::read(&path).ok().as_deref() != Some(content) {
            write_atomic(&path, content)?;
        }
    }
    Ok(())
}

/// Writes the embedded base to `folder` and reads it from there.
///
/// # Errors
/// As of [`write_tiny_base`] and of reading a model.
pub fn load_tiny_base(folder: &Path, device: &Device) -> anyhow::Result<BaseModel> {
    write_tiny_base(folder)?;
    read_base(folder, device)
}

/// A model folder in f32 without a chat template.
///
/// # Errors
/// When a file is missing or damaged, or the weights do not fit the config.
pub fn read_base(folder: &Path, device: &Device) -> anyhow::Result<BaseModel> {
    let config = LmConfig::load(folder)?;
    let tokenizer = Tokenizer::load(folder)?;
    let checkpoint = Checkpoint::open(folder)?;
    checkpoint.check(&config)?;
    let read = |spec: &TensorSpec| checkpoint.read(spec, WeightDtype::F32);
    let decoder = Decoder::build(&config, DType::F32, device, read)?;
    Ok(BaseModel {
        folder: folder.to_owned(),
        stop_tokens: tokenizer.eos_ids().to_vec(),
        text: ModelText { tokenizer, template: None, context_len: config.max_positions },
        decoder,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use razor_core::Seed;
    use razor_data::{TinySkill, skill_items};
    use razor_models::ScoreLimits;
    use razor_tensor::TileBudget;

    use super::*;
    use crate::llm::pretrain::PretrainRecipe;
    use crate::llm::tiny_suite::{SuiteLimits, score_skills};
    use crate::pool::single_threaded;

    fn limits() -> SuiteLimits {
        let scoring = ScoreLimits { batch_tokens: 8_192, tiles: TileBudget { bytes: 64 << 20 } };
        SuiteLimits { max_rows: 256, scoring }
    }

    #[test]
    fn the_embedded_base_loads_and_scores_on_one_thread() {
        let dir = tempfile::tempdir().unwrap();
        let base = load_tiny_base(dir.path(), &Device::flex()).unwrap();
        assert_eq!(base.text.tokenizer.vocab_len(), base.decoder.config().vocab_size);
        let items: Vec<_> =
            TinySkill::ALL.map(|skill| (skill, skill_items(skill, 150, Seed::new(1)))).into_iter().collect();
        let started = Instant::now();
        let score = || score_skills(&base.decoder, &base.text, &base.stop_tokens, &items, limits()).unwrap();
        let scores = single_threaded(score);
        println!("{} items in {:?} on one thread", 150 * items.len(), started.elapsed());
        for score in &scores {
            println!("{:<10} {:.3}", score.name, score.mean());
        }
        let mean = scores.iter().map(crate::llm::tiny_suite::PriorScore::mean).sum::<f64>() / 9.0;
        assert!(mean > 0.5, "the base knows its skills: {mean}");
        assert_eq!(score(), scores, "threads change nothing");
    }

    #[test]
    fn the_embedded_base_was_made_by_the_default_recipe() {
        let recipe = FILES.iter().find(|(name, _)| *name == "recipe.toml").unwrap().1;
        let recipe: PretrainRecipe = toml::from_str(std::str::from_utf8(recipe).unwrap()).unwrap();
        assert_eq!(recipe, PretrainRecipe::load(None, &[]).unwrap());
    }

    #[test]
    fn files_that_are_there_are_written_again_only_where_they_differ() {
        let dir = tempfile::tempdir().unwrap();
        write_tiny_base(dir.path()).unwrap();
        let path = dir.path().join("config.json");
        let written = fs::metadata(dir.path().join("recipe.toml")).unwrap().modified().unwrap();
        fs::write(&path, "damaged").unwrap();
        write_tiny_base(dir.path()).unwrap();
        assert_ne!(fs::read(&path).unwrap(), b"damaged");
        assert_eq!(fs::metadata(dir.path().join("recipe.toml")).unwrap().modified().unwrap(), written);
    }
}
