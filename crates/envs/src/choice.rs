//! Multiple choice: which option a completion settles on.

use std::sync::LazyLock;

use razor_data::ChoiceOption;
use regex::Regex;

use crate::error::RewardError;
use crate::limits::MAX_COMPLETION_BYTES;
use crate::math::{folded, head, last_box};
use crate::verdict::Verdict;

/// A right option among its alternatives.
#[derive(Debug, Clone)]
pub struct ChoiceGold {
    label: String,
    options: Vec<ChoiceOption>,
    /// Folded texts, in the order of the options.
    texts: Vec<String>,
}

/// What a statement says about the options.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    One(String),
    /// More than one label.
    Several(Vec<String>),
    /// A single letter that labels no option.
    Outside(String),
    Nothing,
}

impl ChoiceGold {
    /// Takes the label that is right and all options.
    ///
    /// # Errors
    /// [`RewardError::NoGold`] without options, [`RewardError::UnknownLabel`] for a label that no option has,
    /// [`RewardError::RepeatedLabel`] for one that two options have.
    pub fn new(label: &str, options: &[ChoiceOption]) -> Result<Self, RewardError> {
        if options.is_empty() {
            return Err(RewardError::NoGold { expected: "option" });
        }
        for (place, option) in options.iter().enumerate() {
            if options[..place].iter().any(|earlier| earlier.label == option.label) {
                return Err(RewardError::RepeatedLabel { label: option.label.clone() });
            }
        }
        if !options.iter().any(|option| option.label == label) {
            let labels = options.iter().map(|option| option.label.clone()).collect();
            return Err(RewardError::UnknownLabel { label: label.to_owned(), labels });
        }
        let texts = options.iter().map(|option| folded(&option.text)).collect();
        Ok(Self { label: label.to_owned(), options: options.to_vec(), texts })
    }

    /// Judges a completion by the last statement in it that names an option.
    ///
    /// A statement is a box, an `<answer>` element, or what stands behind "answer:", "the answer is", "the correct
    /// option is"; without any, the last line. It names an option by its label or by its whole text.
    #[must_use]
    pub fn judge(&self, completion: &str) -> Verdict {
        if completion.len() > MAX_COMPLETION_BYTES {
            return Verdict::nothing_found(format!(
                "the completion is longer than {MAX_COMPLETION_BYTES} bytes"
            ));
        }
        for statement in statements(completion) {
            match self.named(statement) {
                Named::Nothing => {}
                named => return self.verdict(named, statement),
            }
        }
        let Some(line) = completion.lines().rev().map(str::trim).find(|line| !line.is_empty()) else {
            return Verdict::nothing_found("the completion is empty");
        };
        match self.named(line) {
            Named::Nothing => match self.named_in_passing(line) {
                Named::Nothing => Verdict::nothing_found("no statement names an option"),
                named => self.verdict(named, line),
            },
            named => self.verdict(named, line),
        }
    }

    fn verdict(&self, named: Named, statement: &str) -> Verdict {
        match named {
            Named::One(label) if label == self.label => Verdict::correct("the right option", label),
            Named::One(label) => Verdict::wrong(format!("the right option is {}", self.label), label),
            Named::Outside(letter) => Verdict::wrong(
                format!("{letter} is none of the options, the right one is {}", self.label),
                letter,
            ),
            Named::Several(labels) => Verdict::unreadable(
                format!("the final statement names several options: {}", labels.join(", ")),
                statement,
            ),
            Named::Nothing => Verdict::nothing_found("no statement names an option"),
        }
    }

    /// What a statement names: a label in front, or the text of an option.
    fn named(&self, statement: &str) -> Named {
        let plain = without_markup(statement);
        let text = folded(&plain);
        if text.is_empty() {
            return Named::Nothing;
        }
        let mut with_text = self.texts.iter().zip(&self.options).filter(|(option, _)| **option == text);
        let by_text = with_text.next().filter(|_| with_text.next().is_none());
        let by_label = self.leading_label(&plain);
        match (by_label, by_text) {
            // `1` may be the text of one option where labels are numbers: the label wins.
            (Named::Nothing | Named::Outside(_), Some((_, option))) => Named::One(option.label.clone()),
            (named, _) => named,
        }
    }

    fn leading_label(&self, statement: &str) -> Named {
        let rest = FILLER.replace(statement.trim(), "");
        let Some((label, rest)) = self.split_label(&rest) else {
            let Some(letter) = lone_letter(&rest) else { return Named::Nothing };
            let is_label = self.options.iter().any(|option| option.label == letter);
            return if is_label { Named::One(letter) } else { Named::Outside(letter) };
        };
        let mut labels = vec![label];
        let mut rest = rest;
        // `A, C`, `A or C`, `A/C`, `A and (C)`
        while let Some(joined) = JOINER.find(&rest) {
            let Some((next, after)) = self.split_label(&rest[joined.end()..]) else { break };
            labels.push(next);
            rest = after;
        }
        labels.dedup();
        if labels.len() > 1 {
            return Named::Several(labels);
        }
        let ends_label =
            rest.is_empty() || rest.starts_with(['.', ':', ')', ',', ';', '-', '–', '=', '\n', '(']) || {
                let word = rest.split_whitespace().next().unwrap_or("");
                rest.starts_with(' ')
                    && ["is", "because", "since", "as", "which", "-", "–", "(", ":"].contains(&word)
            };
        if ends_label { Named::One(labels.remove(0)) } else { Named::Nothing }
    }

