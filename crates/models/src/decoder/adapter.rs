//! Attaching low-rank adapters to a decoder, and merging them into its weights.

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::Rng;
use razor_core::Seed;

use crate::decoder::projection::Projection;
use crate::decoder::{Decoder, Lora, ParameterRef};

/// The projections of a layer that can have an adapter, in the order of the checkpoint.
pub const LORA_TARGETS: [&str; 7] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// Shape of an adapter; names as in PEFT's `LoraConfig`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// Rank of the product, at least 1.
    pub rank: usize,
    /// α: the product is multiplied by α / rank.
    pub alpha: f64,
    /// Multiplied by α / √rank instead. Paper: arXiv 2312.03732.
    pub use_rslora: bool,
    /// Projections that get one, of [`LORA_TARGETS`]. An adapter that was read may have longer ends of their names, such
    /// as `model.layers.0.mlp.up_proj` for one layer alone.
    pub targets: Vec<String>,
}

impl LoraConfig {
    /// Factor of the product.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    /// Whether the projection of this name gets one: a target is the name or, after a dot, the end of it, as in PEFT.
    pub(crate) fn has_target(&self, projection: &str) -> bool {
        self.targets.iter().any(|target| is_end_of(target, projection))
    }

    /// What is wrong with it as the shape of a fresh adapter, if anything.
    pub fn problem(&self) -> Option<String> {
        let unknown = self.targets.iter().find(|target| !LORA_TARGETS.contains(&target.as_str()));
        if let Some(target) = unknown {
            return Some(format!(
                "LoRA target `{target}` does not exist; expected some of {}",
                LORA_TARGETS.join(", ")
            ));
        }
        self.other_problem()
    }

    /// What is wrong with it besides the names of its targets.
    pub(crate) fn other_problem(&self) -> Option<String> {
        if self.targets.is_empty() {
            return Some(format!("no LoRA target is named; expected some of {}", LORA_TARGETS.join(", ")));
        }
        if self.rank == 0 {
            return Some("the rank of an adapter is at least 1".to_owned());
        }
        (!self.alpha.is_finite()).then(|| format!("LoRA alpha is {}: expected a finite number", self.alpha))
    }
}

impl Decoder {
    /// Puts a fresh adapter beside every target: A uniform in ±1/√in as PEFT draws it, B zero, so that nothing changes
    /// before the first step.
    ///
    /// # Panics
    /// When the config has a [problem](LoraConfig::problem), or there is an adapter already.
    #[must_use]
    pub fn with_lora(self, config: &LoraConfig, seed: Seed) -> Self {
        assert_eq!(config.problem(), None);
        let device = self.device();
        let mut projection_idx = 0;
        self.with_adapters::<std::convert::Infallible>(config, |_, [d_out, d_in]| {
            let mut rng = seed.derive("lora", projection_idx).rng();
            projection_idx += 1;
            let bound = 1.0 / (d_in as f32).sqrt();
            let down: Vec<f32> = (0..config.rank * d_in).map(|_| rng.random_range(-bound..bound)).collect();
            Ok([matrix(down, config.rank, &device), matrix(vec![0.0; d_out * config.rank], d_out, &device)])
        })
        .unwrap_or_else(|never| match never {})
    }

    /// Puts an adapter beside every target; `factors(name, [out, in])` gives A `[rank, in]` and B `[out, rank]`.
    pub(crate) fn with_adapters<E>(
        mut self,
        config: &LoraConfig,
        mut factors: impl FnMut(&str, [usize; 2]) -> Result<[Tensor<2>; 2], E>,
    ) -> Result<Self, E> {
        for (name, projection) in self.layer_projections() {
            if config.has_target(&name) {
                assert!(projection.lora.is_none(), "{name} has an adapter already");
                let [down, up] = factors(&name, projection.weight.val().dims())?;
                projection.lora = Some(Lora {
                    down: Param::from_tensor(down),
                    up: Param::from_tensor(up),
                    scale: config.scale(),
                });
            }
        }
        Ok(self)
    }

    /// The decoder with every adapter added to its weight.
    #[must_use]
    pub fn merged(mut self) -> Self {
        for (_, projection) in self.layer_projections() {
            if let Some(lora) = projection.lora.take() {
                let weight = projection.weight.val();
                let dtype = weight.dtype();
                let merged = (weight.cast(DType::F32) + lora.product()).cast(dtype);
                projection.weight = Param::from_tensor(merged);
            }
        }
        self
    }

    /// The factors of every adapter with their names in PEFT's files, without its prefix: first to last layer, A before B.
    pub fn adapter_parameters(&self) -> Vec<(String, ParameterRef<'_>)> {
        let mut list = Vec::new();
        for (idx, layer) in self.model.layers.iter().enumerate() {
            let (attention, mlp) = (&layer.self_attn, &layer.mlp);
            let projections = [
                ("self_attn.q_proj", &attention.q_proj),
                ("self_attn.k_proj", &attention.k_proj),
                ("self_attn.v_proj", &attention.v_proj),
                ("self_attn.o_proj", &attention.o_proj),
                ("mlp.gate_proj", &mlp.gate_proj),
                ("mlp.up_proj", &mlp.up_proj),
                ("mlp.down_proj", &mlp.down_proj),
            ];
            for (part, projection) in projections {
                if let Some(lora) = &projection.lora {
                    let name = |factor| format!("model.layers.{idx}.{part}.{factor}.weight");
                    list.push((name("lora_A"), ParameterRef::Matrix(&lora.down)));
                    list.push((name("lora_B"), ParameterRef::Matrix(&lora.up)));
                }
            }
        }
        list
    }

    /// Every projection of every layer with its name.
    fn layer_projections(&mut self) -> impl Iterator<Item = (String, &mut Projection)> {
        self.model.layers.iter_mut().enumerate().flat_map(|(idx, layer)| {
            let (attention, mlp) = (&mut layer.self_attn, &mut layer.mlp);
            [
                ("self_attn.q_proj", &mut attention.q_proj),
                ("self_attn.k_proj", &mut attention.k_proj),
                ("self_attn.v_proj", &mut attention.v_proj),
                ("self_attn.o_proj", &mut attention.o_proj),
                ("mlp.gate_proj", &mut mlp.gate_proj),
                ("mlp.up_proj", &mut mlp.up_proj),
                ("mlp.down_proj", &mut mlp.down_proj),
            ]
            .map(|(part, projection)| (format!("model.layers.{idx}.{part}"), projection))
        })
    }
}

pub(crate) fn is_end_of(target: &str, name: &str) -> bool {
    name.strip_suffix(target).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

pub(crate) fn matrix(numbers: Vec<f32>, n_rows: usize, device: &Device) -> Tensor<2> {
    let width = numbers.len() / n_rows;
    Tensor::from_data(TensorData::new(numbers, [n_rows, width]), device)
}
