//! Decoders of both families against `transformers`.
//!
//! `tests/golden/decoder.py` made the figures; `tests/golden/README.md` says what each tensor is.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use razor_core::Seed;
use razor_models::{
    Completion, Decoder, GenerationLimits, GenerationRequest, Gradients, HiddenStates, HostData, HostTensor,
    KvCache, LmConfig, NoTap, PackedTokens, ParameterRef, Sampling, StopReason, TokenRows, generate,
};
use razor_tensor::{HeadWeights, TileBudget, label_log_probs, log_probs, token_loss_gradient};
use razor_trainers::{AdamW, AdamWConfig};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// f32 on both sides in another order of sums; logits reach 20, sums have at most 24 terms.
const ROUNDING: f32 = 2e-5;

/// Adam divides by the root of the squared gradient: where that is near 0, its rounding reaches the step. Ten steps of
/// 1e-3 move a weight by at most 1e-2.
const ADAMW_ROUNDING: f32 = 2e-4;

struct Golden {
    bytes: Vec<u8>,
    cases: Vec<Value>,
}

struct Case<'a> {
    golden: &'a Golden,
    name: String,
    config: LmConfig,
    eos: Option<u32>,
}

impl Golden {
    fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let json: Value = serde_json::from_slice(&fs::read(folder.join("decoder.json")).unwrap()).unwrap();
        let cases = json["cases"].as_array().unwrap().clone();
        assert!(cases.len() >= 8, "the grid has {} cases", cases.len());
        Self { bytes: fs::read(folder.join("decoder.safetensors")).unwrap(), cases }
    }

    fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        self.cases.iter().map(|case| {
            let name = case["name"].as_str().unwrap().to_owned();
            let config = LmConfig::parse(Path::new(&name), case["config"].as_str().unwrap()).unwrap();
            let eos = case["eos_token_id"].as_u64().map(|id| id as u32);
            Case { golden: self, name, config, eos }
        })
    }
}

impl Case<'_> {
    fn try_floats(&self, tensor: &str) -> Option<Vec<f32>> {
        let tensors = SafeTensors::deserialize(&self.golden.bytes).unwrap();
        let view = tensors.tensor(&format!("{}/{tensor}", self.name)).ok()?;
        assert_eq!(view.dtype(), Dtype::F32, "{tensor}");
        Some(view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect())
    }

    fn floats(&self, tensor: &str) -> Vec<f32> {
        self.try_floats(tensor).unwrap_or_else(|| panic!("{} has no {tensor}", self.name))
    }

    /// Integers in rows.
    fn try_integers(&self, tensor: &str) -> Option<Vec<Vec<u32>>> {
        let tensors = SafeTensors::deserialize(&self.golden.bytes).unwrap();
        let view = tensors.tensor(&format!("{}/{tensor}", self.name)).ok()?;
        assert_eq!(view.dtype(), Dtype::I64, "{tensor}");
        let whole =
            view.data().chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()) as u32);
        Some(whole.collect::<Vec<_>>().chunks(view.shape()[1]).map(<[u32]>::to_vec).collect())
    }

    fn integers(&self, tensor: &str) -> Vec<Vec<u32>> {
        self.try_integers(tensor).unwrap_or_else(|| panic!("{} has no {tensor}", self.name))
    }

    fn decoder(&self, device: &Device) -> Decoder {
        let built = Decoder::build(&self.config, DType::F32, device, |spec| {
            let data = HostData::F32(self.floats(&format!("weights/{}", spec.name)));
            Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data })
        });
        let Ok(decoder) = built;
        decoder
    }

    /// Prompts that `transformers` got with padding on the left.
    fn prompts(&self) -> Option<Vec<Vec<u32>>> {
        let (ids, mask) = (self.try_integers("padded/input_ids")?, self.integers("padded/attention_mask"));
        let kept = |(ids, mask): (&Vec<u32>, &Vec<u32>)| {
            ids.iter().zip(mask).filter(|&(_, &seen)| seen == 1).map(|(&id, _)| id).collect()
        };
        Some(ids.iter().zip(&mask).map(kept).collect())
    }
}

fn assert_close(got: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{what}: error {worst} above {tolerance}");
    assert!(!got.iter().any(|x| x.is_nan()), "{what} has NaN");
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().unwrap()
}

