//! Parameters, changed where they are.

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;

use crate::decoder::{Decoder, ParameterRef};

impl ParameterRef<'_> {
    /// What gradients and optimizers know it by.
    pub fn id(&self) -> ParamId {
        match self {
            Self::Matrix(param) => param.id,
            Self::Vector(param) => param.id,
        }
    }

    /// Its values; a vector is one row.
    pub fn values(&self) -> Tensor<2> {
        match self {
            Self::Matrix(param) => param.val(),
            Self::Vector(param) => param.val().unsqueeze_dim(0),
        }
    }
}

impl Decoder {
    /// The decoder with every parameter handed to `change`, which returns its new values; a vector is one row.
    ///
    /// `change` owns what it gets: where nobody else holds the tensor, its memory can be written in place.
    #[must_use]
    pub fn updated(self, change: impl FnMut(ParamId, Tensor<2>) -> Tensor<2>) -> Self {
        self.map(&mut Update(change))
    }
}

struct Update<F>(F);

impl<F: FnMut(ParamId, Tensor<2>) -> Tensor<2>> ModuleMapper for Update<F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, values, mapper) = param.consume();
        let dims = values.dims();
        let width = dims[D - 1];
        let n_rows = values.shape().num_elements() / width;
        let changed = (self.0)(id, values.reshape([n_rows, width]));
        Param::from_mapped_value(id, changed.reshape(dims), mapper)
    }
}
