//! Sums of one-digit numbers, answered in several styles.

use rand::Rng;
use rand::seq::IndexedRandom;

use crate::tiny_language::vocabulary::LARGEST;

/// Numbers of a sum.
const N_TERMS: usize = 4;
/// One completion in this many of the corpus has a wrong step, or is a wrong answer without any.
const WRONG_ONE_IN: u32 = 4;
const WRONG_DIRECT_ONE_IN: u32 = 2;

/// A sum whose results from left to right are all words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    /// With their signs, the first positive.
    terms: [i32; N_TERMS],
}

/// Styles of the corpus with their shares in percent.
const STYLES: [(Style, u32); 6] = [
    (Style::Direct, 50),
    (Style::LeftToRight, 16),
    (Style::RightToLeft, 6),
    (Style::PlusFirst, 6),
    (Style::Totals, 10),
    (Style::Words, 12),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// The answer alone: right only by mental arithmetic.
    Direct,
    LeftToRight,
    RightToLeft,
    PlusFirst,
    Totals,
    Words,
}

impl Sum {
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        loop {
            let mut terms = [0; N_TERMS];
            for (place, term) in terms.iter_mut().enumerate() {
                *term = rng.random_range(1..10);
                if place > 0 && rng.random_bool(0.5) {
                    *term = -*term;
                }
            }
            if totals(&terms).is_some() {
                return Self { terms };
            }
        }
    }

    /// The question as text, without the colon that asks for the answer.
    pub(super) fn question(&self) -> String {
        let mut text = format!("math {}", self.terms[0]);
        for term in &self.terms[1..] {
            text.push_str(&format!(" {}", signed(*term)));
        }
        text
    }

    pub(super) fn answer(&self) -> i32 {
        self.terms.iter().sum()
    }

    /// What the external annotator writes: always right, from the right where that stays in the range.
    pub(super) fn annotated(&self) -> String {
        let terms = self.reversed().unwrap_or(self.terms);
        let mut total = terms[0];
        let mut text = format!("so {total}");
        for term in &terms[1..] {
            total += term;
            text.push_str(&format!(" ; {} > {total}", signed(*term)));
        }
        format!("{text} #### {total}")
    }

    /// A completion of the corpus.
    pub(super) fn completion(&self, rng: &mut impl Rng) -> String {
        let (style, _) = STYLES.choose_weighted(rng, |(_, share)| *share).expect("shares are positive");
        let terms = match style {
            Style::RightToLeft => self.reversed().unwrap_or(self.terms),
            Style::PlusFirst => self.plus_first().unwrap_or(self.terms),
            _ => self.terms,
        };
        let one_in = if *style == Style::Direct { WRONG_DIRECT_ONE_IN } else { WRONG_ONE_IN };
        let wrong = rng.random_ratio(1, one_in);
        let totals = if wrong { wrong_totals(&terms, rng) } else { totals(&terms) };
        let totals = totals.expect("orders that leave the range are not taken");
        let answer = totals[N_TERMS - 1];
        let steps = (1..N_TERMS).map(|place| (totals[place - 1], signed(terms[place]), totals[place]));
        let joined = |separator: &str, steps: Vec<String>| steps.join(separator);
        let reasoning = match style {
            Style::Direct => return format!("#### {answer}"),
            Style::LeftToRight | Style::RightToLeft | Style::PlusFirst => {
                joined(" , ", steps.map(|(from, term, to)| format!("{from} {term} = {to}")).collect())
            }
            Style::Totals => joined(" ", totals.iter().map(ToString::to_string).collect()),
            Style::Words => {
                let named = |term: String| term.replace('+', "plus").replace('-', "minus");
                joined(
                    " then ",
                    steps.map(|(from, term, to)| format!("{from} {} is {to}", named(term))).collect(),
                )
            }
        };
        format!("{reasoning} #### {answer}")
    }

    fn reversed(&self) -> Option<[i32; N_TERMS]> {
        let mut terms = self.terms;
        terms.reverse();
        totals(&terms).map(|_| terms)
    }

    fn plus_first(&self) -> Option<[i32; N_TERMS]> {
        let mut terms = self.terms;
        terms.sort_by_key(|term| *term < 0); // stable
        totals(&terms).map(|_| terms)
    }
}

/// The name of a completion's style.
pub(super) fn style(completion: &str) -> &'static str {
    let words: Vec<&str> = completion.split_whitespace().collect();
    let has = |word: &str| words.contains(&word);
    match words.first() {
        Some(&"####") => "direct",
        Some(&"so") => "annotator",
        _ if has("plus") || has("minus") => "words",
        _ if has("=") => "steps",
        _ if has("####") => "totals",
        _ => "other",
    }
}

fn signed(term: i32) -> String {
    format!("{} {}", if term < 0 { "-" } else { "+" }, term.abs())
}

/// Sums of the first terms; `None` where one is no word.
fn totals(terms: &[i32; N_TERMS]) -> Option<[i32; N_TERMS]> {
    let mut totals = [0; N_TERMS];
    let mut total = 0;
    for (place, term) in terms.iter().enumerate() {
        total += term;
        if !(0..=LARGEST).contains(&total) {
            return None;
        }
        totals[place] = total;
    }
    Some(totals)
}

/// The same with one wrong step, which the later ones go on from.
fn wrong_totals(terms: &[i32; N_TERMS], rng: &mut impl Rng) -> Option<[i32; N_TERMS]> {
    let right = totals(terms)?;
    let from = rng.random_range(1..N_TERMS);
    let errors: Vec<i32> = [-3, -2, -1, 1, 2, 3]
        .into_iter()
        .filter(|error| right[from..].iter().all(|total| (0..=LARGEST).contains(&(total + error))))
        .collect();
    let error = errors.choose(rng).copied().unwrap_or(0);
    let mut wrong = right;
    wrong[from..].iter_mut().for_each(|total| *total += error);
    Some(wrong)
}
