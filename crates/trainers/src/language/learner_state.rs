//! A learner to and from a checkpoint, bit for bit.

use burn::tensor::{DType, Tensor, TensorData};
use razor_models::{Checkpoint, HostData, HostTensor, TensorSpec, WeightDtype};

use crate::language::error::TrainError;
use crate::language::learner::{Learner, Moments, TrainedParameter};
use crate::language::run::TrainCheckpoint;

/// What is kept of a parameter besides its place in the model folder.
#[derive(Debug, Clone, Copy)]
enum Part {
    Mean,
    Square,
    Master,
    /// The values themselves, of adapters.
    Values,
}

impl Part {
    const ALL: [Self; 4] = [Self::Mean, Self::Square, Self::Master, Self::Values];

    fn name_of(self, parameter: &str) -> String {
        let part = match self {
            Self::Mean => "mean",
            Self::Square => "square",
            Self::Master => "master",
            Self::Values => "values",
        };
        format!("{part}/{parameter}")
    }
}

impl Learner {
    /// Tensors that a checkpoint keeps besides the model folder: moments, master weights, factors of adapters.
    pub(super) fn state_tensors(&self) -> Vec<(TensorSpec, WeightDtype)> {
        let mut list = Vec::new();
        for parameter in self.parameters() {
            for part in Part::ALL {
                if let Some(tensor) = self.part(parameter, part) {
                    let spec =
                        TensorSpec { name: part.name_of(&parameter.name), shape: tensor.dims().to_vec() };
                    list.push((spec, WeightDtype::F32));
                }
            }
        }
        list
    }

    /// One of [`state_tensors`](Self::state_tensors).
    pub(super) fn state_tensor(&self, name: &str) -> HostTensor {
        let found = self.parameters().iter().find_map(|parameter| {
            let part = Part::ALL.into_iter().find(|part| part.name_of(&parameter.name) == name)?;
            self.part(parameter, part)
        });
        let tensor = found.expect("the name is one of the list");
        let shape = tensor.dims().to_vec();
        let numbers = tensor.cast(DType::F32).into_data().try_into_vec().expect("it was cast");
        HostTensor { shape, data: HostData::F32(numbers) }
    }

    fn part(&self, parameter: &TrainedParameter, part: Part) -> Option<Tensor<2>> {
        let Moments { mean, square, master } = &self.moments[&parameter.id];
        match part {
            Part::Mean => Some(mean.clone()),
            Part::Square => Some(square.clone()),
            Part::Master => master.clone(),
            Part::Values => {
                let adapters = self.policy().adapter_parameters();
                adapters.iter().find(|(name, _)| *name == parameter.name).map(|(_, factor)| factor.values())
            }
        }
    }

    /// Goes back to a checkpoint after `n_updates` steps of the optimizer.
    pub(super) fn restore(
        &mut self,
        checkpoint: &TrainCheckpoint,
        n_updates: usize,
    ) -> Result<(), TrainError> {
        let is_adapter = !self.policy().adapter_parameters().is_empty();
        let model = match is_adapter {
            true => None,
            false => Some(Checkpoint::open(&checkpoint.model())?),
        };
        let parameters = self.parameters().to_vec();
        let mut values = std::collections::HashMap::new();
        for parameter in &parameters {
            let kept = &self.moments[&parameter.id];
            let (dims, device) = (kept.mean.dims(), kept.mean.device());
            let dims_of_master = kept.master.is_some();
            let tensor = |host: HostTensor| -> Tensor<2> {
                let (data, dtype) = match host.data {
                    HostData::F32(numbers) => (TensorData::new(numbers, dims), DType::F32),
                    HostData::Bf16(numbers) => (TensorData::new(numbers, dims), DType::BF16),
                };
                Tensor::from_data(data, (&device, dtype))
            };
            let part = |part: Part| -> Result<Tensor<2>, TrainError> {
                let spec = TensorSpec { name: part.name_of(&parameter.name), shape: dims.to_vec() };
                Ok(tensor(checkpoint.read(&spec, WeightDtype::F32)?))
            };
            let moments = Moments {
                mean: part(Part::Mean)?,
                square: part(Part::Square)?,
                master: if dims_of_master { Some(part(Part::Master)?) } else { None },
            };
            let restored = match (&model, &moments.master) {
                (None, _) => part(Part::Values)?,
                (Some(_), Some(master)) => master.clone().cast(DType::BF16),
                (Some(model), None) => {
                    let shape = if parameter.is_vector { vec![dims[1]] } else { dims.to_vec() };
                    let spec = TensorSpec { name: parameter.name.clone(), shape };
                    tensor(model.read(&spec, WeightDtype::F32)?)
                }
            };
            values.insert(parameter.id, restored);
            self.moments.insert(parameter.id, moments);
        }
        let policy = self.policy.take().expect("the policy is there between steps");
        self.policy = Some(policy.updated(|id, before| values.remove(&id).unwrap_or(before)));
        self.n_updates = n_updates;
        Ok(())
    }
}
