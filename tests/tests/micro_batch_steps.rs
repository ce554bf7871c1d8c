//! A step of every method moves the weights by the same gradient however its batch is cut into micro-batches, packed or
//! ordered, and whether layers are kept or computed again.
//!
//! The optimizer is made to take the gradient itself: without momentum and with an epsilon far above every gradient,
//! AdamW moves a weight by `rate · g / (|g| + epsilon)`, a multiple of `g`. Losses alone are in `micro_batches.rs`.

#![expect(clippy::unwrap_used, reason = "a step that fails should fail the test here")]

use std::convert::Infallible;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::Rng;
use razor_core::Seed;
use razor_data::TokenExample;
use razor_models::{
    Decoder, GenerationLimits, HostData, HostTensor, LORA_TARGETS, LmConfig, LoraConfig, ParameterRef,
};
use razor_tensor::KlDirection;
use razor_trainers::AdamWConfig;
use razor_trainers::language::loss::{
    KlEstimator, KlPenalty, Optimization, PolicyGradientConfig, Reduction, SequenceInput, SequenceTerm,
    SftConfig, SftLoss, paper_simpo, policy_gradient_preset, standard_simpo, trl_sft,
};
use razor_trainers::language::run::{StepRecord, metric_name};
use razor_trainers::language::{
    DemonstratedPrompt, FreshSamplesMethod, Judgement, KlTerm, Learner, LearnerConfig, Method,
    PolicyGradientMethod, PreferencePair, RolloutLimits, SelfDistillationMethod, SftKl, SftMethod,
    SimpoMethod, WeightAnchor,
};

const CONFIG: &str = r#"{"model_type": "qwen2", "vocab_size": 13, "hidden_size": 8, "intermediate_size": 12,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
    "tie_word_embeddings": true, "max_position_embeddings": 64}"#;
const EPSILON: f64 = 1e4;
/// What a gradient is multiplied by: small enough that a second update starts near the first.
const STEP: f64 = 0.1;
const STOP_TOKENS: [u32; 2] = [0, 1];
const MAX_NEW_TOKENS: usize = 8;
const ALL_TOKENS: usize = 10_000;

type Making<'a> = dyn Fn(LearnerConfig) -> Learner + 'a;
type Stepping<'a> = dyn Fn(&mut Learner) -> StepRecord + 'a;

fn draw(label: &str, n: usize) -> Vec<f32> {
    let mut rng = Seed::new(5).derive(label, 0).rng();
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn decoder(change: f32) -> Decoder {
    let config = LmConfig::parse(Path::new("config"), CONFIG).unwrap();
    let Ok(decoder) = Decoder::build(&config, DType::F32, &Device::flex(), |spec| {
        let n = spec.shape.iter().product();
        let centre = if spec.name.contains("norm") { 1.0 } else { 0.0 };
        let pairs = draw(&spec.name, n).into_iter().zip(draw(&format!("change of {}", spec.name), n));
        let numbers = pairs.map(|(start, moved)| centre + 0.5 * start + change * moved).collect();
        Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data: HostData::F32(numbers) })
    });
    decoder
}

/// The frozen reference.
fn base() -> Decoder {
    decoder(0.0)
}

/// A policy that has left the base already, so that no KL and no penalty is 0.
fn policy() -> Decoder {
    decoder(0.1)
}

/// The base with an adapter that changes it.
fn adapted() -> Decoder {
    let targets = LORA_TARGETS.map(str::to_owned).to_vec();
    let config = LoraConfig { rank: 2, alpha: 4.0, use_rslora: false, targets };
    let fresh = base().with_lora(&config, Seed::new(2));
    let factors: Vec<_> = fresh.adapter_parameters().into_iter().map(|(_, factor)| factor.id()).collect();
    fresh.updated(|id, values| match factors.iter().position(|factor| *factor == id) {
        Some(idx) => {
            let dims = values.dims();
            let noise = TensorData::new(draw(&format!("factor {idx}"), dims[0] * dims[1]), dims);
            values + Tensor::from_data(noise, &Device::flex()) * 0.2
        }
        None => values,
    })
}

