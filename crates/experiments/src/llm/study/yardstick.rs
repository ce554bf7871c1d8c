//! What a policy is measured with: the same questions, prompts and draws for every policy of a base.

use anyhow::{Context, Result};
use rand::Rng;
use razor_benchmarks::pass_at_k;
use razor_core::Seed;
use razor_data::{Sources, TaskExample};
use razor_envs::Judge;
use razor_metrics::{
    DrawnCompletion, RepresentationProbe, completion_shifts, draw_completions, mean_hidden_states,
    sequence_fisher,
};
use razor_models::{
    Completion, Decoder, GenerationLimits, GenerationRequest, Sampling, ScoreLimits, ScoreRequest, generate,
};
use razor_tensor::TileBudget;

use crate::llm::fine_tune::{BaseModel, MemorySettings, TaskQuestions};
use crate::llm::study::config::{LlmConfig, NewTaskConfig};
use crate::llm::study::fine_tune_settings::task_settings;
use crate::llm::study::prior_tasks::PriorTasks;
use crate::llm::study::record::{Measurement, NewTaskScore};
use crate::llm::study::weight_movement::{GradientOrder, weight_movement};

/// Tokens of a random prompt.
const RANDOM_PROMPT_TOKENS: usize = 8;

/// The base and the prior tasks.
pub(crate) struct Yardstick<'a> {
    base: &'a BaseModel,
    prior: &'a PriorTasks,
    config: &'a LlmConfig,
    /// What the base wrote on prompts of prior tasks and on random ones.
    on_prior: Vec<DrawnCompletion>,
    on_random: Vec<DrawnCompletion>,
    representation_prompts: Vec<Vec<u32>>,
    representation: RepresentationProbe,
    seed: Seed,
}

/// The held-out questions of a new task as well.
pub(crate) struct TaskYardstick<'a> {
    common: &'a Yardstick<'a>,
    prompts: Vec<Vec<u32>>,
    judges: Vec<Judge>,
    max_new_tokens: usize,
    order: GradientOrder,
    seed: Seed,
}

impl<'a> Yardstick<'a> {
    /// Draws the base's completions.
    pub(crate) fn new(
        base: &'a BaseModel,
        prior: &'a PriorTasks,
        config: &'a LlmConfig,
        seed: Seed,
    ) -> Result<Self> {
        let measure = &config.measure;
        let room = base.text.context_len.saturating_sub(measure.max_kl_tokens);
        let mut prompts = Vec::new();
        for text in prior.prompt_texts() {
            let ids = base.text.tokenizer.encode(&text, true)?;
            if !ids.is_empty() && ids.len() <= room {
                prompts.push(ids);
            }
        }
        let on_prior_prompts = spread(&prompts, measure.n_kl_prompts);
        let representation_prompts = spread(&prompts, measure.n_representation_prompts);
        let vocab_size = base.text.tokenizer.vocab_len().min(base.decoder.config().vocab_size) as u32;
        let random_prompt = |idx: usize| {
            let mut rng = seed.derive("random-prompt", idx as u64).rng();
            (0..RANDOM_PROMPT_TOKENS).map(|_| rng.random_range(0..vocab_size)).collect()
        };
        let random: Vec<Vec<u32>> = (0..measure.n_kl_prompts).map(random_prompt).collect();
        let limits = limits(base, &config.memory, measure.max_kl_tokens);
        let draw = |prompts: &[Vec<u32>], label: &str| {
            draw_completions(&base.decoder, prompts, 1, &limits, seed.derive(label, 0), &mut || {})
        };
        let on_prior = draw(&on_prior_prompts, "prior-kl")?;
        let on_random = draw(&random, "random-kl")?;
        let states = last_states(&base.decoder, &representation_prompts, &config.memory);
        let n_prompts = representation_prompts.len();
        let representation =
            RepresentationProbe::new(&states, n_prompts, measure.n_neighbors.min(n_prompts - 1))?;
        Ok(Self { base, prior, config, on_prior, on_random, representation_prompts, representation, seed })
    }

