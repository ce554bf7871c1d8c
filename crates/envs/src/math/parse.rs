//! Tokens to a [`Value`]: lists, brackets and relations here, scalar expressions in `parse_scalar.rs`.

use super::ast::{Bracket, Comparison, Expr, Value};
use super::lexer::tokenize;
use super::relation::is_name;
use super::token::{Commas, Fence, ParseError, Token};
use super::words::folded;
use crate::limits::{MAX_ANSWER_BYTES, MAX_ITEMS, MAX_NESTING, MAX_NODES};

/// An answer as one reading of its text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) value: Value,
    /// Words that stood behind numbers, in order.
    pub(crate) units: Vec<String>,
    /// The tokens, for answers too large to evaluate.
    pub(crate) tokens: Vec<Token>,
}

/// Reads a whole answer.
///
/// # Errors
/// [`ParseError`] where the text is over a limit or has no reading.
pub(crate) fn parse(text: &str, commas: Commas) -> Result<Parsed, ParseError> {
    if text.len() > MAX_ANSWER_BYTES {
        return Err(ParseError::TooLarge(format!(
            "{} bytes, at most {MAX_ANSWER_BYTES} are read",
            text.len()
        )));
    }
    let text = without_punctuation(text);
    if is_phrase(text) {
        return Ok(Parsed { value: Value::Words(folded(text)), units: Vec::new(), tokens: Vec::new() });
    }
    let tokens = tokenize(text, commas)?;
    let mut parser = Parser { tokens: tokens.clone(), at: 0, depth: 0, nodes: 0, units: Vec::new() };
    if matches!(tokens.first(), Some(Token::Words(_))) && !parser.names_a_value() {
        return Ok(Parsed { value: Value::Words(folded(text)), units: Vec::new(), tokens });
    }
    let value = parser.list()?;
    match parser.peek() {
        None => Ok(Parsed { value, units: parser.units, tokens }),
        Some(token) => {
            Err(ParseError::Malformed(format!("unexpected {token:?} after a complete expression")))
        }
    }
}

/// The answer without what ends a sentence.
fn without_punctuation(text: &str) -> &str {
    let mut text = text.trim();
    loop {
        let shorter =
            text.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '.' | ',' | ';' | ':' | '?'));
        let shorter = shorter.strip_suffix("\\").unwrap_or(shorter); // `\.`, or `\,` without its comma
        let shorter =
            shorter.strip_suffix(".$").map_or(shorter, |inner| inner.strip_prefix('$').unwrap_or(inner));
        if shorter.len() == text.len() {
            return text;
        }
        text = shorter;
    }
}

/// Plain words such as `Monday morning`: letters and spaces with a word of four letters, none of it mathematics.
fn is_phrase(text: &str) -> bool {
    let has_long_word =
        text.split(|c: char| !c.is_alphabetic()).any(|run| run.chars().count() >= 4 && run != "sqrt");
    let plain =
        text.chars().all(|c| c.is_alphabetic() || c.is_whitespace() || matches!(c, '\'' | '-' | '"' | '.'));
    has_long_word && plain && !matches!(text, "infinity" | "Infinity")
}

pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    depth: usize,
    nodes: usize,
    pub(super) units: Vec<String>,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn take(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, wanted: &Token) -> Result<(), ParseError> {
        if self.take(wanted) {
            return Ok(());
        }
        let found = self.peek().map_or_else(|| "the end".to_owned(), |token| format!("{token:?}"));
        Err(ParseError::Malformed(format!("expected {wanted:?}, found {found}")))
    }

    /// Runs `inner` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth == MAX_NESTING {
            return Err(ParseError::TooLarge(format!("nested deeper than {MAX_NESTING} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub(super) fn count_node(&mut self) -> Result<(), ParseError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(ParseError::TooLarge(format!("more than {MAX_NODES} parts")));
        }
        Ok(())
    }

    /// Whether words at the start are followed by `=`, as in `\text{Area} = 5`.
    fn names_a_value(&self) -> bool {
        matches!(self.tokens.get(1), Some(Token::Relation(Comparison::Equal | Comparison::Approximately)))
    }

    /// Members with commas between them, up to the end or a closing fence.
    fn list(&mut self) -> Result<Value, ParseError> {
        let mut items = self.items()?;
        Ok(if items.len() == 1 { items.remove(0) } else { Value::List(items) })
    }

    fn items(&mut self) -> Result<Vec<Value>, ParseError> {
        let mut items = vec![self.item()?];
        while self.take(&Token::Comma) {
            // `7, -2, \text{ and } -5` has two separators in a row.
            while self.take(&Token::Comma) {}
            if items.len() == MAX_ITEMS {
                return Err(ParseError::TooLarge(format!("more than {MAX_ITEMS} members")));
            }
            items.push(self.item()?);
        }
        Ok(items)
    }

    /// One member: a bracketed thing, or a scalar with what it is compared to.
    fn item(&mut self) -> Result<Value, ParseError> {
        self.nested(|parser| {
            if matches!(parser.peek(), Some(Token::Words(_))) {
                return parser.words();
            }
            if let Some(whole) = parser.bracketed()? {
                return parser.after_bracketed(whole);
            }
            parser.relation()
        })
    }

    /// Words as a member: a name before `=`, or a text member such as `\text{none}`.
    fn words(&mut self) -> Result<Value, ParseError> {
        let Some(Token::Words(words)) = self.peek().cloned() else {
            return Err(ParseError::Malformed("expected words".to_owned()));
        };
        self.at += 1;
        if let Some(Token::Relation(Comparison::Equal)) = self.peek() {
            self.at += 1;
            return self.item();
        }
        Ok(Value::Words(folded(&words)))
    }

    /// A tuple, interval, set or matrix, if one starts here.
    fn bracketed(&mut self) -> Result<Option<Value>, ParseError> {
        match self.peek() {
            Some(Token::Open(Fence::Round | Fence::Square)) if self.comma_inside() => {
                self.between_brackets().map(Some)
            }
            Some(Token::Open(Fence::Set)) => {
                self.at += 1;
                let items =
                    if self.peek() == Some(&Token::Close(Fence::Set)) { Vec::new() } else { self.items()? };
                self.expect(&Token::Close(Fence::Set))?;
                Ok(Some(Value::Set(items)))
            }
            Some(Token::Open(Fence::Group)) if self.comma_inside() => {
                // `{1, 2}` without backslashes, as plain text writes sets.
                self.at += 1;
                let items = self.items()?;
                self.expect(&Token::Close(Fence::Group))?;
                Ok(Some(Value::Set(items)))
            }
            Some(Token::EmptySet) => {
                self.at += 1;
                Ok(Some(Value::Set(Vec::new())))
            }
            Some(Token::Reals) => {
                self.at += 1;
                let end = |negative| {
                    let infinity = Expr::Constant(super::ast::Constant::Infinity);
                    Value::Scalar(if negative { Expr::Negate(Box::new(infinity)) } else { infinity })
                };
                let items = vec![end(true), end(false)];
                Ok(Some(Value::Bracketed { open: Bracket::Round, close: Bracket::Round, items }))
            }
            Some(Token::Begin(_)) => self.matrix().map(Some),
            _ => Ok(None),
        }
    }

    /// Whether the fence that opens here holds a comma of its own.
    fn comma_inside(&self) -> bool {
        let mut depth = 0_usize;
        for token in &self.tokens[self.at..] {
            match token {
                Token::Open(_) => depth += 1,
                Token::Close(_) if depth == 1 => return false,
                Token::Close(_) => depth -= 1,
                Token::Comma if depth == 1 => return true,
                _ => {}
            }
        }
        false
    }

    fn between_brackets(&mut self) -> Result<Value, ParseError> {
        let open =
            if self.peek() == Some(&Token::Open(Fence::Round)) { Bracket::Round } else { Bracket::Square };
        self.at += 1;
        let items = self.items()?;
        let close = match self.peek() {
            Some(Token::Close(Fence::Round)) => Bracket::Round,
            Some(Token::Close(Fence::Square)) => Bracket::Square,
            _ => return Err(ParseError::Malformed("a bracket is not closed".to_owned())),
        };
        self.at += 1;
        Ok(Value::Bracketed { open, close, items })
    }

    /// Unions, and names as in `(x, y) = (1, 2)`.
    fn after_bracketed(&mut self, first: Value) -> Result<Value, ParseError> {
        if let Some(Token::Relation(Comparison::Equal) | Token::In) = self.peek()
            && is_tuple_of_names(&first)
        {
            self.at += 1;
            return self.item();
        }
        let mut parts = vec![first];
        while self.take(&Token::Union) {
            let part = self.bracketed()?;
            parts.push(
                part.ok_or_else(|| {
                    ParseError::Malformed("a union with something that is no set".to_owned())
                })?,
            );
            if parts.len() > MAX_ITEMS {
                return Err(ParseError::TooLarge(format!("more than {MAX_ITEMS} members")));
            }
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Value::Union(parts) })
    }

    fn matrix(&mut self) -> Result<Value, ParseError> {
        match self.peek() {
            Some(Token::Begin(name)) if name.ends_with("matrix") || name == "array" => self.at += 1,
            other => return Err(ParseError::Malformed(format!("{other:?} is no matrix"))),
        }
        let mut rows = vec![Vec::new()];
        loop {
            let entry = self.scalar()?;
            let row = rows.last_mut().expect("it starts with a row");
            row.push(entry);
            if row.len() > MAX_ITEMS {
                return Err(ParseError::TooLarge(format!("more than {MAX_ITEMS} columns")));
            }
            match self.peek() {
                Some(Token::Ampersand) => self.at += 1,
                Some(Token::NewRow) => {
                    self.at += 1;
                    // A final `\\` before `\end` adds no row.
                    if self.take(&Token::End) {
                        break;
                    }
                    rows.push(Vec::new());
                }
                _ => {
                    self.expect(&Token::End)?;
                    break;
                }
            }
        }
        if rows.len() > MAX_ITEMS || rows.iter().any(|row| row.len() != rows[0].len()) {
            return Err(ParseError::Malformed(
                "the rows of a matrix differ in length, or are too many".to_owned(),
            ));
        }
        Ok(Value::Matrix(rows))
    }

    /// A scalar, or scalars with comparisons between them.
    fn relation(&mut self) -> Result<Value, ParseError> {
        let mut members = vec![self.scalar_with_unit()?];
        let mut comparisons = Vec::new();
        while let Some(token) = self.peek() {
            let comparison = match token {
                Token::Relation(comparison) => *comparison,
                // What is said to lie in a set or interval is that set or interval.
                Token::In if members.len() == 1 && is_name(&members[0]) => {
                    self.at += 1;
                    return self.item();
                }
                _ => break,
            };
            self.at += 1;
            if comparison == Comparison::Equal
                && members.iter().all(is_name)
                && let Some(whole) = self.bracketed()?
            {
                return self.after_bracketed(whole);
            }
            if members.len() == MAX_ITEMS {
                return Err(ParseError::TooLarge(format!("more than {MAX_ITEMS} members")));
            }
            if let Some(Token::Words(_)) = self.peek() {
                return self.words();
            }
            comparisons.push(comparison);
            members.push(self.scalar_with_unit()?);
        }
        if comparisons.is_empty() {
            return Ok(Value::Scalar(members.remove(0)));
        }
        Ok(Value::Relation { members, comparisons })
    }

    /// A scalar, its unit put aside.
    fn scalar_with_unit(&mut self) -> Result<Expr, ParseError> {
        let value = self.scalar()?;
        let mut unit = String::new();
        while let Some(Token::Words(words)) = self.peek() {
            unit.push_str(words);
            unit.push(' ');
            self.at += 1;
            if self.take(&Token::Caret) {
                let power = self.argument()?;
                if let Expr::Number(power) = power {
                    unit = format!("{}^{power} ", unit.trim_end());
                }
            }
            // `kcal m^{-2}` and `miles / hour` go on.
            if self.peek() == Some(&Token::Divide)
                && matches!(self.tokens.get(self.at + 1), Some(Token::Words(_)))
            {
                self.at += 1;
                unit.push_str("/ ");
            }
        }
        if !unit.is_empty() {
            self.units.push(unit.trim_end().to_owned());
        }
        Ok(value)
    }
}

/// `(x, y)`, which names what follows it.
fn is_tuple_of_names(value: &Value) -> bool {
    let Value::Bracketed { items, .. } = value else { return false };
    items.iter().all(|item| matches!(item, Value::Scalar(expr) if is_name(expr)))
}
