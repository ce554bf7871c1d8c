//! What a decoder is made of, as pure functions.
//!
//! Each function has one meaning and two ways to get there: Burn operations, which work on every device and under
//! autodiff, and (feature `flex`) loops over the memory of Burn's CPU backend where no gradient is asked for. Tests hold
//! the two together.
//!
//! A function whose name ends in `_backward` takes the gradient of an output, `d_out`, and returns those of the inputs. None
//! runs under autodiff; on the CPU `d_out` becomes one of the results where it has one owner.

mod attention;
mod gradient_sums;
mod linear;
mod packed_attention;
mod rms_norm;
mod rotary;
mod sum;
mod swiglu;

pub use attention::{KvSlots, causal_attention};
pub use gradient_sums::{column_sums, embedding_gradient};
pub use linear::{add_weight_gradient, linear, linear_backward};
pub use packed_attention::{AttentionSums, packed_attention, packed_attention_backward};
pub use rms_norm::{rms_norm, rms_norm_backward};
pub use rotary::{RotaryAngles, rotate_halves};
pub use sum::sum;
pub use swiglu::{swiglu, swiglu_backward};

#[cfg(test)]
mod test_inputs {
    use burn::tensor::{Device, Tensor, TensorData};

    /// Numbers in `[-1, 1)` from a fixed sequence.
    pub(super) fn noise<const D: usize>(dims: [usize; D], seed: u64) -> Tensor<D> {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let numbers: Vec<f32> = std::iter::repeat_with(next).take(dims.iter().product()).collect();
        Tensor::from_data(TensorData::new(numbers, dims), &Device::flex())
    }

    /// A leaf under autodiff with the same numbers.
    pub(super) fn tracked<const D: usize>(tensor: &Tensor<D>) -> Tensor<D> {
        Tensor::from_data(tensor.to_data(), &Device::flex().autodiff()).require_grad()
    }

    pub(super) fn host<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
        tensor.to_data().try_into_vec().unwrap()
    }

    /// `tolerance` is a part of the largest number that is expected.
    #[track_caller]
    pub(super) fn assert_close<const D: usize>(found: &Tensor<D>, expected: &Tensor<D>, tolerance: f32) {
        assert_eq!(found.dims(), expected.dims());
        let (found, expected) = (host(found), host(expected));
        let largest = expected.iter().fold(0.0_f32, |max, number| max.max(number.abs()));
        for (idx, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found - expected).abs();
            assert!(error <= tolerance * largest, "[{idx}]: {found}, expected {expected}, largest {largest}");
        }
    }

    /// The bits that `work` gives with one thread and with three.
    pub(super) fn with_threads<T: Send>(work: impl Fn() -> T + Send + Sync) -> [T; 2] {
        [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(&work))
    }
}
