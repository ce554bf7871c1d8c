//! A measurement as a page.

use std::collections::{BTreeMap, HashMap};

use razor_metrics::ShiftQuantity;
use razor_report::{
    Axis, Block, Cell, DataKind, Figure, FigureSize, Highlight, NumberFormat, Page, ReportError,
    SUMMARY_SCHEMA, Section, Series, StripChart, StripRow, Summary, XyChart,
};
use serde_json::Value;

use crate::measure::{Measurement, forecast_lines, too_large_text};
use crate::measure_forecast::Outlook;
use crate::measure_shift::Shift;
use crate::measure_tables::{DIGITS, depths, layer_table, quantity_table, tensor_table, weight_table};
use crate::measure_weights::Weights;
use crate::terminal::command_text;

/// Composes the page and what stands beside it for programs.
pub(crate) fn report(measurement: &Measurement) -> Result<(Page, Summary), ReportError> {
    let mut sections = vec![forecast_section(measurement), shift_section(&measurement.shift)?];
    sections.extend(
        measurement.weights.as_ref().map(|weights| weight_section(weights, measurement)).transpose()?,
    );
    sections.push(representation_section(measurement)?);
    let page = Page {
        title: "How far the tuned model has moved".to_owned(),
        subtitle: "Distributions, weights and hidden states of a tuned model against its base".to_owned(),
        highlights: highlights(measurement),
        sections,
        rerun: vec![command_text(std::env::args())],
        footer: "Completions are drawn at temperature 1; all divergences are in nats.".to_owned(),
    };
    let summary = Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        study: "measure".to_owned(),
        preset: "none".to_owned(),
        data: DataKind::Real,
        verdict: verdict(measurement),
        gates: vec![],
        predictors: vec![],
        matched: vec![],
        residuals: vec![],
        provenance: vec![],
        environment: environment(&measurement.settings),
    };
    Ok((page, summary))
}

fn environment(settings: &Value) -> BTreeMap<String, String> {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = settings.as_object().expect("settings are an object");
    fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), shown(value)))
        .collect()
}

/// Quantities by name.
struct Named<'a>(HashMap<&'a str, &'a ShiftQuantity>);

impl<'a> Named<'a> {
    fn of(shift: &'a Shift) -> Self {
        Self(shift.quantities.iter().map(|quantity| (quantity.name.as_str(), quantity)).collect())
    }

    fn value(&self, name: &str) -> String {
        DIGITS.format(self.0[name].mean.unwrap_or(f64::NAN))
    }

    fn interval(&self, name: &str) -> String {
        let quantity = self.0[name];
        match quantity.low.zip(quantity.high) {
            Some((low, high)) => format!("95 %: {} to {}", DIGITS.format(low), DIGITS.format(high)),
            None => "one prompt has no interval".to_owned(),
        }
    }
}

fn verdict(measurement: &Measurement) -> Vec<String> {
    let named = Named::of(&measurement.shift);
    let forward = named.value("kl_reference_to_policy_exact_per_token");
    let whole = named.value("kl_reference_to_policy_exact_per_sequence");
    let reverse = named.value("kl_policy_to_reference_exact_per_token");
    let n = named.0["kl_reference_to_policy_exact_per_token"].n;
    let mut lines = vec![
        format!(
            "KL(base‖tuned) is {forward} nats a token and {whole} nats a completion, over {n} prompts: the quantity that \
             the paper finds forgetting to follow."
        ),
        format!("KL(tuned‖base) is {reverse} nats a token."),
    ];
    lines.extend(measurement.outlook.as_ref().map(|outlook| outlook.headline() + "."));
    lines
}

fn highlights(measurement: &Measurement) -> Vec<Highlight> {
    let named = Named::of(&measurement.shift);
    let card = |name: &str, label: &str| Highlight {
        value: named.value(name),
        label: label.to_owned(),
        detail: named.interval(name),
    };
    let mut cards = vec![
        card("kl_reference_to_policy_exact_per_token", "KL(base‖tuned), nats per token"),
        card("kl_policy_to_reference_exact_per_token", "KL(tuned‖base), nats per token"),
        card("total_variation", "total variation"),
    ];
    if let Some([value, label, detail]) = measurement.outlook.as_ref().and_then(Outlook::card) {
        cards.insert(0, Highlight { value, label, detail });
    }
    if let Some(weights) = &measurement.weights {
        cards.push(Highlight {
            value: DIGITS.format(weights.drift.relative_l2.unwrap_or(f64::NAN)),
            label: "relative L2 of the weights".to_owned(),
            detail: format!(
                "{} % unchanged in bf16",
                NumberFormat::Percent(1).format(weights.drift.change.unchanged_bf16)
            ),
        });
    }
    if let Some(last) = measurement.representation.layers.last() {
        cards.push(Highlight {
            value: NumberFormat::Fixed(3).format(last.cknna),
            label: "CKNNA of the last hidden state".to_owned(),
            detail: format!("CKA {}", NumberFormat::Fixed(3).format(last.cka)),
        });
    }
    cards
}

fn forecast_section(measurement: &Measurement) -> Section {
    let table = measurement.outlook.as_ref().and_then(Outlook::table);
    Section {
        title: "Forecast of forgetting".to_owned(),
        intro: forecast_lines(measurement),
        blocks: table.map(Block::Table).into_iter().collect(),
    }
}

