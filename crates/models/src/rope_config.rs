//! Rotary position embedding in a `config.json`, in the spellings of transformers 4 and 5.
//!
//! Transformers 4 writes `rope_theta` and `rope_scaling` (`rope_type`, earlier `type`), transformers 5 one object
//! `rope_parameters` that holds the base too. A file may mix them; where two places disagree it is refused.

use serde_json::{Map, Value, json};

use crate::config_fields::Fields;
use crate::error::ModelError;

/// Base of the rotary frequencies when a file names none, in both families.
const DEFAULT_THETA: f64 = 10_000.0;

/// How rotary frequencies are stretched beyond the trained context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// As trained.
    None,
    /// Every frequency divided by `factor`.
    Linear {
        /// At least 1.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided by `factor`, high ones kept, a ramp between.
    Llama3 {
        /// At least 1.
        factor: f64,
        /// Wavelengths above `original_max_positions / low_freq_factor` are stretched; above 0.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_positions / high_freq_factor` are kept; above `low_freq_factor`.
        high_freq_factor: f64,
        /// Context of the first training, tokens.
        original_max_positions: usize,
    },
}

impl RopeScaling {
    /// The value of `rope_scaling` in a `config.json`.
    pub(crate) fn to_json(self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_positions,
            }),
        }
    }

    /// What is wrong with the numbers, if anything.
    pub(crate) fn problem(self) -> Option<String> {
        let bad_factor = |factor: f64| {
            (!(factor.is_finite() && factor >= 1.0))
                .then(|| format!("rope `factor` is {factor}, expected at least 1"))
        };
        match self {
            Self::None => None,
            Self::Linear { factor } => bad_factor(factor),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } => {
                let ordered = low_freq_factor > 0.0
                    && low_freq_factor < high_freq_factor
                    && high_freq_factor.is_finite();
                let disorder = || {
                    format!(
                        "rope `low_freq_factor` {low_freq_factor} and `high_freq_factor` {high_freq_factor}, \
                         expected 0 < low < high"
                    )
                };
                let empty = "rope `original_max_position_embeddings` is 0, expected a length in tokens";
                bad_factor(factor)
                    .or_else(|| (!ordered).then(disorder))
                    .or_else(|| (original_max_positions == 0).then(|| empty.to_owned()))
            }
        }
    }
}

/// Base and scaling of a config.
pub(crate) fn parse_rope(
    fields: &Fields<'_>,
    max_positions: usize,
) -> Result<(f64, RopeScaling), ModelError> {
    let Some((name, object)) = rope_object(fields)? else {
        return Ok((fields.number("rope_theta")?.unwrap_or(DEFAULT_THETA), RopeScaling::None));
    };
    let rope = fields.within(name, object);
    let theta = match (rope.number("rope_theta")?, fields.number("rope_theta")?) {
        (Some(inner), Some(outer)) if inner != outer => {
            return Err(fields.error(format!("`rope_theta` is {outer}, but {inner} in `{name}`")));
        }
        (inner, outer) => inner.or(outer).unwrap_or(DEFAULT_THETA),
    };
    let scaling = match rope_type(&rope)? {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: rope.required_number("factor")? },
        "llama3" => RopeScaling::Llama3 {
            factor: rope.required_number("factor")?,
            low_freq_factor: rope.required_number("low_freq_factor")?,
            high_freq_factor: rope.required_number("high_freq_factor")?,
            original_max_positions: original_max_positions(fields, &rope)?.unwrap_or(max_positions),
        },
        other => {
            return Err(
                rope.error(format!("rope type `{other}` is not known, expected default, linear or llama3"))
            );
        }
    };
    check_keys(&rope, scaling)?;
    Ok((theta, scaling))
}

/// The object that holds the parameters, and its name: `rope_parameters` or `rope_scaling`.
type RopeObject<'a> = (&'static str, &'a Map<String, Value>);

fn rope_object<'a>(fields: &Fields<'a>) -> Result<Option<RopeObject<'a>>, ModelError> {
    match (fields.object("rope_parameters")?, fields.object("rope_scaling")?) {
        (Some(new), Some(old)) if new != old => {
            Err(fields.error("`rope_parameters` and `rope_scaling` disagree, keep one".to_owned()))
        }
        (Some(new), _) => Ok(Some(("rope_parameters", new))),
        (None, Some(old)) => Ok(Some(("rope_scaling", old))),
        (None, None) => Ok(None),
    }
}

fn rope_type<'a>(rope: &Fields<'a>) -> Result<&'a str, ModelError> {
    match (rope.text("rope_type")?, rope.text("type")?) {
        (Some(new), Some(old)) if new != old => {
            Err(rope.error(format!("`rope_type` is `{new}`, but `type` is `{old}`")))
        }
        (new, old) => Ok(new.or(old).unwrap_or("default")),
    }
}

/// Transformers prefers the field beside the rope object to the one in it; both may be there if they agree.
fn original_max_positions(fields: &Fields<'_>, rope: &Fields<'_>) -> Result<Option<usize>, ModelError> {
    let name = "original_max_position_embeddings";
    match (fields.size(name)?, rope.size(name)?) {
        (Some(outer), Some(inner)) if inner != outer => {
            Err(fields.error(format!("`{name}` is {outer}, but {inner} in the rope parameters")))
        }
        (outer, inner) => Ok(outer.or(inner)),
    }
}

fn check_keys(rope: &Fields<'_>, scaling: RopeScaling) -> Result<(), ModelError> {
    let own: &[&str] = match scaling {
        RopeScaling::None => &[],
        RopeScaling::Linear { .. } => &["factor"],
        RopeScaling::Llama3 { .. } => {
            &["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"]
        }
    };
    if rope.number("partial_rotary_factor")?.is_some_and(|part| part != 1.0) {
        return Err(rope.error("`partial_rotary_factor` must be 1: whole heads are rotated".to_owned()));
    }
    let known = |key: &str| {
        ["rope_type", "type", "rope_theta", "partial_rotary_factor"].contains(&key) || own.contains(&key)
    };
    match rope.keys().find(|key| !known(key)) {
        Some(key) => Err(rope.error(format!("`{key}` does not belong to this rope type"))),
        None => Ok(()),
    }
}

/// `head_dim / 2` rotations in radians a position, in the steps and precision (f32) of transformers.
pub(crate) fn inv_frequencies(head_dim: usize, theta: f64, scaling: RopeScaling) -> Vec<f32> {
    let plain = (0..head_dim / 2).map(|idx| {
        let exponent = (2 * idx) as f64 / head_dim as f64;
        1.0 / theta.powf(exponent) as f32
    });
    plain.map(|frequency| stretched(frequency, scaling)).collect()
}

fn stretched(frequency: f32, scaling: RopeScaling) -> f32 {
    let (factor, low, high, context) = match scaling {
        RopeScaling::None => return frequency,
        RopeScaling::Linear { factor } => return frequency / factor as f32,
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } => {
            (factor as f32, low_freq_factor, high_freq_factor, original_max_positions as f64)
        }
    };
    let wavelength = std::f32::consts::TAU / frequency; // tokens
    if wavelength > (context / low) as f32 {
        return frequency / factor;
    }
    if wavelength < (context / high) as f32 {
        return frequency;
    }
    let kept = (context as f32 / wavelength - low as f32) / (high - low) as f32;
    (1.0 - kept) * frequency / factor + kept * frequency
}
