//! Adapter folders in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Read are plain LoRA adapters on the projections of the layers, as PEFT 0.21 writes them. What would change the
//! mathematics otherwise (DoRA, rank or alpha patterns, trained biases, saved modules, other adapter types) is refused
//! by name, and so is a field that is not known. Dropout is a matter of PEFT's own training and is ignored.

use std::fs;
use std::path::Path;

use burn::tensor::Tensor;
use razor_core::{write_atomic, write_json};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use crate::config_fields::{Fields, parse_object};
use crate::decoder::{Decoder, LORA_TARGETS, LoraConfig, ParameterRef, adapter_matrix, is_end_of};
use crate::error::ModelError;
use crate::strict_json::shown;

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// What PEFT puts before the name of every tensor.
const PREFIX: &str = "base_model.model.";

/// Fields that say nothing about what the adapter computes.
const WITHOUT_EFFECT: [&str; 14] = [
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config", // of a way to start, as the three below; which one it was, `init_lora_weights` says
    "eva_config",
    "loftq_config",
    "lora_ga_config",
    "ensure_weight_tying", // of modules that are saved whole
    "inference_mode",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size", // of `use_qalora`
    "revision",
    "task_type",
];

/// Fields that are read.
const READ: [&str; 7] =
    ["bias", "init_lora_weights", "lora_alpha", "peft_type", "r", "target_modules", "use_rslora"];

/// Reads `adapter_config.json` of an adapter folder.
fn read_config(path: &Path) -> Result<LoraConfig, ModelError> {
    let text =
        fs::read_to_string(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    let object = parse_object(path, &text)?;
    let fields = Fields::new(path, &object);
    match fields.text("peft_type")? {
        Some("LORA") => {}
        Some(other) => {
            return Err(fields.error(format!("`peft_type` is {other:?}: only LORA adapters are read")));
        }
        None => return Err(fields.error("`peft_type` is missing".to_owned())),
    }
    refuse_other_mathematics(&fields)?;
    let config = LoraConfig {
        rank: fields.required_size("r")?,
        alpha: fields.number("lora_alpha")?.unwrap_or(8.0), // PEFT's default
        use_rslora: fields.flag("use_rslora")?.unwrap_or(false),
        targets: targets(&fields)?,
    };
    match config.other_problem() {
        Some(problem) => Err(fields.error(problem)),
        None => Ok(config),
    }
}

/// What an adapter folder calls its base, the folder or hub id that it was made from; `None` where `folder` is no adapter.
///
/// # Errors
/// [`ModelError::Config`] when the name is no text, [`ModelError::Read`] when `adapter_config.json` cannot be read.
pub fn adapter_base(folder: &Path) -> Result<Option<String>, ModelError> {
    let path = folder.join(CONFIG_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
    let object = parse_object(&path, &text)?;
    let base = Fields::new(&path, &object).text("base_model_name_or_path")?.unwrap_or_default().to_owned();
    Ok(Some(base))
}

/// Refuses whatever is set and not known to be without effect, so that a field of a later PEFT is no surprise either.
fn refuse_other_mathematics(fields: &Fields<'_>) -> Result<(), ModelError> {
    let unknown = fields.keys().filter(|name| !WITHOUT_EFFECT.contains(name) && !READ.contains(name));
    for name in unknown {
        let is_empty = match fields.value(name) {
            None | Some(Value::Bool(false)) => true,
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(_) => false,
        };
        if !is_empty {
            let name = shown(name);
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
            "`init_lora_weights` is {}: such an adapter belongs to a changed base; convert it to plain LoRA",
            shown(&other.to_string())
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
                other => {
                    let other = shown(&other.to_string());
                    Err(fields.error(format!("`target_modules` holds {other}, expected names")))
                }
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
    /// [`ModelError::Config`] with the field, when it is not a LoRA adapter that a decoder here can have;
    /// [`ModelError::Read`], [`ModelError::Format`] when a file cannot be read; [`ModelError::Tensor`] when a factor is
    /// missing, is not of this model's shape, or holds a value that is not finite; [`ModelError::Mismatch`] when the file
    /// has tensors that no target has.
    ///
    /// # Panics
    /// When there is an adapter already.
    pub fn with_peft_adapter(self, folder: &Path) -> Result<Self, ModelError> {
        let config_path = folder.join(CONFIG_FILE);
        let config = read_config(&config_path)?;
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
        if let Some(target) = config.targets.iter().find(|target| !adapted.has_adapter_at(target)) {
            let message = format!(
                "target `{}` of `target_modules` is no projection of this model's layers; expected some of {}",
                shown(target),
                LORA_TARGETS.join(", ")
            );
            return Err(ModelError::Config { path: config_path, message });
        }
        if n_read != file.len() {
            let known: Vec<String> =
                adapted.adapter_parameters().into_iter().map(|(name, _)| format!("{PREFIX}{name}")).collect();
            let unknown = file.names().into_iter().filter(|name| !known.iter().any(|known| known == name));
            let problems = unknown.map(|name| format!("`{name}` belongs to no target")).collect();
            return Err(ModelError::Mismatch { path, problems });
        }
        Ok(adapted)
    }

    fn has_adapter_at(&self, target: &str) -> bool {
        self.adapter_parameters()
            .iter()
            .filter_map(|(name, _)| name.strip_suffix(".lora_A.weight"))
            .any(|projection| is_end_of(target, projection))
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
