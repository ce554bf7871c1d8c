//! Completions drawn from a model, to be measured.

use razor_core::Seed;
use razor_models::{
    Completion, Decoder, GenerationLimits, GenerationRequest, ModelError, Sampling, ScoreRequest, StopReason,
    generate,
};

use crate::language::{CompletionShift, SampleSource, ShiftSample};

/// A completion that a model wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnCompletion {
    /// Which prompt.
    pub prompt_idx: usize,
    /// Prompt and completion as token ids.
    pub request: ScoreRequest,
    /// What each token was drawn with, nats.
    pub log_probs: Vec<f32>,
    /// Whether it was cut before a stop token came.
    pub is_truncated: bool,
}

impl DrawnCompletion {
    /// With what both models say of it.
    pub fn measured(&self, source: SampleSource, shift: CompletionShift) -> ShiftSample {
        ShiftSample { prompt_idx: self.prompt_idx, source, is_truncated: self.is_truncated, shift }
    }
}

/// Draws `n_samples` completions of each prompt at temperature 1, without truncation of the distribution, prompt by
/// prompt; they depend on seed and place alone. `on_end` hears of every completion.
///
/// # Errors
/// As [`generate`].
pub fn draw_completions(
    model: &Decoder,
    prompts: &[Vec<u32>],
    n_samples: usize,
    limits: &GenerationLimits,
    seed: Seed,
    on_end: &mut dyn FnMut(),
) -> Result<Vec<DrawnCompletion>, ModelError> {
    let request = |(idx, prompt): (usize, &Vec<u32>)| {
        let seed = seed.derive("prompt", idx as u64);
        let seeds = (0..n_samples as u64).map(|sample| seed.derive("sample", sample)).collect();
        GenerationRequest { prompt: prompt.clone(), seeds }
    };
    let requests: Vec<GenerationRequest> = prompts.iter().enumerate().map(request).collect();
    let mut completions: Vec<Option<Completion>> = vec![None; prompts.len() * n_samples];
    let mut keep = |request: usize, sample: usize, completion: Completion| {
        completions[request * n_samples + sample] = Some(completion);
        on_end();
    };
    generate(model, &requests, Sampling::PLAIN, limits, &mut |_, _, _| false, &mut keep)?;
    let drawn = |(idx, completion): (usize, Option<Completion>)| {
        let Completion { tokens, log_probs, stop_reason } = completion.expect("every completion has ended");
        let prompt_idx = idx / n_samples;
        let request = ScoreRequest { context: prompts[prompt_idx].clone(), continuation: tokens };
        DrawnCompletion { prompt_idx, request, log_probs, is_truncated: stop_reason != StopReason::StopToken }
    };
    Ok(completions.into_iter().enumerate().map(drawn).collect())
}
