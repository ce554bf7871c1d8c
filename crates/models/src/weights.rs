//! Weights of an [`Mlp`] on the host and in safetensors files.

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use razor_core::write_atomic;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::error::ModelError;
use crate::mlp::{Mlp, linear};

/// One parameter on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostParameter {
    /// Name as in the file: `layers.0.weight`.
    pub name: String,
    /// `[in, out]` of a weight, `[out]` of a bias.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// All parameters of an [`Mlp`] on the host: plain numbers that can be shared by threads.
#[derive(Debug, Clone, PartialEq)]
pub struct MlpWeights {
    /// Weight and bias of each layer in turn.
    pub parameters: Vec<HostParameter>,
}

impl MlpWeights {
    /// Copies the weights of `policy` to the host.
    pub fn of(policy: &Mlp) -> Self {
        let mut parameters = Vec::with_capacity(2 * policy.layers.len());
        for (layer_idx, layer) in policy.layers.iter().enumerate() {
            parameters.push(host_parameter(format!("layers.{layer_idx}.weight"), &layer.weight.val()));
            let bias = layer.bias.as_ref().expect("every layer of an Mlp has a bias");
            parameters.push(host_parameter(format!("layers.{layer_idx}.bias"), &bias.val()));
        }
        Self { parameters }
    }

    /// A network with these weights on `device`.
    pub fn to_mlp(&self, device: &Device) -> Mlp {
        let layers = self.parameters.chunks_exact(2).map(|pair| {
            let shape = [pair[0].shape[0], pair[0].shape[1]];
            linear(pair[0].values.clone(), pair[1].values.clone(), shape, device)
        });
        Mlp { layers: layers.collect() }
    }

    /// Writes a safetensors file in PyTorch's layout (a weight is `[out, in]`), whole or not at all.
    ///
    /// # Errors
    /// [`ModelError::Core`] when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let stored: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .parameters
            .iter()
            .map(|parameter| {
                let (shape, values) = transposed(&parameter.shape, &parameter.values);
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (parameter.name.clone(), shape, bytes)
            })
            .collect();
        let views = stored.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("four bytes per value");
            (name.as_str(), view)
        });
        let format = [("format".to_owned(), "pt".to_owned())].into();
        let bytes = safetensors::serialize(views, Some(format)).expect("names are unique and shapes fit");
        Ok(write_atomic(path, &bytes)?)
    }

    /// Reads a file that [`MlpWeights::save`] wrote for a network of the given `widths`.
    ///
    /// # Errors
    /// [`ModelError::Read`] when the file cannot be read, [`ModelError::Format`] when it is no safetensors file,
    /// [`ModelError::Tensor`] naming a missing, unexpected, wrongly shaped, wrongly typed or non-finite tensor.
    pub fn load(path: &Path, widths: &[usize]) -> Result<Self, ModelError> {
        let bytes = fs::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|source| ModelError::Format { path: path.to_owned(), source })?;
        let mut parameters = Vec::with_capacity(2 * widths.len());
        for (layer_idx, pair) in widths.windows(2).enumerate() {
            parameters.push(read(&file, path, format!("layers.{layer_idx}.weight"), &[pair[0], pair[1]])?);
            parameters.push(read(&file, path, format!("layers.{layer_idx}.bias"), &[pair[1]])?);
        }
        let unexpected = file.names().into_iter().find(|name| parameters.iter().all(|p| p.name != **name));
        if let Some(name) = unexpected {
            return Err(tensor_error(path, name, format!("is not part of an MLP of widths {widths:?}")));
        }
        Ok(Self { parameters })
    }
}

fn host_parameter<const D: usize>(name: String, tensor: &Tensor<D>) -> HostParameter {
    let shape = tensor.dims().to_vec();
    let values = tensor.to_data().try_into_vec().expect("parameters are f32");
    HostParameter { name, shape, values }
}

/// Rows and columns swapped; a vector as it is.
fn transposed(shape: &[usize], values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let [n_rows, n_columns] = *shape else { return (shape.to_vec(), values.to_vec()) };
    let swapped =
        (0..n_columns).flat_map(|column| (0..n_rows).map(move |row| values[row * n_columns + column]));
    (vec![n_columns, n_rows], swapped.collect())
}

fn read(
    file: &SafeTensors<'_>,
    path: &Path,
    name: String,
    shape: &[usize],
) -> Result<HostParameter, ModelError> {
    let stored_shape: Vec<usize> = shape.iter().rev().copied().collect();
    let view = file.tensor(&name).map_err(|_| tensor_error(path, &name, "is missing".to_owned()))?;
    if view.dtype() != Dtype::F32 || view.shape() != stored_shape {
        let found = format!("{:?} {:?}", view.dtype(), view.shape());
        return Err(tensor_error(path, &name, format!("expected F32 {stored_shape:?}, found {found}")));
    }
    let stored: Vec<f32> = view
        .data()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("chunks of four bytes")))
        .collect();
    if let Some(idx) = stored.iter().position(|value| !value.is_finite()) {
        return Err(tensor_error(
            path,
            &name,
            format!("value {idx} is {}, expected a finite number", stored[idx]),
        ));
    }
    let (shape, values) = transposed(&stored_shape, &stored);
    Ok(HostParameter { name, shape, values })
}

fn tensor_error(path: &Path, name: &str, message: String) -> ModelError {
    ModelError::Tensor { path: path.to_owned(), name: name.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use razor_core::Seed;

    use super::*;

    const WIDTHS: [usize; 3] = [3, 4, 2];

    fn weights() -> MlpWeights {
        MlpWeights::of(&Mlp::init(&WIDTHS, Seed::new(3), &Device::flex()))
    }

    #[test]
    fn a_saved_network_loads_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        weights().save(&path).unwrap();
        assert_eq!(MlpWeights::load(&path, &WIDTHS).unwrap(), weights());
    }

    #[test]
    fn the_file_has_pytorch_shapes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        weights().save(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("layers.0.weight").unwrap().shape(), [4, 3]);
    }

    #[test]
    fn a_network_rebuilt_from_host_weights_has_the_same_weights() {
        assert_eq!(MlpWeights::of(&weights().to_mlp(&Device::flex())), weights());
    }

    #[test]
    fn bad_files_are_refused_by_tensor_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let refusal = |widths: &[usize]| MlpWeights::load(&path, widths).unwrap_err().to_string();

        fs::write(&path, b"not a model").unwrap();
        assert!(refusal(&WIDTHS).contains("model.safetensors"));

        weights().save(&path).unwrap();
        assert!(refusal(&[3, 5, 2]).contains("layers.0.weight"));
        assert!(refusal(&[3, 4]).contains("layers.1"));
        assert!(refusal(&[3, 4, 2, 2]).contains("`layers.2.weight` is missing"));

        let mut broken = weights();
        broken.parameters[3].values[1] = f32::NAN;
        broken.save(&path).unwrap();
        assert!(refusal(&WIDTHS).contains("`layers.1.bias` value 1 is NaN"));

        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        assert!(refusal(&WIDTHS).contains("model.safetensors"));
    }
}
