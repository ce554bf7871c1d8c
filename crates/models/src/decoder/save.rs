//! A decoder back to a model folder.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use half::bf16;

use crate::checkpoint::{HostData, HostTensor, WeightDtype, save_model};
use crate::decoder::{Decoder, ParameterRef};
use crate::error::ModelError;
use crate::lm_config::TensorSpec;

impl Decoder {
    /// Writes a model folder that [`Checkpoint`](crate::Checkpoint) and transformers read; it appears whole or not at all.
    ///
    /// - `copy_from`: the folder whose tokenizer and generation files are copied, usually that of the reference
    /// - `dtype`: type of the weights in the files; parameters of the same type are written bit for bit
    /// - `max_shard_bytes`: weights that take more go to several files
    ///
    /// One tensor at a time is copied to the host.
    ///
    /// # Errors
    /// As [`save_model`]: `folder` exists with content, cannot be written, or a parameter holds a value that is not finite.
    pub fn save(
        &self,
        folder: &Path,
        copy_from: Option<&Path>,
        dtype: WeightDtype,
        max_shard_bytes: u64,
    ) -> Result<(), ModelError> {
        let parameters: HashMap<String, ParameterRef<'_>> = self.parameters().into_iter().collect();
        let specs = self.config().tensors();
        let mut read = |spec: &TensorSpec| Ok(host_tensor(&parameters[&spec.name]));
        save_model(folder, &self.config().to_json(), copy_from, &specs, dtype, max_shard_bytes, &mut read)
    }
}

fn host_tensor(parameter: &ParameterRef<'_>) -> HostTensor {
    match parameter {
        ParameterRef::Matrix(param) => host_data(param.val().into_data()),
        ParameterRef::Vector(param) => host_data(param.val().into_data()),
    }
}

fn host_data(data: TensorData) -> HostTensor {
    let shape = data.shape().to_vec();
    let data = match data.dtype() {
        DType::BF16 => HostData::Bf16(data.try_into_vec::<bf16>().expect("its type was looked at")),
        _ => HostData::F32(data.convert::<f32>().try_into_vec().expect("it was converted")),
    };
    HostTensor { shape, data }
}
