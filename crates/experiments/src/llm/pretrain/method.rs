//! A step of pre-training: documents of the corpus, packed, every token trained.

use std::time::Instant;

use razor_core::Seed;
use razor_data::{DataError, TinyDocument, TokenExample, Tokenizer, tiny_documents};
use razor_trainers::language::run::{StepRecord, metric_name};
use razor_trainers::language::{Learner, Method, StepError, StepOutcome, TrainError};

use crate::llm::pretrain::recipe::PretrainRecipe;

/// Pre-training on the tiny language.
#[derive(Debug)]
pub(super) struct PretrainMethod<'a> {
    pub(super) recipe: &'a PretrainRecipe,
    pub(super) tokenizer: &'a Tokenizer,
    /// The token that ends a document.
    pub(super) eos: u32,
}

impl Method for PretrainMethod<'_> {
    fn step(
        &mut self,
        learner: &mut Learner,
        step_idx: usize,
        learning_rate: f64,
    ) -> Result<StepOutcome, StepError> {
        let started = Instant::now();
        let seed = Seed::new(self.recipe.seed).derive("corpus", step_idx as u64);
        let documents = self.documents(seed, self.recipe.tokens_per_step);
        let documents = documents.map_err(|error| TrainError::NoData(error.to_string()))?;
        // Every token after the first is predicted; where its completion begins decides what it weighs.
        let batch: Vec<TokenExample> = documents
            .iter()
            .map(|document| TokenExample { completion: 1..document.ids.len(), ..document.clone() })
            .collect();
        let weight = |sequence: usize, token: usize| {
            let is_completion = token + 1 >= documents[sequence].completion.start;
            if is_completion { 1.0 } else { self.recipe.prompt_weight }
        };
        let total: f64 = batch
            .iter()
            .enumerate()
            .map(|(sequence, example)| {
                (0..example.completion.len()).map(|token| weight(sequence, token)).sum::<f64>()
            })
            .sum();
        let batch: Vec<&TokenExample> = batch.iter().collect();
        let scores = learner.accumulate(&batch, 1.0, None, &mut |sequence, token, _| {
            (-weight(sequence, token) / total) as f32
        });
        let loss: f64 = scores
            .iter()
            .enumerate()
            .map(|(sequence, scores)| {
                let terms = scores.log_probs.iter().enumerate();
                terms.map(|(token, &log_prob)| -weight(sequence, token) * f64::from(log_prob)).sum::<f64>()
            })
            .sum::<f64>()
            / total;
        if !loss.is_finite() {
            return Err(StepError::NotFinite { what: "loss", batch: Vec::new() });
        }
        let update = learner.step(learning_rate);
        if !update.is_finite {
            return Err(StepError::NotFinite { what: "gradient", batch: Vec::new() });
        }
        let n_tokens: usize = batch.iter().map(|example| example.ids.len()).sum();
        let mut record = StepRecord::new(step_idx as u64 + 1)
            .with(metric_name::LOSS, loss)
            .with(metric_name::GRAD_NORM, update.grad_norm)
            .with(metric_name::LEARNING_RATE, learning_rate);
        let seconds = started.elapsed().as_secs_f64();
        record.set_timing(metric_name::STEP_SECONDS, seconds);
        record.set_timing(metric_name::TOKENS_PER_SECOND, n_tokens as f64 / seconds);
        Ok(StepOutcome { record, completions: Vec::new() })
    }
}

impl PretrainMethod<'_> {
    /// Documents of about `n_tokens` tokens in all; the span of each is its completion with the token that ends it.
    ///
    /// # Errors
    /// [`DataError::Encode`].
    pub(super) fn documents(&self, seed: Seed, n_tokens: usize) -> Result<Vec<TokenExample>, DataError> {
        let (mut examples, mut n) = (Vec::new(), 0);
        for document in tiny_documents(&self.recipe.mix, seed) {
            if n >= n_tokens {
                break;
            }
            let example = self.encoded(&document)?;
            n += example.ids.len();
            examples.push(example);
        }
        Ok(examples)
    }

    fn encoded(&self, document: &TinyDocument) -> Result<TokenExample, DataError> {
        let mut ids = self.tokenizer.encode(&document.prompt, false)?;
        let start = ids.len();
        ids.extend(self.tokenizer.encode(&document.completion, false)?);
        ids.push(self.eos);
        Ok(TokenExample { completion: start..ids.len(), ids, boundary_differs: false })
    }
}
