//! Linear layers with the weight as checkpoints keep it.

#[cfg(feature = "flex")]
use burn::tensor::DType;
use burn::tensor::Tensor;
#[cfg(feature = "flex")]
use half::bf16;

#[cfg(feature = "flex")]
use crate::host::{HostTensor, borrow, changed, f32s, from_host, is_here, numbers};
#[cfg(feature = "flex")]
use crate::kernel::{FEW_ROWS, add_bias, few_rows_times_weight, widened};

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
    if is_here(&rows)
        && bias.as_ref().is_none_or(is_here)
        && (is_here(&weight) || weight.dtype() == DType::BF16)
    {
        return on_cpu(rows, &weight, bias.as_ref());
    }
    let dtype = rows.dtype();
    let weight = if weight.dtype() == dtype { weight } else { weight.cast(dtype) };
    let result = rows.matmul(weight.transpose()); // [N, out]
    match bias {
        Some(bias) => result + bias.cast(dtype).unsqueeze_dim(0),
        None => result,
    }
}

/// Numbers of a bf16 weight that are widened at a time: 64 MiB as f32, more than a layer of 0.5B parameters has.
#[cfg(feature = "flex")]
const PANEL: usize = 1 << 24;

#[cfg(feature = "flex")]
fn on_cpu(rows: Tensor<2>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Tensor<2> {
    let [n, d_in] = rows.dims();
    let [d_out, weight_in] = weight.dims();
    assert_eq!(d_in, weight_in, "rows are {d_in} wide, the weight takes {weight_in}");
    let bias = bias.map(borrow);
    let bias = bias.as_ref().map(f32s);
    if n <= FEW_ROWS {
        return from_host(few_rows(&borrow(&rows), &borrow(weight), bias, d_in), [n, d_out]);
    }
    let product = many_rows(rows, weight);
    match bias {
        Some(bias) => changed(product, |product| add_bias(product, bias)),
        None => product,
    }
}

#[cfg(feature = "flex")]
fn few_rows(rows: &HostTensor, weight: &HostTensor, bias: Option<&[f32]>, d_in: usize) -> Vec<f32> {
    match numbers::<f32>(weight) {
        Some(weight) => few_rows_times_weight(f32s(rows), weight, bias, d_in),
        None => few_rows_times_weight(f32s(rows), bf16s(weight), bias, d_in),
    }
}

/// By Burn's own product, whose rate is that of the processor.
#[cfg(feature = "flex")]
fn many_rows(rows: Tensor<2>, weight: &Tensor<2>) -> Tensor<2> {
    if is_here(weight) {
        return rows.matmul(weight.clone().transpose()); // [N, out]
    }
    let d_in = rows.dims()[1];
    let weight = borrow(weight);
    let panels = bf16s(&weight).chunks((PANEL / d_in).max(1) * d_in).map(|panel| {
        let panel: Tensor<2> = from_host(widened(panel), [panel.len() / d_in, d_in]);
        rows.clone().matmul(panel.transpose()) // [N, rows of the panel]
    });
    let mut panels: Vec<_> = panels.collect();
    if panels.len() == 1 { panels.swap_remove(0) } else { Tensor::cat(panels, 1) } // [N, out]
}

#[cfg(feature = "flex")]
fn bf16s(weight: &HostTensor) -> &[bf16] {
    numbers(weight).expect("the caller knows that it is bf16")
}
