//! Gradients that are sums over tokens: of an embedding and of a bias.

use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor, TensorData};

#[cfg(feature = "flex")]
use crate::host::{borrow, changed, f32s, from_host, is_here};
#[cfg(feature = "flex")]
use crate::kernel::{add_rows_at, sums_of_columns};

/// `sum` with the gradient of each embedded token added to the row of its id.
///
/// On the CPU in place where `sum` has one owner, in the order of the tokens.
///
/// # Shapes
/// - `sum`: `[V, D]` in f32
/// - `ids`: `[N]`, each in `0..V`
/// - `d_rows`: `[N, D]`
/// - returns: `[V, D]`
///
/// # Panics
/// On shapes that do not fit, an id that is not below V.
pub fn embedding_gradient(sum: Tensor<2>, ids: &[u32], d_rows: &Tensor<2>) -> Tensor<2> {
    let [n_ids, width] = sum.dims();
    assert_eq!(d_rows.dims(), [ids.len(), width], "one gradient of {width} numbers per id");
    if let Some(id) = ids.iter().find(|&&id| id as usize >= n_ids) {
        panic!("id {id} of an embedding of {n_ids}");
    }
    if ids.is_empty() {
        return sum;
    }
    #[cfg(feature = "flex")]
    if is_here(&sum) && is_here(d_rows) {
        let d_rows = borrow(d_rows);
        return changed(sum, |sum| add_rows_at(sum, ids, f32s(&d_rows), width));
    }
    embedding_by_burn(sum, ids, d_rows)
}

/// [`embedding_gradient`] by operations that every backend has.
fn embedding_by_burn(sum: Tensor<2>, ids: &[u32], d_rows: &Tensor<2>) -> Tensor<2> {
    let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let dims = [ids.len()];
    let ids: Tensor<1, Int> = Tensor::from_data(TensorData::new(ids, dims), &sum.device());
    sum.select_assign(0, ids, d_rows.clone().cast(DType::F32), IndexingUpdateOp::Add)
}

/// The sum over the rows of each column, in f32: the gradient of a bias.
///
/// # Shapes
/// - `d_out`: `[N, D]`
/// - returns: `[D]`
pub fn column_sums(d_out: &Tensor<2>) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if is_here(d_out) {
        let [_, width] = d_out.dims();
        return from_host(sums_of_columns(f32s(&borrow(d_out)), width), [width]);
    }
    columns_by_burn(d_out)
}

/// [`column_sums`] by operations that every backend has.
fn columns_by_burn(d_out: &Tensor<2>) -> Tensor<1> {
    d_out.clone().cast(DType::F32).sum_dim(0).squeeze_dim(0) // [D]
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{assert_close, host, noise, with_threads};
    use super::*;

    fn ids(n: usize, below: u32) -> Vec<u32> {
        (0..n as u32).map(|idx| idx.wrapping_mul(2_654_435_761) % below).collect()
    }

    #[test]
    fn rows_are_added_where_their_ids_say_the_same_id_twice_too() {
        let sum = Tensor::<2>::from_data([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], &burn::tensor::Device::flex());
        let rows = Tensor::<2>::from_data([[0.5, 1.0], [10.0, 20.0], [0.25, 2.0]], &sum.device());
        for found in [
            embedding_gradient(sum.clone(), &[2, 0, 2], &rows),
            embedding_by_burn(sum.clone(), &[2, 0, 2], &rows),
        ] {
            assert_eq!(host(&found), [11.0, 21.0, 2.0, 2.0, 3.75, 6.0]);
        }
        assert_eq!(host(&embedding_gradient(sum.clone(), &[], &noise([0, 2], 1))), host(&sum));
    }

    #[test]
    fn many_rows_give_one_sum_for_any_number_of_threads_and_any_backend() {
        let (sum, rows, ids) = (noise([50, 130], 1), noise([700, 130], 2), ids(700, 50));
        let [one, three] = with_threads(|| host(&embedding_gradient(sum.clone(), &ids, &rows)));
        assert_eq!(one, three);
        // 14 rows per id: sums in another order
        assert_close(
            &embedding_gradient(sum.clone(), &ids, &rows),
            &embedding_by_burn(sum, &ids, &rows),
            1e-6,
        );
    }

    #[test]
    #[should_panic(expected = "id 3 of an embedding of 3")]
    fn an_id_outside_of_the_embedding_is_a_bug() {
        embedding_gradient(noise([3, 2], 1), &[0, 3], &noise([2, 2], 2));
    }

    #[test]
    fn sums_of_columns_are_those_of_any_backend_for_any_number_of_threads() {
        for (n, width) in [(0, 3), (1, 5), (64, 17), (700, 130)] {
            let rows = noise([n, width], 1);
            let [one, three] = with_threads(|| host(&column_sums(&rows)));
            assert_eq!(one, three);
            // sums of up to 700 numbers in another order
            assert_close(&column_sums(&rows), &columns_by_burn(&rows), 2e-6);
        }
    }
}
