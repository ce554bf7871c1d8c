//! Scalar expressions: sums, products, powers, roots, functions.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::pow::Pow;

use super::ast::{Constant, Expr, Function};
use super::parse::Parser;
use super::token::{Fence, ParseError, Token};

/// Largest power of ten that a decimal may be written with.
const MAX_DECIMAL_EXPONENT: i64 = 1_000;

/// Most powers, factorials, percent and degree signs behind one atom, its end included.
const MAX_MARKS: usize = 8;

impl Parser {
    /// Terms with signs between them.
    pub(super) fn scalar(&mut self) -> Result<Expr, ParseError> {
        self.nested(|parser| {
            let mut terms = vec![parser.signed_term()?];
            while matches!(
                parser.peek(),
                Some(Token::Plus | Token::Minus | Token::PlusMinus | Token::MinusPlus)
            ) {
                terms.push(parser.signed_term()?);
            }
            Ok(if terms.len() == 1 { terms.remove(0) } else { Expr::Sum(terms) })
        })
    }

    /// A product behind any number of signs.
    fn signed_term(&mut self) -> Result<Expr, ParseError> {
        let mut negative = false;
        let mut either: Option<bool> = None;
        loop {
            match self.peek() {
                Some(Token::Plus) => {}
                Some(Token::Minus) => negative = !negative,
                Some(Token::PlusMinus) => either = Some(false),
                Some(Token::MinusPlus) => either = Some(true),
                _ => break,
            }
            self.at += 1;
        }
        let mut term = self.product(true)?;
        if let Some(flipped) = either {
            term = Expr::PlusMinus(flipped, Box::new(term));
        }
        Ok(if negative { Expr::Negate(Box::new(term)) } else { term })
    }

    /// Factors, written out or side by side. Division binds like multiplication, from the left: `1/2x` is `(1/2)x`.
    fn product(&mut self, explicit: bool) -> Result<Expr, ParseError> {
        let mut result = self.factor()?;
        loop {
            match self.peek() {
                Some(Token::Times) if explicit => {
                    self.at += 1;
                    let right = self.signed_factor()?;
                    result = times(result, right);
                }
                Some(Token::Divide) if explicit => {
                    self.at += 1;
                    let right = self.signed_factor()?;
                    result = Expr::Quotient(Box::new(result), Box::new(right));
                }
                Some(Token::Function(_) | Token::Log) if !explicit => return Ok(result),
                Some(token) if starts_factor(token) => {
                    let right = self.factor()?;
                    result = times(result, right);
                }
                _ => return Ok(result),
            }
            self.count_node()?;
        }
    }

    /// A factor that may have a sign, as in `2 \cdot -3`.
    fn signed_factor(&mut self) -> Result<Expr, ParseError> {
        let mut negative = false;
        while let Some(Token::Minus | Token::Plus) = self.peek() {
            negative ^= self.peek() == Some(&Token::Minus);
            self.at += 1;
        }
        let factor = self.factor()?;
        Ok(if negative { Expr::Negate(Box::new(factor)) } else { factor })
    }

    /// An atom with its powers and marks.
    fn factor(&mut self) -> Result<Expr, ParseError> {
        let mut base = self.atom()?;
        let mut marks = 0;
        loop {
            marks += 1;
            if marks > MAX_MARKS {
                return Err(ParseError::TooLarge(format!("more than {MAX_MARKS} marks on one factor")));
            }
            match self.peek() {
                Some(Token::Caret) => {
                    self.at += 1;
                    base = self.raised(base)?;
                }
                Some(Token::Bang) => {
                    self.at += 1;
                    base = Expr::Factorial(Box::new(base));
                }
                Some(Token::Percent) => {
                    self.at += 1;
                    base = Expr::Percent(Box::new(base));
                }
                Some(Token::Degree) => {
                    self.at += 1;
                    base = Expr::Degrees(Box::new(base));
                }
                _ => return Ok(base),
            }
            self.count_node()?;
        }
    }

    /// What stands behind `^`, as a power of `base` or as its degree sign.
    fn raised(&mut self, base: Expr) -> Result<Expr, ParseError> {
        let degree = [Token::Open(Fence::Group), Token::Degree, Token::Close(Fence::Group)];
        if self.take(&Token::Degree) {
            return Ok(Expr::Degrees(Box::new(base)));
        }
        if self.tokens[self.at..].starts_with(&degree) {
            self.at += degree.len();
            return Ok(Expr::Degrees(Box::new(base)));
        }
        let exponent = self.exponent()?;
        Ok(Expr::Power(Box::new(base), Box::new(exponent)))
    }

    fn exponent(&mut self) -> Result<Expr, ParseError> {
        let negative = self.take(&Token::Minus);
        let power = self.argument()?;
        Ok(if negative { Expr::Negate(Box::new(power)) } else { power })
    }

    /// `{...}`, or the one thing that follows. Plain `x^10` has the exponent ten, though LaTeX would raise only the 1.
    pub(super) fn argument(&mut self) -> Result<Expr, ParseError> {
        if self.take(&Token::Open(Fence::Group)) {
            let inner = self.scalar()?;
            self.expect(&Token::Close(Fence::Group))?;
            return Ok(inner);
        }
        self.nested(Self::atom)
    }

