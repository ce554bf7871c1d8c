//! The gated activation of Llama and Qwen2.

use burn::tensor::Tensor;
use burn::tensor::activation::silu;

#[cfg(feature = "flex")]
use crate::host::{borrow, changed, f32s, is_here};
#[cfg(feature = "flex")]
use crate::kernel::swiglu_rows;

/// `silu(gate) · up` with silu(x) = x / (1 + exp(-x)).
///
/// # Shapes
/// - `gate`, `up`: `[N, I]`
/// - returns: `[N, I]`
pub fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_here(&gate) && is_here(&up) {
        let dims @ [_, width] = gate.dims();
        assert_eq!(dims, up.dims(), "gate and up have one shape");
        let up = borrow(&up);
        return changed(gate, |gate| swiglu_rows(gate, f32s(&up), width));
    }
    silu(gate) * up
}
