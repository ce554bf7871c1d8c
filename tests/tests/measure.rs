//! How far a tuned decoder has moved from its base, against `transformers` and NumPy, and on completions of its own.
//!
//! `tests/golden/shift.py` made the figures and says what each is.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::convert::Infallible;
use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device};
use razor_core::Seed;
use razor_metrics::{
    CompletionShift, DriftOptions, SampleSource, ShiftQuantity, ShiftSample, TensorDrift, WeightDrift,
    completion_shifts, layer_similarities, mean_hidden_states, sequence_fisher, shift_quantities,
};
use razor_models::{
    Completion, Decoder, GenerationLimits, GenerationRequest, HostData, HostTensor, LmConfig, Sampling,
    ScoreLimits, ScoreRequest, generate,
};
use razor_tensor::TileBudget;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Log-probabilities of f32 networks of two layers against f64: as the goldens of the decoder have it.
const ROUNDING: f64 = 2e-5;

/// Divergences are sums over 53 words of differences of those, each weighed with a probability.
const DIVERGENCE_ROUNDING: f64 = 5e-6;

struct Golden {
    json: Value,
    bytes: Vec<u8>,
    config: LmConfig,
}

impl Golden {
    fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let json: Value = serde_json::from_slice(&fs::read(folder.join("shift.json")).unwrap()).unwrap();
        let config = LmConfig::parse(Path::new("shift"), json["config"].as_str().unwrap()).unwrap();
        Self { json, bytes: fs::read(folder.join("shift.safetensors")).unwrap(), config }
    }

    fn weights(&self, side: &str, name: &str) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(&format!("{side}/{name}")).unwrap();
        assert_eq!(view.dtype(), Dtype::F32);
        view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    fn tokens(&self, name: &str) -> Option<Vec<u32>> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let data = tensors.tensor(name).ok()?.data().to_vec();
        Some(data.chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()) as u32).collect())
    }

    fn decoder(&self, side: &str, device: &Device) -> Decoder {
        let Ok(decoder) = Decoder::build(&self.config, DType::F32, device, |spec| {
            let data = HostData::F32(self.weights(side, &spec.name));
            Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data })
        });
        decoder
    }

    fn completions(&self) -> Vec<ScoreRequest> {
        let of = |idx: usize| {
            let context = self.tokens(&format!("prompt.{idx}"))?;
            Some(ScoreRequest { context, continuation: self.tokens(&format!("completion.{idx}"))? })
        };
        (0..).map_while(of).collect()
    }
}

fn limits(batch_tokens: usize, bytes: usize) -> ScoreLimits {
    ScoreLimits { batch_tokens, tiles: TileBudget { bytes } }
}

fn shifts(
    reference: &Decoder,
    policy: &Decoder,
    completions: &[ScoreRequest],
    limits: ScoreLimits,
) -> Vec<CompletionShift> {
    completion_shifts(reference, policy, completions, limits, &mut |_| {}).unwrap()
}

fn columns(shift: &CompletionShift) -> [(&'static str, &[f32], f64); 8] {
    let divergences = &shift.divergences;
    [
        ("reference_log_probs", &shift.reference_log_probs, ROUNDING),
        ("policy_log_probs", &shift.policy_log_probs, ROUNDING),
        ("kl_reference_to_policy", &divergences.kl_reference_to_policy, DIVERGENCE_ROUNDING),
        ("kl_policy_to_reference", &divergences.kl_policy_to_reference, DIVERGENCE_ROUNDING),
        ("total_variation", &divergences.total_variation, DIVERGENCE_ROUNDING),
        ("l2", &divergences.l2, DIVERGENCE_ROUNDING),
        ("reference_entropy", &divergences.reference_entropy, ROUNDING),
        ("policy_entropy", &divergences.policy_entropy, ROUNDING),
    ]
}

fn find<'a>(quantities: &'a [ShiftQuantity], name: &str) -> &'a ShiftQuantity {
    quantities.iter().find(|quantity| quantity.name == name).unwrap_or_else(|| panic!("there is no {name}"))
}

#[track_caller]
fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(error <= tolerance, "{what}: {found}, expected {expected} up to {tolerance}");
}

