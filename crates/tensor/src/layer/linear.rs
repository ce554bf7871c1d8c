//! Linear layers with the weight as checkpoints keep it.

use burn::tensor::Tensor;
#[cfg(feature = "flex")]
use burn::tensor::{DType, Element};
#[cfg(feature = "flex")]
use bytemuck::Pod;
#[cfg(feature = "flex")]
use half::bf16;

#[cfg(feature = "flex")]
use crate::host::{borrow, f32s, from_host, is_here, numbers};
#[cfg(feature = "flex")]
use crate::kernel::{Weight, rows_times_weight};

/// `rows · weightᵀ + bias`.
///
/// A bf16 weight under f32 rows is widened as it is read: products and sums are f32, so the result is that of the same
/// weight stored as f32.
///
/// # Shapes
/// - `rows`: `[N, in]`
/// - `weight`: `[out, in]`, PyTorch's and the checkpoints' layout
/// - `bias`: `[out]`
/// - returns: `[N, out]`
pub fn linear(rows: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_here(&rows) && bias.as_ref().is_none_or(is_here) {
        if is_here(&weight) {
            return on_cpu::<f32>(&rows, &weight, bias.as_ref());
        }
        if weight.dtype() == DType::BF16 {
            return on_cpu::<bf16>(&rows, &weight, bias.as_ref());
        }
    }
    let dtype = rows.dtype();
    let weight = if weight.dtype() == dtype { weight } else { weight.cast(dtype) };
    let result = rows.matmul(weight.transpose()); // [N, out]
    match bias {
        Some(bias) => result + bias.cast(dtype).unsqueeze_dim(0),
        None => result,
    }
}

#[cfg(feature = "flex")]
fn on_cpu<W: Weight + Element + Pod>(
    rows: &Tensor<2>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
) -> Tensor<2> {
    let [n, d_in] = rows.dims();
    let [d_out, weight_in] = weight.dims();
    assert_eq!(d_in, weight_in, "rows are {d_in} wide, the weight takes {weight_in}");
    let (rows, weight, bias) = (borrow(rows), borrow(weight), bias.map(borrow));
    let weight = numbers::<W>(&weight).expect("the caller chose the type that it is stored in");
    let product = rows_times_weight(f32s(&rows), weight, bias.as_ref().map(f32s), d_in);
    from_host(product, [n, d_out])
}
