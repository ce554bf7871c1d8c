//! Loops over plain memory: what the layers of a decoder do on the CPU, without autodiff.
//!
//! Burn's CPU backend computes `exp` one number at a time and copies for every change of axes. The functions here read
//! the tensors' own memory instead. Each row of a result is computed in the same order however many rows there are, so
//! a completion does not depend on the batch that it was drawn in.

mod accumulate;
mod attention;
mod elementwise;
mod product;

pub(crate) use accumulate::{add_product, add_transposed_product};
pub(crate) use attention::{AttentionShape, attend};
pub(crate) use elementwise::{rms_norm_rows, rotate_rows, swiglu_rows};
pub(crate) use product::{FEW_ROWS, add_bias, few_rows_times_weight, widened};
