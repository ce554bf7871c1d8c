//! Rotary position embedding over the two halves of a head.

use burn::tensor::{Device, Tensor, TensorData};

#[cfg(feature = "flex")]
use crate::host::{borrow, changed, f32s, is_here};
#[cfg(feature = "flex")]
use crate::kernel::rotate_rows;

/// Angles of the positions of a batch.
#[derive(Debug, Clone)]
pub struct RotaryAngles {
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl RotaryAngles {
    /// Angles of `positions`, one per row of tokens, for a head with the given inverse frequencies (radians per position).
    ///
    /// The angle is a product in f32, as `transformers` computes it.
    ///
    /// # Shapes
    /// - `positions`: `[N]`
    /// - `inv_frequencies`: `[C / 2]`
    pub fn new(positions: &[usize], inv_frequencies: &[f32], device: &Device) -> Self {
        let angles =
            positions.iter().flat_map(|&position| inv_frequencies.iter().map(move |f| position as f32 * f));
        let (sin, cos): (Vec<f32>, Vec<f32>) = angles.map(f32::sin_cos).unzip();
        let dims = [positions.len(), inv_frequencies.len()];
        let tensor = |numbers| Tensor::from_data(TensorData::new(numbers, dims), device);
        Self { cos: tensor(cos), sin: tensor(sin) }
    }

    /// The opposite angles. They rotate the gradient of what was rotated back to that of what was there before.
    pub fn reversed(&self) -> Self {
        Self { cos: self.cos.clone(), sin: self.sin.clone().neg() }
    }
}

/// Rotates channel `c` of each head together with channel `c + C/2`, by the angle of its position.
///
/// Qwen2 and Llama in Hugging Face's layout; the original Llama code and Burn's own module pair neighbouring channels.
/// Paper: arXiv 2104.09864, section 3.2.
///
/// # Shapes
/// - `heads`: `[N, H, C]`
/// - `angles`: of N positions
/// - returns: `[N, H, C]`
pub fn rotate_halves(heads: Tensor<3>, angles: &RotaryAngles) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if is_here(&heads) && is_here(&angles.cos) && is_here(&angles.sin) {
        let [n, n_heads, _] = heads.dims();
        let (cos, sin) = (borrow(&angles.cos), borrow(&angles.sin));
        return changed(heads, |heads| rotate_rows(heads, n_heads, f32s(&cos), f32s(&sin), n));
    }
    let [n, n_heads, channels] = heads.dims();
    let half = channels / 2;
    let spread = |angles: &Tensor<2>| -> Tensor<3> {
        angles.clone().cast(heads.dtype()).unsqueeze_dim::<3>(1) // [N, 1, C/2]
    };
    let (cos, sin) = (spread(&angles.cos), spread(&angles.sin));
    let low = heads.clone().slice([0..n, 0..n_heads, 0..half]);
    let high = heads.slice([0..n, 0..n_heads, half..channels]);
    let rotated_low = low.clone() * cos.clone() - high.clone() * sin.clone();
    let rotated_high = high * cos + low * sin;
    Tensor::cat(vec![rotated_low, rotated_high], 2)
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{assert_close, noise, tracked};
    use super::*;

    #[test]
    fn the_gradient_of_a_rotation_is_the_opposite_rotation() {
        let (heads, d_out) = (noise([5, 3, 8], 1), noise([5, 3, 8], 2));
        let angles = RotaryAngles::new(&[0, 1, 2, 700, 3], &[1.0, 0.3, 0.05, 0.001], &Device::flex());
        let on_tape =
            RotaryAngles::new(&[0, 1, 2, 700, 3], &[1.0, 0.3, 0.05, 0.001], &Device::flex().autodiff());
        let leaf = tracked(&heads);
        let gradients = (rotate_halves(leaf.clone(), &on_tape) * tracked(&d_out)).sum().backward();
        let found = rotate_halves(d_out, &angles.reversed());
        assert_close(&found, &leaf.grad(&gradients).unwrap(), 2e-7); // two products and their sum, rounded
        let back = rotate_halves(rotate_halves(heads.clone(), &angles), &angles.reversed());
        assert_close(&back, &heads, 3e-7); // twice
    }
}
