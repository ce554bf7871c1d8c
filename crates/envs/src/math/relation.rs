//! Equations and inequalities.

use super::ast::{Comparison, Expr, Value};
use super::equivalence::{interval, is_closed};
use super::exact::TooLarge;
use super::scalar_equality::{Scalars, Work, proportional, same};

type Sides<'a> = (&'a [Expr], &'a [Comparison]);

/// Whether two chains of comparisons state the same.
///
/// Equations are the same when one is a multiple of the other, so sides may be exchanged and terms moved. Inequalities
/// are the same when this holds with the direction kept.
///
/// # Errors
/// [`TooLarge`] when the work is used up.
pub(crate) fn same_relation(gold: Sides<'_>, given: Sides<'_>, work: &mut Work) -> Result<bool, TooLarge> {
    let (gold, given) = (without_approximation(gold), without_approximation(given));
    if gold.1.is_empty() || given.1.is_empty() {
        return Ok(false);
    }
    if gold.1.len() == given.1.len() {
        let forward = same_chain(gold, given, work)?;
        if forward {
            return Ok(true);
        }
        let members: Vec<Expr> = given.0.iter().rev().cloned().collect();
        let comparisons: Vec<Comparison> = given.1.iter().rev().map(|c| c.mirrored()).collect();
        if same_chain(gold, (&members, &comparisons), work)? {
            return Ok(true);
        }
    }
    // `x = 1 + 4 = 5` against `x = 5`: the ends of a chain of equations.
    let shorter = gold.1.len() > 1 || given.1.len() > 1;
    if shorter && all_equations(gold.1) && all_equations(given.1) {
        let ends = |(members, _): Sides<'_>| [members[0].clone(), members[members.len() - 1].clone()];
        let equation = [Comparison::Equal];
        return same_chain((&ends(gold), &equation), (&ends(given), &equation), work);
    }
    Ok(false)
}

fn all_equations(comparisons: &[Comparison]) -> bool {
    comparisons.iter().all(|comparison| *comparison == Comparison::Equal)
}

/// The chain up to its first `≈`.
fn without_approximation<'a>((members, comparisons): Sides<'a>) -> Sides<'a> {
    let end = comparisons.iter().position(|c| *c == Comparison::Approximately).unwrap_or(comparisons.len());
    (&members[..=end], &comparisons[..end])
}

/// Compares link by link.
fn same_chain(gold: Sides<'_>, given: Sides<'_>, work: &mut Work) -> Result<bool, TooLarge> {
    if gold.1 == given.1 {
        let mut members_agree = true;
        for (a, b) in gold.0.iter().zip(given.0) {
            members_agree = members_agree && same(a, b, work)? == Scalars::Same;
        }
        if members_agree {
            return Ok(true);
        }
    }
    for link in 0..gold.1.len() {
        let difference = |members: &[Expr]| {
            Expr::Sum(vec![members[link].clone(), Expr::Negate(Box::new(members[link + 1].clone()))])
        };
        let sign = proportional(&difference(gold.0), &difference(given.0), work)?;
        let (wanted, found) = (gold.1[link], given.1[link]);
        let agrees = match sign {
            1 => wanted == found,
            -1 => wanted == found.mirrored(),
            _ => false,
        };
        if !agrees {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The value that a relation gives to a name: 5 of `x = 5` and of `5 = x`, and the last of `x = 2 + 3 = 5`; the interval
/// of `1 < x \le 2`. `None` for equations between expressions.
///
/// # Errors
/// [`TooLarge`] when the work is used up.
pub(crate) fn value_of_relation(relation: &Value, work: &mut Work) -> Result<Option<Value>, TooLarge> {
    let Value::Relation { members, comparisons } = relation else {
        return Ok(None);
    };
    let (members, comparisons) = without_approximation((members, comparisons));
    if comparisons.is_empty() {
        // `10\pi \approx 31.4`: the approximation is a remark.
        return Ok(Some(Value::Scalar(members[0].clone())));
    }
    if !all_equations(comparisons) {
        return Ok(as_interval(members, comparisons));
    }
    let (first, last) = (&members[0], &members[members.len() - 1]);
    if is_name(first) && !mentions(last, first) {
        return Ok(Some(Value::Scalar(last.clone())));
    }
    if members.len() == 2 && is_name(last) && !mentions(first, last) {
        return Ok(Some(Value::Scalar(first.clone())));
    }
    let holds = !first.is_symbolic() && same(first, last, work)? == Scalars::Same;
    Ok(holds.then(|| Value::Scalar(last.clone())))
}

/// A variable, or an unknown function of variables.
pub(super) fn is_name(expr: &Expr) -> bool {
    match expr {
        Expr::Symbol(_) => true,
        Expr::Apply(_, arguments) => arguments.iter().all(|argument| matches!(argument, Expr::Symbol(_))),
        // `A(x)` and `AB`: products of variables, at most a few.
        Expr::Product(factors) => {
            factors.len() <= 3 && factors.iter().all(|factor| matches!(factor, Expr::Symbol(_)))
        }
        _ => false,
    }
}

fn mentions(expr: &Expr, name: &Expr) -> bool {
    expr.any(&|part| part == name)
}

fn as_interval(members: &[Expr], comparisons: &[Comparison]) -> Option<Value> {
    let up = |c: Comparison| matches!(c, Comparison::Less | Comparison::LessOrEqual);
    let down = |c: Comparison| matches!(c, Comparison::Greater | Comparison::GreaterOrEqual);
    match (members, comparisons) {
        ([Expr::Symbol(_), bound], [c]) | ([bound, Expr::Symbol(_)], [c]) => {
            let name_first = matches!(members[0], Expr::Symbol(_));
            let below = if name_first { up(*c) } else { down(*c) };
            let bound = Some((bound, is_closed(*c)));
            (up(*c) || down(*c)).then(|| if below { interval(None, bound) } else { interval(bound, None) })
        }
        ([low, Expr::Symbol(_), high], [a, b]) if up(*a) && up(*b) => {
            Some(interval(Some((low, is_closed(*a))), Some((high, is_closed(*b)))))
        }
        ([high, Expr::Symbol(_), low], [a, b]) if down(*a) && down(*b) => {
            Some(interval(Some((low, is_closed(*b))), Some((high, is_closed(*a)))))
        }
        _ => None,
    }
}
