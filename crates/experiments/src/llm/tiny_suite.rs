//! Prior skills of the tiny language: which items a policy gets right. Fast, since it runs at every checkpoint.

use anyhow::Context;
use razor_benchmarks::{ChoiceScore, Prompt, score_choices};
use razor_core::Seed;
use razor_data::{SkillItem, TinySkill};
use razor_models::{
    Completion, Decoder, GenerationLimits, GenerationRequest, Sampling, ScoreLimits, generate,
};
use serde::{Deserialize, Serialize};

use crate::llm::fine_tune::ModelText;

/// What a policy gets right of one prior ability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PriorScore {
    /// Name of the ability.
    pub name: String,
    /// One number an item, in their order: 1 if it is right, else 0.
    pub verdicts: Vec<f64>,
}

impl PriorScore {
    /// Share of right items.
    pub fn mean(&self) -> f64 {
        self.verdicts.iter().sum::<f64>() / self.verdicts.len() as f64
    }
}

/// How much is computed at a time.
#[derive(Debug, Clone, Copy)]
pub struct SuiteLimits {
    /// Completions at a time.
    pub max_rows: usize,
    /// Choices at a time.
    pub scoring: ScoreLimits,
}

/// Scores items of skills: written answers have to be those of the item to the last token and end there, choices are
/// compared by their log-likelihood.
///
/// # Errors
/// When a prompt cannot be encoded or is too long, and where the policy's logits are not finite.
pub fn score_skills(
    policy: &Decoder,
    text: &ModelText,
    stop_tokens: &[u32],
    items: &[(TinySkill, Vec<SkillItem>)],
    limits: SuiteLimits,
) -> anyhow::Result<Vec<PriorScore>> {
    let zeros = |(skill, items): &(TinySkill, Vec<SkillItem>)| PriorScore {
        name: skill.name().to_owned(),
        verdicts: vec![0.0; items.len()],
    };
    let mut scores: Vec<PriorScore> = items.iter().map(zeros).collect();
    let (mut written, mut chosen) = (Vec::new(), Vec::new());
    for (skill_idx, (skill, items)) in items.iter().enumerate() {
        let of = if skill.is_written() { &mut written } else { &mut chosen };
        of.extend(items.iter().enumerate().map(|(idx, item)| ((skill_idx, idx), item)));
    }
    let mut set = |(skill_idx, idx): (usize, usize), is_right: bool| {
        scores[skill_idx].verdicts[idx] = f64::from(u8::from(is_right));
    };
    score_written(policy, text, stop_tokens, &written, limits.max_rows, &mut set)?;
    score_chosen(policy, text, &chosen, limits.scoring, &mut set)?;
    Ok(scores)
}

/// An item with its place: which skill, which item of it.
type Placed<'a> = ((usize, usize), &'a SkillItem);

fn score_written(
    policy: &Decoder,
    text: &ModelText,
    stop_tokens: &[u32],
    items: &[Placed<'_>],
    max_rows: usize,
    set: &mut dyn FnMut((usize, usize), bool),
) -> anyhow::Result<()> {
    let stop = *stop_tokens.first().context("the model names no token that ends a completion")?;
    let (mut requests, mut answers) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for (_, item) in items {
        let prompt = text.tokenizer.encode(&item.prompt, true)?;
        let mut answer = text.tokenizer.encode(&item.choices[item.gold], false)?;
        answer.push(stop);
        requests.push(GenerationRequest { prompt, seeds: vec![Seed::new(0)] });
        answers.push(answer);
    }
    let limits = GenerationLimits {
        max_new_tokens: answers.iter().map(Vec::len).max().unwrap_or(1),
        stop_tokens: stop_tokens.to_vec(),
        max_rows,
    };
    let greedy = Sampling { temperature: 0.0, ..Sampling::PLAIN };
    let mut lengths = vec![0; items.len()];
    // What is wrong already need not be written to its end.
    let mut has_failed = |request: usize, _: usize, token: u32| {
        let place = lengths[request];
        lengths[request] += 1;
        answers[request].get(place) != Some(&token)
    };
    let mut judge = |request: usize, _: usize, completion: Completion| {
        set(items[request].0, completion.tokens == answers[request]);
    };
    Ok(generate(policy, &requests, greedy, &limits, &mut has_failed, &mut judge)?)
}

fn score_chosen(
    policy: &Decoder,
    text: &ModelText,
    items: &[Placed<'_>],
    limits: ScoreLimits,
    set: &mut dyn FnMut((usize, usize), bool),
) -> anyhow::Result<()> {
    let prompt = |(_, item): &Placed<'_>| Prompt {
        contexts: vec![item.prompt.clone()],
        continuations: item.choices.iter().map(|choice| format!(" {choice}")).collect(),
    };
    let prompts: Vec<Prompt> = items.iter().map(prompt).collect();
    let prompts: Vec<&Prompt> = prompts.iter().collect();
    let mut judge = |idx: usize, scores: &[ChoiceScore]| {
        let (place, item) = items[idx];
        let of_gold = scores[item.gold].log_likelihood;
        let is_best = scores
            .iter()
            .enumerate()
            .all(|(choice, score)| choice == item.gold || score.log_likelihood < of_gold);
        set(place, is_best);
    };
    Ok(score_choices(policy, &text.tokenizer, &prompts, None, limits, &mut judge)?)
}
