//! A pre-training from its recipe to a model folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use burn::tensor::Device;
use razor_core::{Seed, write_atomic};
use razor_data::{TokenExample, Tokenizer, tokenizer_files};
use razor_models::{Decoder, PartialFolder};
use razor_tensor::TileBudget;
use razor_trainers::language::run::{Better, Checkpoints, Retention, RunFolder};
use razor_trainers::language::{
    EndedBy, Evaluation, EvaluationKind, Learner, Method, ModelExport, Training, TrainingResult, Watching,
    score,
};
use serde::Serialize;

use crate::llm::pretrain::evaluation::{BaseEvaluation, evaluate_base};
use crate::llm::pretrain::initial_weights::initial_decoder;
use crate::llm::pretrain::method::PretrainMethod;
use crate::llm::pretrain::recipe::{MICRO_BATCH_TOKENS, PretrainRecipe, TILE_MIB};
use crate::llm::tiny_base::read_base;

/// Where in its folder a pre-training puts the finished model, and the tokenizer that its checkpoints copy.
const MODEL: &str = "model";
const TOKENIZER: &str = "tokenizer";
/// Tokens of the documents that the loss is looked at on.
const N_HELD_OUT_TOKENS: usize = 6_000;
/// Steps that are taken to see how fast they are.
const N_TIMED: usize = 3;

/// A pre-training in its folder, looked at before anything that takes long.
#[derive(Debug)]
pub struct Pretraining {
    recipe: PretrainRecipe,
    folder: PathBuf,
    resume: bool,
}

/// What a pre-training ended with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PretrainingResult {
    /// Of the loop.
    pub training: TrainingResult,
    /// The finished model; `None` where the run was interrupted.
    pub model: Option<PathBuf>,
    /// What it can do.
    pub evaluation: Option<BaseEvaluation>,
}

impl Pretraining {
    /// Looks whether a pre-training of this recipe can be started in `folder`, or continued there with `resume`. Nothing is
    /// written yet.
    ///
    /// # Errors
    /// As of [`RunFolder::check`].
    pub fn new(recipe: PretrainRecipe, folder: &Path, resume: bool) -> anyhow::Result<Self> {
        let pretraining = Self { recipe, folder: folder.to_owned(), resume };
        if !pretraining.is_unpublished()? {
            RunFolder::check(folder, &recipe, resume)?;
        }
        Ok(pretraining)
    }

    /// Whether all steps are taken, but a kill came before the model was written.
    fn is_unpublished(&self) -> anyhow::Result<bool> {
        let is_done = RunFolder::result::<TrainingResult>(&self.folder)?.is_some();
        Ok(self.resume && is_done && !self.folder.join(MODEL).exists())
    }

    /// Seconds that the steps will take, from a few of them here and now.
    ///
    /// # Errors
    /// When the tokenizer cannot be used.
    pub fn expected_seconds(recipe: &PretrainRecipe, device: &Device) -> anyhow::Result<f64> {
        let dir = tempfile::tempdir().context("cannot make a folder for temporary files")?;
        let tokenizer = write_tokenizer(dir.path())?;
        let eos = eos(&tokenizer)?;
        let config = recipe.config(tokenizer.vocab_len(), eos);
        let mut learner = Learner::new(initial_decoder(&config, Seed::new(0), device), recipe.learner());
        let mut method = PretrainMethod { recipe, tokenizer: &tokenizer, eos };
        let mut seconds = f64::INFINITY;
        for step_idx in 0..N_TIMED {
            let started = Instant::now();
            method.step(&mut learner, step_idx, recipe.learning_rate * 1e-3).map_err(|_| not_timed())?;
            seconds = seconds.min(started.elapsed().as_secs_f64());
        }
        Ok(seconds * recipe.n_steps as f64)
    }

    /// Runs to the end, or goes on where it stopped; writes the model with its recipe and evaluation to `model` in the
    /// folder.
    ///
    /// # Errors
    /// As of [`Training::run`] and [`evaluate_base`], and when something cannot be written.
    pub fn run(
        &self,
        device: &Device,
        environment: &impl Serialize,
        watch: &mut Watching<'_>,
    ) -> anyhow::Result<PretrainingResult> {
        let training = match RunFolder::result(&self.folder)? {
            Some(training) => training,
            None => self.train(device, environment, watch)?,
        };
        if training.ended_by == EndedBy::Interrupt {
            return Ok(PretrainingResult { training, model: None, evaluation: None });
        }
        let (model, evaluation) = self.publish(&training, device)?;
        Ok(PretrainingResult { training, model: Some(model), evaluation: Some(evaluation) })
    }

    fn train(
        &self,
        device: &Device,
        environment: &impl Serialize,
        watch: &mut Watching<'_>,
    ) -> anyhow::Result<TrainingResult> {
        let recipe = &self.recipe;
        let folder = match self.resume {
            true => RunFolder::open_for_resume(&self.folder, recipe)?,
            false => RunFolder::create(&self.folder, recipe, environment)?,
        };
        let base_folder = self.folder.join(TOKENIZER);
        let tokenizer = write_tokenizer(&base_folder)?;
        let eos = eos(&tokenizer)?;
        let config = recipe.config(tokenizer.vocab_len(), eos);
        let policy = initial_decoder(&config, Seed::new(recipe.seed).derive("weights", 0), device);
        let mut method = PretrainMethod { recipe, tokenizer: &tokenizer, eos };
        let held_out = Seed::new(recipe.seed).derive("held-out", 0);
        let held_out = method.documents(held_out, N_HELD_OUT_TOKENS)?;
        let mut evaluate = |policy: &Decoder, _: u64| Ok(held_out_loss(policy, &held_out));
        let training = Training {
            learner: Learner::new(policy, recipe.learner()),
            method: &mut method,
            base_kl: None,
            evaluate: &mut evaluate,
            config: recipe.training(),
            checkpoints: Some(Checkpoints::new(
                &folder,
                Retention { keep_last: 1, keep_best: 0, better: Better::Higher },
            )),
            export: ModelExport { base_folder, base_name: String::new(), lora: None },
            watch,
        };
        Ok(training.run(folder)?)
    }

