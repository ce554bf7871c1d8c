//! Numbers between a file's bytes and the host, chunk by chunk; a value that is not finite is an error.
//!
//! The loops are written for the vector unit: one pass converts, a second one over the same chunk (in cache) asks whether
//! any exponent is all ones, and only a bad chunk is searched.

use half::bf16;

/// A value that may not be in a checkpoint.
#[derive(Debug)]
pub(super) struct BadValue {
    /// Position in what was given.
    pub(super) idx: usize,
    pub(super) why: &'static str,
}

const NOT_FINITE: &str = "is not a finite number";
const TOO_LARGE: &str = "is too large for bf16";

const F32_EXPONENT: u32 = 0x7f80_0000;
const F16_EXPONENT: u16 = 0x7c00;
const BF16_EXPONENT: u16 = 0x7f80;

/// Element types of weights in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    F32,
    F16,
    Bf16,
}

impl Stored {
    pub(super) fn of(dtype: &str) -> Option<Self> {
        match dtype {
            "F32" => Some(Self::F32),
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::Bf16),
            _ => None,
        }
    }

    /// Bytes of one number.
    pub(super) fn size(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// Appends the numbers in `bytes` to `values`.
    pub(super) fn append_f32(self, bytes: &[u8], values: &mut Vec<f32>) -> Result<(), BadValue> {
        let start = values.len();
        match self {
            Self::F32 => values.extend(words(bytes).map(f32::from_bits)),
            Self::F16 => values.extend(halves(bytes).map(f16_to_f32)),
            Self::Bf16 => values.extend(halves(bytes).map(bf16_to_f32)),
        }
        check_f32(&values[start..])
    }

    /// Appends the numbers in `bytes`, rounded to bf16, to `values`.
    pub(super) fn append_bf16(self, bytes: &[u8], values: &mut Vec<bf16>) -> Result<(), BadValue> {
        let start = values.len();
        match self {
            Self::F32 => {
                check_words(bytes)?;
                values.extend(words(bytes).map(|bits| bf16::from_bits(round_to_bf16(bits))));
            }
            Self::F16 => values
                .extend(halves(bytes).map(|bits| bf16::from_bits(round_to_bf16(f16_to_f32(bits).to_bits())))),
            Self::Bf16 => values.extend(halves(bytes).map(bf16::from_bits)),
        }
        let why = if self == Self::F32 { TOO_LARGE } else { NOT_FINITE };
        check_bf16(&values[start..], why)
    }
}

/// The bytes of f32 values in a file.
pub(super) fn f32_bytes(values: &[f32], bytes: &mut Vec<u8>) -> Result<(), BadValue> {
    check_f32(values)?;
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Ok(())
}

/// The bytes of f32 values as bf16 in a file.
pub(super) fn rounded_bytes(values: &[f32], bytes: &mut Vec<u8>) -> Result<(), BadValue> {
    check_f32(values)?;
    let rounded: Vec<bf16> =
        values.iter().map(|value| bf16::from_bits(round_to_bf16(value.to_bits()))).collect();
    check_bf16(&rounded, TOO_LARGE)?;
    bytes.extend(rounded.iter().flat_map(|value| value.to_le_bytes()));
    Ok(())
}

/// The bytes of bf16 values in a file.
pub(super) fn bf16_bytes(values: &[bf16], bytes: &mut Vec<u8>) -> Result<(), BadValue> {
    check_bf16(values, NOT_FINITE)?;
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Ok(())
}

/// The bytes of bf16 values as f32 in a file.
pub(super) fn widened_bytes(values: &[bf16], bytes: &mut Vec<u8>) -> Result<(), BadValue> {
    check_bf16(values, NOT_FINITE)?;
    bytes.extend(values.iter().flat_map(|value| bf16_to_f32(value.to_bits()).to_le_bytes()));
    Ok(())
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
}

fn halves(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.as_chunks::<2>().0.iter().map(|half| u16::from_le_bytes(*half))
}

fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Exact, without branches; infinities and NaN stay what they are.
fn f16_to_f32(bits: u16) -> f32 {
    let sign = (u32::from(bits) & 0x8000) << 16;
    let magnitude = u32::from(bits) & 0x7fff;
    // The same number with an exponent that is too small by 2^112; subnormals become right by the multiplication too.
    let scaled = f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23);
    let special = if bits & F16_EXPONENT == F16_EXPONENT { F32_EXPONENT } else { 0 };
    f32::from_bits(scaled.to_bits() | special | sign)
}

/// To the nearest bf16, ties to even; for finite numbers.
fn round_to_bf16(bits: u32) -> u16 {
    let tie_to_even = (bits >> 16) & 1;
    (bits.wrapping_add(0x7fff + tie_to_even) >> 16) as u16
}

