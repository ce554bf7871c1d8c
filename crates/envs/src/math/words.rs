//! Words around numbers: units, and the characters that stand for LaTeX commands.

use std::sync::LazyLock;

use regex::Regex;

/// Replaces mathematical characters by the LaTeX that means the same.
pub(crate) fn unicode_as_latex(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '−' | '–' | '—' => plain.push('-'),
            '×' => plain.push_str("\\times "),
            '·' | '⋅' | '∙' => plain.push_str("\\cdot "),
            '÷' => plain.push_str("\\div "),
            '±' => plain.push_str("\\pm "),
            '∓' => plain.push_str("\\mp "),
            '∞' => plain.push_str("\\infty "),
            '≤' | '⩽' => plain.push_str("\\le "),
            '≥' | '⩾' => plain.push_str("\\ge "),
            '≠' => plain.push_str("\\ne "),
            '≈' => plain.push_str("\\approx "),
            '∪' => plain.push_str("\\cup "),
            '∈' => plain.push_str("\\in "),
            '∅' => plain.push_str("\\emptyset "),
            '√' => plain.push_str("\\sqrt "),
            '°' | 'º' => plain.push_str("^\\circ "),
            'π' => plain.push_str("\\pi "),
            'θ' => plain.push_str("\\theta "),
            'α' => plain.push_str("\\alpha "),
            'β' => plain.push_str("\\beta "),
            'λ' => plain.push_str("\\lambda "),
            'μ' | 'µ' => plain.push_str("\\mu "),
            'ω' => plain.push_str("\\omega "),
            '⁰' => plain.push_str("^0"),
            '¹' => plain.push_str("^1"),
            '²' => plain.push_str("^2"),
            '³' => plain.push_str("^3"),
            '⁴' => plain.push_str("^4"),
            '½' => plain.push_str("\\frac{1}{2}"),
            '⅓' => plain.push_str("\\frac{1}{3}"),
            '⅔' => plain.push_str("\\frac{2}{3}"),
            '¼' => plain.push_str("\\frac{1}{4}"),
            '¾' => plain.push_str("\\frac{3}{4}"),
            '，' => plain.push(','),
            '（' => plain.push('('),
            '）' => plain.push(')'),
            '’' | '′' => plain.push('\''),
            '€' | '£' | '¥' => plain.push(' '),
            '\u{200b}' | '\u{feff}' => {}
            c => plain.push(c),
        }
    }
    plain
}

/// Words of one unit that mean the same.
const UNITS: [&[&str]; 30] = [
    &["mm", "millimeter", "millimetre"],
    &["cm", "centimeter", "centimetre"],
    &["km", "kilometer", "kilometre"],
    &["m", "meter", "metre"],
    &["in", "inch", "inche"],
    &["ft", "foot", "feet"],
    &["yd", "yard"],
    &["mi", "mile"],
    &["mg", "milligram"],
    &["kg", "kilogram"],
    &["g", "gm", "gram"],
    &["lb", "lbs", "pound"],
    &["oz", "ounce"],
    &["ml", "milliliter", "millilitre"],
    &["l", "liter", "litre"],
    &["s", "sec", "second"],
    &["min", "minute"],
    &["h", "hr", "hour"],
    &["day"],
    &["week"],
    &["month"],
    &["yr", "year"],
    &["dollar", "usd"],
    &["cent"],
    &["degree", "deg"],
    &["radian", "rad"],
    &["mph", "miles per hour", "mile per hour"],
    &["kph", "kmh"],
    &["hz", "hertz"],
    &["percent"],
];

/// The one name of a known unit with its power, such as `cm^2` for "square centimeters"; nothing for other words.
pub(crate) fn known_unit(words: &str) -> Option<String> {
    let lower = words.to_lowercase();
    let mut name = lower.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    let mut power = 1;
    for (marks, value) in [(["^2", "square ", "sq "], 2), (["^3", "cubic ", "cu "], 3)] {
        for mark in marks {
            if let Some(place) = lower.find(mark) {
                power = value;
                name = lower[..place].trim().to_owned() + lower[place + mark.len()..].trim();
            }
        }
    }
    let name = name.trim().trim_end_matches('.');
    let singular = name.strip_suffix('s').filter(|stem| stem.len() > 1).unwrap_or(name);
    let family = UNITS.iter().find(|family| family.contains(&name) || family.contains(&singular))?;
    Some(if power == 1 { family[0].to_owned() } else { format!("{}^{power}", family[0]) })
}

/// Whether a short run of letters right after a number is a unit rather than a product of variables.
pub(crate) fn is_unit_abbreviation(run: &str) -> bool {
    run.len() >= 2 && !run.chars().any(char::is_uppercase) && known_unit(run).is_some()
        || run == "USD"
        || run == "mL"
}

static WRAPPERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\\(?:text(?:bf|it|rm|normal)?|mbox|mathrm|operatorname|left|right|quad|[!,;: ()\[\]])|\*\*|[{}$~]",
    )
    .expect("the pattern is a literal of this file")
});

/// Words without case, LaTeX wrappers, outer brackets, white space at commas or a final period.
///
/// Braces go too, so this must not be used to compare formulas.
pub(crate) fn folded(text: &str) -> String {
    let kept = WRAPPERS.replace_all(text, " ");
    let words: Vec<String> = kept.split_whitespace().map(str::to_lowercase).collect();
    let joined = words.join(" ").replace(", ", ",").replace(" ,", ",");
    let trimmed = joined
        .trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | '!' | '?' | ',' | ';' | ':' | '"'));
    let inner = trimmed.strip_prefix('(').and_then(|inner| inner.strip_suffix(')'));
    inner.filter(|inner| !inner.contains(['(', ')', ','])).unwrap_or(trimmed).trim().to_owned()
}

/// Whether a command names a Greek letter or its like.
pub(crate) fn is_symbol_command(name: &str) -> bool {
    const LETTERS: [&str; 26] = [
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda",
        "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "ell",
        "hbar", "omicron",
    ];
    let lower = name.strip_prefix("var").unwrap_or(name);
    let mut folded = lower.to_owned();
    if let Some(first) = folded.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    LETTERS.contains(&folded.as_str())
}