    /// As [`Self::argument`], but of adjacent digits only the first: `\frac12`.
    fn digit_argument(&mut self) -> Result<Expr, ParseError> {
        if let Some(Token::Number(digits)) = self.tokens.get_mut(self.at)
            && digits.len() > 1
            && digits.starts_with(|c: char| c.is_ascii_digit())
        {
            let first = digits.remove(0).to_string();
            return number(&first);
        }
        self.argument()
    }

    fn atom(&mut self) -> Result<Expr, ParseError> {
        self.count_node()?;
        let Some(token) = self.peek().cloned() else {
            return Err(ParseError::Malformed("it ends where an expression is expected".to_owned()));
        };
        self.at += 1;
        match token {
            Token::Number(digits) => self.number_or_mixed(&digits),
            Token::Mixed(units, over, under) => {
                let fraction = Expr::Quotient(Box::new(number(&over)?), Box::new(number(&under)?));
                Ok(Expr::Sum(vec![number(&units)?, fraction]))
            }
            Token::Based(digits, base) => Ok(Expr::Based { digits, base }),
            Token::Symbol(name) => self.symbol(name),
            Token::Infinity => Ok(Expr::Constant(Constant::Infinity)),
            Token::Fraction => {
                let over = self.digit_argument()?;
                let under = self.digit_argument()?;
                Ok(Expr::Quotient(Box::new(over), Box::new(under)))
            }
            Token::Binomial => {
                let over = self.digit_argument()?;
                let under = self.digit_argument()?;
                Ok(Expr::Binomial(Box::new(over), Box::new(under)))
            }
            Token::Root => self.root(),
            Token::Function(function) => self.nested(|parser| parser.call(function)),
            Token::Log => self.nested(Self::logarithm),
            Token::Open(fence) => {
                let inner = self.scalar()?;
                self.expect(&Token::Close(fence))?;
                Ok(match fence {
                    Fence::Floor => Expr::Call(Function::Floor, Box::new(inner)),
                    Fence::Ceil => Expr::Call(Function::Ceil, Box::new(inner)),
                    _ => inner,
                })
            }
            Token::Bar => {
                let inner = self.scalar()?;
                self.expect(&Token::Bar)?;
                Ok(Expr::Call(Function::Abs, Box::new(inner)))
            }
            other => {
                Err(ParseError::Malformed(format!("unexpected {other:?} where an expression is expected")))
            }
        }
    }

    /// A number, or a mixed number such as `2\frac{1}{2}`: an integer right before a fraction of two integers.
    fn number_or_mixed(&mut self, digits: &str) -> Result<Expr, ParseError> {
        let units = number(digits)?;
        if self.peek() != Some(&Token::Fraction) || !is_whole(digits) || self.at >= 2 && self.follows_factor()
        {
            return Ok(units);
        }
        let Some((over, under, end)) = self.integer_fraction() else {
            return Ok(units);
        };
        let (over, under) = (number(&over)?, number(&under)?);
        if let (Expr::Number(a), Expr::Number(b)) = (&over, &under)
            && a < b
        {
            self.at = end;
            return Ok(Expr::Sum(vec![units, Expr::Quotient(Box::new(over), Box::new(under))]));
        }
        Ok(units)
    }

    /// Numerator, denominator and the place behind a fraction of two numerals that starts here.
    fn integer_fraction(&self) -> Option<(String, String, usize)> {
        let integer = |digits: &String| is_whole(digits);
        let rest = self.tokens.get(self.at + 1..)?;
        let group = |tokens: &[Token]| match tokens {
            [Token::Open(Fence::Group), Token::Number(digits), Token::Close(Fence::Group), ..]
                if integer(digits) =>
            {
                Some(digits.clone())
            }
            _ => None,
        };
        if let Some(over) = group(rest) {
            return match group(&rest[3..]) {
                Some(under) => Some((over, under, self.at + 7)),
                None => match rest.get(3) {
                    Some(Token::Number(digits)) if digits.len() == 1 && integer(digits) => {
                        Some((over, digits.clone(), self.at + 5))
                    }
                    _ => None,
                },
            };
        }
        match rest {
            [Token::Number(digits), after @ ..] if integer(digits) && digits.len() == 1 => {
                let under = group(after)?;
                Some((digits.clone(), under, self.at + 5))
            }
            [Token::Number(digits), ..] if integer(digits) && digits.len() == 2 => {
                Some((digits[..1].to_owned(), digits[1..].to_owned(), self.at + 2))
            }
            _ => None,
        }
    }

    /// Whether the number just taken stands behind `^`, `_` or a division, where it is no mixed number.
    fn follows_factor(&self) -> bool {
        matches!(
            self.tokens[self.at - 2],
            Token::Caret | Token::Underscore | Token::Divide | Token::Fraction | Token::Root
        )
    }