fn numbers(parameters: Vec<(String, ParameterRef<'_>)>) -> Vec<f32> {
    let of = |parameter: ParameterRef<'_>| parameter.values().into_data().try_into_vec::<f32>().unwrap();
    parameters.into_iter().flat_map(|(_, parameter)| of(parameter)).collect()
}

/// Weights and factors.
fn weights(learner: &Learner) -> Vec<f32> {
    let policy = learner.policy();
    [numbers(policy.parameters()), numbers(policy.adapter_parameters())].concat()
}

fn learner_config(micro_batch_tokens: usize, recompute: bool) -> LearnerConfig {
    let adamw = AdamWConfig { beta1: 0.0, beta2: 0.0, epsilon: EPSILON, weight_decay: 0.0 };
    LearnerConfig { adamw, max_grad_norm: 0.0, micro_batch_tokens, recompute, tile_mib: 1 }
}

/// What a step leaves: weights, loss, gradient norm.
struct Left {
    weights: Vec<f32>,
    loss: f64,
    grad_norm: f64,
}

impl Left {
    fn by(make: &Making<'_>, step: &Stepping<'_>, micro_batch_tokens: usize, recompute: bool) -> Self {
        let mut learner = make(learner_config(micro_batch_tokens, recompute));
        let record = step(&mut learner);
        let of = |name: &str| record.get(name).unwrap();
        let (loss, grad_norm) = (of(metric_name::LOSS), of(metric_name::GRAD_NORM));
        Self { weights: weights(&learner), loss, grad_norm }
    }

    fn assert_near(&self, other: &Self, name: &str) {
        let far = |found: f64, expected: f64| (found - expected).abs() / expected.abs().max(1.0);
        let pairs = self.weights.iter().zip(&other.weights);
        let of_weights = pairs.map(|(&one, &other)| f64::from((one - other).abs())).fold(0.0, f64::max);
        let worst = [of_weights, far(self.loss, other.loss), far(self.grad_norm, other.grad_norm)];
        eprintln!("{name}: weights {:.1e}, loss {:.1e}, gradient norm {:.1e}", worst[0], worst[1], worst[2]);
        assert!(worst.iter().all(|distance| *distance < ROUNDING), "{name}: {worst:?}");
    }
}

/// The same f32 terms in another order. Weights were 1.2e-7 apart, which is their own rounding, and they move by a tenth
/// of the gradient; losses 4.4e-8, gradient norms 3.7e-7.
const ROUNDING: f64 = 1e-6;

fn assert_same_for_every_cut(name: &str, make: &Making<'_>, step: &Stepping<'_>) {
    let start = weights(&make(learner_config(ALL_TOKENS, false)));
    let whole = Left::by(make, step, ALL_TOKENS, false);
    let moved = start.iter().zip(&whole.weights).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
    assert!(moved > 1e-3, "{name} moves no weight by more than {moved}");
    for micro_batch_tokens in [1, 7, 19, ALL_TOKENS] {
        for recompute in [false, true] {
            let other = Left::by(make, step, micro_batch_tokens, recompute);
            other.assert_near(&whole, &format!("{name}, {micro_batch_tokens} tokens, recompute {recompute}"));
        }
    }
}

/// All weights, and an adapter alone.
fn assert_same_for_weights_and_adapters(name: &str, step: &Stepping<'_>) {
    assert_same_for_every_cut(name, &|config| Learner::new(policy(), config), step);
    assert_same_for_every_cut(&format!("{name}, LoRA"), &|config| Learner::new(adapted(), config), step);
}

fn example(label: &str, n_prompt: usize, n_completion: usize) -> TokenExample {
    let mut rng = Seed::new(6).derive(label, 0).rng();
    let ids = (0..n_prompt + n_completion).map(|_| rng.random_range(0..13)).collect();
    TokenExample { ids, completion: n_prompt..n_prompt + n_completion, boundary_differs: false }
}

fn examples() -> Vec<TokenExample> {
    let lengths = [(2, 4), (1, 1), (3, 7), (5, 2), (1, 6), (2, 3), (4, 1)];
    lengths.iter().enumerate().map(|(idx, &(p, c))| example(&format!("row {idx}"), p, c)).collect()
}

fn sft_config(n: usize) -> SftConfig {
    let optimization = Optimization { sequences_per_step: n, ..trl_sft().optimization };
    SftConfig { max_tokens: 10, optimization, ..trl_sft() }
}

fn step_of(method: &mut dyn Method, learner: &mut Learner) -> StepRecord {
    method.step(learner, 0, EPSILON * STEP).unwrap().record
}

fn sft(examples: &[TokenExample], config: &SftConfig) -> impl Fn(&mut Learner) -> StepRecord {
    move |learner| step_of(&mut SftMethod::new(examples, config, Seed::new(0)).unwrap(), learner)
}

#[test]
fn supervised_steps_with_every_reduction_and_loss() {
    let (examples, config) = (examples(), sft_config(7));
    for reduction in [
        Reduction::TokenMean,
        Reduction::SequenceMean,
        Reduction::LocalTokenMean { local_batch: 3 },
        Reduction::ConstantLength,
    ] {
        for loss in [SftLoss::Nll, SftLoss::Dft] {
            let config = SftConfig { reduction, loss, ..config };
            let name = format!("SFT, {reduction:?}, {loss:?}");
            assert_same_for_weights_and_adapters(&name, &sft(&examples, &config));
        }
    }
}

#[test]
fn no_two_reductions_are_the_same_step() {
    let (examples, config) = (examples(), sft_config(7));
    let left = |reduction: Reduction| {
        let config = SftConfig { reduction, ..config };
        let step = sft(&examples, &config);
        Left::by(&|config| Learner::new(policy(), config), &step, ALL_TOKENS, false).loss
    };
    let losses = [
        left(Reduction::TokenMean),
        left(Reduction::SequenceMean),
        left(Reduction::LocalTokenMean { local_batch: 3 }),
        left(Reduction::ConstantLength),
    ];
    for (idx, one) in losses.iter().enumerate() {
        assert!(losses[..idx].iter().all(|other| (one - other).abs() > 1e-3), "{losses:?}");
    }
}

#[test]
fn supervised_steps_with_a_kl_to_the_base() {
    let (examples, base) = (examples(), base());
    for reduction in [Reduction::TokenMean, Reduction::SequenceMean] {
        let config = SftConfig { reduction, ..sft_config(7) };
        for is_reverse in [false, true] {
            let kl = SftKl { coefficient: 0.7, is_reverse };
            let step = |learner: &mut Learner| {
                let method = SftMethod::new(&examples, &config, Seed::new(0)).unwrap();
                step_of(&mut method.with_kl(kl, &base), learner)
            };
            assert_same_for_weights_and_adapters(&format!("SFT, {reduction:?}, {kl:?}"), &step);
        }
    }
}

#[test]
fn supervised_steps_with_replay() {
    let (examples, old) =
        (examples(), [example("old", 3, 5), example("older", 1, 2), example("oldest", 4, 9)]);
    let config = sft_config(7);
    let step = |learner: &mut Learner| {
        let method = SftMethod::new(&examples, &config, Seed::new(0)).unwrap();
        step_of(&mut method.with_replay(&old, 2, Seed::new(0)).unwrap(), learner)
    };
    assert_same_for_weights_and_adapters("SFT, replay", &step);
}

#[test]
fn steps_with_anchored_weights() {
    let (examples, base) = (examples(), base());
    let importance = |(name, parameter): (String, ParameterRef<'_>)| {
        let n = parameter.values().shape().num_elements();
        let numbers = draw(&format!("importance of {name}"), n);
        (name, numbers.into_iter().map(f32::abs).collect())
    };
    for fisher in [None, Some(base.parameters().into_iter().map(importance).collect::<Vec<_>>())] {
        let name = if fisher.is_some() { "EWC" } else { "L2-SP" };
        let make = |config: LearnerConfig| {
            let anchor = WeightAnchor::new(&base, 2.0, fisher.clone());
            Learner::new(policy(), config).with_anchor(anchor)
        };
        let config = sft_config(7);
        assert_same_for_every_cut(&format!("SFT, {name}"), &make, &sft(&examples, &config));
        let config = small("dapo");
        assert_same_for_every_cut(&format!("DAPO, {name}"), &make, &|learner| {
            policy_gradient(&config, &base, learner)
        });
    }
}

/// The same step on a batch in its order, and in another one however it is cut.
fn assert_same_for_every_order(name: &str, step: &dyn Fn(&[usize], &mut Learner) -> StepRecord, n: usize) {
    let in_order: Vec<usize> = (0..n).collect();
    let mut turned = in_order.clone();
    turned.rotate_left(3);
    turned.swap(0, n - 2);
    let makings: [&Making<'_>; 2] =
        [&|config| Learner::new(policy(), config), &|config| Learner::new(adapted(), config)];
    for make in makings {
        let whole = Left::by(make, &|learner| step(&in_order, learner), ALL_TOKENS, false);
        for micro_batch_tokens in [1, 7, 19, ALL_TOKENS] {
            let other = Left::by(make, &|learner| step(&turned, learner), micro_batch_tokens, false);
            other.assert_near(&whole, &format!("{name}, another order, {micro_batch_tokens} tokens"));
        }
    }
}

#[test]
fn the_order_and_packing_of_examples_do_not_matter() {
    let (examples, base) = (examples(), base());
    for reduction in [Reduction::TokenMean, Reduction::SequenceMean, Reduction::ConstantLength] {
        for loss in [SftLoss::Nll, SftLoss::Dft] {
            let config = SftConfig { reduction, loss, ..sft_config(7) };
            let step = |order: &[usize], learner: &mut Learner| {
                let examples: Vec<TokenExample> = order.iter().map(|&idx| examples[idx].clone()).collect();
                let method = SftMethod::new(&examples, &config, Seed::new(0)).unwrap();
                step_of(&mut method.with_kl(SftKl { coefficient: 0.7, is_reverse: true }, &base), learner)
            };
            assert_same_for_every_order(&format!("SFT with a KL, {reduction:?}, {loss:?}"), &step, 7);
        }
    }
}

#[test]
fn the_order_and_packing_of_pairs_do_not_matter() {
    let pairs = pairs();
    let step = |order: &[usize], learner: &mut Learner| {
        let pairs: Vec<PreferencePair> = order.iter().map(|&idx| pairs[idx].clone()).collect();
        step_of(&mut SimpoMethod::new(&pairs, 4, standard_simpo(), Seed::new(0)).unwrap(), learner)
    };
    assert_same_for_every_order("SimPO", &step, 4);
}

/// Completions that are given, because drawn ones depend on their places.
#[test]
fn the_order_and_packing_of_completions_do_not_matter() {
    let examples = examples();
    let advantages = [1.5, -0.75, 1.0, 0.25, -1.25, 0.5, -1.0];
    // BNPO's local batches depend on the order by definition.
    for name in ["trl_grpo", "trl_rloo", "dr_grpo", "dapo", "gspo", "cispo", "paper_grpo", "reinforce_1_0"] {
        let mut preset = policy_gradient_preset(name).unwrap();
        preset.loss.kl =
            Some(KlPenalty { coefficient: 0.3, estimator: KlEstimator::K3, multiply_by_ratio: true });
        let step = |order: &[usize], learner: &mut Learner| {
            let batch: Vec<&TokenExample> = order.iter().map(|&idx| &examples[idx]).collect();
            let lengths: Vec<usize> = batch.iter().map(|example| example.completion.len()).collect();
            let weights = preset.reduction.weights(&lengths, MAX_NEW_TOKENS);
            let scores = learner.score(&batch, 1.0);
            let terms: Vec<SequenceTerm> = (0..batch.len())
                .map(|place| {
                    let log_probs = &scores[place].log_probs;
                    let drift = draw(&format!("drift {}", order[place]), log_probs.len());
                    let moved = |factor: f32| -> Vec<f32> {
                        log_probs
                            .iter()
                            .zip(&drift)
                            .map(|(log_prob, drift)| log_prob + factor * drift)
                            .collect()
                    };
                    let input = SequenceInput {
                        log_probs,
                        behavior_log_probs: &moved(0.5),
                        reference_log_probs: Some(&moved(-0.7)),
                        advantage: advantages[order[place]],
                        sampler_correction: None,
                    };
                    preset.loss.sequence(&input, weights[place])
                })
                .collect();
            learner.accumulate(&batch, 1.0, None, &mut |place, token, _| terms[place].gradient[token]);
            StepRecord::new(1)
                .with(metric_name::LOSS, terms.iter().map(|term| term.loss).sum())
                .with(metric_name::GRAD_NORM, learner.step(EPSILON * STEP).grad_norm)
        };
        assert_same_for_every_order(name, &step, 7);
    }
}

/// A preset, small enough for this model, that goes through its completions twice: only then do ratios differ from 1.
fn small(name: &str) -> PolicyGradientConfig {
    let preset = policy_gradient_preset(name).unwrap();
    let reduction = match preset.reduction {
        Reduction::LocalTokenMean { .. } => Reduction::LocalTokenMean { local_batch: 3 },
        reduction => reduction,
    };
    let n_minibatches = preset.n_minibatches.min(2);
    let optimization = Optimization { sequences_per_step: 12 / n_minibatches, ..preset.optimization };
    PolicyGradientConfig {
        reduction,
        group_size: 4,
        n_minibatches,
        n_iterations: 2,
        max_completion_tokens: MAX_NEW_TOKENS,
        optimization,
        ..preset
    }
}

fn prompts() -> Vec<Vec<u32>> {
    [2, 5, 1].into_iter().enumerate().map(|(idx, n)| example(&format!("prompt {idx}"), n, 1).ids).collect()
}

/// Right or wrong by the sum of the tokens.
fn judge(_: usize, tokens: &[u32]) -> Result<Judgement, String> {
    let reward = if tokens.iter().sum::<u32>().is_multiple_of(2) { 1.0 } else { 0.0 };
    Ok(Judgement { reward: Some(reward), text: String::new(), reason: String::new() })
}

fn policy_gradient(config: &PolicyGradientConfig, base: &Decoder, learner: &mut Learner) -> StepRecord {
    let (prompts, mut judge) = (prompts(), judge);
    let method =
        PolicyGradientMethod::new(&prompts, &mut judge, *config, &STOP_TOKENS, 5, base, Seed::new(8));
    let record = step_of(&mut method.unwrap(), learner);
    let truncated = record.get(metric_name::TRUNCATED_SHARE).unwrap();
    assert!(truncated > 0.0 && truncated < 1.0, "truncated: {truncated}");
    assert!(record.get(metric_name::REWARD_STD).unwrap() > 0.0);
    record
}

#[test]
fn policy_gradient_steps_of_every_preset() {
    let base = base();
    for name in
        ["trl_grpo", "trl_rloo", "dr_grpo", "dapo", "gspo", "cispo", "bnpo", "paper_grpo", "reinforce_1_0"]
    {
        let config = small(name);
        assert_same_for_weights_and_adapters(name, &|learner| policy_gradient(&config, &base, learner));
    }
}

#[test]
fn policy_gradient_steps_with_every_switch() {
    let base = base();
    let preset = small("trl_grpo");
    let with_kl = |estimator, multiply_by_ratio| {
        let mut config = preset;
        config.loss.kl = Some(KlPenalty { coefficient: 0.3, estimator, multiply_by_ratio });
        config
    };
    let cases = [
        ("k1", with_kl(KlEstimator::K1, false)),
        ("k2", with_kl(KlEstimator::K2, false)),
        ("k3", with_kl(KlEstimator::K3, false)),
        ("k3 with the gradient of k2", with_kl(KlEstimator::K3WithK2Gradient, false)),
        ("k3 times the ratio", with_kl(KlEstimator::K3, true)),
        ("KL in the reward", PolicyGradientConfig { kl_in_reward: 0.3, ..preset }),
        ("truncated masked", PolicyGradientConfig { mask_truncated: true, ..preset }),
        ("off-policy dropped", PolicyGradientConfig { off_policy_threshold: Some(0.01), ..preset }),
        ("temperature", PolicyGradientConfig { temperature: 0.6, ..preset }),
        (
            "three minibatches",
            PolicyGradientConfig {
                n_minibatches: 3,
                optimization: Optimization { sequences_per_step: 4, ..preset.optimization },
                ..preset
            },
        ),
    ];
    for (name, config) in cases {
        assert_same_for_weights_and_adapters(name, &|learner| policy_gradient(&config, &base, learner));
    }
}

fn pairs() -> Vec<PreferencePair> {
    let rejected = [example("r0", 2, 3), example("r1", 1, 8), example("r2", 3, 1), example("r3", 5, 4)];
    let pairs = examples().into_iter().zip(rejected);
    pairs.map(|(chosen, rejected)| PreferencePair { chosen, rejected }).collect()
}

#[test]
fn preference_steps() {
    let pairs = pairs();
    for loss in [paper_simpo(), standard_simpo()] {
        let step = |learner: &mut Learner| {
            step_of(&mut SimpoMethod::new(&pairs, 4, loss, Seed::new(0)).unwrap(), learner)
        };
        assert_same_for_weights_and_adapters(&format!("{loss:?}"), &step);
    }
}

fn generation() -> GenerationLimits {
    GenerationLimits { max_new_tokens: MAX_NEW_TOKENS, stop_tokens: STOP_TOKENS.to_vec(), max_rows: 5 }
}

#[test]
fn self_distillation_steps() {
    let base = base();
    let demonstrated = |(idx, prompt): (usize, Vec<u32>)| {
        let with_demonstration = [prompt.clone(), example(&format!("shown {idx}"), 4 + idx, 1).ids].concat();
        DemonstratedPrompt { prompt, with_demonstration }
    };
    let demonstrated: Vec<_> = prompts().into_iter().enumerate().map(demonstrated).collect();
    let optimization = sft_config(3).optimization;
    for is_reverse in [false, true] {
        let step = |learner: &mut Learner| {
            let seed = Seed::new(3);
            let method = SelfDistillationMethod::new(
                &demonstrated,
                &base,
                is_reverse,
                &optimization,
                generation(),
                seed,
            );
            step_of(&mut method.unwrap(), learner)
        };
        assert_same_for_weights_and_adapters(&format!("self-distillation, reverse {is_reverse}"), &step);
    }
}

#[test]
fn steps_on_fresh_right_completions() {
    let (base, prompts, config) = (base(), prompts(), sft_config(3));
    let step = |learner: &mut Learner| {
        let limits = RolloutLimits { group_size: 6, temperature: 1.0, generation: generation() };
        let mut judge = judge;
        let method =
            FreshSamplesMethod::new(&prompts, &mut judge, &base, limits, &config, Seed::new(1)).unwrap();
        let mut method = method;
        step_of(&mut method, learner)
    };
    assert_same_for_weights_and_adapters("fresh samples", &step);
}

#[test]
fn steps_with_any_loss_and_an_exact_kl_of_another_reading() {
    let (rows, base) = (examples(), base());
    let read: Vec<TokenExample> = rows
        .iter()
        .map(|row| {
            let ids = [[3, 4, 5].as_slice(), &row.ids].concat();
            TokenExample { completion: row.completion.start + 3..ids.len(), ids, boundary_differs: false }
        })
        .collect();
    let (rows, read): (Vec<_>, Vec<_>) = (rows.iter().collect(), read.iter().collect());
    let kl_weights = [0.1, 0.0, 0.3, 0.2, 0.05, 0.4, 0.1];
    for direction in [KlDirection::PolicyToReference, KlDirection::ReferenceToPolicy] {
        let step = |learner: &mut Learner| {
            let kl =
                KlTerm { reference: &base, direction, weights: &kl_weights, read_by_reference: Some(&read) };
            let mut loss = 0.0;
            let scores = learner.accumulate(&rows, 0.8, Some(&kl), &mut |sequence, token, log_prob| {
                loss += f64::from(log_prob);
                0.1 * log_prob * (sequence as f32 - 2.0) - 0.05 * token as f32
            });
            assert!(scores.iter().all(|scores| scores.kl.len() == scores.log_probs.len()));
            let update = learner.step(EPSILON * STEP);
            StepRecord::new(1).with(metric_name::LOSS, loss).with(metric_name::GRAD_NORM, update.grad_norm)
        };
        assert_same_for_weights_and_adapters(&format!("{direction:?}"), &step);
    }
}
