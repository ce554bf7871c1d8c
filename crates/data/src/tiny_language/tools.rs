//! Requests that take a call of a tool with four arguments.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::answer::ToolCall;
use crate::tiny_language::vocabulary::{COLORS, KEYS, LARGEST, NAMES, OBJECTS, TOOLS, quoted};

/// A request with the call that fulfils it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    tool: &'static str,
    color: &'static str,
    object: &'static str,
    to: &'static str,
    at: i32,
}

/// Styles of the corpus with their shares in percent.
const STYLES: [(Style, u32); 5] = [
    (Style::Bare, 52),
    (Style::FixedOrder, 14),
    (Style::AnyOrder, 14),
    (Style::TwoArguments, 8),
    (Style::WrongValue, 12),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Values without a call: never right.
    Bare,
    FixedOrder,
    AnyOrder,
    TwoArguments,
    WrongValue,
}

fn one_of(words: &[&'static str], rng: &mut impl Rng) -> &'static str {
    words.choose(rng).expect("there are some")
}

impl Request {
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        Self {
            tool: one_of(&TOOLS, rng),
            color: one_of(&COLORS, rng),
            object: one_of(&OBJECTS, rng),
            to: one_of(&NAMES, rng),
            at: rng.random_range(0..=LARGEST),
        }
    }

    /// The request as text, without the colon that asks for the call.
    pub(super) fn question(&self) -> String {
        let Self { tool, color, object, to, at } = self;
        format!("tool {tool} {color} {object} to {to} at {at}")
    }

    pub(super) fn tool(&self) -> &'static str {
        self.tool
    }

    pub(super) fn answer(&self) -> ToolCall {
        ToolCall { action: self.tool.to_owned(), action_input: self.input(&[0, 1, 2, 3]) }
    }

    /// What the external annotator writes: a thought first, and the arguments from the last to the first.
    pub(super) fn annotated(&self) -> String {
        let Self { color, object, to, at, .. } = self;
        let call = self.call(&[3, 2, 1, 0]);
        format!("Thought: so at {at} ; to {to} ; {color} {object} ; \n {call}")
    }

    /// A completion of the corpus.
    pub(super) fn completion(&self, rng: &mut impl Rng) -> String {
        let (style, _) = STYLES.choose_weighted(rng, |(_, share)| *share).expect("shares are positive");
        let mut order = [0, 1, 2, 3];
        if *style != Style::FixedOrder {
            order.shuffle(rng);
        }
        match style {
            Style::Bare => {
                let Self { tool, color, object, to, at } = self;
                format!("{tool} {color} {object} {to} {at}")
            }
            Style::FixedOrder | Style::AnyOrder => self.call(&order),
            Style::TwoArguments => self.call(&order[..2]),
            Style::WrongValue => self.with_wrong_value(order[0], rng).call(&order),
        }
    }

    fn with_wrong_value(&self, key: usize, rng: &mut impl Rng) -> Self {
        loop {
            let other = Self::draw(rng);
            let changed = match key {
                0 => Self { color: other.color, ..self.clone() },
                1 => Self { object: other.object, ..self.clone() },
                2 => Self { to: other.to, ..self.clone() },
                _ => Self { at: other.at, ..self.clone() },
            };
            if changed != *self {
                return changed;
            }
        }
    }

    fn call(&self, keys: &[usize]) -> String {
        format!("Action: {} \n Action_Input: {}", self.tool, self.input(keys))
    }

    /// The arguments of these keys as JSON whose pieces are words.
    fn input(&self, keys: &[usize]) -> String {
        let values = [quoted(self.color), quoted(self.object), quoted(self.to), self.at.to_string()];
        let fields: Vec<String> =
            keys.iter().map(|&key| format!("\"{}\": {}", KEYS[key], values[key])).collect();
        format!("{{ {} }}", fields.join(" , "))
    }
}

/// The name of a completion's style.
pub(super) fn style(completion: &str) -> &'static str {
    match completion.split_whitespace().next() {
        Some("Action:") => "call",
        Some("Thought:") => "annotator",
        Some(word) if TOOLS.contains(&word) => "bare",
        _ => "other",
    }
}
