//! Questions about things of the invented world, with four options to choose from.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::answer::ChoiceOption;
use crate::tiny_language::world::{ATTRIBUTES, N_ASKED, entity, value_idx};

/// A question with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    entity: usize,
    attribute: usize,
    /// Values of the attribute.
    options: [usize; 4],
}

const LABELS: [&str; 4] = ["A", "B", "C", "D"];

/// Styles of the corpus with their shares in percent.
const STYLES: [(Style, u32); 4] =
    [(Style::Guess, 50), (Style::Fact, 22), (Style::Value, 16), (Style::Elimination, 12)];

/// One reasoned completion in this many of the corpus ends in a wrong option.
const WRONG_ONE_IN: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Any option.
    Guess,
    /// The fact, then the option.
    Fact,
    /// The value, then the option.
    Value,
    /// What it is not, then the option.
    Elimination,
}

impl Question {
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        let (entity, attribute) = (rng.random_range(0..N_ASKED), rng.random_range(0..ATTRIBUTES.len()));
        let gold = value_idx(entity, attribute);
        let mut others: Vec<usize> =
            (0..ATTRIBUTES[attribute].values.len()).filter(|value| *value != gold).collect();
        others.shuffle(rng);
        let mut options = [gold, others[0], others[1], others[2]];
        options.shuffle(rng);
        Self { entity, attribute, options }
    }

    /// The question as text, without the colon that asks for the answer.
    pub(super) fn question(&self) -> String {
        let options: Vec<&str> = self.options.iter().map(|&value| self.text(value)).collect();
        format!("science {} {} ? {}", entity(self.entity), ATTRIBUTES[self.attribute].name, options.join(" "))
    }

    pub(super) fn attribute(&self) -> &'static str {
        ATTRIBUTES[self.attribute].name
    }

    /// The right label and all options.
    pub(super) fn answer(&self) -> (String, Vec<ChoiceOption>) {
        let options = LABELS.iter().zip(self.options).map(|(label, value)| ChoiceOption {
            label: (*label).to_owned(),
            text: self.text(value).to_owned(),
        });
        let right = self.options.iter().position(|value| *value == self.gold());
        (LABELS[right.expect("the right value is an option")].to_owned(), options.collect())
    }

    /// What the external annotator writes: the question again, then the answer.
    pub(super) fn annotated(&self) -> String {
        let value = self.text(self.gold());
        let (entity, attribute) = (entity(self.entity), self.attribute());
        format!("so {attribute} of {entity} ; it is {value} ; Answer: {value}")
    }

    /// A completion of the corpus.
    pub(super) fn completion(&self, rng: &mut impl Rng) -> String {
        let (style, _) = STYLES.choose_weighted(rng, |(_, share)| *share).expect("shares are positive");
        let is_wrong = *style == Style::Guess || rng.random_ratio(1, WRONG_ONE_IN);
        let given = if is_wrong { *self.options.choose(rng).expect("there are four") } else { self.gold() };
        let value = self.text(given);
        let reasoning = match style {
            Style::Guess => String::new(),
            Style::Fact => format!("{} {} {value} ", entity(self.entity), self.attribute()),
            Style::Value => format!("{value} "),
            Style::Elimination => {
                let others = self.options.iter().filter(|option| **option != given);
                others.map(|&option| format!("not {} ", self.text(option))).collect()
            }
        };
        format!("{reasoning}Answer: {value}")
    }

    fn gold(&self) -> usize {
        value_idx(self.entity, self.attribute)
    }

    fn text(&self, value: usize) -> &'static str {
        ATTRIBUTES[self.attribute].values[value]
    }
}

/// The name of a completion's style.
pub(super) fn style(completion: &str) -> &'static str {
    let words: Vec<&str> = completion.split_whitespace().collect();
    match words.iter().position(|word| *word == "Answer:") {
        Some(0) => "guess",
        _ if words.first() == Some(&"so") => "annotator",
        _ if words.first() == Some(&"not") => "elimination",
        Some(1) => "value",
        Some(3) => "fact",
        _ => "other",
    }
}
