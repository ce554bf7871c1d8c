//! What a mathematical answer parses to.

use num_rational::BigRational;

/// A scalar expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    /// Exactly the number that is written, decimals included.
    Number(BigRational),
    /// A numeral with a written base, such as `52_8`.
    Based {
        digits: String,
        base: u32,
    },
    /// A variable, with its subscript and primes.
    Symbol(String),
    Constant(Constant),
    Negate(Box<Self>),
    Sum(Vec<Self>),
    Product(Vec<Self>),
    Quotient(Box<Self>, Box<Self>),
    Power(Box<Self>, Box<Self>),
    /// Degree, then what stands under the root.
    Root(Box<Self>, Box<Self>),
    Call(Function, Box<Self>),
    /// Base, then argument.
    Log(Box<Self>, Box<Self>),
    Factorial(Box<Self>),
    Binomial(Box<Self>, Box<Self>),
    /// An unknown function, such as `f(x)`.
    Apply(String, Vec<Self>),
    /// `±x`; the flag is true for `∓x`.
    PlusMinus(bool, Box<Self>),
    Percent(Box<Self>),
    /// `x°`. Counts as `x`, and as `πx/180` inside a trigonometric function.
    Degrees(Box<Self>),
}

/// A named number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Constant {
    Pi,
    E,
    I,
    Infinity,
}

/// A function of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Ln,
    Exp,
    Abs,
    Floor,
    Ceil,
}

impl Function {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sin" => Self::Sin,
            "cos" => Self::Cos,
            "tan" | "tg" => Self::Tan,
            "cot" => Self::Cot,
            "sec" => Self::Sec,
            "csc" => Self::Csc,
            "arcsin" | "asin" => Self::Asin,
            "arccos" | "acos" => Self::Acos,
            "arctan" | "atan" => Self::Atan,
            "sinh" => Self::Sinh,
            "cosh" => Self::Cosh,
            "tanh" => Self::Tanh,
            "ln" | "log" => Self::Ln,
            "exp" => Self::Exp,
            "abs" => Self::Abs,
            "floor" => Self::Floor,
            "ceil" => Self::Ceil,
            _ => return None,
        })
    }

    pub(crate) fn is_trigonometric(self) -> bool {
        matches!(self, Self::Sin | Self::Cos | Self::Tan | Self::Cot | Self::Sec | Self::Csc)
    }

    /// What `sin^{-1}` means.
    pub(crate) fn inverse(self) -> Option<Self> {
        match self {
            Self::Sin => Some(Self::Asin),
            Self::Cos => Some(Self::Acos),
            Self::Tan => Some(Self::Atan),
            _ => None,
        }
    }
}

/// How two sides of a relation compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Approximately,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The same statement with its sides exchanged.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            other => other,
        }
    }
}

/// Round or square, for tuples and intervals, which are written alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bracket {
    Round,
    Square,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(Expr),
    /// A tuple, a point or an interval: at least two members between round or square brackets.
    Bracketed {
        open: Bracket,
        close: Bracket,
        items: Vec<Self>,
    },
    Set(Vec<Self>),
    /// Members with commas and no brackets; at least two.
    List(Vec<Self>),
    Union(Vec<Self>),
    /// Rows of equal length.
    Matrix(Vec<Vec<Expr>>),
    /// One comparison fewer than members.
    Relation {
        members: Vec<Expr>,
        comparisons: Vec<Comparison>,
    },
    /// Not mathematics: words, folded.
    Words(String),
}

impl Expr {
    pub(crate) fn integer(value: i64) -> Self {
        Self::Number(BigRational::from_integer(value.into()))
    }

    /// Direct parts, in reading order.
    pub(crate) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Number(_) | Self::Based { .. } | Self::Symbol(_) | Self::Constant(_) => Vec::new(),
            Self::Negate(a)
            | Self::Call(_, a)
            | Self::Factorial(a)
            | Self::PlusMinus(_, a)
            | Self::Percent(a)
            | Self::Degrees(a) => vec![a],
            Self::Quotient(a, b)
            | Self::Power(a, b)
            | Self::Root(a, b)
            | Self::Log(a, b)
            | Self::Binomial(a, b) => vec![a, b],
            Self::Sum(parts) | Self::Product(parts) | Self::Apply(_, parts) => parts.iter().collect(),
        }
    }

    /// Whether `found` holds for this expression or any part of it.
    pub(crate) fn any(&self, found: &impl Fn(&Self) -> bool) -> bool {
        found(self) || self.children().into_iter().any(|part| part.any(found))
    }

    /// Whether a variable or an unknown function occurs.
    pub(crate) fn is_symbolic(&self) -> bool {
        self.any(&|part| matches!(part, Self::Symbol(_) | Self::Apply(..)))
    }

    pub(crate) fn has_plus_minus(&self) -> bool {
        self.any(&|part| matches!(part, Self::PlusMinus(..)))
    }

    /// This expression with every `±` read as `+` (or `-` when `negative`).
    pub(crate) fn with_sign(&self, negative: bool) -> Self {
        let sign = |part: &Self| Box::new(part.with_sign(negative));
        let all = |parts: &[Self]| parts.iter().map(|part| part.with_sign(negative)).collect();
        match self {
            Self::PlusMinus(flipped, a) if *flipped != negative => Self::Negate(sign(a)),
            Self::PlusMinus(_, a) => a.with_sign(negative),
            Self::Negate(a) => Self::Negate(sign(a)),
            Self::Sum(parts) => Self::Sum(all(parts)),
            Self::Product(parts) => Self::Product(all(parts)),
            Self::Quotient(a, b) => Self::Quotient(sign(a), sign(b)),
            Self::Power(a, b) => Self::Power(sign(a), sign(b)),
            Self::Root(a, b) => Self::Root(sign(a), sign(b)),
            Self::Call(function, a) => Self::Call(*function, sign(a)),
            Self::Log(a, b) => Self::Log(sign(a), sign(b)),
            Self::Factorial(a) => Self::Factorial(sign(a)),
            Self::Binomial(a, b) => Self::Binomial(sign(a), sign(b)),
            Self::Apply(name, parts) => Self::Apply(name.clone(), all(parts)),
            Self::Percent(a) => Self::Percent(sign(a)),
            Self::Degrees(a) => Self::Degrees(sign(a)),
            Self::Number(_) | Self::Based { .. } | Self::Symbol(_) | Self::Constant(_) => self.clone(),
        }
    }
}
