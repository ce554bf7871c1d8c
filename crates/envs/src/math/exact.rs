//! Exact rational values, within a budget of work.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero, pow::Pow};

use super::ast::{Expr, Function};
use super::parse_scalar::decimal;
use crate::limits::{MAX_BITS, MAX_WORK};

/// The work of [`MAX_WORK`] is used up, or a number has more than [`MAX_BITS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Work left to one comparison.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u64,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { left: MAX_WORK }
    }

    /// Pays for one operation whose result has at most `bits`. Reducing a fraction is quadratic in them, bit by bit.
    fn spend(&mut self, bits: u64) -> Result<(), TooLarge> {
        if bits > MAX_BITS {
            return Err(TooLarge);
        }
        self.left = self.left.checked_sub(1 + bits * bits / 64).ok_or(TooLarge)?;
        Ok(())
    }
}

/// The value of `expr` where it is rational by arithmetic alone; `None` for anything else, and for a division by zero.
///
/// # Errors
/// [`TooLarge`] where the value would take more than the budget.
pub(crate) fn exact(expr: &Expr, budget: &mut Budget) -> Result<Option<BigRational>, TooLarge> {
    Ok(match expr {
        Expr::Number(value) => Some(value.clone()),
        Expr::Based { digits, base } => based_value(digits, *base),
        Expr::Symbol(_) | Expr::Constant(_) | Expr::Apply(..) | Expr::PlusMinus(..) => None,
        Expr::Negate(a) => exact(a, budget)?.map(|value| -value),
        Expr::Degrees(a) => exact(a, budget)?,
        Expr::Percent(a) => exact(a, budget)?.map(|value| value / BigInt::from(100)),
        Expr::Sum(parts) => fold(parts, BigRational::zero(), |a, b| a + b, budget)?,
        Expr::Product(parts) => fold(parts, BigRational::one(), |a, b| a * b, budget)?,
        Expr::Quotient(a, b) => match (exact(a, budget)?, exact(b, budget)?) {
            (Some(a), Some(b)) if !b.is_zero() => {
                budget.spend(bits(&a) + bits(&b))?;
                Some(a / b)
            }
            _ => None,
        },
        Expr::Power(a, b) => match (exact(a, budget)?, exact(b, budget)?) {
            (Some(a), Some(b)) => power(&a, &b, budget)?,
            _ => None,
        },
        Expr::Root(degree, a) => match (exact(degree, budget)?, exact(a, budget)?) {
            (Some(degree), Some(a)) if degree.is_integer() => match degree.numer().to_u32() {
                Some(n) => root(&a, n, budget)?,
                None => None,
            },
            _ => None,
        },
        Expr::Factorial(a) => match exact(a, budget)? {
            Some(a) => factorial(&a, budget)?,
            None => None,
        },
        Expr::Binomial(a, b) => match (exact(a, budget)?, exact(b, budget)?) {
            (Some(a), Some(b)) => binomial(&a, &b, budget)?,
            _ => None,
        },
        Expr::Call(function, a) => match (function, exact(a, budget)?) {
            (Function::Abs, Some(a)) => Some(a.abs()),
            (Function::Floor, Some(a)) => Some(a.floor()),
            (Function::Ceil, Some(a)) => Some(a.ceil()),
            _ => None,
        },
        Expr::Log(base, a) => match (exact(base, budget)?, exact(a, budget)?) {
            (Some(base), Some(a)) => logarithm(&base, &a, budget)?,
            _ => None,
        },
    })
}

fn fold(
    parts: &[Expr],
    start: BigRational,
    join: fn(BigRational, BigRational) -> BigRational,
    budget: &mut Budget,
) -> Result<Option<BigRational>, TooLarge> {
    let mut total = Some(start);
    for part in parts {
        total = match (total, exact(part, budget)?) {
            (Some(total), Some(value)) => {
                budget.spend(bits(&total) + bits(&value))?;
                Some(join(total, value))
            }
            _ => None,
        };
    }
    Ok(total)
}

/// Bits of the longer part.
fn bits(value: &BigRational) -> u64 {
    value.numer().bits().max(value.denom().bits())
}

