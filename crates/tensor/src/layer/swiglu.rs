//! The gated activation of Llama and Qwen2.

use burn::tensor::activation::{sigmoid, silu};
use burn::tensor::{DType, Tensor};

#[cfg(feature = "flex")]
use crate::host::{borrow, changed, f32s, from_host, is_here};
#[cfg(feature = "flex")]
use crate::kernel::{swiglu_rows, swiglu_rows_backward};

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

/// Gradients of `gate` and `up` of a [`swiglu`].
///
/// With σ the logistic function of the gate: d_gate = d_out · up · σ (1 + gate (1 − σ)) and d_up = d_out · gate σ.
///
/// # Shapes
/// - `gate`, `up`, `d_out`: `[N, I]`
/// - returns: twice `[N, I]`
pub fn swiglu_backward(gate: &Tensor<2>, up: &Tensor<2>, d_out: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let dims = gate.dims();
    assert_eq!([up.dims(), d_out.dims()], [dims; 2], "gate, up and d_out have one shape");
    #[cfg(feature = "flex")]
    if is_here(gate) && is_here(up) && is_here(&d_out) {
        let (gate, up) = (borrow(gate), borrow(up));
        let mut d_gate = Vec::new();
        let d_up = changed(d_out, |d_out| d_gate = swiglu_rows_backward(f32s(&gate), f32s(&up), d_out));
        return (from_host(d_gate, dims), d_up);
    }
    backward_by_burn(gate, up, d_out)
}

/// [`swiglu_backward`] by operations that every backend has.
fn backward_by_burn(gate: &Tensor<2>, up: &Tensor<2>, d_out: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let dtype = gate.dtype();
    let wide = |numbers: &Tensor<2>| numbers.clone().cast(DType::F32);
    let (gate, d_out) = (wide(gate), d_out.cast(DType::F32));
    let logistic = sigmoid(gate.clone());
    let silu = gate.clone() * logistic.clone();
    let slope = logistic.clone() * (gate * (logistic.neg() + 1.0) + 1.0);
    let d_gate = d_out.clone() * wide(up) * slope;
    (d_gate.cast(dtype), (d_out * silu).cast(dtype))
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{assert_close, host, noise, tracked, with_threads};
    use super::*;

    #[test]
    fn gradients_are_those_of_autodiff_and_of_operations_of_any_backend() {
        for (n, width) in [(3, 7), (1, 1), (90, 801)] {
            let (gate, up, d_out) = (noise([n, width], 1) * 20.0, noise([n, width], 2), noise([n, width], 3));
            let (gate_leaf, up_leaf) = (tracked(&gate), tracked(&up));
            let gradients = (swiglu(gate_leaf.clone(), up_leaf.clone()) * tracked(&d_out)).sum().backward();
            let found = swiglu_backward(&gate, &up, d_out.clone());
            let plain = backward_by_burn(&gate, &up, d_out);
            for (d_gate, d_up) in [found, plain] {
                // 1 - σ is rounded to 6e-8 and multiplied by up to 20, in either way
                assert_close(&d_gate, &gate_leaf.grad(&gradients).unwrap(), 3e-6);
                assert_close(&d_up, &up_leaf.grad(&gradients).unwrap(), 5e-7);
            }
        }
    }

    #[test]
    fn a_far_gate_has_the_slope_of_its_asymptote() {
        let [gate, ones] = [[-1e4, -100.0, 0.0, 100.0, 1e4], [1.0; 5]]
            .map(|numbers| Tensor::<2>::from_data([numbers], &burn::tensor::Device::flex()));
        let (d_gate, d_up) = swiglu_backward(&gate, &ones, ones.clone());
        assert_eq!(host(&d_gate), [0.0, 0.0, 0.5, 1.0, 1.0]);
        assert_eq!(host(&d_up), [0.0, 0.0, 0.0, 100.0, 1e4]);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit_and_a_shared_gradient_is_left_as_it_is() {
        let dims = [90, 801];
        let (gate, up, d_out) = (noise(dims, 1), noise(dims, 2), noise(dims, 3));
        let [one, three] = with_threads(|| {
            let (d_gate, d_up) = swiglu_backward(&gate, &up, d_out.clone());
            (host(&d_gate), host(&d_up))
        });
        assert_eq!(one, three);
        assert_eq!(host(&d_out), host(&noise(dims, 3)));
    }
}
