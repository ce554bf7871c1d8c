//! Completions of both models and what both say of them.

use anyhow::bail;
use razor_core::Seed;
use razor_metrics::{
    DrawnCompletion, SampleSource, ShiftQuantity, completion_shifts, draw_completions, shift_quantities,
};
use razor_models::{Decoder, GenerationLimits, ModelError, ScoreRequest};
use serde::Serialize;

use crate::measure::MeasureArgs;
use crate::model::LoadedModel;
use crate::progress::CountProgress;

/// The distance of two models' distributions.
pub(crate) struct Shift {
    pub(crate) quantities: Vec<ShiftQuantity>,
    pub(crate) sampler_gap: SamplerGap,
}

/// The largest difference between the log-probability that a token was drawn with and the one that it is scored with, nats.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct SamplerGap {
    pub(crate) reference: f64,
    pub(crate) policy: f64,
}

impl SamplerGap {
    pub(crate) fn largest(self) -> f64 {
        self.reference.max(self.policy)
    }
}

/// Draws from both models and scores with both.
pub(crate) fn measure_shift(
    base: &LoadedModel,
    tuned: &LoadedModel,
    prompts: &[Vec<u32>],
    args: &MeasureArgs,
) -> anyhow::Result<Shift> {
    check_room(base, tuned, prompts, args.max_new_tokens)?;
    let mut stop_tokens = [base.stop_tokens(), tuned.stop_tokens()].concat();
    stop_tokens.sort_unstable();
    stop_tokens.dedup();
    let seed = Seed::new(args.seed).derive("completions", 0);
    let (mut samples, mut gaps) = (Vec::new(), [0.0_f64; 2]);
    for (source, model, name) in
        [(SampleSource::Reference, base, "the base"), (SampleSource::Policy, tuned, "the tuned model")]
    {
        let drawn = draw(&model.decoder, prompts, args.samples, &stop_tokens, seed, name, args)?;
        let requests: Vec<ScoreRequest> = drawn.iter().map(|drawn| drawn.request.clone()).collect();
        let progress =
            CountProgress::new(&format!("completions of {name} scored,"), requests.len(), args.quiet);
        let mut on_done = |n_done| progress.set(n_done);
        let shifts =
            completion_shifts(&base.decoder, &tuned.decoder, &requests, args.batch.limits(), &mut on_done);
        let shifts = shifts.map_err(|error| explain(error, args.samples))?;
        for (drawn, shift) in drawn.iter().zip(shifts) {
            let scored = match source {
                SampleSource::Reference => &shift.reference_log_probs,
                SampleSource::Policy => &shift.policy_log_probs,
            };
            for (scored, drawn) in scored.iter().zip(&drawn.log_probs) {
                let gap = &mut gaps[source as usize];
                *gap = gap.max((f64::from(*scored) - f64::from(*drawn)).abs());
            }
            samples.push(drawn.measured(source, shift));
        }
    }
    let quantities = shift_quantities(&samples, args.resamples, Seed::new(args.seed).derive("intervals", 0));
    Ok(Shift { quantities, sampler_gap: SamplerGap { reference: gaps[0], policy: gaps[1] } })
}

/// Refuses completions that one model could write and the other could not read. Models of equal length stop alike.
fn check_room(
    base: &LoadedModel,
    tuned: &LoadedModel,
    prompts: &[Vec<u32>],
    max_new_tokens: usize,
) -> anyhow::Result<()> {
    let [own, other] = [base, tuned].map(|model| model.decoder.config().max_positions);
    let shared = own.min(other);
    let too_long = |prompt: &Vec<u32>| prompt.len() + max_new_tokens > shared;
    match prompts.iter().position(too_long).filter(|_| own != other) {
        Some(idx) => bail!(
            "prompt {} has {} tokens: with --max-new-tokens {max_new_tokens} that is more than the {shared} positions that \
             both models have",
            idx + 1,
            prompts[idx].len()
        ),
        None => Ok(()),
    }
}

/// Draws completions of every prompt, with progress.
pub(crate) fn draw(
    decoder: &Decoder,
    prompts: &[Vec<u32>],
    n_samples: usize,
    stop_tokens: &[u32],
    seed: Seed,
    who: &str,
    args: &MeasureArgs,
) -> anyhow::Result<Vec<DrawnCompletion>> {
    let limits = GenerationLimits {
        max_new_tokens: args.max_new_tokens,
        stop_tokens: stop_tokens.to_vec(),
        max_rows: args.batch_rows,
    };
    let n = prompts.len() * n_samples;
    let progress = CountProgress::new(&format!("completions drawn from {who},"), n, args.quiet);
    draw_completions(decoder, prompts, n_samples, &limits, seed, &mut || progress.add(1))
        .map_err(|error| explain(error, 1))
}

/// Counts prompts from 1, as a person does; `per_prompt` requests were made of each.
fn explain(error: ModelError, per_prompt: usize) -> anyhow::Error {
    match error {
        ModelError::Prompt { request_idx, message } => {
            anyhow::anyhow!("prompt {} {message}", request_idx / per_prompt + 1)
        }
        other => other.into(),
    }
}
