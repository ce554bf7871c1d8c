//! Transposes in registers.

use pulp::Simd;

/// Numbers in the longest vector.
pub(super) const MOST_LANES: usize = 16;

/// The transpose of a square with as many rows as a vector has lanes; rows after them are ignored.
#[inline(always)]
pub(super) fn transpose<S: Simd>(simd: S, mut rows: [S::f32s; MOST_LANES]) -> [S::f32s; MOST_LANES] {
    const { assert!(S::F32_LANES <= MOST_LANES && S::F32_LANES.is_power_of_two()) };
    // Halves of the square change places, then halves of its quarters, and so on.
    swap::<S, 8>(simd, &mut rows);
    swap::<S, 4>(simd, &mut rows);
    swap::<S, 2>(simd, &mut rows);
    swap::<S, 1>(simd, &mut rows);
    rows
}

/// Exchanges the numbers whose row has the bit D and whose lane has not with those whose lane has it and whose row has not.
#[inline(always)]
fn swap<S: Simd, const D: usize>(simd: S, rows: &mut [S::f32s; MOST_LANES]) {
    if D >= S::F32_LANES {
        return;
    }
    let mut bits = simd.splat_u32s(0);
    for (lane, bit) in
        bytemuck::cast_slice_mut::<_, u32>(std::slice::from_mut(&mut bits)).iter_mut().enumerate()
    {
        *bit = (lane & D) as u32;
    }
    let has_bit = simd.greater_than_u32s(bits, simd.splat_u32s(0));
    for row in 0..S::F32_LANES {
        if row & D == 0 {
            let upper = simd.transmute_u32s_f32s(rows[row]);
            let lower = simd.transmute_u32s_f32s(rows[row + D]);
            let to_upper = simd.rotate_right_u32s(lower, D);
            let to_lower = simd.rotate_left_u32s(upper, D);
            rows[row] = simd.transmute_f32s_u32s(simd.select_u32s(has_bit, to_upper, upper));
            rows[row + D] = simd.transmute_f32s_u32s(simd.select_u32s(has_bit, lower, to_lower));
        }
    }
}
