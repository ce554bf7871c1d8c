//! LaTeX or plain text to tokens. Layout (spacing, sizes, dollar signs) is dropped here.

use std::sync::LazyLock;

use regex::Regex;

use super::ast::{Comparison, Function};
use super::token::{Commas, Fence, ParseError, Token};
use super::words::{is_symbol_command, is_unit_abbreviation, known_unit, unicode_as_latex};

/// Splits `text` into tokens.
///
/// # Errors
/// [`ParseError::Malformed`] for a character or command with no meaning here.
pub(crate) fn tokenize(text: &str, commas: Commas) -> Result<Vec<Token>, ParseError> {
    let text = unicode_as_latex(text);
    let mut lexer = Lexer { rest: &text, commas, depth: 0, tokens: Vec::new() };
    while !lexer.rest.is_empty() {
        lexer.step()?;
    }
    Ok(lexer.tokens)
}

/// A pattern that is known to be one.
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a literal of this file")
}

static BASED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^([0-9][0-9A-Z]*(?:\.[0-9A-Z]+)?)\s*_\s*(?:\{\s*(?:\\text\{\s*)?(\d{1,2})\s*\}?\s*\}|(\d{1,2}))",
    )
});
static GROUPED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?"));
static SPACED_GROUPS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[1-9]\d{0,2}(?:(?:,\s*\\!\s*|\{,\}|\\,)\d{3})+(?:\.\d+)?"));
static MIXED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\d+)\s+(\d+)\s*/\s*(\d+)"));
static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,5})?"));
static MANTISSA: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:\d+(?:\.\d+)?|\.\d+)"));
static SUBSCRIPT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*_\s*(?:\{\s*([^{}]{1,40}?)\s*\}|(\\[a-zA-Z]+|[0-9]+|[a-zA-Z]))"));
static PRIMES: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*(?:\^\s*\{\s*((?:\\prime\s*)+)\}|\^\s*(\\prime)|('+))"));

struct Lexer<'a> {
    rest: &'a str,
    commas: Commas,
    /// Open round, square and set brackets.
    depth: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn step(&mut self) -> Result<(), ParseError> {
        let first = self.rest.chars().next().expect("the loop stops at the end of the text");
        if first.is_whitespace() || first == '$' || first == '~' {
            self.skip(first.len_utf8());
            return Ok(());
        }
        if first == '\\' {
            return self.command();
        }
        if first.is_ascii_digit() || (first == '.' && NUMBER.is_match(self.rest)) {
            self.number();
            return Ok(());
        }
        if first.is_alphabetic() {
            self.letters();
            return Ok(());
        }
        self.punctuation(first)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn push(&mut self, token: Token) {
        match token {
            Token::Open(Fence::Round | Fence::Square | Fence::Set) => self.depth += 1,
            Token::Close(Fence::Round | Fence::Square | Fence::Set) => {
                self.depth = self.depth.saturating_sub(1)
            }
            _ => {}
        }
        self.tokens.push(token);
    }

    fn number(&mut self) {
        if let Some(found) = BASED.captures(self.rest) {
            let base = found.get(2).or(found.get(3)).and_then(|base| base.as_str().parse().ok()).unwrap_or(0);
            if (2..=36).contains(&base) {
                let (digits, end) = (found[1].to_owned(), found[0].len());
                self.skip(end);
                return self.push(Token::Based(digits, base));
            }
        }
        if let Some(found) = MIXED.captures(self.rest) {
            let token = Token::Mixed(found[1].to_owned(), found[2].to_owned(), found[3].to_owned());
            let end = found[0].len();
            self.skip(end);
            return self.push(token);
        }
        let plain_groups = self.commas == Commas::Thousands && self.depth == 0;
        let grouped =
            SPACED_GROUPS.find(self.rest).or(plain_groups.then(|| GROUPED.find(self.rest)).flatten());
        if let Some(found) = grouped
            && !self.rest[found.end()..].starts_with(|c: char| c.is_ascii_digit())
        {
            let digits = found.as_str().chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
            let end = found.end();
            self.skip(end);
            return self.push(Token::Number(digits));
        }
        let mut end = NUMBER.find(self.rest).map_or(1, |found| found.end());
        if self.rest[end..].starts_with(|c: char| c.is_alphabetic()) {
            // `2ex`: the letter is a variable, not the mark of an exponent.
            end = MANTISSA.find(self.rest).map_or(1, |found| found.end());
        }
        let digits = self.rest[..end].to_owned();
        self.skip(end);
        self.push(Token::Number(digits));
    }

    /// A run of letters: a function, a word, or a product of one-letter variables.
    fn letters(&mut self) {
        let end = self.rest.find(|c: char| !c.is_alphabetic()).unwrap_or(self.rest.len());
        let run = &self.rest[..end];
        let after_number = matches!(self.tokens.last(), Some(Token::Number(_) | Token::Close(_)));
        if let Some(token) = plain_word(run) {
            self.skip(end);
            return self.push(token);
        }
        // `SRMC` is a product, or a name made of letters; either way its letters are compared.
        let initials = run.len() <= 5 && run.bytes().all(|b| b.is_ascii_uppercase());
        if run.chars().count() >= 4 && !initials || (after_number && is_unit_abbreviation(run)) {
            let token = Token::Words(run.to_owned());
            self.skip(end);
            return self.push(token);
        }
        let letter = run.chars().next().map_or(1, char::len_utf8);
        let name = self.rest[..letter].to_owned();
        self.skip(letter);
        self.symbol(name);
    }

    /// A variable with the subscript and the primes that follow it.
    fn symbol(&mut self, mut name: String) {
        if let Some(found) = SUBSCRIPT.captures(self.rest) {
            let inner = found.get(1).or(found.get(2)).map_or("", |inner| inner.as_str());
            name.push('_');
            name.extend(inner.chars().filter(|c| !c.is_whitespace()));
            let end = found[0].len();
            self.skip(end);
        }
        if let Some(found) = PRIMES.captures(self.rest) {
            let count = found[0].matches("prime").count() + found[0].matches('\'').count();
            name.push_str(&"'".repeat(count));
            let end = found[0].len();
            self.skip(end);
        }
        self.push(Token::Symbol(name));
    }

    fn punctuation(&mut self, first: char) -> Result<(), ParseError> {
        const LONG: [(&str, Comparison); 4] = [
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("!=", Comparison::NotEqual),
            ("==", Comparison::Equal),
        ];
        if let Some((sign, comparison)) = LONG.iter().find(|(sign, _)| self.rest.starts_with(sign)) {
            self.skip(sign.len());
            self.push(Token::Relation(*comparison));
            return Ok(());
        }
        if self.rest.starts_with("**") {
            self.skip(2);
            self.push(Token::Caret);
            return Ok(());
        }
        let token = match first {
            '+' => Token::Plus,
            '-' => Token::Minus,
            '*' => Token::Times,
            '/' => Token::Divide,
            // A ratio of two numbers, and nothing else: a colon has other meanings in sets and times of day.
            ':' if self.is_ratio() => Token::Divide,
            '^' => Token::Caret,
            '_' => Token::Underscore,
            '!' => Token::Bang,
            '%' => Token::Percent,
            '(' => Token::Open(Fence::Round),
            ')' => Token::Close(Fence::Round),
            '[' => Token::Open(Fence::Square),
            ']' => Token::Close(Fence::Square),
            '{' => Token::Open(Fence::Group),
            '}' => Token::Close(Fence::Group),
            '|' => Token::Bar,
            ',' | ';' => Token::Comma,
            '=' => Token::Relation(Comparison::Equal),
            '<' => Token::Relation(Comparison::Less),
            '>' => Token::Relation(Comparison::Greater),
            '&' => Token::Ampersand,
            other => return Err(ParseError::Malformed(format!("`{other}` has no meaning in an expression"))),
        };
        self.skip(first.len_utf8());
        self.push(token);
        Ok(())
    }

    fn is_ratio(&self) -> bool {
        let before = matches!(self.tokens.last(), Some(Token::Number(_)));
        before && self.rest[1..].trim_start().starts_with(|c: char| c.is_ascii_digit())
    }

    fn command(&mut self) -> Result<(), ParseError> {
        let body = &self.rest[1..];
        let name_end = body.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(body.len());
        if name_end == 0 {
            return self.short_command();
        }
        let name = &body[..name_end];
        self.rest = &body[name_end..];
        match name {
            "left" | "right" => {
                // `\left.` is an invisible fence.
                self.rest = self.rest.trim_start().strip_prefix('.').unwrap_or(self.rest);
                Ok(())
            }
            "quad" | "qquad" | "displaystyle" | "textstyle" | "limits" | "big" | "Big" | "bigg" | "Bigg"
            | "bigl" | "bigr" | "Bigl" | "Bigr" | "rm" | "bf" | "it" | "thinspace" => Ok(()),
            "text" | "mbox" | "textbf" | "textit" | "textrm" | "textnormal" | "mathrm" | "operatorname"
            | "mathbf" | "mathit" | "mathsf" | "boldsymbol" | "mathbb" | "mathcal" | "bm" => {
                self.text_command(name)
            }
            "overline" | "bar" | "vec" | "hat" | "dot" | "ddot" | "tilde" | "widehat" => self.accent(name),
            "begin" => {
                let environment = self.group()?.to_owned();
                if environment == "array" {
                    self.group()?;
                }
                self.push(Token::Begin(environment));
                Ok(())
            }
            "end" => {
                self.group()?;
                self.push(Token::End);
                Ok(())
            }
            _ => self.named(name),
        }
    }

    fn named(&mut self, name: &str) -> Result<(), ParseError> {
        let token = match name {
            "frac" | "dfrac" | "tfrac" | "cfrac" => Token::Fraction,
            "sqrt" => Token::Root,
            "binom" | "dbinom" | "tbinom" => Token::Binomial,
            "log" => Token::Log,
            "lg" => {
                self.push(Token::Log);
                self.push(Token::Underscore);
                Token::Number("10".to_owned())
            }
            "cdot" | "times" | "ast" => Token::Times,
            "div" => Token::Divide,
            "pm" => Token::PlusMinus,
            "mp" => Token::MinusPlus,
            "infty" => Token::Infinity,
            "emptyset" | "varnothing" => Token::EmptySet,
            "cup" | "bigcup" => Token::Union,
            "in" => Token::In,
            "circ" | "degree" => Token::Degree,
            "percent" => Token::Percent,
            "le" | "leq" | "leqslant" => Token::Relation(Comparison::LessOrEqual),
            "ge" | "geq" | "geqslant" => Token::Relation(Comparison::GreaterOrEqual),
            "lt" => Token::Relation(Comparison::Less),
            "gt" => Token::Relation(Comparison::Greater),
            "ne" | "neq" => Token::Relation(Comparison::NotEqual),
            "approx" | "simeq" | "sim" => Token::Relation(Comparison::Approximately),
            "equiv" => Token::Relation(Comparison::Equal),
            "lfloor" => Token::Open(Fence::Floor),
            "rfloor" => Token::Close(Fence::Floor),
            "lceil" => Token::Open(Fence::Ceil),
            "rceil" => Token::Close(Fence::Ceil),
            "lbrace" => Token::Open(Fence::Set),
            "rbrace" => Token::Close(Fence::Set),
            "langle" => Token::Open(Fence::Round),
            "rangle" => Token::Close(Fence::Round),
            "lbrack" => Token::Open(Fence::Square),
            "rbrack" => Token::Close(Fence::Square),
            "lvert" | "rvert" | "vert" | "mid" => Token::Bar,
            "land" | "lor" | "wedge" | "vee" => Token::Comma,
            "cr" | "newline" => Token::NewRow,
            "prime" => return Err(ParseError::Malformed("a prime without a variable".to_owned())),
            _ => {
                if let Some(function) = Function::named(name) {
                    Token::Function(function)
                } else if is_symbol_command(name) {
                    self.symbol(format!("\\{}", name.strip_prefix("var").unwrap_or(name)));
                    return Ok(());
                } else {
                    return Err(ParseError::Malformed(format!("the command `\\{name}` is not known")));
                }
            }
        };
        self.push(token);
        Ok(())
    }

    /// `\,` and other commands whose name is no letter.
    fn short_command(&mut self) -> Result<(), ParseError> {
        let Some(sign) = self.rest[1..].chars().next() else {
            return Err(ParseError::Malformed("a lone backslash at the end".to_owned()));
        };
        self.skip(1 + sign.len_utf8());
        match sign {
            '{' => self.push(Token::Open(Fence::Set)),
            '}' => self.push(Token::Close(Fence::Set)),
            '\\' => self.push(Token::NewRow),
            '%' => self.push(Token::Percent),
            '|' => self.push(Token::Bar),
            // Spacing, and the dollar of an amount of money.
            '!' | ',' | ';' | ':' | '>' | '$' | '(' | ')' | '[' | ']' => {}
            space if space.is_whitespace() => {}
            other => return Err(ParseError::Malformed(format!("the command `\\{other}` is not known"))),
        }
        Ok(())
    }

    /// Content of the `{...}` that follows.
    fn group(&mut self) -> Result<&str, ParseError> {
        let rest = self.rest.trim_start();
        let end = rest.strip_prefix('{').and_then(|inner| inner.find('}'));
        let Some(end) = end else {
            return Err(ParseError::Malformed("a command without its braces".to_owned()));
        };
        self.rest = &rest[end + 2..];
        Ok(&rest[1..=end])
    }

    fn text_command(&mut self, name: &str) -> Result<(), ParseError> {
        let rest = self.rest.trim_start();
        if !rest.starts_with('{') {
            // `\mathbf x`: the letter follows by itself.
            return Ok(());
        }
        let Some(end) = closing_brace(rest) else {
            return Err(ParseError::Malformed(format!("`\\{name}` has no closing brace")));
        };
        let content = rest[1..end].trim().to_owned();
        self.rest = &rest[end + 1..];
        if name == "mathbb" && content == "R" {
            self.push(Token::Reals);
            return Ok(());
        }
        if let Some(token) = plain_word(&content) {
            self.push(token);
            return Ok(());
        }
        let after_number = matches!(self.tokens.last(), Some(Token::Number(_) | Token::Close(_)));
        if after_number && known_unit(&content).is_some() {
            self.push(Token::Words(content));
            return Ok(());
        }
        let longest_run = content.split(|c: char| !c.is_alphabetic()).map(|run| run.chars().count()).max();
        let is_formula =
            content.contains('\\') || name.starts_with("math") && name != "mathrm" || name == "boldsymbol";
        if longest_run.unwrap_or(0) < 2 || is_formula {
            // Letters, digits and brackets mean what they mean outside of text. The content is shorter, so this ends.
            match tokenize(&content, self.commas) {
                Ok(tokens) => {
                    for token in tokens {
                        match token {
                            Token::Symbol(letter) if content == letter => self.symbol(letter),
                            token => self.push(token),
                        }
                    }
                }
                Err(_) if name.starts_with("math") => {
                    return Err(ParseError::Malformed(format!("cannot read the content of `\\{name}`")));
                }
                // `\text{4:30 p.m.}`
                Err(_) => self.push(Token::Words(content)),
            }
        } else {
            self.push(Token::Words(content));
        }
        Ok(())
    }

    /// `\overline{AB}` and its like name one thing.
    fn accent(&mut self, name: &str) -> Result<(), ParseError> {
        let rest = self.rest.trim_start();
        let inner = if let Some(end) = rest.starts_with('{').then(|| closing_brace(rest)).flatten() {
            self.rest = &rest[end + 1..];
            rest[1..end].trim().to_owned()
        } else {
            let end = rest.chars().next().map_or(0, char::len_utf8);
            self.rest = &rest[end..];
            rest[..end].to_owned()
        };
        if inner.is_empty() || inner == "\\" {
            return Err(ParseError::Malformed(format!("`\\{name}` stands over nothing")));
        }
        self.symbol(format!("{name} {inner}"));
        Ok(())
    }
}

/// Place of the brace that closes the one at the start.
pub(crate) fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (place, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(place);
                }
            }
            _ => {}
        }
    }
    None
}

/// Words that mean something in a formula.
fn plain_word(run: &str) -> Option<Token> {
    Some(match run {
        "pi" => Token::Symbol("\\pi".to_owned()),
        "sqrt" => Token::Root,
        "log" => Token::Log,
        "or" | "and" | ", and" | ", or" => Token::Comma,
        "inf" | "infinity" | "Infinity" | "oo" => Token::Infinity,
        _ => Token::Function(Function::named(run)?),
    })
}
