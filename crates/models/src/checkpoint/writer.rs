//! A model folder, written tensor by tensor; it appears whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use razor_core::CoreError;
use serde_json::{Map, Value, json};

use crate::checkpoint::folder::{COMPANIONS, INDEX_FILE, MODEL_FILE, PartialFolder};
use crate::checkpoint::header::{METADATA_KEY, header_bytes};
use crate::checkpoint::numbers::{BadValue, bf16_bytes, f32_bytes, rounded_bytes, widened_bytes};
use crate::checkpoint::reader::{HostData, HostTensor, WeightDtype};
use crate::error::ModelError;
use crate::lm_config::TensorSpec;

/// Values that are converted at once.
const CHUNK: usize = 1 << 18;

impl WeightDtype {
    /// Name in safetensors and in `torch_dtype`, and bytes of one number.
    fn names(self) -> (&'static str, &'static str, u64) {
        match self {
            Self::F32 => ("F32", "float32", 4),
            Self::Bf16 => ("BF16", "bfloat16", 2),
        }
    }
}

/// Writes a folder that transformers loads: `config.json`, weights, and the companions of `copy_from`.
///
/// - `config_json`: as of [`LmConfig::to_json`](crate::LmConfig::to_json); `torch_dtype` is set to `dtype`
/// - `copy_from`: a model folder whose tokenizer and generation files are copied byte for byte, those that it has
/// - `specs`: the tensors in the order in which they are asked of `read` and written
/// - `max_shard_bytes`: weights that take more go to several files with an index; a larger tensor has a file of its own
/// - `read`: gives one tensor; only one is in memory at a time
///
/// Everything goes to a temporary folder beside `folder`, is synced, and renamed at the end.
///
/// # Errors
/// [`ModelError::Core`] when `folder` exists with content or something cannot be written, [`ModelError::Tensor`] when a
/// tensor does not have its shape, is named twice, or holds a value that is not finite (or too large for bf16), and
/// what `read` returns. Nothing is left behind.
pub fn save_model(
    folder: &Path,
    config_json: &Value,
    copy_from: Option<&Path>,
    specs: &[TensorSpec],
    dtype: WeightDtype,
    max_shard_bytes: u64,
    read: &mut dyn FnMut(&TensorSpec) -> Result<HostTensor, ModelError>,
) -> Result<(), ModelError> {
    check_names(folder, specs.iter())?;
    let partial = PartialFolder::create(folder).map_err(|source| unwritten(folder, source))?;
    if let Some(source) = copy_from {
        copy_companions(source, &partial)?;
    }
    let mut config = config_json.clone();
    if let Value::Object(fields) = &mut config {
        fields.shift_remove("dtype"); // the spelling of transformers 5
        fields.insert("torch_dtype".to_owned(), json!(dtype.names().1));
    }
    write_json(&partial, "config.json", &config)?;
    let shards = plan(specs, dtype, max_shard_bytes);
    for (shard_idx, shard) in shards.iter().enumerate() {
        let name = shard_name(shard_idx, shards.len());
        let tensors: Vec<(&TensorSpec, WeightDtype)> = shard.iter().map(|spec| (spec, dtype)).collect();
        write_file(&partial.path().join(&name), &tensors, read)?;
    }
    if shards.len() > 1 {
        write_json(&partial, INDEX_FILE, &index(&shards, dtype))?;
    }
    partial.publish().map_err(|source| unwritten(folder, source))
}

/// Writes one new safetensors file with tensors of either type, and waits until it is on the disk.
///
/// - `tensors`: in the order in which they are asked of `read` and written, each with its type in the file
/// - `read`: gives one tensor; only one is in memory at a time
///
/// The file grows under its own name, so it belongs into a [`PartialFolder`].
///
/// # Errors
/// As [`save_model`].
pub fn write_tensors(
    path: &Path,
    tensors: &[(TensorSpec, WeightDtype)],
    read: &mut dyn FnMut(&TensorSpec) -> Result<HostTensor, ModelError>,
) -> Result<(), ModelError> {
    check_names(path, tensors.iter().map(|(spec, _)| spec))?;
    let tensors: Vec<(&TensorSpec, WeightDtype)> =
        tensors.iter().map(|(spec, dtype)| (spec, *dtype)).collect();
    write_file(path, &tensors, read)
}

fn unwritten(path: &Path, source: io::Error) -> ModelError {
    CoreError::Write { path: path.to_owned(), source }.into()
}

fn tensor_error(path: &Path, spec: &TensorSpec, message: String) -> ModelError {
    ModelError::Tensor { path: path.to_owned(), name: spec.name.clone(), message }
}

fn check_names<'a>(path: &Path, mut specs: impl Iterator<Item = &'a TensorSpec>) -> Result<(), ModelError> {
    let mut seen = std::collections::HashSet::from([METADATA_KEY]);
    match specs.find(|spec| !seen.insert(&spec.name)) {
        Some(spec) => Err(tensor_error(path, spec, "has a name that is taken".to_owned())),
        None => Ok(()),
    }
}

