//! How fast this machine takes a training step, for a model of a million parameters and for a large vocabulary.
//!
//! The weights are random: no rate depends on their values. `tests/peers/train_bench.py` does the same in PyTorch, on the
//! same rows, and prints the same keys.

use std::time::Instant;

use anyhow::{Context, bail};
use burn::tensor::{DType, Device};
use razor_core::Seed;
use razor_data::TokenExample;
use razor_models::LmConfig;
use razor_trainers::AdamWConfig;
use razor_trainers::language::loss::{Optimization, PolicyGradientConfig, SftConfig, dr_grpo, trl_sft};
use razor_trainers::language::run::{StepRecord, metric_name};
use razor_trainers::language::{
    Judgement, Learner, LearnerConfig, Method, PolicyGradientMethod, SftMethod, StepError,
};
use serde::Serialize;

use crate::llm::random_decoder::random_decoder;
use crate::llm::speed::{WARM_UP, config as qwen_config};

/// Small, so that the weights stay what they are however many steps are taken.
const LEARNING_RATE: f64 = 1e-6;
/// The defaults of `razor sft` and `razor grpo`.
const LEARNER: LearnerConfig = LearnerConfig {
    adamw: AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 },
    max_grad_norm: 1.0,
    micro_batch_tokens: 4096,
    recompute: false,
    tile_mib: 256,
};

/// Speed on all cores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TrainSpeed {
    /// Four layers of 128 and 1,024 words.
    pub small: StepSpeed,
    /// Four layers of Qwen2.5-0.5B and its whole head of 151,936 words.
    pub wide: StepSpeed,
}

/// Steps of full fine-tuning with AdamW in f32, the gradient's norm clipped to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepSpeed {
    /// Numbers in the weights, all of them trained.
    pub parameters: usize,
    /// Tokens of the rows, prompts included and padding not.
    pub sft_tokens_per_second: f64,
    /// Mean time of a step of supervised fine-tuning, seconds.
    pub sft_step_seconds: f64,
    /// Mean time of a step of GRPO, seconds: the next two together.
    pub grpo_step_seconds: f64,
    /// Drawing and judging completions, seconds.
    pub grpo_sampling_seconds: f64,
    /// The gradient of the completions and the optimizer, seconds.
    pub grpo_update_seconds: f64,
}

/// Measures steps of both models, each kind for about `seconds`.
///
/// Memory: 5 GB.
///
/// # Errors
/// When a step fails, which it does on a device that cannot hold it.
pub fn measure_train_speed(seconds: f64, device: &Device) -> anyhow::Result<TrainSpeed> {
    let speed = |work: Workload| work.measure(seconds, device);
    Ok(TrainSpeed { small: speed(Workload::small())?, wide: speed(Workload::wide())? })
}

/// A model and what it is trained on.
#[derive(Debug)]
struct Workload {
    config: LmConfig,
    /// Tokens of prompt and of row, for supervised fine-tuning.
    rows: Vec<[usize; 2]>,
    /// Prompts of a step of GRPO, and tokens of each.
    prompts: [usize; 2],
    /// Completions of each prompt; even, as rewards alternate.
    group_size: usize,
    /// Tokens of each completion; nothing ends one earlier.
    n_new: usize,
}

impl Workload {
    fn small() -> Self {
        let config = LmConfig {
            vocab_size: 1024,
            hidden_size: 128,
            intermediate_size: 352,
            n_heads: 4,
            n_kv_heads: 2,
            head_dim: 32,
            ..qwen_config(4)
        };
        let row = |idx: usize| {
            let n = 10 + idx * 13 % 36; // 10 to 45
            [(7 + idx % 7).min(n / 2), n]
        };
        Self { config, rows: (0..64).map(row).collect(), prompts: [16, 9], group_size: 8, n_new: 24 }
    }

    fn wide() -> Self {
        Self { config: qwen_config(4), rows: vec![[128, 256]; 8], prompts: [2, 64], group_size: 4, n_new: 64 }
    }

