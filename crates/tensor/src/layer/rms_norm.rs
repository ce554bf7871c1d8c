//! Root-mean-square normalization.

use burn::tensor::{DType, Tensor};

/// `rows / √(mean rows² + epsilon) · weight`, with mean and root in f32.
///
/// # Shapes
/// - `rows`: `[N, D]`
/// - `weight`: `[D]`
/// - returns: `[N, D]`
pub fn rms_norm(rows: Tensor<2>, weight: Tensor<1>, epsilon: f64) -> Tensor<2> {
    #[cfg(feature = "flex")]
    let rows = match on_cpu(rows, &weight, epsilon) {
        Ok(result) => return result,
        Err(rows) => rows,
    };
    let dtype = rows.dtype();
    let wide = rows.cast(DType::F32); // f32: squares in bf16 lose most of their digits
    let scale = wide.clone().square().mean_dim(1).add_scalar(epsilon).sqrt().recip(); // [N, 1]
    (wide * scale).cast(dtype) * weight.unsqueeze_dim(0)
}

/// Gives the rows back where they cannot be used.
#[cfg(feature = "flex")]
fn on_cpu(rows: Tensor<2>, weight: &Tensor<1>, epsilon: f64) -> Result<Tensor<2>, Tensor<2>> {
    use crate::host::{from_host, numbers, on_host, take_f32};

    let dims = rows.dims();
    let weight = on_host(weight);
    let Some(weight) = weight.as_ref().and_then(numbers::<f32>) else {
        return Err(rows);
    };
    let mut rows = take_f32(rows)?;
    crate::kernel::rms_norm_rows(&mut rows, weight, epsilon as f32);
    Ok(from_host(rows, dims))
}
