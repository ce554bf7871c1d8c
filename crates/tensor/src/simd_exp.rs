//! An exponential that the compiler turns into vector instructions.

/// exp(x) in f32.
///
/// Branch-free, so that a loop over it vectorizes inside `pulp::Arch::dispatch`. 0 below -87.3, the largest finite power
/// above 88.7, NaN for NaN.
#[inline(always)]
pub(crate) fn exp_f32(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4; // 11 bits: n * LN2_HIGH is exact
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x > 88.7 { 88.7 } else { x };
    let n = (clamped * std::f32::consts::LOG2_E).round_ties_even();
    let r = (-n).mul_add(LN2_LOW, (-n).mul_add(LN2_HIGH, clamped));
    let mut p = 1.0 / 5040.0_f32;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p.mul_add(r, coefficient);
    }
    let power = f32::from_bits(((n as i32).wrapping_add(127) as u32) << 23);
    if x < -87.3 { 0.0 } else { p * power }
}
