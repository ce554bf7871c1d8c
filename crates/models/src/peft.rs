//! Adapter folders in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Read are plain LoRA adapters on the projections of the layers. What would change the mathematics otherwise (DoRA, rank
//! or alpha patterns, trained biases, saved modules, layers left out, other adapter types) is refused by name. Dropout is
//! a matter of PEFT's own training and is ignored.

use std::fs;
use std::path::Path;

use burn::tensor::Tensor;
use razor_core::{write_atomic, write_json};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use crate::config_fields::{Fields, parse_object};
use crate::decoder::{Decoder, LORA_TARGETS, LoraConfig, ParameterRef, adapter_matrix};
use crate::error::ModelError;

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// What PEFT puts before the name of every tensor.
const PREFIX: &str = "base_model.model.";

impl LoraConfig {
    /// Reads `adapter_config.json` of an adapter folder.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the field, when it is not a LoRA adapter that a decoder here can have.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(CONFIG_FILE);
        let text =
            fs::read_to_string(&path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let object = parse_object(&path, &text)?;
        let fields = Fields::new(&path, &object);
        match fields.text("peft_type")? {
            Some("LORA") => {}
            other => {
                return Err(fields.error(format!("`peft_type` is {other:?}: only LORA adapters are read")));
            }
        }
        refuse_other_mathematics(&fields)?;
        let rank = fields.required_size("r")?;
        let config = Self {
            rank,
            alpha: fields.number("lora_alpha")?.unwrap_or(8.0), // PEFT's default
            use_rslora: fields.flag("use_rslora")?.unwrap_or(false),
            targets: targets(&fields)?,
        };
        match config.problem() {
            Some(problem) => Err(fields.error(problem)),
            None => Ok(config),
        }
    }
}

fn refuse_other_mathematics(fields: &Fields<'_>) -> Result<(), ModelError> {
    const MUST_BE_EMPTY: [&str; 20] = [
        "use_dora",
        "rank_pattern",
        "alpha_pattern",
        "modules_to_save",
        "layers_to_transform",
        "layers_pattern",
        "layer_replication",
        "fan_in_fan_out",
        "lora_bias",
        "target_parameters",
        "trainable_token_indices",
        // Variants of LoRA in PEFT 0.21; each computes something else from the same two factors.
        "alora_invocation_tokens",
        "arrow_config",
        "exclude_modules",
        "kasa_config",
        "megatron_config",
        "monteclora_config",
        "use_bdlora",
        "use_qalora",
        "velora_config",
    ];
    for name in MUST_BE_EMPTY {
        let is_empty = match fields.value(name) {
            None | Some(Value::Null | Value::Bool(false)) => true,
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(_) => false,
        };
        if !is_empty {
            return Err(fields.error(format!("`{name}` is set: such an adapter cannot be used here")));
        }
    }
    match fields.text("bias")? {
        None | Some("none") => {}
        Some(other) => {
            let message = format!("`bias` is {other:?}: adapters with biases cannot be used here");
            return Err(fields.error(message));
        }
    }
    refuse_changed_base(fields)
}

/// PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA change the base when they start, and PEFT does so again when it loads such an
/// adapter: beside the base as it was published, the factors mean something else.
fn refuse_changed_base(fields: &Fields<'_>) -> Result<(), ModelError> {
    const KEEP_THE_BASE: [&str; 3] = ["gaussian", "eva", "orthogonal"];
    match fields.value("init_lora_weights") {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(Value::String(name)) if KEEP_THE_BASE.contains(&name.as_str()) => Ok(()),
        Some(other) => Err(fields.error(format!(
            "`init_lora_weights` is {other}: such an adapter belongs to a changed base; convert it to plain LoRA"
        ))),
    }
}

fn targets(fields: &Fields<'_>) -> Result<Vec<String>, ModelError> {
    match fields.value("target_modules") {
        Some(Value::String(all)) if all == "all-linear" => Ok(LORA_TARGETS.map(str::to_owned).to_vec()),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| match name {
                Value::String(name) => Ok(name.clone()),
                other => Err(fields.error(format!("`target_modules` holds {other}, expected names"))),
            })
            .collect(),
        _ => Err(fields.error(
            "`target_modules` is not a list of names (a pattern cannot be used here): write the names out"
                .to_owned(),
        )),
    }
}

