//! Loops over plain memory: what the layers of a decoder do on the CPU, without autodiff.
//!
//! Burn's CPU backend computes `exp` one number at a time and copies for every change of axes. The functions here read
//! the tensors' own memory instead. Each row of a result is computed in the same order however many rows there are, so
//! a completion does not depend on the batch that it was drawn in.

mod attention;
mod elementwise;
mod many_rows;
mod packed_attention;
mod panels;
mod product;
mod tile;
mod transpose;

pub(crate) use attention::{AttentionShape, attend};
pub(crate) use elementwise::{
    add_rows, add_rows_at, rms_norm_rows, rms_norm_rows_backward, rotate_rows, sums_of_columns, swiglu_rows,
    swiglu_rows_backward,
};
pub(crate) use many_rows::{add_product, add_transposed_product, rows_times_weight};
pub(crate) use packed_attention::{PackedShape, attend_packed, attend_packed_backward};
pub(crate) use product::{FEW_ROWS, Weight, few_rows_times_weight};
