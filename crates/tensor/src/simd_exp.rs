//! An exponential that the compiler turns into vector instructions.

/// exp(x) in f32, relative error below 1.2e-7 over [-87, 88].
///
/// Branch-free, so that a loop over it vectorizes inside `pulp::Arch::dispatch`. 0 below -87.3, infinite above 88.38 (the
/// largest f32 is exp(88.72)), NaN for NaN.
#[inline(always)]
pub(crate) fn exp_f32(x: f32) -> f32 {
    /// 1.5 · 2²³: a number added to it is rounded to an integer, which its lowest bits then hold.
    const ROUNDER: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4; // 11 bits: n * LN2_HIGH is exact
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x > 88.7 { 88.7 } else { x };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    let r = (-n).mul_add(LN2_LOW, (-n).mul_add(LN2_HIGH, clamped)); // |r| <= ln 2 / 2
    let mut p = 1.0 / 5040.0_f32;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p.mul_add(r, coefficient);
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000)); // 2ⁿ
    if x < -87.3 { 0.0 } else { p * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relative_error_is_below_one_rounding_of_f32() {
        let worst = (0..=3_500_000)
            .map(|step| -87.0 + step as f32 * 5e-5)
            .map(|x| {
                let truth = f64::from(x).exp();
                ((f64::from(exp_f32(x)) - truth) / truth).abs()
            })
            .fold(0.0, f64::max);
        assert!(worst < 1.2e-7, "{worst}");
    }

    #[test]
    fn what_no_f32_holds_is_zero_infinite_or_nan() {
        assert_eq!(exp_f32(0.0), 1.0);
        for low in [-87.31, -1e4, f32::MIN, f32::NEG_INFINITY] {
            assert_eq!(exp_f32(low), 0.0, "{low}");
        }
        for high in [88.8, 1e4, f32::INFINITY] {
            assert_eq!(exp_f32(high), f32::INFINITY, "{high}");
        }
        assert!(exp_f32(f32::NAN).is_nan());
    }

    #[test]
    fn a_vectorized_loop_gives_the_same_bits() {
        let inputs: Vec<f32> = (0..999).map(|step| -90.0 + step as f32 * 0.18).collect();
        let mut together = inputs.clone();
        pulp::Arch::new().dispatch(|| together.iter_mut().for_each(|x| *x = exp_f32(*x)));
        for (x, together) in inputs.into_iter().zip(together) {
            assert_eq!(exp_f32(x).to_bits(), together.to_bits(), "{x}");
        }
    }
}
