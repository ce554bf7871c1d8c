//! Text answers: words after folding, or chemical equations.

use crate::chemistry::Equation;
use crate::error::RewardError;
use crate::limits::{MAX_ANSWER_BYTES, MAX_COMPLETION_BYTES};
use crate::math::{folded, last_box, last_marked};
use crate::verdict::Verdict;

/// Right texts.
#[derive(Debug, Clone)]
pub struct TextGold {
    accepted: Vec<(String, Form)>,
}

#[derive(Debug, Clone)]
enum Form {
    /// Folded words.
    Words(String),
    Equation(Equation),
}

impl TextGold {
    /// Reads right answers. One that is a chemical equation is compared as one.
    ///
    /// # Errors
    /// [`RewardError::NoGold`] without any answer, [`RewardError::UnparseableGold`] for one without a letter or digit or
    /// over [`MAX_ANSWER_BYTES`].
    pub fn new<S: AsRef<str>>(accepted: &[S]) -> Result<Self, RewardError> {
        if accepted.is_empty() {
            return Err(RewardError::NoGold { expected: "text" });
        }
        let read = |text: &S| {
            let text = text.as_ref().trim();
            let refused = |reason: &str| {
                Err(RewardError::UnparseableGold { gold: text.to_owned(), reason: reason.to_owned() })
            };
            if text.len() > MAX_ANSWER_BYTES {
                return refused("it is longer than what is read of a completion");
            }
            if !text.contains(char::is_alphanumeric) {
                return refused("it holds neither a letter nor a digit");
            }
            let form = Equation::parse(text).map_or_else(|| Form::Words(folded(text)), Form::Equation);
            Ok((text.to_owned(), form))
        };
        Ok(Self { accepted: accepted.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Judges a completion: its last box, else its marked answer, else its last line.
    #[must_use]
    pub fn judge(&self, completion: &str) -> Verdict {
        if completion.len() > MAX_COMPLETION_BYTES {
            return Verdict::nothing_found(format!(
                "the completion is longer than {MAX_COMPLETION_BYTES} bytes"
            ));
        }
        let answer = match last_box(completion) {
            Some(Ok(answer)) => answer,
            Some(Err(reason)) => return Verdict::nothing_found(reason),
            None => match last_marked(completion).or_else(|| last_line(completion)) {
                Some(answer) => answer,
                None => return Verdict::nothing_found("the completion is empty"),
            },
        };
        if answer.len() > MAX_ANSWER_BYTES {
            return Verdict::unreadable(
                format!("the answer is longer than {MAX_ANSWER_BYTES} bytes"),
                answer,
            );
        }
        let mut worst = None;
        for (text, form) in &self.accepted {
            let verdict = compare(text, form, answer);
            if verdict.reward() > 0.0 {
                return verdict;
            }
            worst.get_or_insert(verdict);
        }
        worst.unwrap_or_else(|| Verdict::nothing_found("no gold answer to compare with"))
    }
}

fn last_line(completion: &str) -> Option<&str> {
    completion.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

fn compare(text: &str, form: &Form, answer: &str) -> Verdict {
    match form {
        Form::Words(words) if *words == folded(answer) => Verdict::correct("the same words", answer),
        Form::Words(_) => Verdict::wrong(format!("different words: the answer is `{text}`"), answer),
        Form::Equation(gold) => match Equation::parse(answer) {
            None => Verdict::unreadable("no chemical equation", answer),
            Some(given) => match gold.difference(&given) {
                None => Verdict::correct("the same chemical equation", answer),
                Some(difference) => Verdict::wrong(difference, answer),
            },
        },
    }
}

/// Judges a completion against text.
///
/// # Errors
/// As [`TextGold::new`].
pub fn text_answer(gold: &str, completion: &str) -> Result<Verdict, RewardError> {
    Ok(TextGold::new(&[gold])?.judge(completion))
}
