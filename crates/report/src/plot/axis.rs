//! Axes: what they show, where they begin and end, and where their ticks stand.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use crate::number::NumberFormat;

/// What an axis shows.
#[derive(Debug, Clone)]
pub struct Axis {
    title: String,
    unit: String,
    log: bool,
    percent: bool,
    range: Option<(f64, f64)>,
}

impl Axis {
    /// An axis with equal steps. `unit` may be empty.
    pub fn linear(title: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { title: title.into(), unit: unit.into(), log: false, percent: false, range: None }
    }

    /// An axis with equal factors. Values that are not above 0 are skipped. `unit` may be empty.
    pub fn log(title: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { log: true, ..Self::linear(title, unit) }
    }

    /// An axis of fractions, labelled in percent: 0.737 stands at 73.7.
    pub fn percent(title: impl Into<String>) -> Self {
        Self { percent: true, ..Self::linear(title, "%") }
    }

    /// An axis of differences between fractions, labelled in percentage points: 0.28 stands at 28.
    pub fn points(title: impl Into<String>) -> Self {
        Self { unit: "points".to_owned(), ..Self::percent(title) }
    }

    /// Shows `low` to `high` whatever the data; what lies outside is cut off.
    ///
    /// A range that is empty, not finite, or not above 0 on a log axis is ignored.
    #[must_use]
    pub fn range(self, low: f64, high: f64) -> Self {
        Self { range: Some((low, high)), ..self }
    }

    pub(super) fn label(&self) -> String {
        let scale = if self.log { "log scale" } else { "" };
        let notes: Vec<&str> =
            [self.unit.as_str(), scale].into_iter().filter(|note| !note.is_empty()).collect();
        if notes.is_empty() { self.title.clone() } else { format!("{} ({})", self.title, notes.join(", ")) }
    }

    /// Whether the axis has a place for `value`.
    pub(super) fn can_show(&self, value: f64) -> bool {
        // Sums and squares of what is drawn must stay finite.
        value.abs() < 1e100 && (!self.log || value > 1e-100)
    }
}

