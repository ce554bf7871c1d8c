//! Matrix products of many rows, on all threads.
//!
//! Each number of a result is a sum of pieces whose lengths follow from the length of the sum alone, each piece added up
//! from its first product to its last. So it depends neither on the number of threads, nor on the other rows, nor on which
//! factor is packed.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::panels::{Panels, Right};
use super::product::{Weight, add_bias};
use super::tile::{Columns, Left, Rows, SHORT, TALL, TALL_OF_16, VECTORS, panel_width};
use super::transpose::{MOST_LANES, transpose};

/// Products that are added up before they are added to those before them: rounding grows with the length of a sum, and
/// what a block of rows of this length holds stays in the cache.
const LONGEST_SUM: usize = 512;
/// Columns of the right factor that stay in the cache of a core while the left factor passes.
const PANEL_COLUMNS: usize = 512;
/// Most rows of the left factor in a job: its sums stay in the cache too.
const JOB_ROWS: usize = 448;
/// Numbers that are packed at a time.
const PACKED: usize = 1 << 19;
/// Products below which starting threads costs more than it gains.
const WORTH_THREADS: usize = 1 << 20;

/// `x · weightᵀ + bias`.
///
/// # Shapes
/// - `x`: `[N, in]`
/// - `weight`: `[out, in]`
/// - `bias`: `[out]`
/// - returns: `[N, out]`
pub(crate) fn rows_times_weight<W: Weight>(
    x: &[f32],
    weight: &[W],
    bias: Option<&[f32]>,
    d_in: usize,
) -> Vec<f32> {
    let (n, d_out) = (x.len() / d_in, weight.len() / d_in);
    assert!(x.len() == n * d_in && weight.len() == d_out * d_in, "x and weight are whole rows of {d_in}");
    let mut y = vec![0.0_f32; n * d_out];
    // What is packed is written and read once more than what is not, and so is a transposed result.
    if weight.len() <= n * (d_in + d_out) {
        let target = Target { numbers: &mut y, width: d_out, is_transposed: false, bias };
        add(&LeftRows(x), Right::Rows(weight), d_in, target);
    } else {
        let target = Target { numbers: &mut y, width: d_out, is_transposed: true, bias };
        add(&LeftRows(weight), Right::Rows(x), d_in, target);
    }
    y
}

/// `sums += left · right`.
///
/// # Shapes
/// - `left`: `[N, M]`
/// - `right`: `[M, D]`
/// - `sums`: `[N, D]`
pub(crate) fn add_product<W: Weight>(left: &[f32], right: &[W], width: usize, sums: &mut [f32]) {
    let (n, m) = (sums.len() / width, right.len() / width);
    assert_eq!(left.len(), n * m, "expected a left factor of {n} x {m}");
    add(&LeftRows(left), Right::Matrix(right), m, Target::plain(sums, width));
}

/// `sums += leftᵀ · right`.
///
/// # Shapes
/// - `left`: `[N, M]`
/// - `right`: `[N, D]`
/// - `sums`: `[M, D]`
pub(crate) fn add_transposed_product(left: &[f32], right: &[f32], width: usize, sums: &mut [f32]) {
    let (m, n) = (sums.len() / width, right.len() / width);
    assert_eq!(left.len(), n * m, "expected a left factor of {n} x {m}");
    add(&LeftColumns(left), Right::Matrix(right), n, Target::plain(sums, width));
}

/// The factor that is read as it lies.
trait LeftFactor: Sync {
    fn n_rows(&self, steps: usize) -> usize;

    /// R rows from `first` on, the last one again where there are fewer; `scratch` keeps what is not read in its place.
    fn sliver<'a, S: Simd, const R: usize>(
        &'a self,
        simd: S,
        first: usize,
        steps: (usize, Range<usize>),
        scratch: &'a mut Vec<f32>,
    ) -> impl Left<R> + Copy;
}

/// `[rows, steps]`
struct LeftRows<'a, W>(&'a [W]);

impl<W: Weight> LeftFactor for LeftRows<'_, W> {
    fn n_rows(&self, steps: usize) -> usize {
        self.0.len() / steps
    }

    #[inline(always)]
    fn sliver<'a, S: Simd, const R: usize>(
        &'a self,
        simd: S,
        first: usize,
        (all_steps, steps): (usize, Range<usize>),
        scratch: &'a mut Vec<f32>,
    ) -> impl Left<R> + Copy {
        let last = self.n_rows(all_steps) - 1;
        let mut rows = [self.0; R];
        for (idx, row) in rows.iter_mut().enumerate() {
            *row = &row[(first + idx).min(last) * all_steps..][steps.clone()];
        }
        Rows(W::as_f32s(simd, rows, scratch))
    }
}