fn all_logits(decoder: &Decoder, tokens: &TokenRows) -> Tensor<2> {
    let hidden = decoder.forward(tokens, None, &mut NoTap);
    let [b, t, d] = hidden.dims();
    decoder.logits(hidden.reshape([b * t, d]))
}

/// Mean negative log-probability of the completion tokens, each predicted by the position before.
fn completion_loss(decoder: &Decoder, ids: &[Vec<u32>], mask: &[Vec<u32>]) -> Tensor<1> {
    let device = decoder.device();
    let width = ids[0].len();
    let logits = all_logits(decoder, &TokenRows::right_padded(ids)); // [B * T, V]
    let (mut positions, mut targets) = (Vec::new(), Vec::new());
    for (row, (ids, mask)) in ids.iter().zip(mask).enumerate() {
        for at in (1..width).filter(|&at| mask[at] == 1) {
            positions.push((row * width + at - 1) as i64);
            targets.push(i64::from(ids[at]));
        }
    }
    let n = positions.len();
    let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, [n]), &device);
    let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [n]), &device);
    label_log_probs(log_probs(logits.select(0, positions)), targets).mean().neg()
}

#[test]
fn logits_of_every_config_equal_those_of_transformers() {
    let golden = Golden::open();
    for case in golden.cases() {
        let tokens = TokenRows::right_padded(&case.integers("input_ids"));
        let plain = Device::flex();
        // On the plain device the CPU kernels compute, on the other one Burn's operations.
        for device in [plain.clone(), plain.autodiff()] {
            let logits = all_logits(&case.decoder(&device), &tokens);
            assert_close(&numbers(logits), &case.floats("logits"), ROUNDING, &case.name);
        }
    }
}

#[test]
fn bf16_weights_give_the_logits_of_the_same_weights_in_f32() {
    let golden = Golden::open();
    for case in golden.cases() {
        let read = |narrow: bool| {
            let Ok(decoder) = Decoder::build(&case.config, DType::F32, &Device::flex(), |spec| {
                let values = case.floats(&format!("weights/{}", spec.name));
                let rounded: Vec<half::bf16> = values.iter().map(|&x| half::bf16::from_f32(x)).collect();
                let data = match narrow && spec.shape.len() == 2 {
                    true => HostData::Bf16(rounded),
                    false => HostData::F32(rounded.into_iter().map(half::bf16::to_f32).collect()),
                };
                Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data })
            });
            decoder
        };
        let tokens = TokenRows::right_padded(&case.integers("input_ids"));
        let (narrow, wide) = (all_logits(&read(true), &tokens), all_logits(&read(false), &tokens));
        assert_close(&numbers(narrow), &numbers(wide), 1e-6, &case.name); // equal products, equal order
    }
}

#[test]
fn hidden_states_of_every_layer_equal_those_of_transformers() {
    let golden = Golden::open();
    let mut n_checked = 0;
    for case in golden.cases().filter(|case| case.try_floats("hidden_states/0").is_some()) {
        let mut tap = HiddenStates::default();
        let tokens = TokenRows::right_padded(&case.integers("input_ids"));
        let last = case.decoder(&Device::flex()).forward(&tokens, None, &mut tap);
        // transformers gives the last state after the final norm, and not before it
        *tap.states.last_mut().unwrap() = last;
        assert_eq!(tap.states.len(), case.config.n_layers + 1);
        for (idx, state) in tap.states.into_iter().enumerate() {
            let expected = case.floats(&format!("hidden_states/{idx}"));
            assert_close(&numbers(state), &expected, ROUNDING, &format!("{} state {idx}", case.name));
        }
        n_checked += 1;
    }
    assert!(n_checked > 0, "no case has hidden states");
}

