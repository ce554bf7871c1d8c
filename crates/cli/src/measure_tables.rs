//! A measurement as tables.

use razor_metrics::{SampleSource, ShiftQuantity, TensorDrift, WeightDrift};
use razor_report::{Cell, Column, NumberFormat, ReportError, Table};

use crate::measure::Measurement;
use crate::measure_shift::Shift;
use crate::measure_weights::Weights;

/// Digits of a figure without a unit of its own.
pub(crate) const DIGITS: NumberFormat = NumberFormat::Significant(4);
const WHOLE: NumberFormat = NumberFormat::Fixed(0);

/// Every quantity of the distributions with its interval.
pub(crate) fn quantity_table(shift: &Shift) -> Table {
    let caption = "Reference is the base model, policy the tuned one, and each was measured on completions of the model \
                   that drew them. n counts prompts; intervals are 95 % over resampled prompts.";
    let columns = vec![
        Column::text("Quantity"),
        Column::text("Unit"),
        Column::number("Mean", "", DIGITS),
        Column::number("Standard error", "", NumberFormat::Significant(2)),
        Column::number("n", "", WHOLE),
        Column::text("Drawn by"),
    ];
    let mut table = Table::new("shift", caption, columns);
    shift.quantities.iter().for_each(|quantity| table.push(quantity_cells(quantity)));
    table
}

/// `quantities.csv`: the table with the counts behind each quantity.
pub(crate) fn quantity_csv(shift: &Shift) -> Result<Vec<u8>, ReportError> {
    let narrow = quantity_table(shift);
    let mut columns = narrow.columns().to_vec();
    columns.push(Column::number("Completions", "", WHOLE));
    columns.push(Column::number("Tokens", "", WHOLE));
    let mut table = Table::new("quantities", "", columns);
    for quantity in &shift.quantities {
        let mut cells = quantity_cells(quantity);
        cells.push((quantity.n_samples as f64).into());
        cells.push((quantity.n_tokens as f64).into());
        table.push(cells);
    }
    table.to_csv()
}

fn quantity_cells(quantity: &ShiftQuantity) -> Vec<Cell> {
    let drawn_by = match quantity.samples_from {
        SampleSource::Reference => "base",
        SampleSource::Policy => "tuned",
    };
    vec![
        quantity.name.as_str().into(),
        quantity.unit.into(),
        Cell::interval(quantity.mean, quantity.low, quantity.high),
        quantity.standard_error.into(),
        (quantity.n as f64).into(),
        drawn_by.into(),
    ]
}

/// The change of all weights together.
pub(crate) fn weight_table(drift: &WeightDrift) -> Table {
    let caption = "All weights together, compared as f32; shares are fractions.";
    let columns = vec![Column::text("Weights"), Column::number("Value", "", DIGITS), Column::text("Meaning")];
    let mut table = Table::new("weights", caption, columns);
    let k = drift.n_directions;
    let left = format!("share of ‖Δ‖² in the top {k} left singular directions of the base matrices");
    let right = format!("share of ‖Δ‖² in the top {k} right singular directions");
    let rows: [(&str, Cell, &str); 12] = [
        ("mean_abs", drift.change.mean_abs.into(), "mean of |Δθ|"),
        ("l2", drift.l2.into(), "‖Δθ‖₂"),
        ("relative_l2", drift.relative_l2.into(), "‖Δθ‖₂ / ‖θ₀‖₂"),
        ("fisher_weighted", drift.fisher_weighted.into(), "Σ F Δθ², with --fisher-prompts"),
        ("spectral_norm_sum", drift.spectral_norm_sum.into(), "Σ σ_max(ΔW) over matrices"),
        ("unchanged_f32", drift.change.unchanged_f32.into(), "share of weights that are the same"),
        (
            "unchanged_bf16",
            drift.change.unchanged_bf16.into(),
            "share that is the same once both are rounded to bf16",
        ),
        ("within_tolerance", drift.change.within_tolerance.into(), "share with |Δθ| of at most 1e-5"),
        ("rank_share", drift.rank_share.into(), "rank by full rank, over changed matrices"),
        ("left_energy", drift.left_energy.into(), &left),
        ("right_energy", drift.right_energy.into(), &right),
        ("n_weights", (drift.change.n_weights as f64).into(), "weights"),
    ];
    for (name, value, meaning) in rows {
        table.push(vec![name.into(), value, meaning.into()]);
    }
    table
}

/// One depth of the network.
pub(crate) struct Depth {
    /// `embedding`, `layer 0`, ..., `norm and head`.
    name: String,
    /// How many layers' outputs the hidden state has seen; none for what follows the last.
    pub(crate) state: Option<usize>,
    tensors: Vec<usize>,
}