fn shift_section(shift: &Shift) -> Result<Section, ReportError> {
    let mut blocks = Vec::new();
    for (per, words) in [("per_token", "per token"), ("per_sequence", "per completion")] {
        blocks.push(Block::Figure(kl_chart(shift, per, words)?));
    }
    blocks.push(Block::Table(quantity_table(shift)));
    blocks.push(Block::Text(format!(
        "The largest difference between the log-probability that a token was drawn with and the one it is scored with is \
         {:.1e} nats.",
        shift.sampler_gap.largest()
    )));
    Ok(Section {
        title: "Distributions".to_owned(),
        intro: vec![
            "Each direction is measured on completions of its first model. Exact sums over the whole vocabulary at each \
             token; `k1`, `k2` and `k3` see the drawn tokens only, and `k2` is biased. Intervals resample prompts."
                .to_owned(),
        ],
        blocks,
    })
}

fn kl_chart(shift: &Shift, per: &str, words: &str) -> Result<Figure, ReportError> {
    let named = Named::of(shift);
    let mut rows = Vec::new();
    let directions = [("kl_reference_to_policy", "base‖tuned"), ("kl_policy_to_reference", "tuned‖base")];
    for (color, (direction, shown)) in directions.into_iter().enumerate() {
        for estimator in ["exact", "k1", "k2", "k3"] {
            let quantity = named.0[format!("{direction}_{estimator}_{per}").as_str()];
            let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
            rows.push(StripRow {
                name: format!("{shown}, {estimator}"),
                color,
                mean: or_nan(quantity.mean),
                low: or_nan(quantity.low),
                high: or_nan(quantity.high),
                dots: vec![],
            });
        }
    }
    let chart = StripChart {
        name: format!("kl_{per}"),
        title: format!("KL {words}"),
        caption: format!("Exact and estimated KL {words} with 95 % intervals over resampled prompts."),
        size: FigureSize::Half,
        x: Axis::linear(format!("KL {words}"), "nats"),
        rows,
    };
    chart.draw()
}

fn weight_section(weights: &Weights, measurement: &Measurement) -> Result<Section, ReportError> {
    let table = layer_table(measurement);
    // The relative L2 of what has a place among the layers; the final norm and head have none.
    let points = depths(measurement).into_iter().zip(table.rows()).filter_map(|(depth, row)| {
        match (depth.state, &row[2]) {
            (Some(state), Cell::Number(value)) => Some((state as f64, *value)),
            _ => None,
        }
    });
    let points: Vec<(f64, f64)> = points.collect();
    let chart = XyChart {
        name: "weight_drift".to_owned(),
        title: "Relative L2 of the weights by layer".to_owned(),
        caption: "‖Δθ‖₂ / ‖θ₀‖₂ of each layer's weights; 0 is the embedding, 1 the first layer.".to_owned(),
        size: FigureSize::Wide,
        x: Axis::linear("Layers from the input", ""),
        y: Axis::linear("Relative L2", ""),
        series: vec![Series::new("weights", 0).line(points.clone()).points(points)],
        guides: vec![],
    };
    let mut blocks = vec![Block::Table(weight_table(&weights.drift)), Block::Figure(chart.draw()?)];
    let left_out = too_large_text(&weights.drift.too_large);
    if !left_out.is_empty() {
        blocks.push(Block::Text(left_out));
    }
    blocks.extend([Block::Table(table), Block::Table(tensor_table(weights))]);
    Ok(Section {
        title: "Weights".to_owned(),
        intro: vec![
            "From the files, one tensor at a time, as f32. Spectral norms by Lanczos iteration.".to_owned(),
        ],
        blocks,
    })
}

fn representation_section(measurement: &Measurement) -> Result<Section, ReportError> {
    let title = "Hidden states".to_owned();
    if let Some(reason) = &measurement.representation.left_out {
        return Ok(Section { title, intro: vec![format!("Not compared: {reason}.")], blocks: vec![] });
    }
    let layers = &measurement.representation.layers;
    let cka: Vec<(f64, f64)> = layers.iter().map(|layer| (layer.depth as f64, layer.cka)).collect();
    let cknna: Vec<(f64, f64)> = layers.iter().map(|layer| (layer.depth as f64, layer.cknna)).collect();
    let chart = XyChart {
        name: "hidden_similarity".to_owned(),
        title: "Similarity of the hidden states by depth".to_owned(),
        caption: "Linear CKA, and CKNNA among 10 nearest neighbours, of the residual stream averaged over the tokens of \
                  each prompt; 0 is the embedding."
            .to_owned(),
        size: FigureSize::Wide,
        x: Axis::linear("Layers from the input", ""),
        y: Axis::linear("Similarity", ""),
        series: vec![
            Series::new("CKA", 0).line(cka.clone()).points(cka),
            Series::new("CKNNA", 1).line(cknna.clone()).points(cknna),
        ],
        guides: vec![],
    };
    let mut blocks = vec![Block::Figure(chart.draw()?)];
    if measurement.weights.is_none() {
        blocks.push(Block::Table(layer_table(measurement))); // otherwise it stands with the weights
    }
    Ok(Section {
        title,
        intro: vec![
            "Of both models on the prompts themselves; 1 means that they arrange the prompts alike."
                .to_owned(),
        ],
        blocks,
    })
}