#[test]
fn loss_and_every_gradient_equal_those_of_transformers() {
    let golden = Golden::open();
    let mut n_checked = 0;
    for case in golden.cases() {
        let Some(expected) = case.try_floats("loss") else { continue };
        let decoder = case.decoder(&Device::flex().autodiff());
        let loss = completion_loss(&decoder, &case.integers("input_ids"), &case.integers("completion_mask"));
        assert_close(&numbers(loss.clone()), &expected, ROUNDING, &case.name);
        let gradients = loss.backward();
        for (name, param) in decoder.parameters() {
            let gradient = match param {
                ParameterRef::Matrix(param) => numbers(param.val().grad(&gradients).unwrap()),
                ParameterRef::Vector(param) => numbers(param.val().grad(&gradients).unwrap()),
            };
            let expected = case.floats(&format!("gradients/{name}"));
            assert_close(&gradient, &expected, ROUNDING, &format!("{} {name}", case.name));
            n_checked += 1;
        }
    }
    assert!(n_checked > 100, "only {n_checked} gradients");
}

/// Gradients of the completion loss by the passes that the trainers use.
fn gradients_by_hand(case: &Case<'_>, decoder: &Decoder, recompute: bool) -> (f64, Gradients) {
    let (ids, mask) = (case.integers("input_ids"), case.integers("completion_mask"));
    let tokens = PackedTokens::new(&ids);
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (range, (ids, mask)) in tokens.ranges().zip(ids.iter().zip(&mask)) {
        for at in (1..ids.len()).filter(|&at| mask[at] == 1) {
            rows.push(range.start + at - 1);
            targets.push(ids[at]);
        }
    }
    let weight = 1.0 / rows.len() as f32;
    let mut gradients = Gradients::of(decoder.parameters().iter().map(|(_, parameter)| parameter.id()));
    let (hidden, activations) = decoder.forward_for_training(tokens, &rows, recompute);
    let budget = TileBudget { bytes: 1 << 20 };
    let mut upstream = |_: usize, _: f32| -weight;
    let found = token_loss_gradient(
        hidden,
        decoder.head(),
        &targets,
        1.0,
        &mut upstream,
        None,
        HeadWeights::Trained(None),
        budget,
    );
    gradients.put(decoder.head_parameter(), found.head.unwrap());
    decoder.backward(activations, found.hidden, &mut gradients);
    let loss = found.scores.log_probs.iter().map(|&log_prob| -f64::from(log_prob * weight)).sum();
    (loss, gradients)
}

#[test]
fn loss_and_every_gradient_by_hand_equal_those_of_transformers() {
    let golden = Golden::open();
    let mut n_checked = 0;
    for case in golden.cases() {
        let Some(expected) = case.try_floats("loss") else { continue };
        let decoder = case.decoder(&Device::flex());
        for recompute in [false, true] {
            let (loss, mut gradients) = gradients_by_hand(&case, &decoder, recompute);
            assert_close(&[loss as f32], &expected, ROUNDING, &case.name);
            for (name, param) in decoder.parameters() {
                let gradient = numbers(gradients.take(param.id()).unwrap());
                let expected = case.floats(&format!("gradients/{name}"));
                assert_close(&gradient, &expected, ROUNDING, &format!("{} {name}", case.name));
                n_checked += 1;
            }
        }
    }
    assert!(n_checked > 200, "only {n_checked} gradients");
}

#[test]
fn ten_adamw_steps_end_where_those_of_pytorch_end() {
    let golden = Golden::open();
    let config = AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };
    let mut n_checked = 0;
    for case in golden.cases().filter(|case| case.try_floats("adamw/model.norm.weight").is_some()) {
        let device = Device::flex().autodiff();
        let (ids, mask) = (case.integers("input_ids"), case.integers("completion_mask"));
        let specs = case.config.tensors();
        let mut values: Vec<Vec<f32>> =
            specs.iter().map(|spec| case.floats(&format!("weights/{}", spec.name))).collect();
        let mut optimizer = AdamW::new(config);
        for _ in 0..10 {
            let by_name: HashMap<_, _> = specs.iter().map(|spec| &spec.name).zip(&values).collect();
            let Ok(decoder) = Decoder::build(&case.config, DType::F32, &device, |spec| {
                let data = HostData::F32(by_name[&spec.name].clone());
                Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data })
            });
            let gradients = completion_loss(&decoder, &ids, &mask).backward();
            let gradients: Vec<Vec<f32>> = decoder
                .parameters()
                .into_iter()
                .map(|(_, param)| match param {
                    ParameterRef::Matrix(param) => numbers(param.val().grad(&gradients).unwrap()),
                    ParameterRef::Vector(param) => numbers(param.val().grad(&gradients).unwrap()),
                })
                .collect();
            let pairs = values.iter_mut().map(Vec::as_mut_slice).zip(gradients.iter().map(Vec::as_slice));
            optimizer.step(pairs, 1e-3);
        }
        for (spec, values) in specs.iter().zip(&values) {
            let expected = case.floats(&format!("adamw/{}", spec.name));
            assert_close(values, &expected, ADAMW_ROUNDING, &format!("{} {}", case.name, spec.name));
        }
        n_checked += 1;
    }
    assert!(n_checked >= 3, "only {n_checked} cases");
}