impl Decoder {
    /// The decoder with the adapter of a PEFT folder beside its weights; [`merged`](Self::merged) puts it into them.
    ///
    /// # Errors
    /// As [`LoraConfig::load`]; [`ModelError::Read`], [`ModelError::Format`] for the weights; [`ModelError::Tensor`] when a
    /// factor is missing, is not of this model's shape, or holds a value that is not finite;
    /// [`ModelError::Mismatch`] when the file has tensors that no target has.
    pub fn with_peft_adapter(self, folder: &Path) -> Result<Self, ModelError> {
        let config = LoraConfig::load(folder)?;
        let path = folder.join(WEIGHTS_FILE);
        let bytes = fs::read(&path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|source| ModelError::Format { path: path.clone(), source })?;
        let device = self.device();
        let mut n_read = 0;
        let adapted = self.with_adapters(&config, |name, [d_out, d_in]| {
            let mut factor = |factor: &str, shape: [usize; 2]| -> Result<Tensor<2>, ModelError> {
                n_read += 1;
                let name = format!("{PREFIX}{name}.{factor}.weight");
                let numbers = numbers(&file, &name, shape).map_err(|message| ModelError::Tensor {
                    path: path.clone(),
                    name,
                    message,
                })?;
                Ok(adapter_matrix(numbers, shape[0], &device))
            };
            Ok::<_, ModelError>([
                factor("lora_A", [config.rank, d_in])?,
                factor("lora_B", [d_out, config.rank])?,
            ])
        })?;
        if n_read != file.len() {
            let known: Vec<String> =
                adapted.adapter_parameters().into_iter().map(|(name, _)| format!("{PREFIX}{name}")).collect();
            let unknown = file.names().into_iter().filter(|name| !known.iter().any(|known| known == name));
            let problems = unknown.map(|name| format!("`{name}` belongs to no target")).collect();
            return Err(ModelError::Mismatch { path, problems });
        }
        Ok(adapted)
    }

    /// Writes its adapter to a folder that PEFT loads.
    ///
    /// # Errors
    /// [`ModelError::Core`] when a file cannot be written.
    ///
    /// # Panics
    /// When there is no adapter.
    pub fn save_peft_adapter(
        &self,
        folder: &Path,
        config: &LoraConfig,
        base: &str,
    ) -> Result<(), ModelError> {
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .adapter_parameters()
            .into_iter()
            .map(|(name, parameter)| {
                let ParameterRef::Matrix(param) = parameter else { unreachable!("factors are matrices") };
                let values = param.val();
                let shape = values.dims().to_vec();
                let numbers: Vec<f32> =
                    values.into_data().convert::<f32>().try_into_vec().expect("it was converted");
                (format!("{PREFIX}{name}"), shape, numbers.iter().flat_map(|x| x.to_le_bytes()).collect())
            })
            .collect();
        assert!(!tensors.is_empty(), "the decoder has no adapter");
        let views = tensors.iter().map(|(name, shape, bytes)| {
            (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("the bytes are of this shape"))
        });
        let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(views, Some(metadata)).expect("names are different");
        write_atomic(&folder.join(WEIGHTS_FILE), &bytes)?;
        let json = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": config.rank,
            "lora_alpha": config.alpha,
            "lora_dropout": 0.0,
            "use_rslora": config.use_rslora,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "target_modules": config.targets,
        });
        write_json(&folder.join(CONFIG_FILE), &json)?;
        Ok(())
    }
}

fn numbers(file: &SafeTensors<'_>, name: &str, shape: [usize; 2]) -> Result<Vec<f32>, String> {
    let view = file.tensor(name).map_err(|_| "is missing".to_owned())?;
    if view.shape() != shape {
        return Err(format!("has the shape {:?}, expected {shape:?}: is it of another model?", view.shape()));
    }
    let bytes = view.data();
    let numbers: Vec<f32> = match view.dtype() {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|x: &[u8; 4]| f32::from_le_bytes(*x)).collect(),
        Dtype::BF16 => {
            bytes.as_chunks().0.iter().map(|x: &[u8; 2]| half::bf16::from_le_bytes(*x).to_f32()).collect()
        }
        Dtype::F16 => {
            bytes.as_chunks().0.iter().map(|x: &[u8; 2]| half::f16::from_le_bytes(*x).to_f32()).collect()
        }
        other => return Err(format!("is stored as {other:?}, expected F32, F16 or BF16")),
    };
    match numbers.iter().all(|x| x.is_finite()) {
        true => Ok(numbers),
        false => Err("holds a value that is not finite".to_owned()),
    }
}
