//! What formulas are made of.

use super::ast::{Comparison, Function};

/// Why an answer has no parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// Over a limit of [`crate::limits`].
    TooLarge(String),
    /// Not an answer of a form that is known.
    Malformed(String),
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge(what) => write!(f, "it is too large: {what}"),
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

/// How a comma between digits outside brackets is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commas {
    /// `1,200` is one thousand two hundred.
    Thousands,
    /// `1,200` lists 1 and 200.
    Separators,
}

/// What opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fence {
    Round,
    Square,
    /// `\{ \}`
    Set,
    /// `{ }`: LaTeX grouping.
    Group,
    Floor,
    Ceil,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// Digits with at most one point and an optional exponent of ten.
    Number(String),
    /// An integer, white space, and `a/b`: `1 1/2`.
    Mixed(String, String, String),
    Based(String, u32),
    Symbol(String),
    Function(Function),
    Log,
    Fraction,
    Root,
    Binomial,
    Infinity,
    EmptySet,
    Reals,
    /// Words in a text command, or plain words that are no product of variables.
    Words(String),
    Plus,
    Minus,
    PlusMinus,
    MinusPlus,
    Times,
    Divide,
    Caret,
    Underscore,
    Bang,
    Percent,
    Degree,
    Open(Fence),
    Close(Fence),
    Bar,
    Comma,
    Relation(Comparison),
    In,
    Union,
    Begin(String),
    End,
    Ampersand,
    NewRow,
}
