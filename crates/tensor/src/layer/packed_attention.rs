//! Causal attention over sequences that lie one after the other, with its backward pass.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};

#[cfg(feature = "flex")]
use crate::host::{borrow, changed, f32s, from_host, is_here};
#[cfg(feature = "flex")]
use crate::kernel::{PackedShape, attend_packed, attend_packed_backward};

/// What the backward pass of an attention needs of the forward pass besides its output.
#[derive(Debug, Clone)]
pub struct AttentionSums {
    /// ln Σ exp of the scores that a token's head sees, `[N, H]` in f32.
    log_sum_exps: Tensor<2>,
}

/// softmax(q kᵀ / √C) v, where each token sees itself and the tokens before it in its own sequence.
///
/// N counts the tokens of all sequences; nothing is padded on the CPU. Query heads share key heads in groups of H / K
/// neighbours. The softmax is f32.
///
/// # Shapes
/// - `queries`: `[N, H, C]`
/// - `keys`, `values`: `[N, K, C]`
/// - `sequence_ends`: where each sequence ends, ascending, the last at N
/// - returns: `[N, H, C]`, and what [`packed_attention_backward`] needs
///
/// # Panics
/// On shapes that do not fit, ends that do not ascend to N.
pub fn packed_attention(
    queries: &Tensor<3>,
    keys: &Tensor<3>,
    values: &Tensor<3>,
    sequence_ends: &[usize],
) -> (Tensor<3>, AttentionSums) {
    assert_fits([queries, keys, values], sequence_ends);
    #[cfg(feature = "flex")]
    if [queries, keys, values].into_iter().all(is_here) {
        let dims @ [n_tokens, n_heads, _] = queries.dims();
        let shape = shape_of(queries, keys, sequence_ends);
        let [queries, keys, values] = [queries, keys, values].map(borrow);
        let (out, sums) = attend_packed(f32s(&queries), f32s(&keys), f32s(&values), shape);
        return (from_host(out, dims), AttentionSums { log_sum_exps: from_host(sums, [n_tokens, n_heads]) });
    }
    by_burn(queries, keys, values, sequence_ends)
}

/// Gradients of queries, keys and values of a [`packed_attention`].
///
/// Probabilities are computed again from the sums, tile by tile on the CPU. Paper: arXiv 2205.14135, appendix B.4.
///
/// # Shapes
/// - `queries`, `out`, `d_out`: `[N, H, C]`; `out` as the forward pass returned it
/// - `keys`, `values`: `[N, K, C]`
/// - returns: `[N, H, C]` and twice `[N, K, C]`
///
/// # Panics
/// On shapes that do not fit, ends that do not ascend to N.
pub fn packed_attention_backward(
    queries: &Tensor<3>,
    keys: &Tensor<3>,
    values: &Tensor<3>,
    out: &Tensor<3>,
    sums: &AttentionSums,
    sequence_ends: &[usize],
    d_out: Tensor<3>,
) -> (Tensor<3>, Tensor<3>, Tensor<3>) {
    assert_fits([queries, keys, values], sequence_ends);
    assert_eq!(
        [out.dims(), d_out.dims()],
        [queries.dims(); 2],
        "out and d_out have the shape of the queries"
    );
    #[cfg(feature = "flex")]
    if [queries, keys, values, out, &d_out].into_iter().all(is_here) {
        let dims = keys.dims();
        let shape = shape_of(queries, keys, sequence_ends);
        let [queries, keys, values, out] = [queries, keys, values, out].map(borrow);
        let sums = borrow(&sums.log_sum_exps);
        let mut of_keys = (Vec::new(), Vec::new());
        let d_queries = changed(d_out, |d_out| {
            let inputs = [f32s(&queries), f32s(&keys), f32s(&values)];
            of_keys = attend_packed_backward(inputs, f32s(&out), f32s(&sums), d_out, shape);
        });
        return (d_queries, from_host(of_keys.0, dims), from_host(of_keys.1, dims));
    }
    backward_by_burn([queries, keys, values], out, sums, sequence_ends, &d_out)
}