    /// KL(π₀‖π), nats per completion, on what the base wrote.
    fn kl(&self, policy: &Decoder, drawn: &[DrawnCompletion]) -> Result<f64> {
        let requests: Vec<ScoreRequest> = drawn.iter().map(|drawn| drawn.request.clone()).collect();
        let memory = &self.config.memory;
        let shifts = completion_shifts(&self.base.decoder, policy, &requests, scoring(memory), &mut |_| {})?;
        let sum: f64 = shifts
            .iter()
            .flat_map(|shift| &shift.divergences.kl_reference_to_policy)
            .map(|&kl| f64::from(kl))
            .sum();
        Ok(sum / requests.len().max(1) as f64)
    }
}

impl<'a> TaskYardstick<'a> {
    /// Loads the held-out questions of `task`, and takes the base's new-task gradient.
    pub(crate) fn new(common: &'a Yardstick<'a>, task: &NewTaskConfig, sources: &Sources) -> Result<Self> {
        let (base, config) = (common.base, common.config);
        let settings = task_settings(config, task);
        let questions = TaskQuestions::load(&settings, sources)?;
        let (prompts, of) = base.text.prompts(
            &questions.test,
            settings.prompt_style,
            task.max_new_tokens,
            "tasks.max_new_tokens (--set)",
        )?;
        let judges = base.text.judges(&of)?;
        let seed = common.seed.derive(&task.name, 0);
        let order = match config.measure.n_gradient_completions {
            0 => GradientOrder::none(),
            n => {
                let drawn = right_completions(common, task, &questions.train, n, seed)?;
                let tiles = scoring(&config.memory).tiles;
                GradientOrder::new(&sequence_fisher(&base.decoder, &drawn, tiles, &mut |_| {})?)
            }
        };
        Ok(Self { common, prompts, judges, max_new_tokens: task.max_new_tokens, order, seed })
    }

    /// Measures a policy after `step` steps; `is_end` is true of the base and of the end of a run.
    pub(crate) fn measure(&self, policy: &Decoder, step: u64, is_end: bool) -> Result<Measurement> {
        let Yardstick { base, prior, config, .. } = self.common;
        let prior = prior.score(policy, base, &config.memory)?;
        let prior_score =
            prior.iter().map(|benchmark| benchmark.score).sum::<f64>() / prior.len().max(1) as f64;
        let states = last_states(policy, &self.common.representation_prompts, &config.memory);
        let cknna = self.common.representation.compare(&states).ok().map(|found| found.cknna);
        Ok(Measurement {
            step,
            new_task: self.new_task(policy, is_end)?,
            prior,
            prior_score,
            kl_on_prior_prompts: self.common.kl(policy, &self.common.on_prior)?,
            kl_on_random_prompts: self.common.kl(policy, &self.common.on_random)?,
            weights: weight_movement(&base.decoder, policy, &self.order),
            cknna: cknna.filter(|value| value.is_finite()),
        })
    }

