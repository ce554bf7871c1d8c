//! The decoder of Qwen2, Qwen2.5 and Llama.
//!
//! One implementation of the forward pass serves training, scoring and generation: a cache of keys and values and a
//! [`Tap`] on the activations are arguments of it. The two families differ in their config only.

mod adapter;
mod build;
mod gradients;
mod kv_cache;
mod layer;
mod lora;
mod model;
mod packed;
mod projection;
mod save;
mod tap;
mod token_rows;
mod training;
mod update;

pub use adapter::{LORA_TARGETS, LoraConfig};
pub(crate) use adapter::{is_end_of, matrix as adapter_matrix};
pub use gradients::Gradients;
pub use kv_cache::KvCache;
pub use lora::Lora;
pub use model::{Decoder, ParameterRef};
pub use packed::PackedTokens;
pub use tap::{HiddenStates, NoTap, Tap};
pub use token_rows::TokenRows;
pub use training::Activations;
