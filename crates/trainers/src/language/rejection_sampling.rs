//! The base's own completions, chosen by their reward.
//!
//! Paper: arXiv 2509.04259, section 5.1, lemma A.1: among all targets that are right, the right ones of the base itself are
//! nearest to it. Wrong ones are what preference pairs reject.

use razor_core::Seed;
use razor_data::TokenExample;
use razor_models::Decoder;

use crate::language::error::TrainError;
use crate::language::rollout::{Judging, Rollout, RolloutLimits, draw_groups};

/// Which completions are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Reward 1, ended by itself.
    Right,
    /// Reward 0, ended by itself.
    Wrong,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenSamples {
    /// The first wanted completion of each prompt, if there was one.
    pub examples: Vec<Option<TokenExample>>,
    /// Share of all completions drawn that were wanted.
    pub share: f64,
}

/// Draws `limits.group_size` completions of every prompt and keeps the first one that is wanted.
///
/// # Errors
/// As of generation and of `judge`.
pub fn choose_samples(
    policy: &Decoder,
    prompts: &[Vec<u32>],
    wanted: Wanted,
    limits: &RolloutLimits,
    seed: Seed,
    judge: &mut Judging<'_>,
    on_done: &mut dyn FnMut(usize),
) -> Result<ChosenSamples, TrainError> {
    /// Prompts of one batch of draws.
    const TOGETHER: usize = 16;
    let reward = match wanted {
        Wanted::Right => 1.0,
        Wanted::Wrong => 0.0,
    };
    let is_wanted = |rollout: &&Rollout| rollout.judgement.reward == Some(reward) && !rollout.is_truncated;
    let (mut examples, mut n_wanted) = (Vec::with_capacity(prompts.len()), 0);
    let all: Vec<usize> = (0..prompts.len()).collect();
    for (idx, chosen) in all.chunks(TOGETHER).enumerate() {
        let drawn = draw_groups(policy, prompts, chosen, limits, seed.derive("draws", idx as u64), judge)?;
        for group in drawn.chunks(limits.group_size) {
            n_wanted += group.iter().filter(is_wanted).count();
            examples.push(group.iter().find(is_wanted).map(|rollout| rollout.example.clone()));
        }
        on_done(examples.len());
    }
    let n_drawn = (prompts.len() * limits.group_size).max(1);
    Ok(ChosenSamples { examples, share: n_wanted as f64 / n_drawn as f64 })
}