#[test]
fn every_token_has_the_divergences_of_transformers_in_any_batch() {
    let golden = Golden::open();
    let [base, tuned] = ["base", "tuned"].map(|side| golden.decoder(side, &Device::flex()));
    let completions = golden.completions();
    assert_eq!(completions.len(), 8);
    for limits in [limits(4096, 1 << 20), limits(1, 100), limits(20, 4000)] {
        let found = shifts(&base, &tuned, &completions, limits);
        for (idx, (shift, expected)) in
            found.iter().zip(golden.json["completions"].as_array().unwrap()).enumerate()
        {
            for (name, column, tolerance) in columns(shift) {
                let expected = expected[name].as_array().unwrap();
                assert_eq!(column.len(), expected.len(), "completion {idx} {name}");
                for (found, expected) in column.iter().zip(expected) {
                    let what = format!("completion {idx} {name}");
                    assert_close(f64::from(*found), expected.as_f64().unwrap(), tolerance, &what);
                }
            }
        }
    }
}

fn as_samples(shifts: &[CompletionShift], source: SampleSource) -> Vec<ShiftSample> {
    let sample = |(idx, shift): (usize, &CompletionShift)| ShiftSample {
        prompt_idx: idx / 2,
        source,
        is_truncated: false,
        shift: shift.clone(),
    };
    shifts.iter().enumerate().map(sample).collect()
}

#[test]
fn every_mean_is_that_of_the_script() {
    let golden = Golden::open();
    let [base, tuned] = ["base", "tuned"].map(|side| golden.decoder(side, &Device::flex()));
    let shifts = shifts(&base, &tuned, &golden.completions(), limits(4096, 1 << 20));
    let both = [SampleSource::Reference, SampleSource::Policy].map(|source| as_samples(&shifts, source));
    let quantities = shift_quantities(&both.concat(), 200, Seed::new(0));
    let expected = golden.json["quantities"].as_object().unwrap();
    assert!(expected.len() >= 22);
    for (name, expected) in expected {
        let found = find(&quantities, name);
        assert_close(found.mean.unwrap(), expected.as_f64().unwrap(), ROUNDING, name);
        assert!(found.low <= found.mean && found.mean <= found.high, "{found:?}");
    }
}

#[test]
fn weights_have_moved_as_far_as_numpy_says() {
    let golden = Golden::open();
    let expected = &golden.json["weights"];
    let n_directions = expected["n_directions"].as_u64().unwrap() as usize;
    let options = DriftOptions { n_directions, svd_limit: None };
    let fisher = sequence_fisher(
        &golden.decoder("base", &Device::flex()),
        &golden.completions(),
        TileBudget { bytes: 1 << 20 },
        &mut |_| {},
    )
    .unwrap();
    let mut tensors = Vec::new();
    for (spec, (name, fisher)) in golden.config.tensors().iter().zip(&fisher) {
        assert_eq!(&spec.name, name);
        let (before, after) = (golden.weights("base", name), golden.weights("tuned", name));
        let found = TensorDrift::between(name, &spec.shape, &before, &after, Some(fisher), options).unwrap();
        let expected = &expected["tensors"][name];
        let of = |field: &str| expected[field].as_f64();
        // f64 on both sides, from the same bits
        assert_close(found.change.mean_abs, of("mean_abs").unwrap(), 1e-12, name);
        assert_close(found.l2, of("l2").unwrap(), 1e-12, name);
        // Gradients are f32: squares of the largest are near 1, changes below 0.1.
        let by_fisher = of("fisher_weighted").unwrap();
        assert_close(found.fisher_weighted.unwrap(), by_fisher, 1e-4 * by_fisher + 1e-12, name);
        assert_eq!(found.matrix.is_some(), spec.shape.len() == 2);
        if let Some(matrix) = found.matrix {
            let norm = of("spectral_norm").unwrap();
            assert_close(matrix.spectral_norm, norm, 1e-7 * norm, name);
            assert_eq!(matrix.rank, expected["rank"].as_u64().map(|rank| rank as usize), "{name}");
            for (found, field) in [(matrix.left_energy, "left_energy"), (matrix.right_energy, "right_energy")]
            {
                assert_eq!(found.is_some(), of(field).is_some(), "{name} {field}");
                assert_close(
                    found.unwrap_or(0.0),
                    of(field).unwrap_or(0.0),
                    1e-8,
                    &format!("{name} {field}"),
                );
            }
        }
        tensors.push(found);
    }
    let whole = WeightDrift::over(&tensors, options).unwrap();
    let of = |field: &str| expected["whole"][field].as_f64().unwrap();
    for (found, field, tolerance) in [
        (whole.change.mean_abs, "mean_abs", 1e-12),
        (whole.change.unchanged_f32, "unchanged_f32", 1e-12),
        (whole.change.unchanged_bf16, "unchanged_bf16", 1e-12),
        (whole.change.within_tolerance, "within_tolerance", 1e-12),
        (whole.l2, "l2", 1e-12),
        (whole.relative_l2.unwrap(), "relative_l2", 1e-12),
        (whole.spectral_norm_sum, "spectral_norm_sum", 1e-6),
        (whole.rank_share.unwrap(), "rank_share", 1e-12),
        (whole.left_energy.unwrap(), "left_energy", 1e-8),
        (whole.right_energy.unwrap(), "right_energy", 1e-8),
        (whole.fisher_weighted.unwrap(), "fisher_weighted", 1e-4),
    ] {
        assert_close(found, of(field), tolerance, field);
    }
}