/// `a^b` where it is rational: integer exponents, and fractional ones of perfect powers of positive numbers.
fn power(a: &BigRational, b: &BigRational, budget: &mut Budget) -> Result<Option<BigRational>, TooLarge> {
    let Some(over) = b.numer().to_i64() else {
        return if is_unit(a) || a.is_zero() { Ok(None) } else { Err(TooLarge) };
    };
    let base = match b.denom().to_u32() {
        Some(1) => Some(a.clone()),
        // An even root of a square is a matter of sign, an odd root of a negative number of convention.
        Some(degree) if a.is_positive() => root(a, degree, budget)?,
        _ => None,
    };
    let Some(base) = base else { return Ok(None) };
    if over == 0 {
        return Ok(Some(BigRational::one()));
    }
    if base.is_zero() {
        return Ok((over > 0).then(BigRational::zero));
    }
    if is_unit(&base) {
        return Ok(Some(if over % 2 == 0 { BigRational::one() } else { base }));
    }
    budget.spend(bits(&base).saturating_mul(over.unsigned_abs()))?;
    let exponent = i32::try_from(over).map_err(|_| TooLarge)?;
    Ok(Some(Pow::pow(&base, exponent)))
}

fn is_unit(value: &BigRational) -> bool {
    value.is_integer() && value.numer().magnitude().is_one()
}

/// The rational `degree`-th root, real and of the sign of `a`, where there is one.
fn root(a: &BigRational, degree: u32, budget: &mut Budget) -> Result<Option<BigRational>, TooLarge> {
    // A root of degree above the bits is 1 or no integer; the bound also keeps the search short.
    if degree == 0
        || (a.is_negative() && degree.is_multiple_of(2))
        || u64::from(degree) > MAX_BITS
        || bits(a) > 4_096
    {
        return Ok(None);
    }
    // Newton's method takes some dozen products and quotients of this length.
    budget.spend(4 * bits(a))?;
    let part = |value: &BigInt| {
        let found = value.nth_root(degree);
        (Pow::pow(&found, degree) == *value).then_some(found)
    };
    Ok(part(a.numer()).zip(part(a.denom())).map(|(over, under)| BigRational::new(over, under)))
}

fn factorial(a: &BigRational, budget: &mut Budget) -> Result<Option<BigRational>, TooLarge> {
    if !a.is_integer() || a.is_negative() {
        return Ok(None);
    }
    let n = a.numer().to_u64().filter(|&n| n <= MAX_BITS).ok_or(TooLarge)?;
    let mut product = BigInt::one();
    for factor in 2..=n {
        product *= factor;
        // A product with one word is linear in the bits.
        if product.bits() > MAX_BITS {
            return Err(TooLarge);
        }
        budget.left = budget.left.checked_sub(1 + product.bits() / 64).ok_or(TooLarge)?;
    }
    Ok(Some(BigRational::from_integer(product)))
}

fn binomial(n: &BigRational, k: &BigRational, budget: &mut Budget) -> Result<Option<BigRational>, TooLarge> {
    if !n.is_integer() || !k.is_integer() || n.is_negative() || k.is_negative() {
        return Ok(None);
    }
    if k > n {
        return Ok(Some(BigRational::zero()));
    }
    let n = n.numer().to_u64().filter(|&n| n <= MAX_BITS).ok_or(TooLarge)?;
    let k = k.numer().to_u64().ok_or(TooLarge)?;
    let mut value = BigInt::one();
    for step in 0..k.min(n - k) {
        value = value * (n - step) / (step + 1);
        budget.spend(value.bits().min(MAX_BITS + 1).div_ceil(64) * 8)?;
    }
    if value.bits() > MAX_BITS { Err(TooLarge) } else { Ok(Some(BigRational::from_integer(value))) }
}

/// `log_base a` where it is an integer of at most 64 in size.
fn logarithm(
    base: &BigRational,
    a: &BigRational,
    budget: &mut Budget,
) -> Result<Option<BigRational>, TooLarge> {
    if !base.is_positive() || is_unit(base) || !a.is_positive() {
        return Ok(None);
    }
    let mut power = BigRational::one();
    for exponent in 0..=64 {
        if power == *a {
            return Ok(Some(BigRational::from_integer(exponent.into())));
        }
        if power.recip() == *a {
            return Ok(Some(BigRational::from_integer((-exponent).into())));
        }
        if bits(&power) > bits(a) {
            return Ok(None);
        }
        budget.spend(bits(&power) + bits(base))?;
        power *= base;
    }
    Ok(None)
}

/// What digits mean in their base.
fn based_value(digits: &str, base: u32) -> Option<BigRational> {
    let (units, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if digits.len() > 200 {
        return None;
    }
    let digits: String = format!("{units}{fraction}").to_lowercase();
    let value = BigInt::parse_bytes(digits.as_bytes(), base)?;
    let scale = Pow::pow(BigInt::from(base), u32::try_from(fraction.len()).ok()?);
    Some(BigRational::new(value, scale))
}

/// What the digits of a based numeral mean to someone who leaves the base out.
pub(crate) fn digits_as_decimal(digits: &str) -> Option<BigRational> {
    digits.bytes().all(|b| b.is_ascii_digit() || b == b'.').then(|| decimal(digits)).flatten()
}
