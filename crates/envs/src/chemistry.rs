//! Balanced chemical equations.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

/// Most species on one side.
const MAX_SPECIES: usize = 64;

/// Formulas of one side with their coefficients.
type Side = BTreeMap<String, u64>;

/// A chemical equation: what reacts and what comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Equation {
    reactants: Side,
    products: Side,
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a literal of this file")
}

static ARROW: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\\(?:long)?rightarrow|\\to\b|\\rightleftharpoons|\\xrightarrow\{[^{}]*\}|<?=+>|<?-+>|→|⟶|⇌|=+")
});
static WRAPPER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\\(?:ce|mathrm|text|mathbf|left|right|[,;:!()\[\]])|[$`]|\((?:s|l|g|aq)\)"));
static CHARGE: LazyLock<Regex> = LazyLock::new(|| {
    // `^{2+}`, `{+2}`, `({-})`, `^-`
    pattern(r"\^?\s*\(?\{\s*\(?\s*(\d*)\s*([+-])\s*(\d*)\s*\)?\s*\}\)?|\^\s*(\d*)([+-])")
});
static TERM: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(\d{0,9})\s*([A-Za-z(\[][A-Za-z0-9()\[\]⁺⁻·.]*)$"));
static LONE_GROUP: LazyLock<Regex> = LazyLock::new(|| pattern(r"\(([A-Za-z0-9]+)\)(\d?)"));

impl Equation {
    /// Reads two sides with an arrow or `=` between them; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let sides: Vec<&str> = ARROW.split(text.trim().trim_end_matches('.')).collect();
        let [left, right] = sides.as_slice() else { return None };
        let equation = Self { reactants: side(left)?, products: side(right)? };
        // Every formula has an element; a word such as `yes` has none.
        let named = |side: &Side| {
            side.keys().all(|formula| formula.contains(char::is_uppercase) || formula.starts_with('e'))
        };
        (named(&equation.reactants) && named(&equation.products)).then_some(equation)
    }

    /// How `given` differs from this right equation, species in any order.
    ///
    /// Coefficients have to be the same: a multiple of a balanced equation is balanced, but not in lowest terms, and
    /// lowest terms are what "balance" asks for. If the right equation is itself no lowest form, that form is right too.
    pub(crate) fn difference(&self, given: &Self) -> Option<String> {
        if self == given || self.lowest() == *given {
            return None;
        }
        for (name, gold, given) in
            [("reactants", &self.reactants, &given.reactants), ("products", &self.products, &given.products)]
        {
            if !gold.keys().eq(given.keys()) {
                return Some(format!("other {name}: expected {}, found {}", listed(gold), listed(given)));
            }
        }
        if self.lowest() == given.lowest() {
            return Some("a multiple of the right coefficients".to_owned());
        }
        Some("other coefficients".to_owned())
    }

    fn lowest(&self) -> Self {
        let divisor = self.reactants.values().chain(self.products.values()).fold(0, |a, b| gcd(a, *b)).max(1);
        let divided = |side: &Side| side.iter().map(|(name, n)| (name.clone(), n / divisor)).collect();
        Self { reactants: divided(&self.reactants), products: divided(&self.products) }
    }
}

fn listed(side: &Side) -> String {
    side.keys().cloned().collect::<Vec<_>>().join(" + ")
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Formulas with `+` between them. A charge is written `^{2+}`, or as a `+` at the end of its formula.
fn side(text: &str) -> Option<Side> {
    let charged = CHARGE.replace_all(text, |found: &regex::Captures<'_>| {
        let part = |place| found.get(place).map_or("", |part: regex::Match<'_>| part.as_str());
        let sign = if part(2) == "+" || part(5) == "+" { '⁺' } else { '⁻' };
        format!("{}{}{}{sign}", part(1), part(3), part(4))
    });
    // A star joins the water of a hydrate; two mark bold type.
    let starless = charged.replace("**", "").replace('*', "·");
    let plain = WRAPPER.replace_all(&starless, "");
    let mut line: String =
        plain.chars().filter(|c| !matches!(c, '{' | '}' | '_' | '\\')).map(plain_digit).collect();
    // `Na+ + Cl-`: a sign right behind its formula, with a separator or nothing after it.
    line = TRAILING_PLUS.replace_all(&line, "${1}⁺${2}").into_owned();
    line = TRAILING_MINUS.replace_all(&line, "${1}⁻${2}").into_owned();
    let mut side = Side::new();
    for term in line.split('+') {
        let found = TERM.captures(term.trim())?;
        let count = if found[1].is_empty() { 1 } else { found[1].parse().ok().filter(|n| *n > 0)? };
        *side.entry(formula(&found[2])).or_default() += count;
        if side.len() > MAX_SPECIES {
            return None;
        }
    }
    Some(side)
}

static TRAILING_MINUS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\w)-(\s*(?:\+|$))"));
static TRAILING_PLUS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\w)\+(\s*(?:\+|$))"));

/// A formula without brackets around a group that occurs once: `Zn(SO4)` is `ZnSO4`.
fn formula(text: &str) -> String {
    LONE_GROUP
        .replace_all(
            text,
            |found: &regex::Captures<'_>| {
                if found[2].is_empty() { found[1].to_owned() } else { found[0].to_owned() }
            },
        )
        .into_owned()
}

fn plain_digit(c: char) -> char {
    match c {
        '₀'..='₉' => char::from_u32('0' as u32 + (c as u32 - '₀' as u32)).unwrap_or(c),
        '•' | '⋅' | '∙' => '·',
        c => c,
    }
}
