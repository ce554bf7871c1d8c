//! The fields of a `config.json` that ask for mathematics the decoders do not have.

use serde_json::Value;

use crate::config_fields::Fields;
use crate::error::ModelError;
use crate::lm_config::Family;
use crate::strict_json::shown;

/// Read by `LmConfig`, or known not to touch the logits.
const KNOWN: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_flash_attn_2_enabled",
    "attention_bias",
    "attn_implementation",
    "max_window_layers", // only with a sliding window
    "mlp_bias",
    "num_attention_heads",
    "original_max_position_embeddings",
    "output_attentions",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "use_flash_attention_2",
];

/// Allowed only with a value that leaves the mathematics as it is: off (null, false, 0 or empty), or this number.
const REFUSED: &[(&str, f64)] = &[
    ("add_cross_attention", 0.0),
    ("attention_dropout", 0.0),
    ("auto_map", 0.0),
    ("clip_qkv", 0.0),
    ("embedding_multiplier", 1.0),
    ("is_encoder_decoder", 0.0),
    ("logit_scale", 1.0),
    ("logits_scaling", 1.0),
    ("partial_rotary_factor", 1.0),
    ("per_layer_config", 0.0),
    ("pretraining_tp", 1.0),
    ("pruned_heads", 0.0),
    ("residual_multiplier", 1.0),
];

/// A field that is not known but has one of these in its name must be off.
const WORDS: &[&str] = &[
    "activation",
    "adapter",
    "alibi",
    "attention",
    "attn",
    "bias",
    "drop",
    "expert",
    "interleav",
    "lora",
    "moe",
    "mrope",
    "multiplier",
    "mup",
    "norm",
    "parallel_residual",
    "qk_",
    "quant",
    "rope",
    "rotary",
    "scale",
    "scaling",
    "softcap",
    "sparse",
    "window",
];

/// Refuses every field that changes the mathematics and is not honoured elsewhere.
pub(crate) fn check_other_fields(fields: &Fields<'_>, family: Family) -> Result<(), ModelError> {
    check_activation(fields)?;
    check_window(fields, family)?;
    check_biases(fields, family)?;
    for key in fields.keys() {
        let Some(value) = fields.value(key) else { continue };
        let refused = REFUSED.iter().find(|(name, _)| *name == key);
        let allowed = match refused {
            Some((_, identity)) => is_off(value) && *identity == 0.0 || value.as_f64() == Some(*identity),
            None => KNOWN.contains(&key) || is_off(value) || !suspicious(key) || is_checked(key),
        };
        if !allowed {
            let found = shown(&value.to_string());
            return Err(fields.error(format!(
                "`{}` is {found}: the decoders here do not have that, so the logits would be wrong",
                shown(key)
            )));
        }
    }
    Ok(())
}

/// Fields with a check of their own below.
fn is_checked(key: &str) -> bool {
    ["sliding_window", "use_sliding_window"].contains(&key)
}

fn suspicious(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    WORDS.iter().any(|word| key.contains(word))
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

fn check_activation(fields: &Fields<'_>) -> Result<(), ModelError> {
    match fields.text("hidden_act")? {
        None | Some("silu" | "swish") => Ok(()),
        Some(other) => Err(fields.error(format!("`hidden_act` is `{}`, expected silu", shown(other)))),
    }
}

/// Only a window that is switched off is allowed. Qwen2 names a size beside the switch, Llama has neither.
fn check_window(fields: &Fields<'_>, family: Family) -> Result<(), ModelError> {
    if fields.flag("use_sliding_window")? == Some(true) {
        return Err(fields.error(
            "`use_sliding_window` is true, expected false: attention here sees everything".to_owned(),
        ));
    }
    if let Some(window) = fields.size("sliding_window")?.filter(|_| family == Family::Llama) {
        return Err(fields.error(format!("`sliding_window` is {window}, but Llama has no window")));
    }
    let Some(kinds) = fields.value("layer_types") else { return Ok(()) };
    let full = |kinds: &Vec<Value>| kinds.iter().all(|kind| kind == "full_attention");
    if kinds.as_array().is_some_and(full) {
        return Ok(());
    }
    let found = shown(&kinds.to_string());
    Err(fields.error(format!("`layer_types` is {found}, expected only \"full_attention\"")))
}

/// Qwen2's biases are fixed: on q, k and v, nowhere else.
fn check_biases(fields: &Fields<'_>, family: Family) -> Result<(), ModelError> {
    let (attention, mlp) = (fields.flag("attention_bias")?, fields.flag("mlp_bias")?);
    if family == Family::Qwen2 && attention == Some(false) {
        return Err(fields.error("`attention_bias` is false, but q, k and v of Qwen2 have biases".to_owned()));
    }
    if family == Family::Qwen2 && mlp == Some(true) {
        return Err(
            fields.error("`mlp_bias` is true, but the feed-forward layers of Qwen2 have none".to_owned())
        );
    }
    Ok(())
}