fn assert_fits([queries, keys, values]: [&Tensor<3>; 3], sequence_ends: &[usize]) {
    let [n_tokens, n_heads, channels] = queries.dims();
    let [_, n_kv_heads, _] = keys.dims();
    let expected = [n_tokens, n_kv_heads, channels];
    assert_eq!([keys.dims(), values.dims()], [expected; 2], "keys and values go with {:?}", queries.dims());
    assert!(n_heads.is_multiple_of(n_kv_heads), "{n_heads} query heads in groups for {n_kv_heads} key heads");
    assert!(sequence_ends.is_sorted(), "sequences end one after the other, found {sequence_ends:?}");
    assert_eq!(
        sequence_ends.last().copied().unwrap_or(0),
        n_tokens,
        "the last sequence ends with the tokens"
    );
}

#[cfg(feature = "flex")]
fn shape_of<'a>(queries: &Tensor<3>, keys: &Tensor<3>, sequence_ends: &'a [usize]) -> PackedShape<'a> {
    let [_, n_heads, head_dim] = queries.dims();
    PackedShape { sequence_ends, n_heads, n_kv_heads: keys.dims()[1], head_dim }
}

/// [`packed_attention`] by operations that every backend has.
fn by_burn(
    queries: &Tensor<3>,
    keys: &Tensor<3>,
    values: &Tensor<3>,
    sequence_ends: &[usize],
) -> (Tensor<3>, AttentionSums) {
    let [_, n_heads, channels] = queries.dims();
    let padding = Padding::new(sequence_ends, &queries.device());
    let [_, n_kv_heads, _] = keys.dims();
    let scores = padding.scores(queries, keys); // [B, H, T, T]
    let max = scores.clone().max_dim(3); // [B, H, T, 1]
    let log_sum_exps = (scores.clone() - max.clone()).exp().sum_dim(3).log() + max; // [B, H, T, 1]
    let shares = softmax(scores, 3).cast(queries.dtype());
    let out = padding
        .in_groups(shares, n_kv_heads) // [B, K, G*T, T]
        .matmul(padding.heads(values)); // [B, K, G*T, C]
    let out = padding.tokens(out, [n_heads, channels]);
    let log_sum_exps = padding.tokens(log_sum_exps, [n_heads, 1]).squeeze_dim(2); // [N, H]
    (out, AttentionSums { log_sum_exps })
}

/// [`packed_attention_backward`] by operations that every backend has.
fn backward_by_burn(
    [queries, keys, values]: [&Tensor<3>; 3],
    out: &Tensor<3>,
    sums: &AttentionSums,
    sequence_ends: &[usize],
    d_out: &Tensor<3>,
) -> (Tensor<3>, Tensor<3>, Tensor<3>) {
    let ([_, n_heads, channels], [_, n_kv_heads, _]) = (queries.dims(), keys.dims());
    let dtype = queries.dtype();
    let padding = Padding::new(sequence_ends, &queries.device());
    let log_sum_exps = padding.heads(&sums.log_sum_exps.clone().unsqueeze_dim(2)); // [B, H, T, 1]
    let probs = (padding.scores(queries, keys) - log_sum_exps).exp(); // [B, H, T, T]
    let delta = (out.clone().cast(DType::F32) * d_out.clone().cast(DType::F32)).sum_dim(2); // [N, H, 1]
    let d_out = padding.in_groups(padding.heads(d_out), n_kv_heads); // [B, K, G*T, C]
    let d_probs = d_out.clone().matmul(padding.heads(values).swap_dims(2, 3)).cast(DType::F32); // [B, K, G*T, T]
    let d_probs = d_probs.reshape(probs.dims());
    let scale = 1.0 / (channels as f64).sqrt();
    let d_scores = probs.clone() * (d_probs - padding.heads(&delta)) * scale; // [B, H, T, T]
    let [probs, d_scores] = [probs, d_scores].map(|shares| padding.in_groups(shares.cast(dtype), n_kv_heads));
    let d_values = probs.transpose().matmul(d_out); // [B, K, T, C]
    let d_queries = d_scores.clone().matmul(padding.heads(keys)); // [B, K, G*T, C]
    let queries = padding.in_groups(padding.heads(queries), n_kv_heads);
    let d_keys = d_scores.transpose().matmul(queries); // [B, K, T, C]
    (
        padding.tokens(d_queries, [n_heads, channels]),
        padding.tokens(d_keys, [n_kv_heads, channels]),
        padding.tokens(d_values, [n_kv_heads, channels]),
    )
}

