//! How a number is shown to a reader; files keep full precision.

/// How the numbers of one column or axis are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberFormat {
    /// So many digits after the point: `0.946`.
    Fixed(usize),
    /// A fraction shown as percent, so many digits after the point: 0.737 as `73.7`. The unit stands in the header.
    Percent(usize),
    /// So many significant digits (at least 1), with a power of ten outside 1e-4 to 1e6: `1.23e-5`.
    Significant(usize),
}

impl NumberFormat {
    /// The rounded number, or a dash when it is NaN.
    #[must_use]
    pub fn format(self, value: f64) -> String {
        if value.is_nan() {
            return MISSING.to_owned();
        }
        if value.is_infinite() {
            return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
        }
        let digits = match self {
            Self::Fixed(decimals) => format!("{value:.decimals$}"),
            Self::Percent(decimals) => format!("{:.decimals$}", value * 100.0),
            Self::Significant(digits) => significant(value, digits.max(1)),
        };
        typographic(&digits)
    }

    /// The unit that the format itself brings to a header.
    pub(crate) fn unit(self) -> &'static str {
        if matches!(self, Self::Percent(_)) { "%" } else { "" }
    }
}

/// What stands where there is no number.
pub(crate) const MISSING: &str = "–";

/// `text` with a true minus sign, and without one before a zero.
fn typographic(digits: &str) -> String {
    match digits.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => digits.to_owned(),
    }
}

fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rounding first: 9.996 with 3 digits is 10.0, which has one digit more before the point.
    let scientific = format!("{value:.*e}", digits - 1);
    let exponent: i32 = scientific
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .expect("Rust writes an integer after `e` for every finite float");
    if !(-4..6).contains(&exponent) {
        return scientific;
    }
    let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_with_a_true_minus_and_no_negative_zero() {
        assert_eq!(NumberFormat::Fixed(3).format(-0.01849), "−0.018");
        assert_eq!(NumberFormat::Fixed(2).format(-0.0001), "0.00");
        assert_eq!(NumberFormat::Percent(1).format(0.7366), "73.7");
        assert_eq!(NumberFormat::Fixed(1).format(f64::NAN), "–");
        assert_eq!(NumberFormat::Fixed(1).format(f64::NEG_INFINITY), "−∞");
    }

    #[test]
    fn significant_digits_survive_every_magnitude() {
        let shown = |value| NumberFormat::Significant(3).format(value);
        assert_eq!(shown(9.996), "10.0");
        assert_eq!(shown(0.000_304), "0.000304");
        assert_eq!(shown(3.04e-6), "3.04e-6");
        assert_eq!(shown(536_330.0), "536330");
        assert_eq!(shown(-12.345), "−12.3");
        assert_eq!(shown(0.0), "0");
    }
}