    fn symbol(&mut self, name: String) -> Result<Expr, ParseError> {
        match name.as_str() {
            "\\pi" => return Ok(Expr::Constant(Constant::Pi)),
            "e" => return Ok(Expr::Constant(Constant::E)),
            "i" => return Ok(Expr::Constant(Constant::I)),
            _ => {}
        }
        if self.peek() == Some(&Token::Open(Fence::Round)) && self.is_application(&name) {
            self.at += 1;
            let mut arguments = vec![self.scalar()?];
            while self.take(&Token::Comma) {
                arguments.push(self.scalar()?);
            }
            self.expect(&Token::Close(Fence::Round))?;
            return Ok(Expr::Apply(name, arguments));
        }
        Ok(Expr::Symbol(name))
    }

    /// Whether `name(` calls a function: by the usual letters, by a numeral as the only argument, or as in `A(x, y)`.
    fn is_application(&self, name: &str) -> bool {
        let usual = ["f", "g", "h", "u", "F", "G", "H", "P", "Q"].contains(&name.trim_end_matches('\''));
        let numeral = matches!(self.tokens.get(self.at + 1), Some(Token::Number(_)))
            && self.tokens.get(self.at + 2) == Some(&Token::Close(Fence::Round));
        usual || numeral || name.ends_with('\'')
    }

    fn root(&mut self) -> Result<Expr, ParseError> {
        let degree = if self.peek() == Some(&Token::Open(Fence::Square)) {
            self.at += 1;
            let degree = self.scalar()?;
            self.expect(&Token::Close(Fence::Square))?;
            degree
        } else {
            Expr::integer(2)
        };
        let inner = self.argument()?;
        Ok(Expr::Root(Box::new(degree), Box::new(inner)))
    }

    /// A function with its power (`\sin^2 x`) and argument (`\sin 3x`, but only `(x)` of `\sin(x) y`).
    fn call(&mut self, function: Function) -> Result<Expr, ParseError> {
        let mut function = function;
        let mut power = None;
        if self.take(&Token::Caret) {
            let exponent = self.exponent()?;
            match function.inverse() {
                Some(inverse) if exponent == Expr::Negate(Box::new(Expr::integer(1))) => function = inverse,
                _ => power = Some(exponent),
            }
        }
        let mut argument = self.function_argument()?;
        if function.is_trigonometric() && argument.any(&|part| matches!(part, Expr::Degrees(_))) {
            let radians =
                Expr::Quotient(Box::new(Expr::Constant(Constant::Pi)), Box::new(Expr::integer(180)));
            argument = times(argument, radians);
        }
        let called = Expr::Call(function, Box::new(argument));
        Ok(match power {
            Some(power) => Expr::Power(Box::new(called), Box::new(power)),
            None => called,
        })
    }

    fn function_argument(&mut self) -> Result<Expr, ParseError> {
        if let Some(Token::Open(Fence::Round | Fence::Group | Fence::Square) | Token::Bar) = self.peek() {
            return self.atom();
        }
        if self.take(&Token::Minus) {
            return Ok(Expr::Negate(Box::new(self.product(false)?)));
        }
        self.product(false)
    }

    /// `\log x` is the natural logarithm, as in most computer algebra; `\log_b x` names its base.
    fn logarithm(&mut self) -> Result<Expr, ParseError> {
        let base = if self.take(&Token::Underscore) { Some(self.argument()?) } else { None };
        let Some(base) = base else {
            return self.call(Function::Ln);
        };
        let power = if self.take(&Token::Caret) { Some(self.exponent()?) } else { None };
        let argument = self.function_argument()?;
        let called = Expr::Log(Box::new(base), Box::new(argument));
        Ok(match power {
            Some(power) => Expr::Power(Box::new(called), Box::new(power)),
            None => called,
        })
    }
}

fn starts_factor(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(_)
            | Token::Mixed(..)
            | Token::Based(..)
            | Token::Symbol(_)
            | Token::Function(_)
            | Token::Log
            | Token::Fraction
            | Token::Root
            | Token::Binomial
            | Token::Infinity
            | Token::Open(_)
    )
}

fn times(left: Expr, right: Expr) -> Expr {
    match left {
        Expr::Product(mut factors) => {
            factors.push(right);
            Expr::Product(factors)
        }
        left => Expr::Product(vec![left, right]),
    }
}

fn is_whole(digits: &str) -> bool {
    digits.bytes().all(|b| b.is_ascii_digit())
}

fn number(digits: &str) -> Result<Expr, ParseError> {
    decimal(digits).map(Expr::Number).ok_or_else(|| {
        ParseError::TooLarge(format!("`{digits}` has an exponent beyond {MAX_DECIMAL_EXPONENT}"))
    })
}

/// Exactly what `digits`, with at most one point and an exponent of ten, write.
pub(super) fn decimal(digits: &str) -> Option<BigRational> {
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (units, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()?;
    if exponent.abs() > MAX_DECIMAL_EXPONENT {
        return None;
    }
    let joined = format!("{units}{fraction}");
    let value: BigInt = joined.parse().ok()?;
    let power = BigInt::from(10).pow(u32::try_from(exponent.unsigned_abs()).ok()?);
    Some(if exponent < 0 { BigRational::new(value, power) } else { BigRational::from_integer(value * power) })
}