#[test]
fn left_padding_changes_no_logit() {
    let golden = Golden::open();
    let mut n_checked = 0;
    for case in golden.cases() {
        let Some(prompts) = case.prompts() else { continue };
        let vocab_size = case.config.vocab_size;
        let tokens = TokenRows::left_padded(&prompts);
        for device in [Device::flex(), Device::flex().autodiff()] {
            let logits = numbers(all_logits(&case.decoder(&device), &tokens));
            let expected = case.floats("padded/logits");
            for (row, &padding) in tokens.left_padding().iter().enumerate() {
                let real =
                    (row * tokens.width() + padding) * vocab_size..(row + 1) * tokens.width() * vocab_size;
                assert_close(
                    &logits[real.clone()],
                    &expected[real],
                    ROUNDING,
                    &format!("{} row {row}", case.name),
                );
            }
        }
        n_checked += 1;
    }
    assert!(n_checked >= 3, "only {n_checked} cases");
}

fn greedy_limits(case: &Case<'_>, max_rows: usize) -> GenerationLimits {
    GenerationLimits { max_new_tokens: 12, stop_tokens: case.eos.into_iter().collect(), max_rows }
}

fn completions(
    decoder: &Decoder,
    requests: &[GenerationRequest],
    sampling: Sampling,
    limits: &GenerationLimits,
) -> Vec<Vec<Completion>> {
    let mut all: Vec<Vec<Option<Completion>>> =
        requests.iter().map(|request| vec![None; request.seeds.len()]).collect();
    let mut keep = |request: usize, seed: usize, completion| all[request][seed] = Some(completion);
    generate(decoder, requests, sampling, limits, &mut |_, _, _| false, &mut keep).unwrap();
    all.into_iter().map(|group| group.into_iter().map(Option::unwrap).collect()).collect()
}

fn requests(prompts: &[Vec<u32>], group_size: u64) -> Vec<GenerationRequest> {
    let of = |(idx, prompt): (usize, &Vec<u32>)| GenerationRequest {
        prompt: prompt.clone(),
        seeds: (0..group_size)
            .map(|draw| Seed::new(7).derive("prompt", idx as u64).derive("draw", draw))
            .collect(),
    };
    prompts.iter().enumerate().map(of).collect()
}

#[test]
fn greedy_completions_equal_those_of_transformers() {
    let golden = Golden::open();
    let (mut n_checked, mut n_stopped) = (0, 0);
    for case in golden.cases() {
        let (Some(prompts), Some(expected)) = (case.prompts(), case.try_integers("greedy/tokens")) else {
            continue;
        };
        let expected_log_probs = case.floats("greedy/log_probs");
        let decoder = case.decoder(&Device::flex());
        for max_rows in [1, 2, 8] {
            let drawn = completions(
                &decoder,
                &requests(&prompts, 1),
                Sampling::GREEDY,
                &greedy_limits(&case, max_rows),
            );
            for (row, (group, tokens)) in drawn.iter().zip(&expected).enumerate() {
                let n = group[0].tokens.len();
                assert_eq!(group[0].tokens, tokens[..n], "{} row {row}", case.name);
                let log_probs = &expected_log_probs[row * tokens.len()..][..n];
                assert_close(&group[0].log_probs, log_probs, ROUNDING, &case.name);
                let has_stopped = group[0].stop_reason == StopReason::StopToken;
                assert_eq!(has_stopped, n < 12 || case.eos == group[0].tokens.last().copied());
                n_stopped += usize::from(has_stopped && n < 12);
            }
        }
        n_checked += 1;
    }
    assert!(n_checked >= 3 && n_stopped > 0, "{n_checked} cases, {n_stopped} rows that stopped early");
}