    /// A label, with or without brackets, at the start; and what follows it.
    fn split_label(&self, text: &str) -> Option<(String, String)> {
        let text = text.trim_start();
        let bare = text.trim_start_matches(['(', '[', '"', '\'']);
        let end = bare.find(|c: char| !c.is_alphanumeric()).unwrap_or(bare.len());
        let (run, rest) = bare.split_at(end);
        let alone = rest.trim_matches(|c: char| !c.is_alphanumeric()).is_empty();
        let option = self.options.iter().find(|option| option.label == run).or_else(|| {
            // `b` alone is an answer, `a` in front of other words is an article.
            let folds = alone || run.chars().count() > 1;
            self.options.iter().find(|option| folds && option.label.eq_ignore_ascii_case(run))
        })?;
        let rest =
            if bare.len() < text.len() { rest.trim_start_matches([')', ']', '"', '\'']) } else { rest };
        Some((option.label.clone(), rest.to_owned()))
    }

    /// Labels inside a last line such as `Hence it is option (B).`
    fn named_in_passing(&self, line: &str) -> Named {
        let mut labels: Vec<String> = Vec::new();
        for found in IN_PASSING.captures_iter(line) {
            let run = found.get(1).or(found.get(2)).map_or("", |run| run.as_str());
            if let Some(option) = self.options.iter().find(|option| option.label == run)
                && !labels.contains(&option.label)
            {
                labels.push(option.label.clone());
            }
        }
        match labels.len() {
            0 => Named::Nothing,
            1 => Named::One(labels.remove(0)),
            _ => Named::Several(labels),
        }
    }
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a literal of this file")
}

static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)<answer>|####|\banswer\**\s*(?::|=|\bis\b|\bwould\s+be\b|\bshould\s+be\b)|\b(?:correct|right|best|final)\s+(?:option|choice|statement)\**\s*(?::|\bis\b)|\b(?:option|choice)\**\s*(?::|\bis\b)|\\(?:boxed|fbox)\s*",
    )
});
static FILLER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:[\s:=]|(?:the\s+)?(?:correct\s+|right\s+|final\s+)?(?:option|choice|answer|letter)\b(?:\s+is\b)?)+",
    )
});
static JOINER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)^\s*(?:,\s*(?:or|and)?|/|&|\bor\b|\band\b|\+)\s*"));
static IN_PASSING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\(([A-Za-z0-9]{1,5})\)|\b(?:is|option|Option|choose|select|pick|choice)\s+\**([A-Z]|True|False)\b",
    )
});

/// Most statements that are looked at, from the end. A completion of nothing but marks would cost its square otherwise.
const MAX_STATEMENTS: usize = 64;

/// What stands behind the marks of a final answer, the last one first.
fn statements(completion: &str) -> impl Iterator<Item = &str> {
    let marks: Vec<_> = STATEMENT.find_iter(completion).collect();
    let ends: Vec<usize> = marks.iter().skip(1).map(regex::Match::start).chain([completion.len()]).collect();
    marks.into_iter().zip(ends).rev().take(MAX_STATEMENTS).filter_map(|(mark, next)| {
        let rest = head(&completion[mark.end()..]);
        let statement = match mark.as_str() {
            // A mark inside the box is a statement of its own, and was read before.
            found if found.starts_with('\\') => last_box(head(&completion[mark.start()..next]))?.ok()?,
            "<answer>" => rest.split("</answer>").next()?,
            _ => rest.trim_start().lines().next()?.split("</answer>").next()?,
        };
        let statement = statement.trim();
        (!statement.is_empty()).then_some(statement)
    })
}

/// A statement that is one capital letter, marks aside.
fn lone_letter(statement: &str) -> Option<String> {
    let letter = statement.trim_matches(|c: char| !c.is_alphanumeric());
    let mut letters = letter.chars();
    (letters.next()?.is_ascii_uppercase() && letters.next().is_none()).then(|| letter.to_owned())
}

/// The statement without bold marks, dollar signs and text commands.
fn without_markup(statement: &str) -> String {
    static MARKUP: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"\\(?:text(?:bf|it|rm)?|mathrm|mathbf|mbox)\s*\{|\*\*|__|[$`{}]|\\[()\[\]]")
    });
    MARKUP.replace_all(statement, "").trim_matches(|c: char| c.is_whitespace() || c == '*').to_owned()
}

/// Judges a completion against a choice.
///
/// # Errors
/// As [`ChoiceGold::new`].
pub fn choice_answer(
    label: &str,
    options: &[ChoiceOption],
    completion: &str,
) -> Result<Verdict, RewardError> {
    Ok(ChoiceGold::new(label, options)?.judge(completion))
}
