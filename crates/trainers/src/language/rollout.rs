//! Groups of completions of a policy, with what they are worth.

use razor_core::Seed;
use razor_data::TokenExample;
use razor_models::{
    Completion, Decoder, GenerationLimits, GenerationRequest, ModelError, Sampling, StopReason, generate,
};
use serde_json::json;

use crate::language::error::TrainError;
use crate::language::method::StepError;

/// What a completion is worth, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The reward; `None` where it is undefined, which leaves the completion out of baseline and loss.
    pub reward: Option<f32>,
    /// The completion as text.
    pub text: String,
    /// Why it got this reward.
    pub reason: String,
}

/// Judges a completion of a training prompt, given as token ids without what follows a stop token.
pub type Judging<'a> = dyn FnMut(usize, &[u32]) -> Result<Judgement, String> + 'a;

/// How completions are drawn.
#[derive(Debug, Clone)]
pub struct RolloutLimits {
    /// Completions of each prompt.
    pub group_size: usize,
    /// Sampling temperature; log-probabilities of the loss are taken at it too.
    pub temperature: f32,
    /// Tokens, stop tokens and rows at a time.
    pub generation: GenerationLimits,
}

/// One completion with its reward.
#[derive(Debug, Clone)]
pub(super) struct Rollout {
    /// Which prompt of the training data.
    pub(super) prompt_idx: usize,
    /// Which of its group.
    pub(super) sample_idx: usize,
    /// Prompt and completion.
    pub(super) example: TokenExample,
    /// What each token was drawn with, nats.
    pub(super) sampler_log_probs: Vec<f32>,
    pub(super) is_truncated: bool,
    pub(super) judgement: Judgement,
}

/// Why completions of the policy could not be drawn; where its logits are not finite, with the prompts of the step.
pub(super) fn undrawn(error: TrainError, prompts: &[Vec<u32>], chosen: &[usize]) -> StepError {
    let describe = |&idx: &usize| json!({ "prompt": idx, "token_ids": prompts[idx] });
    match error {
        TrainError::Model(ModelError::Logits) => {
            StepError::NotFinite { what: "logits", batch: chosen.iter().map(describe).collect() }
        }
        other => other.into(),
    }
}

/// Draws and judges a group for each of some prompts, group after group.
pub(super) fn draw_groups(
    policy: &Decoder,
    prompts: &[Vec<u32>],
    chosen: &[usize],
    limits: &RolloutLimits,
    seed: Seed,
    judge: &mut Judging<'_>,
) -> Result<Vec<Rollout>, TrainError> {
    let request = |(place, &prompt_idx): (usize, &usize)| {
        let seed = seed.derive("prompt", place as u64);
        let seeds = (0..limits.group_size as u64).map(|sample| seed.derive("sample", sample)).collect();
        GenerationRequest { prompt: prompts[prompt_idx].clone(), seeds }
    };
    let requests: Vec<GenerationRequest> = chosen.iter().enumerate().map(request).collect();
    let sampling = Sampling { temperature: limits.temperature, ..Sampling::PLAIN };
    let mut completions: Vec<Option<Completion>> = vec![None; chosen.len() * limits.group_size];
    let mut keep = |place: usize, sample: usize, completion: Completion| {
        completions[place * limits.group_size + sample] = Some(completion);
    };
    generate(policy, &requests, sampling, &limits.generation, &mut |_, _, _| false, &mut keep).map_err(
        |error| match error {
            // Counted among the prompts of the data, not of the batch.
            ModelError::Prompt { request_idx, message } => {
                ModelError::Prompt { request_idx: chosen[request_idx], message }
            }
            other => other,
        },
    )?;
    let mut rollouts = Vec::with_capacity(completions.len());
    for (idx, completion) in completions.into_iter().enumerate() {
        let completion = completion.expect("every completion has ended");
        let (prompt_idx, sample_idx) = (chosen[idx / limits.group_size], idx % limits.group_size);
        let judgement = judge(prompt_idx, &completion.tokens)
            .map_err(|message| TrainError::Reward { prompt_idx, message })?;
        let prompt = &prompts[prompt_idx];
        let n_prompt = prompt.len();
        let ids = [prompt.as_slice(), &completion.tokens].concat();
        rollouts.push(Rollout {
            prompt_idx,
            sample_idx,
            example: TokenExample { completion: n_prompt..ids.len(), ids, boundary_differs: false },
            sampler_log_probs: completion.log_probs,
            is_truncated: completion.stop_reason != StopReason::StopToken,
            judgement,
        });
    }
    Ok(rollouts)
}