fn write_json(partial: &PartialFolder, name: &str, value: &Value) -> Result<(), ModelError> {
    let mut text = serde_json::to_string_pretty(value).expect("a JSON value has text keys");
    text.push('\n');
    partial.write(name, text.as_bytes()).map_err(|source| unwritten(&partial.path().join(name), source))
}

fn copy_companions(source: &Path, partial: &PartialFolder) -> Result<(), ModelError> {
    for name in COMPANIONS {
        let path = source.join(name);
        match fs::read(&path) {
            Ok(bytes) => {
                let written = partial.write(name, &bytes);
                written.map_err(|source| unwritten(&partial.path().join(name), source))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ModelError::Read { path, source }),
        }
    }
    Ok(())
}

fn n_values(spec: &TensorSpec) -> usize {
    spec.shape.iter().product()
}

fn n_bytes(spec: &TensorSpec, dtype: WeightDtype) -> u64 {
    n_values(spec) as u64 * dtype.names().2
}

/// Which tensors go to which file, in order.
fn plan(specs: &[TensorSpec], dtype: WeightDtype, max_shard_bytes: u64) -> Vec<&[TensorSpec]> {
    let (mut shards, mut start, mut size) = (Vec::new(), 0, 0_u64);
    for (idx, spec) in specs.iter().enumerate() {
        let more = n_bytes(spec, dtype);
        if idx > start && size + more > max_shard_bytes {
            shards.push(&specs[start..idx]);
            (start, size) = (idx, 0);
        }
        size += more;
    }
    shards.push(&specs[start..]);
    shards
}

fn shard_name(shard_idx: usize, n_shards: usize) -> String {
    match n_shards {
        1 => MODEL_FILE.to_owned(),
        _ => format!("model-{:05}-of-{n_shards:05}.safetensors", shard_idx + 1),
    }
}

fn index(shards: &[&[TensorSpec]], dtype: WeightDtype) -> Value {
    let specs = shards.iter().copied().flatten();
    let total_size: u64 = specs.map(|spec| n_bytes(spec, dtype)).sum();
    let mut weight_map = Map::new();
    for (shard_idx, shard) in shards.iter().enumerate() {
        for spec in *shard {
            weight_map.insert(spec.name.clone(), json!(shard_name(shard_idx, shards.len())));
        }
    }
    json!({"metadata": {"total_size": total_size}, "weight_map": weight_map})
}

fn write_file(
    path: &Path,
    tensors: &[(&TensorSpec, WeightDtype)],
    read: &mut dyn FnMut(&TensorSpec) -> Result<HostTensor, ModelError>,
) -> Result<(), ModelError> {
    let failed = |source| unwritten(path, source);
    let entries = tensors.iter().map(|(spec, dtype)| {
        (spec.name.as_str(), dtype.names().0, spec.shape.as_slice(), n_bytes(spec, *dtype))
    });
    let header = header_bytes(entries);
    let mut file = File::create_new(path).map_err(failed)?;
    file.write_all(&header).map_err(failed)?;
    for (spec, dtype) in tensors {
        let tensor = read(spec)?;
        let n_given = match &tensor.data {
            HostData::F32(values) => values.len(),
            HostData::Bf16(values) => values.len(),
        };
        if tensor.shape != spec.shape || n_given != n_values(spec) {
            let message =
                format!("has {n_given} values of shape {:?}, expected {:?}", tensor.shape, spec.shape);
            return Err(tensor_error(path, spec, message));
        }
        match (&tensor.data, dtype) {
            (HostData::F32(values), WeightDtype::F32) => {
                write_values(path, &mut file, spec, values, f32_bytes)
            }
            (HostData::F32(values), WeightDtype::Bf16) => {
                write_values(path, &mut file, spec, values, rounded_bytes)
            }
            (HostData::Bf16(values), WeightDtype::Bf16) => {
                write_values(path, &mut file, spec, values, bf16_bytes)
            }
            (HostData::Bf16(values), WeightDtype::F32) => {
                write_values(path, &mut file, spec, values, widened_bytes)
            }
        }?;
    }
    file.sync_all().map_err(failed)
}

fn write_values<T>(
    path: &Path,
    file: &mut File,
    spec: &TensorSpec,
    values: &[T],
    to_bytes: fn(&[T], &mut Vec<u8>) -> Result<(), BadValue>,
) -> Result<(), ModelError> {
    let mut bytes = Vec::new();
    for (chunk_idx, chunk) in values.chunks(CHUNK).enumerate() {
        bytes.clear();
        to_bytes(chunk, &mut bytes).map_err(|BadValue { idx, why }| {
            tensor_error(path, spec, format!("value {} {why}", chunk_idx * CHUNK + idx))
        })?;
        file.write_all(&bytes).map_err(|source| unwritten(path, source))?;
    }
    Ok(())
}