    fn new_task(&self, policy: &Decoder, is_end: bool) -> Result<NewTaskScore> {
        let measure = &self.common.config.measure;
        let shares = self.right_shares(policy, self.prompts.len(), measure.n_samples, "sampled")?;
        let n = shares.len() as f64;
        let sampled = shares.iter().sum::<f64>() / n;
        let variance = shares.iter().map(|share| (share - sampled).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let k = measure.pass_k;
        let mut pass = Vec::new();
        if is_end && k > 0 {
            let n_questions = measure.pass_questions.min(self.prompts.len());
            let shares = self.right_shares(policy, n_questions, k, "pass")?;
            let n_right = |share: &f64| (share * k as f64).round() as usize;
            for at in std::iter::successors(Some(1), |at| Some(2 * at)).take_while(|&at| at <= k) {
                let estimates = shares.iter().filter_map(|share| pass_at_k(k, n_right(share), at));
                pass.push((at, estimates.sum::<f64>() / shares.len().max(1) as f64));
            }
        }
        Ok(NewTaskScore {
            sampled,
            sampled_error: (variance / n).sqrt(),
            greedy: self.greedy(policy)?,
            pass_at_k: pass,
            n: self.prompts.len(),
        })
    }

    /// Share of right ones among `n_samples` completions at temperature 1, question by question.
    fn right_shares(
        &self,
        policy: &Decoder,
        n_questions: usize,
        n_samples: usize,
        label: &str,
    ) -> Result<Vec<f64>> {
        let limits = limits(self.common.base, &self.common.config.memory, self.max_new_tokens);
        let prompts = &self.prompts[..n_questions];
        let seed = self.seed.derive(label, 0);
        let drawn = draw_completions(policy, prompts, n_samples, &limits, seed, &mut || {})?;
        let mut shares = vec![0.0; n_questions];
        for drawn in &drawn {
            let idx = drawn.prompt_idx;
            shares[idx] += self.reward(idx, &drawn.request.continuation)? / n_samples as f64;
        }
        Ok(shares)
    }

    fn greedy(&self, policy: &Decoder) -> Result<f64> {
        let request =
            |prompt: &Vec<u32>| GenerationRequest { prompt: prompt.clone(), seeds: vec![Seed::new(0)] };
        let requests: Vec<GenerationRequest> = self.prompts.iter().map(request).collect();
        let limits = limits(self.common.base, &self.common.config.memory, self.max_new_tokens);
        let mut completions: Vec<Vec<u32>> = vec![Vec::new(); requests.len()];
        let mut keep = |idx: usize, _: usize, completion: Completion| completions[idx] = completion.tokens;
        generate(policy, &requests, Sampling::GREEDY, &limits, &mut |_, _, _| false, &mut keep)?;
        let mut n_right = 0.0;
        for (idx, tokens) in completions.iter().enumerate() {
            n_right += self.reward(idx, tokens)?;
        }
        Ok(n_right / completions.len().max(1) as f64)
    }

    fn reward(&self, idx: usize, tokens: &[u32]) -> Result<f64> {
        let judged = self.common.base.text.judged(&self.judges[idx], tokens).map_err(anyhow::Error::msg)?;
        Ok(f64::from(judged.reward.unwrap_or(0.0)))
    }
}

/// The base's own right completions of questions that are trained on, at most `n`.
fn right_completions(
    common: &Yardstick<'_>,
    task: &NewTaskConfig,
    train: &[TaskExample],
    n: usize,
    seed: Seed,
) -> Result<Vec<ScoreRequest>> {
    let (base, config) = (common.base, common.config);
    let asked = &train[..train.len().min(4 * n)];
    let style = config.base.prompt_style;
    let (prompts, of) =
        base.text.prompts(asked, style, task.max_new_tokens, "tasks.max_new_tokens (--set)")?;
    let judges = base.text.judges(&of)?;
    let limits = limits(base, &config.memory, task.max_new_tokens);
    let drawn =
        draw_completions(&base.decoder, &prompts, 1, &limits, seed.derive("gradient", 0), &mut || {})?;
    let mut right = Vec::with_capacity(n);
    for drawn in drawn {
        let judged = base.text.judged(&judges[drawn.prompt_idx], &drawn.request.continuation);
        let is_right = judged.map_err(anyhow::Error::msg)?.reward == Some(1.0) && !drawn.is_truncated;
        if is_right && right.len() < n {
            right.push(drawn.request);
        }
    }
    (!right.is_empty()).then_some(right).with_context(|| {
        format!("the base answers no question of `{}` right, so no policy could learn from itself", task.name)
    })
}

/// The last hidden state of each prompt, averaged over its tokens.
fn last_states(policy: &Decoder, prompts: &[Vec<u32>], memory: &MemorySettings) -> Vec<f32> {
    mean_hidden_states(policy, prompts, memory.micro_batch_tokens).pop().unwrap_or_default()
}

fn limits(base: &BaseModel, memory: &MemorySettings, max_new_tokens: usize) -> GenerationLimits {
    GenerationLimits {
        max_new_tokens,
        stop_tokens: base.stop_tokens.clone(),
        max_rows: memory.generation_rows,
    }
}

fn scoring(memory: &MemorySettings) -> ScoreLimits {
    let tiles = TileBudget { bytes: memory.tile_mib << 20 };
    ScoreLimits { batch_tokens: memory.micro_batch_tokens, tiles }
}

/// `n` of them, evenly spread over all: benchmarks stand one after the other.
fn spread(prompts: &[Vec<u32>], n: usize) -> Vec<Vec<u32>> {
    let n = n.min(prompts.len());
    (0..n).map(|idx| prompts[idx * prompts.len() / n].clone()).collect()
}
