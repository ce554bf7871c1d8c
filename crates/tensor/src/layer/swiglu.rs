//! The gated activation of Llama and Qwen2.

use burn::tensor::Tensor;
use burn::tensor::activation::silu;

#[cfg(feature = "flex")]
use crate::host::{borrow, f32s, from_host, is_here, take_f32};
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
        return on_cpu(gate, &up);
    }
    silu(gate) * up
}

#[cfg(feature = "flex")]
fn on_cpu(gate: Tensor<2>, up: &Tensor<2>) -> Tensor<2> {
    let dims = gate.dims();
    assert_eq!(dims, up.dims(), "gate and up have one shape");
    let mut gate = take_f32(gate);
    swiglu_rows(&mut gate, f32s(&borrow(up)), dims[1]);
    from_host(gate, dims)
}
