//! The decoder of Qwen2, Qwen2.5 and Llama.
//!
//! One implementation of the forward pass serves training, scoring and generation: a cache of keys and values and a
//! [`Tap`] on the activations are arguments of it. The two families differ in their config only.

mod build;
mod kv_cache;
mod layer;
mod model;
mod projection;
mod save;
mod tap;
mod token_rows;

pub use kv_cache::KvCache;
pub use model::{Decoder, ParameterRef};
pub use tap::{HiddenStates, NoTap, Tap};
pub use token_rows::TokenRows;
