//! Numbers inside sentences.

use razor_report::NumberFormat;

/// A fraction in percent, without the sign.
pub(crate) fn percent(fraction: f64, decimals: usize) -> String {
    NumberFormat::Percent(decimals).format(fraction)
}

/// A difference of fractions in accuracy points.
pub(crate) fn points(difference: f64) -> String {
    NumberFormat::Percent(1).format(difference)
}

/// A difference of fractions in accuracy points with its interval: `5.1 [3.0, 7.2]`.
pub(crate) fn interval_words(difference: f64, interval: Option<(f64, f64)>) -> String {
    match interval {
        Some((low, high)) => format!("{} [{}, {}]", points(difference), points(low), points(high)),
        None => points(difference),
    }
}

/// A plain number with its interval: `0.71 [0.52, 0.83]`.
pub(crate) fn number_words(value: f64, interval: Option<(f64, f64)>) -> String {
    let show = |value: f64| NumberFormat::Fixed(2).format(value);
    match interval {
        Some((low, high)) => format!("{} [{}, {}]", show(value), show(low), show(high)),
        None => show(value),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A title inside a sentence.
pub(crate) fn lower_first(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
