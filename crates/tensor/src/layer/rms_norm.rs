//! Root-mean-square normalization.

use burn::tensor::{DType, Tensor};

#[cfg(feature = "flex")]
use crate::host::{borrow, changed, f32s, is_here};
#[cfg(feature = "flex")]
use crate::kernel::rms_norm_rows;

/// `rows / √(mean rows² + epsilon) · weight`, with mean and root in f32.
///
/// # Shapes
/// - `rows`: `[N, D]`
/// - `weight`: `[D]`
/// - returns: `[N, D]`
pub fn rms_norm(rows: Tensor<2>, weight: Tensor<1>, epsilon: f64) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_here(&rows) && is_here(&weight) {
        let weight = borrow(&weight);
        return changed(rows, |rows| rms_norm_rows(rows, f32s(&weight), epsilon as f32));
    }
    let dtype = rows.dtype();
    let wide = rows.cast(DType::F32); // f32: squares in bf16 lose most of their digits
    let scale = wide.clone().square().mean_dim(1).add_scalar(epsilon).sqrt().recip(); // [N, 1]
    (wide * scale).cast(dtype) * weight.cast(dtype).unsqueeze_dim(0)
}
