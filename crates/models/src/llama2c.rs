//! Version-0 files of llama2.c: seven 32-bit integers, then every weight as f32 in a fixed order.
//!
//! Such a file rotates neighbouring channels of a head; the decoders here rotate channel `i` with `i + head_dim / 2`, as
//! checkpoints in Hugging Face's layout do. Rows of `q_proj` and `k_proj` are therefore reordered inside each head:
//! row `half * head_dim / 2 + i` of the result is row `2 i + half` of the file, which leaves every dot product of a
//! query and a key as it was.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::checkpoint::{HostData, HostTensor};
use crate::error::ModelError;
use crate::lm_config::{Family, LmConfig, TensorSpec};
use crate::rope_config::RopeScaling;

/// The integers at the start, bytes.
const HEADER_LEN: usize = 28;

/// First word of the later versions of the format (`ak42`).
const LATER_MAGIC: i32 = 0x616b_3432;

/// A checked file whose tensors are read one at a time.
#[derive(Debug)]
pub struct Llama2c {
    path: PathBuf,
    config: LmConfig,
    /// One tensor of all layers, or one of the model, in the order of the file.
    parts: Vec<Part>,
}

/// A run of f32 values in the file.
#[derive(Debug)]
struct Part {
    /// Name of the tensor, or what follows the layer in it.
    name: &'static str,
    /// Layers that it holds one after the other; `None` for a tensor of the model.
    n_layers: Option<usize>,
    /// Values of one tensor.
    n_values: usize,
    /// First value, bytes from the start of the file.
    start: u64,
}

/// Reads the header of a version-0 file and compares it with the length of the file.
///
/// # Errors
/// [`ModelError::Read`] when the file cannot be read, [`ModelError::Layout`] when it is of another version or its length
/// is not that of its header, [`ModelError::Config`] when the header holds sizes that no decoder has.
pub fn read_llama2c(path: &Path) -> Result<(LmConfig, Llama2c), ModelError> {
    let unread = |source| ModelError::Read { path: path.to_owned(), source };
    let bad = |message: String| ModelError::Layout { path: path.to_owned(), message };
    let mut file = File::open(path).map_err(unread)?;
    let found = file.metadata().map_err(unread)?.len();
    if found < HEADER_LEN as u64 {
        return Err(bad(format!("{found} bytes, expected a header of {HEADER_LEN}")));
    }
    let mut header = [0; HEADER_LEN];
    file.read_exact(&mut header).map_err(unread)?;
    let config = parse_header(&header).map_err(bad)?;
    config.check(path)?;
    let (parts, expected) = layout(&config);
    if found != expected {
        return Err(bad(format!("{found} bytes, expected {expected} for the sizes in its header")));
    }
    Ok((config.clone(), Llama2c { path: path.to_owned(), config, parts }))
}

fn parse_header(header: &[u8; HEADER_LEN]) -> Result<LmConfig, String> {
    let mut words = header.as_chunks::<4>().0.iter().map(|word| i32::from_le_bytes(*word));
    let mut next = || words.next().expect("the header has seven words");
    let first = next();
    if first == LATER_MAGIC {
        return Err("a later version of llama2.c's format, expected version 0".to_owned());
    }
    let size = |name: &str, word: i32| {
        usize::try_from(word)
            .ok()
            .filter(|size| *size > 0)
            .ok_or_else(|| format!("{name} is {word}, expected 1 or more"))
    };
    let hidden_size = size("the width", first)?;
    let intermediate_size = size("the feed-forward width", next())?;
    let n_layers = size("the number of layers", next())?;
    let n_heads = size("the number of heads", next())?;
    let n_kv_heads = size("the number of key heads", next())?;
    let vocab_word = next(); // negative: the output layer is its own
    let vocab_size = size("the vocabulary", vocab_word.checked_abs().unwrap_or(0))?;
    let max_positions = size("the sequence length", next())?;
    if !hidden_size.is_multiple_of(n_heads) {
        return Err(format!("the width {hidden_size} is not a multiple of the {n_heads} heads"));
    }
    Ok(LmConfig {
        family: Family::Llama,
        vocab_size,
        hidden_size,
        intermediate_size,
        n_layers,
        n_heads,
        n_kv_heads,
        head_dim: hidden_size / n_heads,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        tie_word_embeddings: vocab_word > 0,
        qkv_bias: false,
        output_bias: false,
        mlp_bias: false,
        max_positions,
        initializer_range: 0.02,
        eos_token_ids: vec![2],
        bos_token_id: Some(1),
    })
}

