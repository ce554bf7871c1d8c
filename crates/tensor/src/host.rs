//! The memory of tensors on Burn's CPU backend.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Element, Tensor, TensorData};
use bytemuck::Pod;

/// A tensor of Burn's CPU backend without its wrapping.
pub(crate) type HostTensor = FloatTensor<Flex>;

/// The tensor's own memory in row-major order; `None` on other devices and under autodiff.
///
/// Nothing is copied unless axes were swapped before.
pub(crate) fn on_host<const D: usize>(tensor: &Tensor<D>) -> Option<HostTensor> {
    let tensor = tensor.clone().try_into_primitive::<Flex>().ok()?;
    Some(if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() })
}

/// The numbers of a tensor of this type.
pub(crate) fn numbers<E: Element + Pod>(tensor: &HostTensor) -> Option<&[E]> {
    tensor.as_slice::<E>()
}

/// The numbers of an f32 tensor to change, its own memory where it has one owner; gives it back on other devices, under
/// autodiff and in other types.
pub(crate) fn take_f32<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Tensor<D>> {
    if tensor.dtype() != DType::F32 || on_host(&tensor).is_none() {
        return Err(tensor);
    }
    Ok(tensor.into_data().try_into_vec::<f32>().expect("its type was asked for above"))
}

/// A tensor on the CPU from its numbers, without a copy.
pub(crate) fn from_host<const D: usize>(numbers: Vec<f32>, dims: [usize; D]) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(HostTensor::from_data(TensorData::new(numbers, dims)))
}
