//! Training against PyTorch, `transformers` and PEFT.
//!
//! `tests/golden/training.py` made the figures and says what they are. The curves of policy gradients on fixed completions
//! are compared inside of `razor-trainers`, where completions can be given (`policy_gradient_method/golden.rs`).

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

mod adapters;
mod sft;

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use razor_data::TokenExample;
use razor_models::{Decoder, HostData, HostTensor, LmConfig, ParameterRef};
use razor_trainers::AdamWConfig;
use razor_trainers::language::LearnerConfig;
use razor_trainers::language::loss::{Optimization, SftConfig, trl_sft};
use safetensors::SafeTensors;
use serde_json::Value;

struct Golden {
    folder: PathBuf,
    bytes: Vec<u8>,
    json: Value,
}

impl Golden {
    fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let json = serde_json::from_slice(&fs::read(folder.join("training.json")).unwrap()).unwrap();
        Self { bytes: fs::read(folder.join("training.safetensors")).unwrap(), folder, json }
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let tensors = self.tensors();
        let found = tensors.tensor(name).unwrap_or_else(|_| panic!("the fixture has no {name}"));
        let (numbers, rest) = found.data().as_chunks::<4>();
        assert!(rest.is_empty());
        numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    fn base(&self) -> Decoder {
        let config = LmConfig::parse(Path::new("config"), self.json["config"].as_str().unwrap()).unwrap();
        let Ok(base) = Decoder::build(&config, DType::F32, &Device::flex(), |spec| {
            let data = HostData::F32(self.floats(&format!("base/{}", spec.name)));
            Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data })
        });
        base
    }
}

/// A learner whose batches come in several micro-batches.
fn learner_config(settings: &Value) -> LearnerConfig {
    let adamw = AdamWConfig {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: settings["weight_decay"].as_f64().unwrap(),
    };
    let max_grad_norm = settings["max_grad_norm"].as_f64().unwrap();
    LearnerConfig { adamw, max_grad_norm, micro_batch_tokens: 12, recompute: false, tile_mib: 1 }
}

/// Supervised fine-tuning on a whole batch of `batch_size` at a time.
fn sft_config(batch_size: usize) -> SftConfig {
    let optimization = Optimization { sequences_per_step: batch_size, ..trl_sft().optimization };
    SftConfig { optimization, ..trl_sft() }
}

fn example(ids: Vec<u32>, completion_start: usize) -> TokenExample {
    TokenExample { completion: completion_start..ids.len(), ids, boundary_differs: false }
}

fn integers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn values(parameter: ParameterRef<'_>) -> Vec<f32> {
    parameter.values().into_data().try_into_vec().unwrap()
}

/// The largest distance of a comparison, and where it was.
#[derive(Debug, Default)]
struct Worst {
    distance: f64,
    place: String,
    n_seen: usize,
}

impl Worst {
    fn see(&mut self, found: f64, expected: f64, scale: f64, place: &str) {
        let distance = (found - expected).abs() / scale;
        self.n_seen += 1;
        if distance > self.distance || distance.is_nan() {
            self.distance = distance;
            self.place = format!("{place}: {found}, not {expected}");
        }
    }

    /// Numbers with a scale of 1, or of the expected number where that is larger.
    fn see_all(&mut self, found: &[f32], expected: &[f32], place: &str) {
        assert_eq!(found.len(), expected.len(), "{place}");
        for (&found, &expected) in found.iter().zip(expected) {
            let (found, expected) = (f64::from(found), f64::from(expected));
            self.see(found, expected, expected.abs().max(1.0), place);
        }
    }

    fn assert_below(&self, tolerance: f64, what: &str) {
        let Self { distance, place, n_seen } = self;
        eprintln!("{what}: {distance:.1e} of {tolerance:.0e} over {n_seen} numbers; {place}");
        assert!(
            *n_seen > 0 && *distance <= tolerance,
            "{what}: {distance:.1e} above {tolerance:.0e}; {place}"
        );
    }
}
