//! Linear layers with the weight as checkpoints keep it.

use burn::tensor::Tensor;

/// `rows · weightᵀ + bias`.
///
/// A bf16 weight under f32 rows is widened as it is read: products and sums are f32, so the result is that of the same
/// weight stored as f32.
///
/// # Shapes
/// - `rows`: `[N, in]`
/// - `weight`: `[out, in]`, PyTorch's and the checkpoints' layout
/// - `bias`: `[out]`, in the type of `rows`
/// - returns: `[N, out]`
pub fn linear(rows: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if let Some(result) = on_cpu(&rows, &weight, bias.as_ref()) {
        return result;
    }
    let weight = if weight.dtype() == rows.dtype() { weight } else { weight.cast(rows.dtype()) };
    let result = rows.matmul(weight.transpose()); // [N, out]
    match bias {
        Some(bias) => result + bias.unsqueeze_dim(0),
        None => result,
    }
}

#[cfg(feature = "flex")]
fn on_cpu(rows: &Tensor<2>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Option<Tensor<2>> {
    use half::bf16;

    use crate::host::{from_host, numbers, on_host};
    use crate::kernel::rows_times_weight;

    let [n, d_in] = rows.dims();
    let [d_out, weight_in] = weight.dims();
    assert_eq!(d_in, weight_in, "rows are {d_in} wide, the weight takes {weight_in}");
    let (rows, weight) = (on_host(rows)?, on_host(weight)?);
    let bias = match bias {
        Some(bias) => Some(on_host(bias)?),
        None => None,
    };
    let bias = match &bias {
        Some(bias) => Some(numbers::<f32>(bias)?),
        None => None,
    };
    let x = numbers::<f32>(&rows)?;
    let product = match numbers::<f32>(&weight) {
        Some(weight) => rows_times_weight(x, weight, bias, d_in),
        None => rows_times_weight(x, numbers::<bf16>(&weight)?, bias, d_in),
    };
    Some(from_host(product, [n, d_out]))
}