/// Between tokens one after the other and sequences of one length, padded on the right.
struct Padding {
    /// B
    n_sequences: usize,
    /// T, of the longest sequence.
    length: usize,
    /// Token at each place, N for padding. `[B * T]`
    token_at: Tensor<1, Int>,
    /// Place of each token. `[N]`
    place_of: Tensor<1, Int>,
}

impl Padding {
    fn new(sequence_ends: &[usize], device: &Device) -> Self {
        let starts: Vec<usize> = std::iter::once(0).chain(sequence_ends.iter().copied()).collect();
        let sequences = || starts.windows(2).map(|ends| ends[0]..ends[1]);
        let n_tokens = starts[starts.len() - 1];
        let length = sequences().map(|tokens| tokens.len()).max().unwrap_or(0);
        let token_at = sequences()
            .flat_map(|tokens| tokens.clone().chain(std::iter::repeat_n(n_tokens, length - tokens.len())));
        let place_of = sequences()
            .enumerate()
            .flat_map(|(row, tokens)| (0..tokens.len()).map(move |t| row * length + t));
        let indices = |indices: Vec<usize>| {
            let indices: Vec<i32> = indices.into_iter().map(|idx| idx as i32).collect();
            let dims = [indices.len()];
            Tensor::from_data(TensorData::new(indices, dims), device)
        };
        Self {
            n_sequences: sequence_ends.len(),
            length,
            token_at: indices(token_at.collect()),
            place_of: indices(place_of.collect()),
        }
    }

    /// `[N, H, C]` to `[B, H, T, C]`, zeros for padding.
    fn heads(&self, tokens: &Tensor<3>) -> Tensor<4> {
        let [_, n_heads, channels] = tokens.dims();
        let nothing = Tensor::zeros([1, n_heads, channels], (&tokens.device(), tokens.dtype()));
        Tensor::cat(vec![tokens.clone(), nothing], 0) // [N + 1, H, C]
            .select(0, self.token_at.clone()) // [B * T, H, C]
            .reshape([self.n_sequences, self.length, n_heads, channels])
            .swap_dims(1, 2) // [B, H, T, C]
    }

    /// `[B, H, T, X]` with the rows of a group of heads under one another, `[B, K, G*T, X]`: no copy of keys and values
    /// per query head.
    fn in_groups(&self, heads: Tensor<4>, n_kv_heads: usize) -> Tensor<4> {
        let [n_sequences, n_heads, length, width] = heads.dims();
        heads.reshape([n_sequences, n_kv_heads, n_heads / n_kv_heads * length, width])
    }

    /// `[B, H, T, C]`, or its groups, to `[N, H, C]`.
    fn tokens(&self, heads: Tensor<4>, [n_heads, channels]: [usize; 2]) -> Tensor<3> {
        heads
            .reshape([self.n_sequences, n_heads, self.length, channels])
            .swap_dims(1, 2) // [B, T, H, C]
            .reshape([self.n_sequences * self.length, n_heads, channels])
            .select(0, self.place_of.clone()) // [N, H, C]
    }