    fn measure(&self, seconds: f64, device: &Device) -> anyhow::Result<StepSpeed> {
        let base = random_decoder(&self.config, DType::F32, device);
        let mut learner = Learner::new(base.clone(), LEARNER);
        let parameters = learner.parameters().iter().map(|parameter| parameter.n_values).sum();
        let examples = self.examples();
        let preset = trl_sft();
        let optimization = Optimization { sequences_per_step: examples.len(), ..preset.optimization };
        let config = SftConfig { optimization, ..preset };
        let mut sft = SftMethod::new(&examples, &config, Seed::new(0))?;
        let [sft_step_seconds] = mean_seconds(&mut sft, &mut learner, seconds, [metric_name::STEP_SECONDS])?;
        let prompts: Vec<Vec<u32>> = (0..self.prompts[0]).map(|row| self.ids(row, self.prompts[1])).collect();
        let mut n_judged = 0;
        let mut judge = |_: usize, _: &[u32]| {
            n_judged += 1;
            Ok(Judgement { reward: Some((n_judged % 2) as f32), text: String::new(), reason: String::new() })
        };
        let n_rows = prompts.len() * self.group_size;
        let mut grpo = PolicyGradientMethod::new(
            &prompts,
            &mut judge,
            self.policy_gradient(n_rows),
            &[],
            n_rows,
            &base,
            Seed::new(0),
        )?;
        let parts = [metric_name::SAMPLING_SECONDS, metric_name::TRAINING_SECONDS];
        let [grpo_sampling_seconds, grpo_update_seconds] =
            mean_seconds(&mut grpo, &mut learner, seconds, parts)?;
        let n_tokens: usize = self.rows.iter().map(|[_, n]| n).sum();
        Ok(StepSpeed {
            parameters,
            sft_tokens_per_second: n_tokens as f64 / sft_step_seconds,
            sft_step_seconds,
            grpo_step_seconds: grpo_sampling_seconds + grpo_update_seconds,
            grpo_sampling_seconds,
            grpo_update_seconds,
        })
    }

    fn examples(&self) -> Vec<TokenExample> {
        let example = |(row, &[n_prompt, n]): (usize, &[usize; 2])| TokenExample {
            ids: self.ids(row, n),
            completion: n_prompt..n,
            boundary_differs: false,
        };
        self.rows.iter().enumerate().map(example).collect()
    }

    /// Tokens all over the vocabulary.
    fn ids(&self, row: usize, n: usize) -> Vec<u32> {
        (0..n).map(|place| ((row * 7919 + place * 104_729 + 17) % self.config.vocab_size) as u32).collect()
    }

    /// One update on centered advantages.
    fn policy_gradient(&self, n_rows: usize) -> PolicyGradientConfig {
        let preset = dr_grpo();
        PolicyGradientConfig {
            sampler_correction: None,
            group_size: self.group_size,
            max_completion_tokens: self.n_new,
            optimization: Optimization { sequences_per_step: n_rows, ..preset.optimization },
            ..preset
        }
    }
}

/// Means of some times of a step over steps that take at least `seconds`, after a warm-up.
fn mean_seconds<const N: usize>(
    method: &mut dyn Method,
    learner: &mut Learner,
    seconds: f64,
    names: [&str; N],
) -> anyhow::Result<[f64; N]> {
    let mut step_idx = 0;
    let mut step = || {
        let outcome = method.step(learner, step_idx, LEARNING_RATE);
        step_idx += 1;
        match outcome {
            Ok(outcome) => Ok(outcome.record),
            Err(StepError::NotFinite { what, .. }) => bail!("the {what} of step {step_idx} is not finite"),
            Err(StepError::Failed(error)) => Err(error.into()),
        }
    };
    records(&mut step, seconds * WARM_UP)?;
    let records = records(&mut step, seconds)?;
    let mut means = [0.0; N];
    for (mean, name) in means.iter_mut().zip(names) {
        for record in &records {
            let value = record.get(name).with_context(|| format!("a step has no `{name}`"))?;
            *mean += value / records.len() as f64;
        }
    }
    Ok(means)
}

/// Records of at least one step.
fn records(
    step: &mut impl FnMut() -> anyhow::Result<StepRecord>,
    seconds: f64,
) -> anyhow::Result<Vec<StepRecord>> {
    let start = Instant::now();
    let mut records = Vec::new();
    while records.is_empty() || start.elapsed().as_secs_f64() < seconds {
        records.push(step()?);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_lengths_that_are_announced() {
        let small = Workload::small();
        let examples = small.examples();
        let lengths = || examples.iter().map(|example| example.ids.len());
        assert_eq!((lengths().min(), lengths().max(), examples.len()), (Some(10), Some(45), 64));
        // The peer's rows hold as many; see `n_tokens` there.
        assert_eq!(lengths().sum::<usize>(), 1756);
        assert!(examples.iter().all(|example| (5..=13).contains(&example.completion.start)));
        let n_words = small.config.vocab_size as u32;
        assert!(examples.iter().flat_map(|example| &example.ids).all(|&id| id < n_words));
    }

    #[test]
    fn a_workload_has_a_step_of_each_kind() {
        let tiny =
            Workload { rows: vec![[2, 5]; 3], prompts: [2, 3], group_size: 2, n_new: 2, ..Workload::small() };
        let found = tiny.measure(1e-9, &Device::flex()).unwrap();
        let times = [found.sft_step_seconds, found.grpo_sampling_seconds, found.grpo_update_seconds];
        assert!(times.iter().all(|&seconds| seconds > 0.0), "{found:?}");
        assert_eq!(found.parameters, 870_528); // 131,072 in the embedding, 184,832 a layer, 128 in the last norm
    }
}
