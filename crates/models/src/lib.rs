//! Networks, their weights, and draws from them.
//!
//! Two kinds: the small perceptron of ParityMNIST, and decoders of the Qwen2 and Llama families with their checkpoints,
//! generation and scoring. Nothing here knows of text, tasks, rewards or training: tokens go in, numbers and tokens come
//! out. A network lives on the `&Device` that it is given: on `device.autodiff()` it trains, on the plain device it is a
//! frozen reference.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use razor_core::Seed;
//! use razor_models::Mlp;
//!
//! let device = Device::flex();
//! let policy = Mlp::init(&[4, 8, 3], Seed::new(0), &device);
//! let logits = policy.forward(Tensor::<2>::zeros([2, 4], &device)); // [B, V]
//! assert_eq!(logits.dims(), [2, 3]);
//! ```

mod checkpoint;
mod config_fields;
mod decoder;
mod error;
mod generate;
mod host_mlp;
#[cfg(feature = "hub")]
mod hub_download;
#[cfg(not(feature = "hub"))]
#[path = "no_hub_download.rs"]
mod hub_download;
mod llama2c;
mod lm_config;
mod lm_fields;
mod mlp;
mod model_hub;
mod peft;
mod prefix_tree;
mod rope_config;
mod sampling;
mod score;
mod strict_json;
mod weights;

pub use checkpoint::{
    Checkpoint, HostData, HostTensor, Ignored, LoadReport, PartialFolder, WeightDtype, fingerprint_model,
    fingerprint_weights, save_model, write_tensors,
};
pub use decoder::{
    Activations, Decoder, Gradients, HiddenStates, KvCache, LORA_TARGETS, Lora, LoraConfig, NoTap,
    PackedTokens, ParameterRef, Tap, TokenRows,
};
pub use error::ModelError;
pub use generate::{
    Completion, Draw, GenerationLimits, GenerationRequest, Sampling, StopReason, generate, sample_token,
};
pub use host_mlp::HostMlp;
pub use llama2c::{Llama2c, read_llama2c};
pub use lm_config::{Family, LmConfig, TensorSpec};
pub use mlp::Mlp;
pub use model_hub::resolve_model;
pub use peft::adapter_base;
pub use rope_config::RopeScaling;
pub use sampling::sample_label;
pub use score::{
    Bf16ContinuationScore, ContinuationScore, ScoreLimits, ScoreRequest, rows_at, score_continuations,
};
pub use weights::{HostParameter, MlpWeights};
