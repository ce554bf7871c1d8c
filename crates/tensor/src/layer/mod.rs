//! What a decoder is made of, as pure functions.
//!
//! Each function has one meaning and two ways to get there: Burn operations, which work on every device and under
//! autodiff, and (feature `flex`) loops over the memory of Burn's CPU backend where no gradient is asked for. Tests hold
//! the two together.

mod attention;
mod linear;
mod rms_norm;
mod rotary;
mod swiglu;

pub use attention::{KvSlots, causal_attention};
pub use linear::linear;
pub use rms_norm::rms_norm;
pub use rotary::{RotaryAngles, rotate_halves};
pub use swiglu::swiglu;
