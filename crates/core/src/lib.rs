//! Seeds, configs, atomic files and run folders.
//!
//! The layer under everything else. It holds no tensors, reads no data sets, and is the only crate that makes
//! random numbers: [`Seed`] is handed down, never created on the way.
//!
//! ```
//! use razor_core::Seed;
//!
//! let seed = Seed::new(0);
//! assert_eq!(seed.derive("shuffle", 1), seed.derive("shuffle", 1));
//! ```

mod atomic;
mod config;
mod digest;
mod error;
#[cfg(feature = "hub")]
mod hub;
mod seed;

pub use atomic::{read_json_lines, write_atomic, write_json, write_json_lines};
pub use config::{fingerprint, load_config, read_toml, write_toml};
pub use digest::file_digest;
pub use error::CoreError;
#[cfg(feature = "hub")]
pub use hub::{HubProgress, HubSettings};
pub use seed::Seed;
