//! Mathematical answers.

mod approx;
mod ast;
mod equivalence;
mod evaluate;
mod exact;
mod extract;
mod lexer;
mod parse;
mod parse_scalar;
mod relation;
mod scalar_equality;
mod token;
mod words;

use ast::{Expr, Value};
use equivalence::same_value;
use parse::{Parsed, parse};
use scalar_equality::Work;
use token::{Commas, ParseError};
use words::known_unit;

pub(crate) use extract::{head, last_box, last_marked};
pub(crate) use words::folded;

use crate::error::RewardError;
use crate::limits::MAX_COMPLETION_BYTES;
use crate::verdict::Verdict;

/// A mathematical gold answer, parsed once.
#[derive(Debug, Clone)]
pub struct MathGold {
    accepted: Vec<Accepted>,
}

#[derive(Debug, Clone)]
struct Accepted {
    text: String,
    parsed: Parsed,
}

impl MathGold {
    /// Parses right answers, as LaTeX or plain text.
    ///
    /// Words, such as `\text{Monday}`, are gold too: they are compared as folded text, and verdicts say so.
    ///
    /// # Errors
    /// [`RewardError::NoGold`] without any answer; [`RewardError::UnparseableGold`] for one that is neither mathematics
    /// of a known form nor words, or is over a limit. Such an answer never rewards anything.
    pub fn parse<S: AsRef<str>>(accepted: &[S]) -> Result<Self, RewardError> {
        if accepted.is_empty() {
            return Err(RewardError::NoGold { expected: "mathematical answer" });
        }
        let accepted =
            accepted.iter().map(|text| Accepted::parse(text.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { accepted })
    }

    /// Judges a completion: its last box, else its marked answer, else the end of its last line.
    #[must_use]
    pub fn judge(&self, completion: &str) -> Verdict {
        if completion.len() > MAX_COMPLETION_BYTES {
            return Verdict::nothing_found(format!(
                "the completion is longer than {MAX_COMPLETION_BYTES} bytes"
            ));
        }
        let wants_formula = self.accepted.iter().any(|gold| !matches!(gold.parsed.value, Value::Words(_)));
        match extract::extract(completion, wants_formula) {
            Ok(answer) => self.judge_answer(answer),
            Err(reason) => Verdict::nothing_found(reason),
        }
    }

    /// Judges an answer that was already taken out of its completion.
    #[must_use]
    pub fn judge_answer(&self, answer: &str) -> Verdict {
        let readings = match readings(answer) {
            Ok(readings) => readings,
            Err(error) => {
                // Words that no parser knows may still be the words of the gold answer.
                if self.accepted.iter().any(|gold| gold.is_words(answer)) {
                    return Verdict::correct("the same words, compared as text", answer);
                }
                return Verdict::unreadable(format!("cannot read the answer: {error}"), answer);
            }
        };
        let mut different = None;
        let mut unreadable = None;
        for gold in &self.accepted {
            for given in &readings {
                let verdict = gold.compare(given, answer);
                match verdict.outcome {
                    crate::verdict::Outcome::Correct => return verdict,
                    crate::verdict::Outcome::Wrong => different.get_or_insert(verdict),
                    crate::verdict::Outcome::Unparseable => unreadable.get_or_insert(verdict),
                };
            }
        }
        different.or(unreadable).unwrap_or_else(|| Verdict::nothing_found("no gold answer to compare with"))
    }
}

/// All ways to read an answer: commas between digits separate thousands, or members where that reads differently.
fn readings(answer: &str) -> Result<Vec<Parsed>, ParseError> {
    let first = parse(answer, Commas::Thousands)?;
    let mut readings = vec![first];
    if let Ok(second) = parse(answer, Commas::Separators)
        && second.tokens != readings[0].tokens
    {
        readings.push(second);
    }
    Ok(readings)
}

impl Accepted {
    fn parse(text: &str) -> Result<Self, RewardError> {
        let unparseable = |reason: String| RewardError::UnparseableGold { gold: text.to_owned(), reason };
        let parsed = parse(text, Commas::Thousands).map_err(|error| unparseable(error.to_string()))?;
        if let Value::Words(words) = &parsed.value
            && !words.contains(char::is_alphanumeric)
        {
            return Err(unparseable("it holds neither a letter nor a digit".to_owned()));
        }
        Ok(Self { text: text.trim().to_owned(), parsed })
    }

    fn is_words(&self, answer: &str) -> bool {
        matches!(&self.parsed.value, Value::Words(words) if *words == folded(answer))
    }

    fn compare(&self, given: &Parsed, answer: &str) -> Verdict {
        let gold = &self.parsed;
        if let Value::Words(words) = &gold.value {
            let same =
                matches!(&given.value, Value::Words(given) if given == words) || *words == folded(answer);
            return if same {
                Verdict::correct("the same words, compared as text", answer)
            } else {
                Verdict::wrong(
                    format!("different words, compared as text: the answer is `{}`", self.text),
                    answer,
                )
            };
        }
        if !gold.tokens.is_empty() && gold.tokens == given.tokens {
            return Verdict::correct("the same expression", answer);
        }
        if let Some((wanted, found)) = different_units(&gold.units, &given.units) {
            return Verdict::wrong(format!("the unit is `{wanted}`, found `{found}`"), answer);
        }
        let mut work = Work::new();
        let mut same = same_value(&gold.value, &given.value, &mut work);
        if same == Ok(false)
            && let Some((number, letter)) = without_unit_letter(&gold.value, &given.value)
            && different_units(&gold.units, &[letter]).is_none()
        {
            same = same_value(&gold.value, &number, &mut work);
        }
        match same {
            Ok(true) => Verdict::correct("mathematically equal", answer),
            Ok(false) => Verdict::wrong(format!("not equal to `{}`", self.text), answer),
            Err(_) => Verdict::unreadable("too large to compare", answer),
        }
    }
}

/// Units that are known on both sides and differ. Unknown words, and a unit on one side only, say nothing.
fn different_units(gold: &[String], given: &[String]) -> Option<(String, String)> {
    let (wanted, found) = (known_unit(gold.last()?)?, known_unit(given.last()?)?);
    (wanted != found).then_some((wanted, found))
}

/// The number and the unit of `5 m`, where the gold answer has no variable for `m` to be.
fn without_unit_letter(gold: &Value, given: &Value) -> Option<(Value, String)> {
    const LETTERS: [&str; 12] = ["m", "s", "g", "h", "L", "N", "J", "W", "V", "A", "K", "C"];
    let (Value::Scalar(gold), Value::Scalar(Expr::Product(factors))) = (gold, given) else {
        return None;
    };
    match factors.as_slice() {
        [number, Expr::Symbol(letter)] if !number.is_symbolic() && !gold.is_symbolic() => {
            LETTERS.contains(&letter.as_str()).then(|| (Value::Scalar(number.clone()), letter.clone()))
        }
        _ => None,
    }
}

/// Judges a completion against a mathematical answer that is parsed for it; to judge several, keep a [`MathGold`].
///
/// # Errors
/// As [`MathGold::parse`].
pub fn math_answer(gold: &str, completion: &str) -> Result<Verdict, RewardError> {
    Ok(MathGold::parse(&[gold])?.judge(completion))
}