    /// `q kᵀ / √C` in f32, -1e30 for keys after the query: padding comes after all tokens. `[B, H, T, T]`
    fn scores(&self, queries: &Tensor<3>, keys: &Tensor<3>) -> Tensor<4> {
        let ([_, n_heads, channels], [_, n_kv_heads, _]) = (queries.dims(), keys.dims());
        let (n_sequences, length) = (self.n_sequences, self.length);
        let queries = self.in_groups(self.heads(queries), n_kv_heads); // [B, K, G*T, C]
        let scores = queries.matmul(self.heads(keys).swap_dims(2, 3)).cast(DType::F32); // [B, K, G*T, T]
        let scores = scores.mul_scalar(1.0 / (channels as f64).sqrt());
        let hidden = (0..length).flat_map(|query| (0..length).map(move |key| key > query)).collect();
        let hidden = TensorData::new::<bool, _>(hidden, [1, 1, length, length]);
        let hidden: Tensor<4, Bool> = Tensor::from_data(hidden, &scores.device());
        let dims = [n_sequences, n_heads, length, length];
        scores.reshape(dims).mask_fill(hidden.expand(dims), -1e30)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{assert_close, host, noise, tracked, with_threads};
    use super::*;
    use crate::{KvSlots, causal_attention};

    struct Case {
        lengths: &'static [usize],
        n_heads: usize,
        n_kv_heads: usize,
        channels: usize,
    }

    /// Groups of 1, 2 and 7; lengths of one token, of whole tiles, of several jobs; channels of no whole vectors.
    const CASES: [Case; 6] = [
        Case { lengths: &[1], n_heads: 1, n_kv_heads: 1, channels: 2 },
        Case { lengths: &[25, 1, 40, 0, 10], n_heads: 4, n_kv_heads: 2, channels: 32 },
        Case { lengths: &[3, 64, 65], n_heads: 3, n_kv_heads: 3, channels: 5 },
        Case { lengths: &[70, 1, 129], n_heads: 14, n_kv_heads: 2, channels: 64 },
        Case { lengths: &[9, 300], n_heads: 2, n_kv_heads: 1, channels: 80 },
        Case { lengths: &[513, 256, 257], n_heads: 2, n_kv_heads: 2, channels: 16 },
    ];

    struct Inputs {
        queries: Tensor<3>,
        keys: Tensor<3>,
        values: Tensor<3>,
        d_out: Tensor<3>,
        ends: Vec<usize>,
    }

    impl Case {
        fn inputs(&self) -> Inputs {
            let ends: Vec<usize> = self
                .lengths
                .iter()
                .scan(0, |end, length| {
                    *end += length;
                    Some(*end)
                })
                .collect();
            let n = *ends.last().unwrap();
            let of = |heads, seed| noise([n, heads, self.channels], seed);
            Inputs {
                queries: of(self.n_heads, 1) * 3.0,
                keys: of(self.n_kv_heads, 2) * 2.0,
                values: of(self.n_kv_heads, 3),
                d_out: of(self.n_heads, 4),
                ends,
            }
        }
    }

    impl Inputs {
        fn sequences(&self) -> Vec<std::ops::Range<usize>> {
            let starts = std::iter::once(0).chain(self.ends.iter().copied());
            starts.zip(self.ends.iter().copied()).map(|(start, end)| start..end).collect()
        }

        /// Tokens of one sequence.
        fn only(&self, tokens: &std::ops::Range<usize>) -> Self {
            let part = |tensor: &Tensor<3>| tensor.clone().slice([tokens.clone()]);
            Self {
                queries: part(&self.queries),
                keys: part(&self.keys),
                values: part(&self.values),
                d_out: part(&self.d_out),
                ends: vec![tokens.len()],
            }
        }

        /// Output, log-sum-exps and the gradients of queries, keys and values.
        fn found(&self) -> [Tensor<3>; 5] {
            let Self { queries, keys, values, d_out, ends } = self;
            let (out, sums) = packed_attention(queries, keys, values, ends);
            let of = packed_attention_backward(queries, keys, values, &out, &sums, ends, d_out.clone());
            [out, sums.log_sum_exps.unsqueeze_dim(2), of.0, of.1, of.2]
        }

        fn plain(&self) -> [Tensor<3>; 5] {
            let Self { queries, keys, values, d_out, ends } = self;
            let (out, sums) = by_burn(queries, keys, values, ends);
            let of = backward_by_burn([queries, keys, values], &out, &sums, ends, d_out);
            [out, sums.log_sum_exps.unsqueeze_dim(2), of.0, of.1, of.2]
        }
    }

    #[test]
    fn outputs_and_gradients_are_those_of_autodiff_through_each_sequence() {
        for case in CASES {
            let inputs = case.inputs();
            let leaves = [&inputs.queries, &inputs.keys, &inputs.values].map(tracked);
            let of_sequence = |tokens: std::ops::Range<usize>| {
                let slots = KvSlots { n_filled: tokens.len(), first: &[0] };
                let [queries, keys, values] =
                    leaves.each_ref().map(|leaf| leaf.clone().slice([tokens.clone()]).unsqueeze_dim(0));
                causal_attention(queries, keys, values, slots).squeeze_dim(0)
            };
            let sequences = inputs.sequences().into_iter().filter(|tokens| !tokens.is_empty());
            let out: Tensor<3> = Tensor::cat(sequences.map(of_sequence).collect(), 0);
            let gradients = (out.clone() * tracked(&inputs.d_out)).sum().backward();
            let [of_queries, of_keys, of_values] = leaves.map(|leaf| leaf.grad(&gradients).unwrap());
            for [found, _, d_queries, d_keys, d_values] in [inputs.found(), inputs.plain()] {
                // scores of up to 40 are rounded to 4e-6, and so is the share of each key, relatively
                assert_close(&found, &out.clone().inner(), 3e-6);
                assert_close(&d_queries, &of_queries, 5e-6);
                assert_close(&d_keys, &of_keys, 5e-6);
                assert_close(&d_values, &of_values, 5e-6);
            }
        }
    }

    #[test]
    fn operations_of_any_backend_give_the_same() {
        for case in CASES {
            let inputs = case.inputs();
            for (found, plain) in inputs.found().iter().zip(&inputs.plain()) {
                assert_close(found, plain, 5e-6); // see above
            }
        }
    }

    #[test]
    fn a_sequence_gives_the_same_bits_alone_and_among_others() {
        for case in CASES {
            let inputs = case.inputs();
            let together = inputs.found();
            for tokens in inputs.sequences() {
                for (alone, together) in inputs.only(&tokens).found().iter().zip(&together) {
                    assert_eq!(host(alone), host(&together.clone().slice([tokens.clone()])), "{tokens:?}");
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        for case in CASES {
            let inputs = case.inputs();
            let [one, three] = with_threads(|| inputs.found().map(|tensor| host(&tensor)));
            assert_eq!(one, three);
        }
    }

    /// Attention of one head in f64: output and the gradients of queries, keys and values.
    fn in_f64(inputs: &Inputs, n: usize, channels: usize) -> [Vec<f64>; 4] {
        let [q, k, v, g] = [&inputs.queries, &inputs.keys, &inputs.values, &inputs.d_out]
            .map(|tensor| host(tensor).into_iter().map(f64::from).collect::<Vec<_>>());
        let row = |numbers: &[f64], token: usize| numbers[token * channels..][..channels].to_vec();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let add = |to: &mut [f64], token: usize, share: f64, from: &[f64]| {
            to[token * channels..][..channels]
                .iter_mut()
                .zip(from)
                .for_each(|(to, from)| *to += share * from);
        };
        let scale = 1.0 / (channels as f64).sqrt();
        let mut found = [const { Vec::new() }; 4].map(|_: Vec<f64>| vec![0.0; n * channels]);
        for query in 0..n {
            let (q_row, g_row) = (row(&q, query), row(&g, query));
            let powers: Vec<f64> =
                (0..=query).map(|key| (dot(&q_row, &row(&k, key)) * scale).exp()).collect();
            let sum: f64 = powers.iter().sum();
            let d_probs: Vec<f64> = (0..=query).map(|key| dot(&g_row, &row(&v, key))).collect();
            let delta = powers.iter().zip(&d_probs).map(|(power, d)| power / sum * d).sum::<f64>();
            for key in 0..=query {
                let prob = powers[key] / sum;
                let d_score = prob * (d_probs[key] - delta) * scale;
                add(&mut found[0], query, prob, &row(&v, key));
                add(&mut found[1], query, d_score, &row(&k, key));
                add(&mut found[2], key, d_score, &q_row);
                add(&mut found[3], key, prob, &g_row);
            }
        }
        found
    }

    #[test]
    fn six_hundred_tokens_are_right_to_the_rounding_of_f32() {
        let case = Case { lengths: &[600], n_heads: 1, n_kv_heads: 1, channels: 48 };
        let inputs = case.inputs();
        let expected = in_f64(&inputs, 600, 48);
        let [out, _, d_queries, d_keys, d_values] = inputs.found();
        for (found, expected) in [out, d_queries, d_keys, d_values].iter().zip(expected) {
            let largest = expected.iter().fold(0.0_f64, |max, number| max.max(number.abs()));
            let errors = host(found).into_iter().zip(&expected).map(|(a, b)| (f64::from(a) - b).abs());
            let error = errors.fold(0.0, f64::max) / largest;
            assert!(error < 2e-6, "{error}"); // scores of up to 20, rounded to 1e-6
        }
    }

    #[test]
    fn tokens_after_a_token_and_in_other_sequences_do_not_reach_it() {
        let inputs = CASES[1].inputs();
        let before = host(&inputs.found()[0].clone().slice(0..20));
        let mut changed = CASES[1].inputs();
        let [n, n_kv_heads, channels] = changed.keys.dims();
        for tensor in [&mut changed.keys, &mut changed.values] {
            let other = noise([n - 20, n_kv_heads, channels], 9);
            *tensor = tensor.clone().slice_assign([20..n, 0..n_kv_heads, 0..channels], other);
        }
        assert_eq!(host(&changed.found()[0].clone().slice(0..20)), before);
    }

    #[test]
    fn bf16_is_near_f32() {
        let inputs = CASES[1].inputs();
        let narrow = |tensor: &Tensor<3>| tensor.clone().cast(DType::BF16);
        let rounded = |tensor: &Tensor<3>| narrow(tensor).cast(DType::F32);
        let exact = Inputs {
            queries: rounded(&inputs.queries),
            keys: rounded(&inputs.keys),
            values: rounded(&inputs.values),
            d_out: rounded(&inputs.d_out),
            ends: inputs.ends.clone(),
        };
        let [queries, keys, values, d_out] =
            [&inputs.queries, &inputs.keys, &inputs.values, &inputs.d_out].map(narrow);
        let found = Inputs { queries, keys, values, d_out, ends: inputs.ends }.found();
        assert_eq!(
            found.each_ref().map(Tensor::dtype),
            [DType::BF16, DType::F32, DType::BF16, DType::BF16, DType::BF16]
        );
        // bf16 rounds scores of up to 8 to 0.03, and so the share of each key, relatively
        for (found, exact) in found.into_iter().zip(exact.found()) {
            assert_close(&found.cast(DType::F32), &exact, 0.05);
        }
    }

    #[test]
    fn no_tokens_have_no_attention() {
        let nothing = noise([0, 2, 4], 1);
        let (out, _) = packed_attention(&nothing, &nothing, &nothing, &[]);
        assert_eq!(out.dims(), [0, 2, 4]);
    }
}
