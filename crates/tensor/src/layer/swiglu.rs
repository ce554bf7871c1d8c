//! The gated activation of Llama and Qwen2.

use burn::tensor::Tensor;
use burn::tensor::activation::silu;

/// `silu(gate) · up` with silu(x) = x / (1 + exp(-x)).
///
/// # Shapes
/// - `gate`, `up`: `[N, I]`
/// - returns: `[N, I]`
pub fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    let gate = match on_cpu(gate, &up) {
        Ok(result) => return result,
        Err(gate) => gate,
    };
    silu(gate) * up
}

/// Gives the gate back where it cannot be used.
#[cfg(feature = "flex")]
fn on_cpu(gate: Tensor<2>, up: &Tensor<2>) -> Result<Tensor<2>, Tensor<2>> {
    use crate::host::{from_host, numbers, on_host, take_f32};

    let dims = gate.dims();
    assert_eq!(dims, up.dims(), "gate and up have one shape");
    let up = on_host(up);
    let Some(up) = up.as_ref().and_then(numbers::<f32>) else {
        return Err(gate);
    };
    let mut gate = take_f32(gate)?;
    crate::kernel::swiglu_rows(&mut gate, up, dims[1]);
    Ok(from_host(gate, dims))
}