/// `[steps, rows]`
struct LeftColumns<'a>(&'a [f32]);

impl LeftFactor for LeftColumns<'_> {
    fn n_rows(&self, steps: usize) -> usize {
        self.0.len() / steps
    }

    #[inline(always)]
    fn sliver<'a, S: Simd, const R: usize>(
        &'a self,
        _: S,
        first: usize,
        (all_steps, steps): (usize, Range<usize>),
        scratch: &'a mut Vec<f32>,
    ) -> impl Left<R> + Copy {
        let n_rows = self.n_rows(all_steps);
        scratch.clear();
        scratch.resize(steps.len() * R, 0.0);
        let rows = self.0[steps.start * n_rows..steps.end * n_rows].chunks_exact(n_rows);
        if first + R <= n_rows {
            for (to, from) in scratch.as_chunks_mut::<R>().0.iter_mut().zip(rows) {
                to.copy_from_slice(&from[first..first + R]);
            }
        } else {
            for (to, from) in scratch.chunks_exact_mut(R).zip(rows) {
                to[..n_rows - first].copy_from_slice(&from[first..]);
            }
        }
        Columns(scratch)
    }
}

/// What a product is added to.
struct Target<'a> {
    /// `[rows of left, columns of right]`, or `[columns of right, rows of left]` if it is transposed
    numbers: &'a mut [f32],
    width: usize,
    is_transposed: bool,
    /// `[width]`, added last.
    bias: Option<&'a [f32]>,
}

impl<'a> Target<'a> {
    fn plain(numbers: &'a mut [f32], width: usize) -> Self {
        Self { numbers, width, is_transposed: false, bias: None }
    }
}

/// Adds the product of two factors to a target.
fn add<W: Weight>(left: &impl LeftFactor, right: Right<'_, W>, n_steps: usize, target: Target<'_>) {
    let Target { numbers, width, is_transposed, bias } = target;
    if numbers.is_empty() || n_steps == 0 {
        if let Some(bias) = bias {
            add_bias(numbers, bias);
        }
        return;
    }
    let n_threads = rayon::current_num_threads();
    let height = numbers.len() / width;
    let [n_rows, n_columns] = if is_transposed { [width, height] } else { [height, width] };
    let n_jobs = n_rows.div_ceil(JOB_ROWS).next_multiple_of(n_threads);
    let rows = n_rows.div_ceil(n_jobs).next_multiple_of(TALL);
    let blocks = if is_transposed { [PANEL_COLUMNS, rows] } else { [rows, PANEL_COLUMNS] };
    let jobs = blocks_of(numbers, width, blocks).into_iter().map(|(place, target)| {
        let bias = bias.map(|bias| &bias[place[1].clone()]);
        let [rows, columns] = if is_transposed { [place[1].clone(), place[0].clone()] } else { place };
        Job { left, rows, columns, is_transposed, bias, target }
    });
    let mut jobs: Vec<_> = jobs.collect();
    let piece = n_steps.div_ceil(n_steps.div_ceil(LONGEST_SUM));
    // A transposed result is turned once, so all its steps are packed.
    let at_once = if is_transposed { n_steps } else { piece * (PACKED / (piece * n_columns)).max(1) };
    let mut panels = Panels::new(n_columns, at_once.min(n_steps));
    for start in (0..n_steps).step_by(at_once) {
        let here = start..n_steps.min(start + at_once);
        panels.pack(right, n_steps, here.clone());
        let steps = Steps { all: n_steps, here, piece };
        let run = |job: &mut Job<'_, _>| {
            let panels = panels.of(&job.columns);
            Arch::new().dispatch(Run { job, panels, steps: &steps });
        };
        if n_threads == 1 || jobs.len() == 1 || n_rows * n_columns * n_steps < WORTH_THREADS {
            jobs.iter_mut().for_each(run);
        } else {
            jobs.par_iter_mut().with_max_len(1).for_each(run);
        }
    }
}

/// Which products are added up.
struct Steps {
    all: usize,
    /// Those that are packed.
    here: Range<usize>,
    /// How many are added up before they are added to the target.
    piece: usize,
}

/// Rows and columns of a block of a matrix, and the memory of each of its rows.
type Block<'a> = ([Range<usize>; 2], Vec<&'a mut [f32]>);