    fn publish(
        &self,
        training: &TrainingResult,
        device: &Device,
    ) -> anyhow::Result<(PathBuf, BaseEvaluation)> {
        let trained = training.last_model.as_deref().context("pre-training writes checkpoints")?;
        let evaluation = evaluate_base(&read_base(trained, device)?)?;
        let target = self.folder.join(MODEL);
        let failed = || format!("cannot write {}", target.display());
        let partial = PartialFolder::create(&target).with_context(failed)?;
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let entries = fs::read_dir(trained).with_context(|| format!("cannot read {}", trained.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            partial.write(&name.to_string_lossy(), &read(&entry.path())?).with_context(failed)?;
        }
        let recipe = toml::to_string(&self.recipe).context("the recipe as TOML")?;
        partial.write("recipe.toml", recipe.as_bytes()).with_context(failed)?;
        let json = serde_json::to_string_pretty(&evaluation)? + "\n";
        partial.write("evaluation.json", json.as_bytes()).with_context(failed)?;
        partial.publish().with_context(failed)?;
        Ok((target, evaluation))
    }
}

fn not_timed() -> anyhow::Error {
    anyhow::anyhow!("the first steps of the recipe diverge: lower `learning_rate`")
}

/// Minus the mean loss per token of completions that are not trained on.
fn held_out_loss(policy: &Decoder, documents: &[TokenExample]) -> Evaluation {
    let batch: Vec<&TokenExample> = documents.iter().collect();
    let scores = score(policy, &batch, 1.0, MICRO_BATCH_TOKENS, TileBudget { bytes: TILE_MIB << 20 });
    let log_probs: Vec<f64> =
        scores.iter().flat_map(|scores| &scores.log_probs).map(|&log_prob| f64::from(log_prob)).collect();
    let n = log_probs.len();
    let mean = log_probs.iter().sum::<f64>() / n as f64;
    let variance = log_probs.iter().map(|log_prob| (log_prob - mean).powi(2)).sum::<f64>() / n as f64;
    let standard_error = (variance / n as f64).sqrt();
    Evaluation { score: mean, kind: EvaluationKind::NegativeLoss, standard_error, n }
}

/// Writes the files of the tokenizer to a folder and reads them as those of any model.
fn write_tokenizer(folder: &Path) -> anyhow::Result<Tokenizer> {
    fs::create_dir_all(folder).with_context(|| format!("cannot write {}", folder.display()))?;
    for (name, text) in tokenizer_files() {
        write_atomic(&folder.join(name), text.as_bytes())?;
    }
    Ok(Tokenizer::load(folder)?)
}

fn eos(tokenizer: &Tokenizer) -> anyhow::Result<u32> {
    tokenizer.eos_ids().first().copied().context("the tokenizer has no end token")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::ControlFlow;

    use super::*;

    fn small() -> PretrainRecipe {
        let assignments = [
            "n_steps=6",
            "n_warmup=2",
            "tokens_per_step=300",
            "evaluate_every=3",
            "checkpoint_every=2",
            "model.hidden_size=16",
            "model.intermediate_size=32",
            "model.n_layers=1",
            "model.n_heads=2",
        ];
        PretrainRecipe::load(None, &assignments.map(str::to_owned)).unwrap()
    }

    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect()
    }

    fn run(folder: &Path, resume: bool, stop_at: Option<u64>) -> PretrainingResult {
        let mut watch = |event: &razor_trainers::language::Event<'_>| match event {
            razor_trainers::language::Event::Step(record) if Some(record.step()) == stop_at => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        };
        let environment = BTreeMap::from([("backend", "flex")]);
        Pretraining::new(small(), folder, resume)
            .unwrap()
            .run(&Device::flex(), &environment, &mut watch)
            .unwrap()
    }

    #[test]
    fn a_run_gives_the_same_bytes_again_stopped_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let result = run(&one, false, None);
        assert_eq!(result.training.n_steps, 6);
        let stopped = run(&two, false, Some(3));
        assert_eq!((stopped.training.ended_by, stopped.model), (EndedBy::Interrupt, None));
        let resumed = run(&two, true, None);
        assert_eq!(files(&resumed.model.unwrap()), files(&result.model.clone().unwrap()));

        let names: Vec<String> = files(&result.model.unwrap()).into_keys().collect();
        let expected = [
            "config.json",
            "evaluation.json",
            "generation_config.json",
            "model.safetensors",
            "recipe.toml",
            "tokenizer.json",
            "tokenizer_config.json",
        ];
        assert_eq!(names, expected);
        let loss = |result: &TrainingResult| -result.evaluation.unwrap().score;
        assert!(loss(&result.training) < 6.2, "{}", loss(&result.training)); // ln 343 is 5.84
    }

    #[test]
    fn a_kill_before_the_model_was_written_costs_no_step() {
        let dir = tempfile::tempdir().unwrap();
        let first = run(dir.path(), false, None);
        let model = first.model.clone().unwrap();
        let before = files(&model);
        fs::remove_dir_all(&model).unwrap();
        let again = run(dir.path(), true, None);
        assert_eq!((files(&model), &again), (before, &first));
        assert!(Pretraining::new(small(), dir.path(), true).is_err(), "it is finished");
    }
}