/// The network from its input on, as far as weights or hidden states were compared.
pub(crate) fn depths(measurement: &Measurement) -> Vec<Depth> {
    let names: Vec<&str> = measurement
        .weights
        .iter()
        .flat_map(|weights| weights.tensors.iter().map(|tensor| tensor.name.as_str()))
        .collect();
    let layer_of =
        |name: &str| -> Option<usize> { name.strip_prefix("model.layers.")?.split('.').next()?.parse().ok() };
    let by_states = measurement.representation.layers.len().saturating_sub(1);
    let by_names = names.iter().filter_map(|name| layer_of(name)).max().map_or(0, |last| last + 1);
    let n_layers = by_states.max(by_names);
    if n_layers == 0 {
        return Vec::new(); // neither weights nor hidden states were compared
    }
    let own = |is_own: &dyn Fn(&str) -> bool| (0..names.len()).filter(|&idx| is_own(names[idx])).collect();
    let mut depths = vec![Depth {
        name: "embedding".to_owned(),
        state: Some(0),
        tensors: own(&|name| name.starts_with("model.embed_tokens")),
    }];
    for layer in 0..n_layers {
        let tensors = own(&|name| layer_of(name) == Some(layer));
        depths.push(Depth { name: format!("layer {layer}"), state: Some(layer + 1), tensors });
    }
    let tensors: Vec<usize> =
        own(&|name| layer_of(name).is_none() && !name.starts_with("model.embed_tokens"));
    if !tensors.is_empty() {
        depths.push(Depth { name: "norm and head".to_owned(), state: None, tensors });
    }
    depths
}

/// Weights and hidden states layer by layer.
pub(crate) fn layer_table(measurement: &Measurement) -> Table {
    let caption = "Weights of each layer, and the residual stream after it (before the final norm), averaged over the \
                   tokens of each prompt.";
    let columns = vec![
        Column::text("Layer"),
        Column::number("L2", "", DIGITS),
        Column::number("Relative L2", "", DIGITS),
        Column::number("Spectral norm sum", "", DIGITS),
        Column::number("CKA", "", NumberFormat::Fixed(4)),
        Column::number("CKNNA", "", NumberFormat::Fixed(4)),
    ];
    let mut table = Table::new("layers", caption, columns);
    for depth in depths(measurement) {
        let tensors: Vec<&TensorDrift> = measurement
            .weights
            .iter()
            .flat_map(|weights| depth.tensors.iter().map(|&idx| &weights.tensors[idx]))
            .collect();
        let norm = |of: fn(&TensorDrift) -> f64| {
            let squares = tensors.iter().map(|tensor| of(tensor).powi(2)).sum::<f64>();
            (!tensors.is_empty()).then(|| squares.sqrt())
        };
        let (l2, base) = (norm(|tensor| tensor.l2), norm(|tensor| tensor.base_l2));
        let spectral = tensors.iter().filter_map(|tensor| tensor.matrix).map(|matrix| matrix.spectral_norm);
        let state = depth.state.and_then(|state| measurement.representation.layers.get(state));
        table.push(vec![
            depth.name.into(),
            l2.into(),
            l2.zip(base.filter(|&base| base > 0.0)).map(|(l2, base)| l2 / base).into(),
            l2.map(|_| spectral.sum::<f64>()).into(),
            state.map(|state| state.cka).into(),
            state.map(|state| state.cknna).into(),
        ]);
    }
    table
}

/// Every tensor, folded on the page.
pub(crate) fn tensor_table(weights: &Weights) -> Table {
    let caption =
        "Every tensor. A dash under rank and energy: no matrix, unchanged, or too large without --full-svd.";
    let columns = vec![
        Column::text("Tensor"),
        Column::text("Shape"),
        Column::number("Mean abs", "", DIGITS),
        Column::number("L2", "", DIGITS),
        Column::number("Spectral norm", "", DIGITS),
        Column::number("Rank", "", WHOLE),
        Column::number("Full rank", "", WHOLE),
        Column::number("Left energy", "", DIGITS),
        Column::number("Right energy", "", DIGITS),
        Column::number("Unchanged bf16", "", DIGITS),
        Column::number("Fisher-weighted", "", DIGITS),
    ];
    let mut table = Table::new("tensors", caption, columns);
    table.folded = true;
    for tensor in &weights.tensors {
        let shape: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
        let matrix = tensor.matrix;
        table.push(vec![
            tensor.name.as_str().into(),
            shape.join(" × ").into(),
            tensor.change.mean_abs.into(),
            tensor.l2.into(),
            matrix.map(|matrix| matrix.spectral_norm).into(),
            matrix.and_then(|matrix| matrix.rank).map(|rank| rank as f64).into(),
            matrix.map(|matrix| matrix.full_rank as f64).into(),
            matrix.and_then(|matrix| matrix.left_energy).into(),
            matrix.and_then(|matrix| matrix.right_energy).into(),
            tensor.change.unchanged_bf16.into(),
            tensor.fisher_weighted.into(),
        ]);
    }
    table
}