#[test]
fn a_drawn_text_does_not_depend_on_the_batch_that_it_was_drawn_in() {
    let golden = Golden::open();
    for case in golden.cases() {
        let Some(prompts) = case.prompts() else { continue };
        let decoder = case.decoder(&Device::flex());
        let sampling = Sampling { temperature: 0.9, top_k: 20, top_p: 0.95, min_p: 0.01 };
        let all = requests(&prompts, 5);
        let together = completions(&decoder, &all, sampling, &greedy_limits(&case, 64));
        for max_rows in [1, 2, 7] {
            let split = completions(&decoder, &all, sampling, &greedy_limits(&case, max_rows));
            for (a, b) in together.iter().flatten().zip(split.iter().flatten()) {
                assert_eq!(a.tokens, b.tokens, "{} by {max_rows}", case.name);
                assert_close(&a.log_probs, &b.log_probs, ROUNDING, &case.name);
            }
        }
        let distinct: std::collections::HashSet<_> = together[0].iter().map(|drawn| &drawn.tokens).collect();
        assert!(distinct.len() > 1, "a group draws different completions");
    }
}

#[test]
fn cached_decoding_equals_the_full_forward_pass() {
    let golden = Golden::open();
    for case in golden.cases() {
        let ids = case.integers("input_ids");
        let width = ids[0].len();
        for device in [Device::flex(), Device::flex().autodiff()] {
            let decoder = case.decoder(&device);
            let full = numbers(decoder.forward(&TokenRows::right_padded(&ids), None, &mut NoTap));
            let n_first = width.div_ceil(2);
            let mut cache = KvCache::new(&case.config, &vec![0; ids.len()], width + 3, DType::F32, &device);
            let mut parts = Vec::new();
            for range in std::iter::once(0..n_first).chain((n_first..width).map(|at| at..at + 1)) {
                let part: Vec<&[u32]> = ids.iter().map(|row| &row[range.clone()]).collect();
                parts.push(decoder.forward(&TokenRows::right_padded(&part), Some(&mut cache), &mut NoTap));
            }
            assert_close(&numbers(Tensor::cat(parts, 1)), &full, ROUNDING, &case.name);
        }
    }
}

/// Doubles what one head found.
struct Doubled {
    layer_idx: usize,
    head_idx: usize,
}

impl razor_models::Tap for Doubled {
    fn heads(&mut self, layer_idx: usize, heads: Tensor<4>) -> Tensor<4> {
        if layer_idx != self.layer_idx {
            return heads;
        }
        let [b, t, _, c] = heads.dims();
        let one = heads.clone().slice([0..b, 0..t, self.head_idx..self.head_idx + 1, 0..c]);
        heads.slice_assign([0..b, 0..t, self.head_idx..self.head_idx + 1, 0..c], one * 2.0)
    }
}

#[test]
fn replacing_a_head_equals_scaling_its_columns_of_the_output_projection() {
    let golden = Golden::open();
    let case = golden.cases().next().unwrap();
    let tokens = TokenRows::right_padded(&case.integers("input_ids"));
    let device = Device::flex();
    let tapped = case.decoder(&device).forward(&tokens, None, &mut Doubled { layer_idx: 1, head_idx: 2 });
    let channels = case.config.head_dim;
    let width = case.config.n_heads * channels;
    let Ok(scaled) = Decoder::build(&case.config, DType::F32, &device, |spec| {
        let mut values = case.floats(&format!("weights/{}", spec.name));
        if spec.name == "model.layers.1.self_attn.o_proj.weight" {
            for row in values.chunks_mut(width) {
                row[2 * channels..3 * channels].iter_mut().for_each(|weight| *weight *= 2.0);
            }
        }
        Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data: HostData::F32(values) })
    });
    let expected = scaled.forward(&tokens, None, &mut NoTap);
    let untouched = case.decoder(&device).forward(&tokens, None, &mut NoTap);
    assert_close(&numbers(tapped), &numbers(expected.clone()), ROUNDING, "tap");
    assert_ne!(numbers(expected), numbers(untouched), "the head matters");
}