/// Where everything lies, and the length of the whole file in bytes.
fn layout(config: &LmConfig) -> (Vec<Part>, u64) {
    let (width, inner, layers) = (config.hidden_size, config.intermediate_size, Some(config.n_layers));
    let (queries, keys) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
    let embedding = config.vocab_size * width;
    let rotations = config.max_positions * (config.head_dim / 2);
    let mut order = vec![
        ("model.embed_tokens.weight", None, embedding),
        ("input_layernorm.weight", layers, width),
        ("self_attn.q_proj.weight", layers, queries * width),
        ("self_attn.k_proj.weight", layers, keys * width),
        ("self_attn.v_proj.weight", layers, keys * width),
        ("self_attn.o_proj.weight", layers, width * queries),
        ("post_attention_layernorm.weight", layers, width),
        ("mlp.gate_proj.weight", layers, inner * width),
        ("mlp.down_proj.weight", layers, width * inner),
        ("mlp.up_proj.weight", layers, inner * width),
        ("model.norm.weight", None, width),
        ("", None, 2 * rotations), // tables of cosines and sines, not used
    ];
    if !config.tie_word_embeddings {
        order.push(("lm_head.weight", None, embedding));
    }
    let mut start = HEADER_LEN as u64;
    let mut parts = Vec::with_capacity(order.len());
    for (name, n_layers, n_values) in order {
        parts.push(Part { name, n_layers, n_values, start });
        start += 4 * (n_layers.unwrap_or(1) * n_values) as u64;
    }
    (parts, start)
}

impl Llama2c {
    /// Reads one of [`LmConfig::tensors`], as f32, heads reordered for the rotation of halves.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when there is no such tensor, its shape is not `spec`'s, or a value is not finite;
    /// [`ModelError::Read`] when the file cannot be read.
    pub fn read(&self, spec: &TensorSpec) -> Result<HostTensor, ModelError> {
        let refused = |message: String| ModelError::Tensor {
            path: self.path.clone(),
            name: spec.name.clone(),
            message,
        };
        let (part, layer_idx) = self.find(&spec.name).ok_or_else(|| refused("is missing".to_owned()))?;
        if spec.shape.iter().product::<usize>() != part.n_values {
            return Err(refused(format!("has {} values, expected shape {:?}", part.n_values, spec.shape)));
        }
        let start = part.start + 4 * (layer_idx * part.n_values) as u64;
        let values = self.values(start, part.n_values)?;
        if let Some(idx) = values.iter().position(|value| !value.is_finite()) {
            return Err(refused(format!("value {idx} is not a finite number")));
        }
        let values = match part.name {
            "self_attn.q_proj.weight" | "self_attn.k_proj.weight" => self.halves_from_pairs(&values),
            _ => values,
        };
        Ok(HostTensor { shape: spec.shape.clone(), data: HostData::F32(values) })
    }

    /// The part that holds a tensor, and which one of it.
    fn find(&self, name: &str) -> Option<(&Part, usize)> {
        let of_layer = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.'));
        let (layer_idx, tail) = match of_layer {
            Some((layer, tail)) => (Some(layer.parse().ok()?), tail),
            None => (None, name),
        };
        let fits = |part: &&Part| match (part.n_layers, layer_idx) {
            (None, None) => true,
            (Some(n_layers), Some(layer_idx)) => layer_idx < n_layers,
            _ => false,
        };
        let part = self.parts.iter().filter(fits).find(|part| !tail.is_empty() && part.name == tail)?;
        Some((part, layer_idx.unwrap_or(0)))
    }

    fn values(&self, start: u64, n_values: usize) -> Result<Vec<f32>, ModelError> {
        let mut bytes = vec![0; 4 * n_values];
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut bytes)
        });
        read.map_err(|source| ModelError::Read { path: self.path.clone(), source })?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect())
    }

    fn halves_from_pairs(&self, rows: &[f32]) -> Vec<f32> {
        let (width, head_dim) = (self.config.hidden_size, self.config.head_dim);
        let mut reordered = Vec::with_capacity(rows.len());
        for head in rows.chunks_exact(head_dim * width) {
            for half in 0..2 {
                for pair in 0..head_dim / 2 {
                    let row = 2 * pair + half;
                    reordered.extend_from_slice(&head[row * width..(row + 1) * width]);
                }
            }
        }
        reordered
    }
}