/// A matrix cut into blocks.
fn blocks_of(matrix: &mut [f32], width: usize, [rows, columns]: [usize; 2]) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    for (idx, matrix) in matrix.chunks_mut(rows * width).enumerate() {
        let n = matrix.len() / width;
        let first = blocks.len();
        for start in (0..width).step_by(columns) {
            let place = [idx * rows..idx * rows + n, start..width.min(start + columns)];
            blocks.push((place, Vec::with_capacity(n)));
        }
        for row in matrix.chunks_exact_mut(width) {
            for ((_, block), row) in blocks[first..].iter_mut().zip(row.chunks_mut(columns)) {
                block.push(row);
            }
        }
    }
    blocks
}

/// Adds vectors to a row that may end within them.
#[inline(always)]
fn add_row<S: Simd>(simd: S, target: &mut [f32], sums: &[S::f32s]) {
    for (target, sum) in target.chunks_mut(S::F32_LANES).zip(sums) {
        if target.len() == S::F32_LANES {
            let target = &mut S::as_mut_simd_f32s(target).0[0];
            *target = simd.add_f32s(*target, *sum);
        } else {
            let sum = simd.add_f32s(simd.partial_load_f32s(target), *sum);
            simd.partial_store_f32s(target, sum);
        }
    }
}

/// A block of the result.
struct Job<'a, L> {
    left: &'a L,
    /// Of the left factor.
    rows: Range<usize>,
    /// Of the right factor, from the first one of a panel.
    columns: Range<usize>,
    is_transposed: bool,
    bias: Option<&'a [f32]>,
    target: Vec<&'a mut [f32]>,
}

/// A job with the steps that are packed.
struct Run<'a, 'b, L> {
    job: &'a mut Job<'b, L>,
    /// `[panels, steps, width]`
    panels: &'a [f32],
    steps: &'a Steps,
}

impl<L: LeftFactor> WithSimd for Run<'_, '_, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.run::<S, TALL>(simd);
        } else {
            self.run::<S, TALL_OF_16>(simd);
        }
    }
}