/// An axis fitted to its values: a plotters coordinate with readable ticks.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    log: bool,
    percent: bool,
    /// Ends of the axis; logarithms to base 10 on a log axis.
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl Scale {
    /// Covers all `values` that `axis` can show, with about `n_ticks` ticks; `None` without any such value.
    pub(super) fn fit(axis: &Axis, values: impl Iterator<Item = f64>, n_ticks: usize) -> Option<Self> {
        let forward = |value: f64| if axis.log { value.log10() } else { value };
        let fixed = axis.range.filter(|&(low, high)| axis.can_show(low) && axis.can_show(high) && low < high);
        let (low, high) = match fixed {
            Some((low, high)) => (forward(low), forward(high)),
            None => padded(axis, extent(values.filter(|&value| axis.can_show(value)).map(forward))?),
        };
        let mut scale = Self { log: axis.log, percent: axis.percent, low, high, ticks: Vec::new() };
        scale.ticks = if axis.log { scale.log_ticks(n_ticks) } else { scale.linear_ticks(n_ticks) };
        Some(scale)
    }

    /// One place per name, the first at the top; row `i` stands at `-i`.
    pub(super) fn rows(names: &[String]) -> Self {
        let ticks =
            names.iter().enumerate().map(|(row_idx, name)| (-(row_idx as f64), name.clone())).collect();
        Self { log: false, percent: false, low: 0.5 - names.len() as f64, high: 0.5, ticks }
    }

    /// Where `value` stands between the ends of the axis: 0 to 1, outside it when it is cut off.
    pub(super) fn fraction(&self, value: f64) -> f64 {
        let place = if self.log { value.log10() } else { value };
        (place - self.low) / (self.high - self.low)
    }

    /// The value at a [`Scale::fraction`].
    pub(super) fn value(&self, fraction: f64) -> f64 {
        let place = self.low + fraction * (self.high - self.low);
        if self.log { 10_f64.powf(place) } else { place }
    }

    pub(super) fn contains(&self, value: f64) -> bool {
        (-1e-9..=1.0 + 1e-9).contains(&self.fraction(value))
    }

    pub(super) fn tick_label(&self, value: f64) -> String {
        let tick = self.ticks.iter().find(|(place, _)| *place == value);
        tick.map_or_else(String::new, |(_, label)| label.clone())
    }

    pub(super) fn tick_labels(&self) -> impl Iterator<Item = &str> {
        self.ticks.iter().map(|(_, label)| label.as_str())
    }

    /// How a value is written beside the axis: about three digits of its span.
    pub(super) fn value_format(&self) -> NumberFormat {
        if self.log {
            return NumberFormat::Significant(3);
        }
        let shown_span = (self.high - self.low) * if self.percent { 100.0 } else { 1.0 };
        let decimals = (2.0 - (shown_span * 0.6).log10().floor()).clamp(0.0, 8.0) as usize;
        if self.percent { NumberFormat::Percent(decimals) } else { NumberFormat::Fixed(decimals) }
    }

    fn linear_ticks(&self, n_ticks: usize) -> Vec<(f64, String)> {
        let step = nice_step((self.high - self.low) / n_ticks as f64);
        let slack = step * 1e-6;
        let (first, last) = (((self.low - slack) / step).ceil(), ((self.high + slack) / step).floor());
        let shown_step = if self.percent { step * 100.0 } else { step };
        let decimals = (-(shown_step * 1.0001).log10().floor()).max(0.0) as usize;
        let format = match self.percent {
            true => NumberFormat::Percent(decimals),
            false if decimals > 6 || last.abs().max(first.abs()) * step >= 1e7 => {
                NumberFormat::Significant(4)
            }
            false => NumberFormat::Fixed(decimals),
        };
        let n_steps = (last - first).clamp(0.0, 100.0) as usize;
        let places = (0..=n_steps).map(|tick_idx| (first + tick_idx as f64) * step);
        places.map(|place| (place, format.format(place))).collect()
    }

    fn log_ticks(&self, n_ticks: usize) -> Vec<(f64, String)> {
        let decades = self.high - self.low;
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        let mantissas: &[f64] = match decades {
            d if d > 3.0 => &[1.0],
            d if d > 1.0 => &[1.0, 3.0],
            d if d > 0.5 => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        };
        let stride = (decades / n_ticks as f64).ceil().max(1.0) as usize;
        let ticks = (first..=last).step_by(stride).flat_map(|exponent| {
            mantissas.iter().map(move |&mantissa| (mantissa, exponent, mantissa * 10_f64.powi(exponent)))
        });
        let shown = ticks.filter(|&(.., value)| self.contains(value));
        shown.map(|(mantissa, exponent, value)| (value, power_label(mantissa, exponent, value))).collect()
    }
}

impl Ranged for Scale {
    type ValueType = f64;
    type FormatOption = DefaultFormatting;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        start + (self.fraction(*value).clamp(-1.0, 2.0) * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Fine grid lines between the ticks are noise: only the ticks themselves are key points.
        if hint.weight().allow_light_points() {
            vec![]
        } else {
            self.ticks.iter().map(|(place, _)| *place).collect()
        }
    }

    fn range(&self) -> Range<f64> {
        self.value(0.0)..self.value(1.0)
    }
}

/// Smallest and largest value; `None` without values.
fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |extent, value| match extent {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// Room around the data, without showing values that cannot be: below 0 where nothing is, above 100 %.
fn padded(axis: &Axis, (low, high): (f64, f64)) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    let is_constant = high - low <= 1e-9 * size || high == low;
    let pad = match (is_constant, axis.log) {
        (false, _) => 0.05 * (high - low),
        (true, true) => 0.5,
        (true, false) if size == 0.0 => {
            if axis.percent {
                0.01
            } else {
                1.0
            }
        }
        (true, false) => 0.1 * size,
    };
    let (mut padded_low, mut padded_high) = (low - pad, high + pad);
    if !axis.log && low >= 0.0 && high > 0.0 {
        padded_low = padded_low.max(0.0);
    }
    if axis.percent && high <= 1.0 && low < 1.0 {
        padded_high = padded_high.min(1.0);
    }
    (padded_low, padded_high)
}