#[test]
fn hidden_states_are_as_alike_as_whole_kernels_say() {
    let golden = Golden::open();
    let prompts: Vec<Vec<u32>> = (0..).map_while(|idx| golden.tokens(&format!("probe.{idx}"))).collect();
    let expected = &golden.json["hidden"];
    let n_neighbors = expected["n_neighbors"].as_u64().unwrap() as usize;
    for batch_tokens in [1, 30, 4096] {
        let states = ["base", "tuned"]
            .map(|side| mean_hidden_states(&golden.decoder(side, &Device::flex()), &prompts, batch_tokens));
        let found = layer_similarities(&states[0], &states[1], prompts.len(), n_neighbors).unwrap();
        let expected = expected["layers"].as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            // kernels in f32
            assert_close(found.cka, expected["cka"].as_f64().unwrap(), 1e-5, "cka");
            assert_close(found.cknna, expected["cknna"].as_f64().unwrap(), 1e-5, "cknna");
        }
    }
}

/// Completions that `sampler` draws at temperature 1, eight tokens at most, and what both models say of them.
fn drawn(
    reference: &Decoder,
    policy: &Decoder,
    source: SampleSource,
    prompts: &[Vec<u32>],
    n_samples: u64,
) -> Vec<ShiftSample> {
    let sampler = if source == SampleSource::Reference { reference } else { policy };
    let seed = Seed::new(3);
    let request = |(idx, prompt): (usize, &Vec<u32>)| GenerationRequest {
        prompt: prompt.clone(),
        seeds: (0..n_samples).map(|draw| seed.derive("prompt", idx as u64).derive("draw", draw)).collect(),
    };
    let requests: Vec<GenerationRequest> = prompts.iter().enumerate().map(request).collect();
    let limits = GenerationLimits { max_new_tokens: 8, stop_tokens: vec![1], max_rows: 64 };
    let mut list: Vec<(usize, Completion)> = Vec::new();
    let mut keep = |request: usize, _: usize, completion| list.push((request, completion));
    generate(sampler, &requests, Sampling::PLAIN, &limits, &mut |_, _, _| false, &mut keep).unwrap();
    let completions: Vec<ScoreRequest> = list
        .iter()
        .map(|(idx, completion)| ScoreRequest {
            context: prompts[*idx].clone(),
            continuation: completion.tokens.clone(),
        })
        .collect();
    let shifts = shifts(reference, policy, &completions, self::limits(4096, 1 << 20));
    let sample = |((prompt_idx, completion), shift): (&(usize, Completion), CompletionShift)| {
        let own = if source == SampleSource::Reference {
            &shift.reference_log_probs
        } else {
            &shift.policy_log_probs
        };
        for (drawn, scored) in completion.log_probs.iter().zip(own) {
            assert_close(f64::from(*drawn), f64::from(*scored), ROUNDING, "drawn and scored");
        }
        ShiftSample { prompt_idx: *prompt_idx, source, is_truncated: completion.tokens.len() == 8, shift }
    };
    list.iter().zip(shifts).map(sample).collect()
}

