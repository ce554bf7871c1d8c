//! Sums of streams of rows.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::host::{borrow, changed, f32s, is_here};
#[cfg(feature = "flex")]
use crate::kernel::add_rows;

/// `rows + more`, in the memory of `rows` where they have one owner.
///
/// # Shapes
/// - `rows`, `more`: `[N, D]`
/// - returns: `[N, D]`
pub fn sum(rows: Tensor<2>, more: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_here(&rows) && is_here(&more) {
        let dims @ [_, width] = rows.dims();
        assert_eq!(dims, more.dims(), "what is added has one shape");
        let more = borrow(&more);
        return changed(rows, |rows| add_rows(rows, f32s(&more), width));
    }
    rows + more
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{host, noise};
    use super::*;

    #[test]
    fn every_number_is_added_however_many_threads_add() {
        for dims in [[3, 5], [700, 130]] {
            let (rows, more) = (noise(dims, 1), noise(dims, 2));
            let expected: Vec<f32> = host(&rows).iter().zip(host(&more)).map(|(a, b)| a + b).collect();
            assert_eq!(host(&sum(rows.clone(), more)), expected);
            assert_eq!(host(&rows), host(&noise(dims, 1)), "rows that others hold stay what they are");
        }
    }
}
