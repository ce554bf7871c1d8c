//! Networks, their weights, and draws from them.
//!
//! Nothing here knows of text, tasks, rewards or training. A network lives on the `&Device` that it is given: on
//! `device.autodiff()` it trains, on the plain device it is a frozen reference.
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
mod decoder;
mod error;
mod generate;
mod host_mlp;
mod lm_config;
mod lm_fields;
mod mlp;
mod rope_config;
mod sampling;
mod strict_json;
mod weights;

pub use checkpoint::{HostData, HostTensor};
pub use decoder::{Decoder, HiddenStates, KvCache, NoTap, ParameterRef, Tap, TokenRows};
pub use error::ModelError;
pub use generate::{
    Completion, Draw, GenerationLimits, GenerationRequest, Sampling, StopReason, generate, sample_token,
};
pub use host_mlp::HostMlp;
pub use lm_config::{Family, LmConfig, TensorSpec};
pub use mlp::Mlp;
pub use rope_config::RopeScaling;
pub use sampling::sample_label;
pub use weights::{HostParameter, MlpWeights};
