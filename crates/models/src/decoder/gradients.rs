//! Sums of gradients of the parameters that are trained.

use std::collections::HashMap;

use burn::module::{Param, ParamId};
use burn::tensor::{DType, Tensor};
use razor_tensor::{add_weight_gradient, column_sums, sum_of_squares};

/// The gradient of every trained parameter so far, in f32; a parameter without a place here is frozen.
///
/// A vector is kept as one row.
#[derive(Debug, Default)]
pub struct Gradients {
    sums: HashMap<ParamId, Option<Tensor<2>>>,
}

impl Gradients {
    /// Places for these parameters; every gradient is zero.
    pub fn of(trained: impl IntoIterator<Item = ParamId>) -> Self {
        Self { sums: trained.into_iter().map(|id| (id, None)).collect() }
    }

    /// Whether this parameter is trained.
    pub fn wants(&self, id: ParamId) -> bool {
        self.sums.contains_key(&id)
    }

    /// Takes the sum of one parameter out; `None` where nothing was added yet, and for a frozen parameter.
    pub fn take(&mut self, id: ParamId) -> Option<Tensor<2>> {
        self.sums.get_mut(&id).and_then(Option::take)
    }

    /// Puts a sum in the place of the one before.
    ///
    /// # Panics
    /// When the parameter is frozen.
    pub fn put(&mut self, id: ParamId, sum: Tensor<2>) {
        let place = self.sums.get_mut(&id).expect("only trained parameters get a gradient");
        *place = Some(sum);
    }

    /// Σ of all squares: the square of the global norm.
    ///
    /// Added in the order of `ids`, because the order of the places is not fixed.
    pub fn sum_of_squares(&self, ids: impl IntoIterator<Item = ParamId>) -> f64 {
        ids.into_iter().filter_map(|id| self.sums.get(&id)?.as_ref()).map(sum_of_squares).sum()
    }

    /// Adds `d_outᵀ · rows` to a weight.
    pub(crate) fn add_product(&mut self, weight: &Param<Tensor<2>>, d_out: &Tensor<2>, rows: &Tensor<2>) {
        if self.wants(weight.id) {
            let sum = add_weight_gradient(self.take(weight.id), d_out, rows);
            self.put(weight.id, sum);
        }
    }

    /// Adds the sums over rows to a bias.
    pub(crate) fn add_columns(&mut self, bias: &Param<Tensor<1>>, d_out: &Tensor<2>) {
        if self.wants(bias.id) {
            self.add_vector(bias, column_sums(d_out));
        }
    }

    /// Adds to a vector.
    pub(crate) fn add_vector(&mut self, vector: &Param<Tensor<1>>, gradient: Tensor<1>) {
        if self.wants(vector.id) {
            let gradient = gradient.cast(DType::F32).unsqueeze_dim(0); // [1, D]
            let sum = match self.take(vector.id) {
                Some(sum) => sum + gradient,
                None => gradient,
            };
            self.put(vector.id, sum);
        }
    }
}