fn prompts(n: u32) -> Vec<Vec<u32>> {
    (0..n).map(|idx| (0..1 + idx % 5).map(|at| (7 * idx + 3 * at + 2) % 53).collect()).collect()
}

#[test]
fn a_model_is_at_no_distance_from_itself() {
    let golden = Golden::open();
    let [one, same] = ["tuned", "tuned"].map(|side| golden.decoder(side, &Device::flex()));
    let samples = [SampleSource::Reference, SampleSource::Policy]
        .map(|source| drawn(&one, &same, source, &prompts(6), 3))
        .concat();
    let quantities = shift_quantities(&samples, 200, Seed::new(0));
    let mut n_checked = 0;
    for quantity in &quantities {
        let is_distance =
            quantity.name.starts_with("kl_") || ["total_variation", "l2"].contains(&quantity.name.as_str());
        if is_distance {
            let found = (quantity.mean, quantity.low, quantity.high, quantity.standard_error);
            assert_eq!(found, (Some(0.0), Some(0.0), Some(0.0), Some(0.0)), "{}", quantity.name);
            n_checked += 1;
        }
    }
    assert_eq!(n_checked, 18);
    let mean = |name| find(&quantities, name).mean;
    assert_eq!(mean("reference_entropy"), mean("policy_entropy"));
    assert!(mean("reference_entropy") > Some(1.0));
}

#[test]
fn the_kl_of_a_completion_is_the_sum_over_its_tokens() {
    let golden = Golden::open();
    let [base, tuned] = ["base", "tuned"].map(|side| golden.decoder(side, &Device::flex()));
    let samples = drawn(&base, &tuned, SampleSource::Reference, &prompts(6), 3);
    let quantities = shift_quantities(&samples, 200, Seed::new(0));
    let sums: Vec<f64> = samples
        .iter()
        .map(|sample| {
            sample.shift.divergences.kl_reference_to_policy.iter().map(|&kl| f64::from(kl)).sum::<f64>()
        })
        .collect();
    let expected = sums.iter().sum::<f64>() / sums.len() as f64;
    let per_sequence = find(&quantities, "kl_reference_to_policy_exact_per_sequence").mean.unwrap();
    assert_close(per_sequence, expected, 1e-12, "per sequence");
    let per_token = find(&quantities, "kl_reference_to_policy_exact_per_token").mean.unwrap();
    let length = find(&quantities, "reference_length").mean.unwrap();
    assert_close(per_token * length, per_sequence, 1e-12, "per token times length");
}

#[test]
fn unbiased_estimators_agree_with_the_exact_kl_on_many_completions() {
    let golden = Golden::open();
    let [base, tuned] = ["base", "tuned"].map(|side| golden.decoder(side, &Device::flex()));
    let directions = [
        (SampleSource::Reference, "kl_reference_to_policy"),
        (SampleSource::Policy, "kl_policy_to_reference"),
    ];
    for (source, direction) in directions {
        let samples = drawn(&base, &tuned, source, &prompts(60), 20);
        let quantities = shift_quantities(&samples, 400, Seed::new(0));
        let exact = find(&quantities, &format!("{direction}_exact_per_sequence"));
        assert!(exact.mean > Some(0.02), "{exact:?}");
        for estimator in ["k1", "k3"] {
            let found = find(&quantities, &format!("{direction}_{estimator}_per_sequence"));
            // Four standard errors: one draw in 16,000 lies outside, and the seed is fixed.
            let bound = 4.0 * found.standard_error.unwrap();
            assert_close(
                found.mean.unwrap(),
                exact.mean.unwrap(),
                bound,
                &format!("{direction} {estimator}"),
            );
            // A bound that says something.
            assert!(bound < 0.5 * exact.mean.unwrap(), "{direction} {estimator}: {bound} of {exact:?}");
            assert!(found.standard_error > exact.standard_error, "{found:?} against {exact:?}");
        }
    }
}