impl<L: LeftFactor> Run<'_, '_, L> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(mut self, simd: S) {
        let columns = self.panels.len() / self.steps.here.len();
        let n_rows = self.job.rows.len();
        let n_kept = if self.job.is_transposed { (n_rows + SHORT) * columns } else { 0 };
        let mut kept = vec![0.0_f32; n_kept]; // [slivers, panels, R, width]
        let mut scratch = Vec::new();
        for start in self.steps.here.clone().step_by(self.steps.piece) {
            let piece = start..self.steps.here.end.min(start + self.steps.piece);
            let mut row = 0;
            while row < n_rows {
                let kept = kept.get_mut(row * columns..).unwrap_or_default();
                if row + R <= n_rows {
                    self.sliver::<S, R>(simd, row, piece.clone(), kept, &mut scratch);
                    row += R;
                } else {
                    self.sliver::<S, SHORT>(simd, row, piece.clone(), kept, &mut scratch);
                    row += SHORT;
                }
            }
        }
        if self.job.is_transposed {
            let mut row = 0;
            while row < n_rows {
                let height = if row + R <= n_rows { R } else { SHORT };
                let rows = row..n_rows.min(row + height);
                self.add_transposed::<S>(simd, rows, &kept[row * columns..][..height * columns], height);
                row += height;
            }
        }
        if let Some(bias) = self.job.bias
            && self.steps.here.end == self.steps.all
        {
            self.job.target.iter_mut().for_each(|target| add_bias(target, bias));
        }
    }

    /// Adds products of R rows to the target, or to what is kept of it, `[panels, R, width]`.
    #[inline(always)]
    fn sliver<S: Simd, const R: usize>(
        &mut self,
        simd: S,
        row: usize,
        steps: Range<usize>,
        kept: &mut [f32],
        scratch: &mut Vec<f32>,
    ) {
        let width = panel_width::<S>();
        let (start, n_packed) = (self.steps.here.start, self.steps.here.len());
        let within = (steps.start - start) * width..(steps.end - start) * width;
        let Job { left, rows, is_transposed, target, .. } = &mut *self.job;
        let left = left.sliver::<S, R>(simd, rows.start + row, (self.steps.all, steps), scratch);
        for (idx, panel) in self.panels.chunks_exact(n_packed * width).enumerate() {
            let found = left.times::<S, VECTORS>(simd, &panel[within.clone()]);
            // Loops that the compiler unrolls, or the sums would not stay in registers before them.
            if *is_transposed {
                let kept = &mut kept[idx * R * width..][..R * width];
                let kept = &mut S::as_mut_simd_f32s(kept).0[..R * VECTORS];
                for row in 0..R {
                    for column in 0..VECTORS {
                        let sum = &mut kept[row * VECTORS + column];
                        *sum = simd.add_f32s(*sum, found[row][column]);
                    }
                }
            } else {
                let mut tile = [[simd.splat_f32s(0.0); VECTORS]; TALL];
                for row in 0..R {
                    for column in 0..VECTORS {
                        tile[row][column] = found[row][column];
                    }
                }
                // Otherwise the loop below, of unknown length, is moved into the one above.
                let tile = std::hint::black_box(&tile);
                for (target, sums) in target[row..].iter_mut().zip(&tile[..R]) {
                    let target = &mut target[idx * width..];
                    let n = target.len().min(width);
                    add_row(simd, &mut target[..n], sums);
                }
            }
        }
    }

    #[inline(always)]
    fn add_transposed<S: Simd>(&mut self, simd: S, rows: Range<usize>, sums: &[f32], height: usize) {
        let width = panel_width::<S>();
        let tiles = sums.chunks_exact(height * width);
        for (target, tile) in self.job.target.chunks_mut(width).zip(tiles) {
            for (block, target) in target.chunks_mut(S::F32_LANES).enumerate() {
                for start in (0..rows.len()).step_by(S::F32_LANES) {
                    let n = (rows.len() - start).min(S::F32_LANES);
                    let mut square = [simd.splat_f32s(0.0); MOST_LANES];
                    for (idx, vector) in square[..S::F32_LANES].iter_mut().enumerate() {
                        let row = (start + idx).min(height - 1);
                        let sums = &tile[row * width + block * S::F32_LANES..][..S::F32_LANES];
                        *vector = S::as_simd_f32s(sums).0[0];
                    }
                    let square = transpose(simd, square);
                    let squares: &[f32] = bytemuck::cast_slice(&square);
                    for (target, sums) in target.iter_mut().zip(squares.chunks_exact(S::F32_LANES)) {
                        let target = &mut target[rows.start + start..][..n];
                        let sum = S::as_simd_f32s(sums).0[0];
                        let sum = simd.add_f32s(simd.partial_load_f32s(target), sum);
                        simd.partial_store_f32s(target, sum);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..n).map(|_| next()).collect()
    }

    /// `left · right` in f64, `[n, m]` and `[m, width]` read through functions of row and column.
    fn in_f64(
        [n, m, width]: [usize; 3],
        left: impl Fn(usize, usize) -> f32,
        right: impl Fn(usize, usize) -> f32,
    ) -> Vec<f64> {
        let sum = |row, column| {
            (0..m).map(|step| f64::from(left(row, step)) * f64::from(right(step, column))).sum::<f64>()
        };
        (0..n * width).map(|idx| sum(idx / width, idx % width)).collect()
    }

    /// Products are below 0.25 and of either sign: their sums stay below 1 or little above, each of m additions rounds by at
    /// most 6e-8 of that, and so does the one of the bias or of what was there before.
    fn assert_close(found: &[f32], expected: &[f64], m: usize, of: &str) {
        assert_eq!(found.len(), expected.len(), "{of}");
        let tolerance = 1e-6 + 6e-8 * m as f64;
        for (idx, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            assert!(error < tolerance, "{of}: {found} instead of {expected} at {idx}");
        }
    }

    fn shapes() -> impl Iterator<Item = [usize; 3]> {
        let small = [1, 2, 5, 13, 14, 15, 16, 17, 31, 33, 47, 64, 70];
        let all = small.into_iter().flat_map(move |n| small.into_iter().map(move |m| [n, m]));
        let grid = all.zip(small.into_iter().cycle().skip(3)).map(|([n, m], width)| [n, m, width]);
        // several pieces of a sum, several jobs, several blocks of panels, several packings
        grid.chain([[40, 1030, 37], [470, 20, 530], [530, 33, 470], [1300, 7, 3], [29, 700, 1100]])
    }

    #[test]
    fn products_of_every_shape_equal_sums_in_f64() {
        for [n, d_in, d_out] in shapes() {
            let (x, w, bias) = (numbers(n * d_in, 1), numbers(d_out * d_in, 2), numbers(d_out, 3));
            let mut expected =
                in_f64([n, d_in, d_out], |row, at| x[row * d_in + at], |at, out| w[out * d_in + at]);
            let of = format!("{n} x {d_in} x {d_out}");
            assert_close(&rows_times_weight(&x, &w, None, d_in), &expected, d_in, &of);
            for (idx, expected) in expected.iter_mut().enumerate() {
                *expected += f64::from(bias[idx % d_out]);
            }
            assert_close(&rows_times_weight(&x, &w, Some(&bias), d_in), &expected, d_in, &of);
        }
    }

    #[test]
    fn products_of_every_shape_are_added_to_what_was_there() {
        for [n, m, width] in shapes() {
            let (left, right, before) = (numbers(n * m, 1), numbers(m * width, 2), numbers(n * width, 3));
            let of = format!("{n} x {m} x {width}");
            let plus_before = |mut product: Vec<f64>| {
                product.iter_mut().zip(&before).for_each(|(sum, before)| *sum += f64::from(*before));
                product
            };
            let right_at = |at: usize, column: usize| right[at * width + column];
            let mut sums = before.clone();
            add_product(&left, &right, width, &mut sums);
            let expected = in_f64([n, m, width], |row, at| left[row * m + at], right_at);
            assert_close(&sums, &plus_before(expected), m, &of);
            let mut sums = before.clone();
            add_transposed_product(&left, &right, width, &mut sums);
            let expected = in_f64([n, m, width], |row, at| left[at * n + row], right_at);
            assert_close(&sums, &plus_before(expected), m, &of);
        }
    }

    #[test]
    fn no_bit_depends_on_the_number_of_threads() {
        for [n, d_in, d_out] in [[33, 1030, 300], [600, 100, 90], [90, 70, 1000]] {
            let (x, w, dy) = (numbers(n * d_in, 1), numbers(d_out * d_in, 2), numbers(n * d_out, 3));
            let products = || {
                let (mut dx, mut dw) = (vec![0.5; n * d_in], vec![0.5; d_out * d_in]);
                add_product(&dy, &w, d_in, &mut dx);
                add_transposed_product(&dy, &x, d_in, &mut dw);
                [rows_times_weight(&x, &w, Some(&w[..d_out]), d_in), dx, dw]
            };
            let of = |n_threads| {
                rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap().install(products)
            };
            let alone = of(1);
            assert_eq!(alone, of(3));
            assert_eq!(alone, products());
        }
    }

    #[test]
    fn no_row_depends_on_its_neighbours_nor_on_which_factor_is_packed() {
        let (d_in, d_out) = (700, 130);
        let (x, w, bias) = (numbers(400 * d_in, 1), numbers(d_out * d_in, 2), numbers(d_out, 3));
        let together = rows_times_weight(&x, &w, Some(&bias), d_in);
        for n in [1, 33, 40, 101] {
            // more weights than numbers in and out of so few rows: the rows are packed instead of the weight
            assert_eq!(n < 110, w.len() > n * (d_in + d_out));
            let some = rows_times_weight(&x[..n * d_in], &w, Some(&bias), d_in);
            assert_eq!(some, together[..n * d_out], "{n} rows");
        }
    }

    #[test]
    fn bf16_weights_give_the_bits_of_the_same_weights_in_f32() {
        for (n, d_in, d_out) in [(30, 70, 330), (300, 70, 33)] {
            let x = numbers(n * d_in, 1);
            let narrow: Vec<bf16> = numbers(d_out * d_in, 2).into_iter().map(bf16::from_f32).collect();
            let wide: Vec<f32> = narrow.iter().map(|number| number.to_f32()).collect();
            assert_eq!(rows_times_weight(&x, &narrow, None, d_in), rows_times_weight(&x, &wide, None, d_in));
            let dy = numbers(n * d_out, 3);
            let (mut found, mut expected) = (vec![0.0; n * d_in], vec![0.0; n * d_in]);
            add_product(&dy, &narrow, d_in, &mut found);
            add_product(&dy, &wide, d_in, &mut expected);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn nothing_is_added_by_sums_of_nothing() {
        let mut sums = [3.0; 6];
        add_product::<f32>(&[], &[], 3, &mut sums);
        add_transposed_product(&[], &[], 3, &mut sums);
        assert_eq!(sums, [3.0; 6]);
        assert!(rows_times_weight::<f32>(&[], &[1.0, 2.0], None, 2).is_empty());
    }
}
