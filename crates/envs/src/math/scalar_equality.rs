//! Whether two scalar expressions are the same.

use std::collections::BTreeSet;

use num_rational::BigRational;

use super::approx::{Approx, Closeness, closeness};
use super::ast::{Constant, Expr};
use super::evaluate::{N_POINTS, evaluate, names};
use super::exact::{Budget, TooLarge, digits_as_decimal, exact};
use crate::limits::MAX_EVALUATIONS;

/// What one comparison of answers may spend.
#[derive(Debug)]
pub(crate) struct Work {
    budget: Budget,
    evaluations: u32,
}

/// What a comparison of scalars found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalars {
    Same,
    Different,
    /// No point was found at which both can be evaluated.
    Undecided,
}

impl Work {
    pub(crate) fn new() -> Self {
        Self { budget: Budget::new(), evaluations: MAX_EVALUATIONS }
    }

    fn evaluate(&mut self, expr: &Expr, point: u64) -> Result<Option<Approx>, TooLarge> {
        self.evaluations = self.evaluations.checked_sub(1).ok_or(TooLarge)?;
        Ok(evaluate(expr, point))
    }
}

/// Compares two scalars as whole answers: a percentage may be written as its number or as its value.
///
/// # Errors
/// [`TooLarge`] when the work is used up.
pub(crate) fn same_answer(a: &Expr, b: &Expr, work: &mut Work) -> Result<Scalars, TooLarge> {
    match (a, b) {
        (Expr::Percent(a), Expr::Percent(b)) => same(a, b, work),
        (Expr::Percent(number), other) | (other, Expr::Percent(number)) => {
            // 50% is right where the other is 0.5 or 50: data sets drop the sign as often as they keep it.
            match same(number, other, work)? {
                Scalars::Same => Ok(Scalars::Same),
                _ => same(&Expr::Percent(number.clone()), other, work),
            }
        }
        _ => same(a, b, work),
    }
}

/// Compares two scalars: exactly where both are rational, else at fixed points, where values that agree to the
/// precision of doubles (11 digits or more, by a running bound on the error) are the same.
///
/// # Errors
/// [`TooLarge`] when the work is used up.
pub(crate) fn same(a: &Expr, b: &Expr, work: &mut Work) -> Result<Scalars, TooLarge> {
    if a == b {
        return Ok(Scalars::Same);
    }
    if let (Some(a), Some(b)) = (infinity(a), infinity(b)) {
        return Ok(decided(a == b));
    }
    if infinity(a).is_some() || infinity(b).is_some() {
        return Ok(Scalars::Different);
    }
    if let Some(result) = same_numerals(a, b, &mut work.budget)? {
        return Ok(decided(result));
    }
    if let (Some(a), Some(b)) = (exact(a, &mut work.budget)?, exact(b, &mut work.budget)?) {
        return Ok(decided(a == b));
    }
    at_points(a, b, work)
}

fn decided(same: bool) -> Scalars {
    if same { Scalars::Same } else { Scalars::Different }
}

/// The sign of an infinity.
pub(crate) fn infinity(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Constant(Constant::Infinity) => Some(true),
        Expr::Negate(inner) => infinity(inner).map(|positive| !positive),
        _ => None,
    }
}

/// Numerals with a base: the digits and the base are the answer, and a base may be left out. `52_8` is therefore `52`,
/// and not `42`, which answers another question.
fn same_numerals(a: &Expr, b: &Expr, budget: &mut Budget) -> Result<Option<bool>, TooLarge> {
    let (digits, other) = match (a, b) {
        (Expr::Based { digits: x, base: p }, Expr::Based { digits: y, base: q }) => {
            return Ok(Some(p == q && x.trim_start_matches('0') == y.trim_start_matches('0')));
        }
        (Expr::Based { digits, .. }, other) | (other, Expr::Based { digits, .. }) => (digits, other),
        _ => return Ok(None),
    };
    let written: Option<BigRational> = digits_as_decimal(digits);
    Ok(Some(written.is_some() && exact(other, budget)? == written))
}

fn at_points(a: &Expr, b: &Expr, work: &mut Work) -> Result<Scalars, TooLarge> {
    let symbolic = a.is_symbolic() || b.is_symbolic();
    let mut on_branch: Option<bool> = None;
    let mut off_branch: Option<bool> = None;
    for point in 0..if symbolic { N_POINTS } else { 1 } {
        let (Some(x), Some(y)) = (work.evaluate(a, point)?, work.evaluate(b, point)?) else {
            continue;
        };
        let same = match closeness(x, y) {
            Closeness::Undecided => continue,
            found => found == Closeness::Same,
        };
        let seen = if x.off_branch || y.off_branch { &mut off_branch } else { &mut on_branch };
        *seen = Some(seen.unwrap_or(true) && same);
    }
    // √(ab) and √a√b agree wherever both are real; where neither ever is, the principal branches decide.
    Ok(on_branch.or(off_branch).map_or(Scalars::Undecided, decided))
}

/// Sign of the constant `c` with `a = c b` at every point; 0 where there is none. Both must vary with the same names.
///
/// # Errors
/// [`TooLarge`] when the work is used up.
pub(crate) fn proportional(a: &Expr, b: &Expr, work: &mut Work) -> Result<i8, TooLarge> {
    let (mut in_a, mut in_b) = (BTreeSet::new(), BTreeSet::new());
    names(a, &mut in_a);
    names(b, &mut in_b);
    if in_a.is_empty() || in_a != in_b {
        return Ok(0);
    }
    let mut first: Option<(Approx, Approx)> = None;
    let mut agreed = 0;
    for point in 0..N_POINTS {
        let (Some(x), Some(y)) = (work.evaluate(a, point)?, work.evaluate(b, point)?) else {
            continue;
        };
        if x.may_be_zero() != y.may_be_zero() {
            return Ok(0);
        }
        let Some((x0, y0)) = first else {
            first = (!x.may_be_zero()).then_some((x, y));
            continue;
        };
        match closeness(x.mul(y0), x0.mul(y)) {
            Closeness::Different => return Ok(0),
            Closeness::Same => agreed += 1,
            Closeness::Undecided => {}
        }
    }
    let Some((x, y)) = first.filter(|_| agreed >= 3) else {
        return Ok(0);
    };
    let ratio = y.recip().map(|y| x.mul(y));
    Ok(ratio.map_or(0, |ratio| if ratio.is_real() && ratio.re < 0.0 { -1 } else { 1 }))
}
