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

mod error;
mod host_mlp;
mod mlp;
mod sampling;
mod weights;

pub use error::ModelError;
pub use host_mlp::HostMlp;
pub use mlp::Mlp;
pub use sampling::sample_label;
pub use weights::{HostParameter, MlpWeights};
