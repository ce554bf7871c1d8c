//! Weights held near their start.
//!
//! The loss gets λ/2 Σ F (θ − θ₀)²: with F = 1 L2-SP (arXiv 1802.01483, section 3), with F the diagonal Fisher information of
//! the base EWC (arXiv 1612.00796, equation 3). L2-SP as published also decays new layers towards 0; a fine-tuned language
//! model has none. The penalty is added to the gradient before it is clipped.

use std::collections::HashMap;

use burn::tensor::Tensor;
use razor_models::Decoder;
use razor_tensor::sum_of_squares;

/// Where weights are held, and how hard.
#[derive(Debug)]
pub struct WeightAnchor {
    /// λ
    coefficient: f64,
    /// θ₀ and, for EWC, F of every parameter, by name; a vector is one row.
    places: HashMap<String, (Tensor<2>, Option<Tensor<2>>)>,
}

impl WeightAnchor {
    /// Holds all weights near those of `base`: alike, or each by its Fisher information.
    ///
    /// # Panics
    /// When a parameter has no Fisher information of its own length.
    pub fn new(base: &Decoder, coefficient: f64, fisher: Option<Vec<(String, Vec<f32>)>>) -> Self {
        let mut fisher: Option<HashMap<String, Vec<f32>>> = fisher.map(|list| list.into_iter().collect());
        let place = |(name, parameter): (String, razor_models::ParameterRef<'_>)| {
            let start = parameter.values();
            let importance = fisher.as_mut().map(|fisher| {
                let numbers = fisher.remove(&name).unwrap_or_default();
                let data = burn::tensor::TensorData::new(numbers, start.dims());
                Tensor::from_data(data, &start.device())
            });
            (name, (start, importance))
        };
        Self { coefficient, places: base.parameters().into_iter().map(place).collect() }
    }

    /// Penalty of a parameter and its gradient.
    pub(super) fn penalty(&self, name: &str, values: Tensor<2>) -> (f64, Tensor<2>) {
        let (start, importance) = &self.places[name];
        let distance = values - start.clone();
        let (loss, pull) = match importance {
            None => (sum_of_squares(&distance), distance),
            Some(importance) => (
                sum_of_squares(&(distance.clone() * importance.clone().sqrt())),
                distance * importance.clone(),
            ),
        };
        (0.5 * self.coefficient * loss, pull * self.coefficient)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::path::Path;

    use burn::tensor::{DType, Device};
    use razor_models::{HostData, HostTensor, LmConfig};

    use super::*;

    const CONFIG: &str = r#"{"model_type": "llama", "vocab_size": 5, "hidden_size": 4, "intermediate_size": 6,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-6,
        "tie_word_embeddings": true, "max_position_embeddings": 8}"#;

    fn base() -> Decoder {
        let config = LmConfig::parse(Path::new("config.json"), CONFIG).unwrap();
        let built = Decoder::build(&config, DType::F32, &Device::flex(), |spec| {
            let data = HostData::F32(vec![0.5; spec.shape.iter().product()]);
            Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data })
        });
        let Ok(base) = built;
        base
    }

    fn moved() -> Tensor<2> {
        Tensor::from_data([[0.5, 1.5, 0.5, -0.5]], &Device::flex())
    }

    #[test]
    fn l2_sp_pulls_by_the_distance() {
        let (loss, gradient) = WeightAnchor::new(&base(), 3.0, None).penalty("model.norm.weight", moved());
        assert_eq!(loss, 3.0); // 3/2 · (1 + 1)
        gradient.into_data().assert_eq(&burn::tensor::TensorData::from([[0.0_f32, 3.0, 0.0, -3.0]]), true);
    }

    #[test]
    fn ewc_pulls_by_distance_and_importance() {
        let base = base();
        let fisher = base
            .parameters()
            .into_iter()
            .map(|(name, parameter)| (name, vec![4.0; parameter.values().shape().num_elements()]))
            .collect();
        let (loss, gradient) =
            WeightAnchor::new(&base, 0.5, Some(fisher)).penalty("model.norm.weight", moved());
        assert_eq!(loss, 2.0); // 0.5/2 · 4 · (1 + 1)
        gradient.into_data().assert_eq(&burn::tensor::TensorData::from([[0.0_f32, 2.0, 0.0, -2.0]]), true);
    }
}
