//! The right factor of a matrix product in the order in which tiles read it.

use std::cell::RefCell;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::product::Weight;
use super::tile::panel_width;
use super::transpose::{MOST_LANES, transpose};

thread_local! {
    /// What the last panels of this thread lay in. Nearly every product needs some, and clearing fresh memory for them
    /// costs a small one as much as packing.
    static KEPT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Numbers that are kept at most: 2 MiB.
const MOST_KEPT: usize = 1 << 19;
/// Numbers below which packing is no work for threads.
const WORTH_THREADS: usize = 1 << 15;

/// The right factor of a product, `[steps, columns]`.
#[derive(Clone, Copy)]
pub(super) enum Right<'a, W> {
    /// `[columns, steps]`
    Rows(&'a [W]),
    /// `[steps, columns]`
    Matrix(&'a [W]),
}

/// Some steps of a right factor in panels of columns, `[panels, steps, width]`; columns that are missing from the last
/// panel hold anything, and nobody reads the sums that they go into.
pub(super) struct Panels {
    numbers: Vec<f32>,
    /// Columns of a panel.
    pub(super) width: usize,
    n_columns: usize,
    n_steps: usize,
}

impl Panels {
    /// Room for up to so many steps.
    pub(super) fn new(n_columns: usize, n_steps: usize) -> Self {
        let width = Arch::new().dispatch(Width);
        let mut numbers = KEPT.take();
        numbers.resize(n_columns.next_multiple_of(width) * n_steps, 0.0);
        Self { numbers, width, n_columns, n_steps }
    }

    /// Takes some of all steps.
    pub(super) fn pack<W: Weight>(&mut self, right: Right<'_, W>, all_steps: usize, steps: Range<usize>) {
        let (width, n_columns) = (self.width, self.n_columns);
        self.n_steps = steps.len();
        let share = width * self.n_steps;
        self.numbers.truncate(n_columns.next_multiple_of(width) * self.n_steps);
        let pack = |(idx, panel): (usize, &mut [f32])| {
            let columns = idx * width..n_columns.min((idx + 1) * width);
            let steps = steps.clone();
            match right {
                Right::Rows(rows) => {
                    let rows = &rows[columns.start * all_steps..columns.end * all_steps];
                    Arch::new().dispatch(PackRows { rows, all_steps, steps, panel });
                }
                Right::Matrix(matrix) => {
                    let matrix = &matrix[steps.start * n_columns..steps.end * n_columns];
                    Arch::new().dispatch(PackColumns { matrix, n_columns, columns, panel });
                }
            }
        };
        if self.numbers.len() < WORTH_THREADS {
            self.numbers.chunks_mut(share).enumerate().for_each(pack);
        } else {
            self.numbers.par_chunks_mut(share).enumerate().for_each(pack);
        }
    }

    /// `[panels, steps, width]` of the panels that these columns are in, the first one being the first of a panel.
    pub(super) fn of(&self, columns: &Range<usize>) -> &[f32] {
        &self.numbers[columns.start * self.n_steps..columns.end.next_multiple_of(self.width) * self.n_steps]
    }
}

impl Drop for Panels {
    fn drop(&mut self) {
        if self.numbers.capacity() <= MOST_KEPT {
            KEPT.set(std::mem::take(&mut self.numbers));
        }
    }
}

struct Width;

impl WithSimd for Width {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        panel_width::<S>()
    }
}

/// Some columns as one panel.
struct PackColumns<'a, W> {
    /// `[steps, n_columns]`
    matrix: &'a [W],
    n_columns: usize,
    columns: Range<usize>,
    /// `[steps, width]`
    panel: &'a mut [f32],
}

impl<W: Weight> WithSimd for PackColumns<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let width = panel_width::<S>();
        let rows = self.matrix.chunks_exact(self.n_columns);
        for (panel, row) in self.panel.chunks_exact_mut(width).zip(rows) {
            for (to, from) in panel.iter_mut().zip(&row[self.columns.clone()]) {
                *to = from.to_f32();
            }
        }
    }
}

/// Rows as the columns of one panel.
struct PackRows<'a, W> {
    /// `[up to width, all steps]`
    rows: &'a [W],
    all_steps: usize,
    steps: Range<usize>,
    /// `[steps, width]`
    panel: &'a mut [f32],
}

impl<W: Weight> WithSimd for PackRows<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, all_steps, steps, panel } = self;
        let width = panel_width::<S>();
        let n_steps = steps.len();
        let whole = n_steps / S::F32_LANES * S::F32_LANES;
        for (block, rows) in rows.chunks(S::F32_LANES * all_steps).enumerate() {
            let at = block * S::F32_LANES;
            let last = rows.len() / all_steps - 1;
            for step in (0..whole).step_by(S::F32_LANES) {
                let mut square = [simd.splat_f32s(0.0); MOST_LANES];
                for (row, vector) in square[..S::F32_LANES].iter_mut().enumerate() {
                    // Rows after the last one are that row again: nobody reads the sums that they go into.
                    let row_at = row.min(last) * all_steps + steps.start + step;
                    *vector = W::widen(simd, &rows[row_at..][..S::F32_LANES]);
                }
                let square = transpose(simd, square);
                let panel = &mut panel[step * width..][..S::F32_LANES * width];
                for (row, vector) in square[..S::F32_LANES].iter().enumerate() {
                    S::as_mut_simd_f32s(&mut panel[row * width + at..][..S::F32_LANES]).0[0] = *vector;
                }
            }
            for step in whole..n_steps {
                for (number, row) in panel[step * width + at..].iter_mut().zip(rows.chunks_exact(all_steps)) {
                    *number = row[steps.start + step].to_f32();
                }
            }
        }
    }
}