/// The nearest of 1, 2, 5, 10 times a power of ten, as factors go.
fn nice_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = match step / power {
        ratio if ratio < 1.45 => 1.0,
        ratio if ratio < 3.2 => 2.0,
        ratio if ratio < 7.1 => 5.0,
        _ => 10.0,
    };
    factor * power
}

/// `0.01`, `300`, `10⁻⁵`, `3×10⁻⁵`.
fn power_label(mantissa: f64, exponent: i32, value: f64) -> String {
    if (-3..=3).contains(&exponent) {
        let decimals =
            usize::try_from(-exponent).unwrap_or(0) + usize::from(mantissa.fract() != 0.0 && exponent <= 0);
        return format!("{value:.decimals$}");
    }
    let digits = exponent.to_string().chars().map(superscript).collect::<String>();
    if mantissa == 1.0 { format!("10{digits}") } else { format!("{mantissa}×10{digits}") }
}

fn superscript(c: char) -> char {
    match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '0' | '4'..='9' => char::from_u32('⁰' as u32 + (c as u32 - '0' as u32)).unwrap_or(c),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        let scale = Scale::fit(axis, values.iter().copied(), 6).unwrap();
        scale.tick_labels().map(str::to_owned).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&Axis::linear("", ""), &[0.0, 9.4]), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(&Axis::linear("", ""), &[-0.02, 0.02]), ["−0.02", "−0.01", "0.00", "0.01", "0.02"]);
        assert_eq!(labels(&Axis::percent(""), &[0.86, 0.98]), ["86", "88", "90", "92", "94", "96", "98"]);
    }

    #[test]
    fn log_ticks_are_powers_of_ten_or_parts_of_one() {
        assert_eq!(
            labels(&Axis::log("", ""), &[3e-6, 1e-3]),
            ["3×10⁻⁶", "10⁻⁵", "3×10⁻⁵", "10⁻⁴", "3×10⁻⁴", "0.001"]
        );
        assert_eq!(labels(&Axis::log("", ""), &[0.04, 1.2]), ["0.1", "0.3", "1"]);
        assert_eq!(labels(&Axis::log("", ""), &[2e-6, 9e-6]), ["2×10⁻⁶", "5×10⁻⁶"]);
    }

    #[test]
    fn constant_and_useless_values_still_make_an_axis_or_none() {
        for axis in [Axis::linear("", ""), Axis::percent(""), Axis::log("", "")] {
            for value in [1e-12, 0.5, 1.0, 7e90] {
                let scale = Scale::fit(&axis, [value, f64::NAN, f64::INFINITY].into_iter(), 6).unwrap();
                assert!(scale.contains(value) && scale.low < scale.high, "{axis:?} {value}");
            }
            assert!(Scale::fit(&axis, [f64::NAN, f64::NEG_INFINITY].into_iter(), 6).is_none());
        }
        assert!(Scale::fit(&Axis::log("", ""), [0.0, -1.0].into_iter(), 6).is_none());
        assert!(Scale::fit(&Axis::linear("", ""), [0.0].into_iter(), 6).unwrap().contains(0.0));
    }

    #[test]
    fn a_senseless_fixed_range_is_ignored() {
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (-1.0, f64::INFINITY)] {
            let scale =
                Scale::fit(&Axis::linear("", "").range(low, high), [3.0, 4.0].into_iter(), 6).unwrap();
            assert!(scale.contains(3.0) && scale.contains(4.0) && !scale.contains(1.0));
        }
    }
}
