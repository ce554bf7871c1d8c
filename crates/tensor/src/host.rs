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

/// Whether a tensor is f32 on Burn's CPU backend, without autodiff.
pub(crate) fn is_here<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && tensor.clone().try_into_primitive::<Flex>().is_ok()
}

/// A tensor that [is here](is_here), with its numbers changed: in their own memory where the tensor has one owner, in a
/// copy otherwise.
pub(crate) fn changed<const D: usize>(tensor: Tensor<D>, change: impl FnOnce(&mut [f32])) -> Tensor<D> {
    let [changed] = all_changed([tensor], |[numbers]| change(numbers));
    changed
}

/// As [`changed`], for several tensors at once.
pub(crate) fn all_changed<const D: usize, const N: usize>(
    tensors: [Tensor<D>; N],
    change: impl FnOnce([&mut [f32]; N]),
) -> [Tensor<D>; N] {
    let mut hosts = tensors.map(|tensor| {
        let host = tensor.try_into_primitive::<Flex>().expect("the caller knows that it is on the CPU");
        if host.is_contiguous() { host } else { host.to_contiguous() }
    });
    change(hosts.each_mut().map(|host| {
        let (start, end) = host.layout().contiguous_offsets().expect("it was made so above");
        &mut host.storage_mut::<f32>()[start..end]
    }));
    hosts.map(Tensor::from_primitive::<Flex>)
}

/// The memory of a tensor that is on Burn's CPU backend.
pub(crate) fn borrow<const D: usize>(tensor: &Tensor<D>) -> HostTensor {
    on_host(tensor).expect("the caller knows that it is on the CPU")
}

/// The numbers of a tensor that [is here](is_here).
pub(crate) fn f32s(tensor: &HostTensor) -> &[f32] {
    numbers(tensor).expect("the caller knows that it is f32")
}

/// A tensor on the CPU from its numbers, without a copy.
pub(crate) fn from_host<const D: usize>(numbers: Vec<f32>, dims: [usize; D]) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(HostTensor::from_data(TensorData::new(numbers, dims)))
}