fn check_f32(values: &[f32]) -> Result<(), BadValue> {
    let bad = |value: &f32| value.to_bits() & F32_EXPONENT == F32_EXPONENT;
    if values.iter().fold(false, |any, value| any | bad(value)) {
        let idx = values.iter().position(bad).expect("there is one");
        return Err(BadValue { idx, why: NOT_FINITE });
    }
    Ok(())
}

fn check_words(bytes: &[u8]) -> Result<(), BadValue> {
    let bad = |bits: u32| bits & F32_EXPONENT == F32_EXPONENT;
    if words(bytes).fold(false, |any, bits| any | bad(bits)) {
        let idx = words(bytes).position(bad).expect("there is one");
        return Err(BadValue { idx, why: NOT_FINITE });
    }
    Ok(())
}

fn check_bf16(values: &[bf16], why: &'static str) -> Result<(), BadValue> {
    let bad = |value: &bf16| value.to_bits() & BF16_EXPONENT == BF16_EXPONENT;
    if values.iter().fold(false, |any, value| any | bad(value)) {
        let idx = values.iter().position(bad).expect("there is one");
        return Err(BadValue { idx, why });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    #[test]
    fn every_f16_becomes_the_same_f32() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (f16_to_f32(bits), f16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits:#x}");
        }
    }

    #[test]
    fn rounding_to_bf16_is_that_of_half() {
        // Every upper half with the lower halves around the tie.
        for upper in 0..=u16::MAX {
            for lower in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let bits = u32::from(upper) << 16 | lower;
                if f32::from_bits(bits).is_finite() {
                    let theirs = bf16::from_f32(f32::from_bits(bits)).to_bits();
                    assert_eq!(round_to_bf16(bits), theirs, "{bits:#x}");
                }
            }
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_found_in_every_type() {
        let put = |value: &[u8], size: usize| {
            let mut bytes = vec![0; 3 * size];
            bytes[2 * size..].copy_from_slice(value);
            bytes
        };
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let files = [
                (Stored::F32, put(&value.to_le_bytes(), 4)),
                (Stored::F16, put(&f16::from_f32(value).to_le_bytes(), 2)),
                (Stored::Bf16, put(&bf16::from_f32(value).to_le_bytes(), 2)),
            ];
            for (stored, bytes) in files {
                assert_eq!(
                    stored.append_f32(&bytes, &mut Vec::new()).unwrap_err().idx,
                    2,
                    "{stored:?} {value}"
                );
                let bad = stored.append_bf16(&bytes, &mut Vec::new()).unwrap_err();
                assert_eq!((bad.idx, bad.why), (2, NOT_FINITE), "{stored:?} {value}");
            }
            assert_eq!(f32_bytes(&[0.0, value], &mut Vec::new()).unwrap_err().idx, 1);
            assert_eq!(bf16_bytes(&[bf16::ZERO, bf16::from_f32(value)], &mut Vec::new()).unwrap_err().idx, 1);
        }
    }

    #[test]
    fn what_bf16_cannot_hold_is_refused_rather_than_made_infinite() {
        let bad = Stored::F32.append_bf16(&f32::MAX.to_le_bytes(), &mut Vec::new()).unwrap_err();
        assert_eq!(bad.why, TOO_LARGE);
        assert_eq!(rounded_bytes(&[1.0, -f32::MAX], &mut Vec::new()).unwrap_err().idx, 1);
    }

    #[test]
    fn numbers_survive_the_way_to_a_file_and_back() {
        let values = [0.0, -0.0, 1.5, -1e-40, f32::MAX, f32::MIN_POSITIVE];
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        f32_bytes(&values, &mut bytes).ok().unwrap();
        Stored::F32.append_f32(&bytes, &mut back).ok().unwrap();
        assert_eq!(back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), values.map(f32::to_bits));

        let narrow = [1.5, -3.0, 1e-40].map(bf16::from_f32);
        let (mut bytes, mut back, mut wide) = (Vec::new(), Vec::new(), Vec::new());
        bf16_bytes(&narrow, &mut bytes).ok().unwrap();
        Stored::Bf16.append_bf16(&bytes, &mut back).ok().unwrap();
        assert_eq!(back, narrow);
        widened_bytes(&narrow, &mut wide).ok().unwrap();
        let mut bytes = Vec::new();
        rounded_bytes(&narrow.map(bf16::to_f32), &mut bytes).ok().unwrap();
        assert_eq!(bytes, narrow.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
        assert_eq!(wide, narrow.iter().flat_map(|v| v.to_f32().to_le_bytes()).collect::<Vec<u8>>());
    }
}
