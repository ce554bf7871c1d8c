//! Whether two answers say the same.

use super::ast::{Bracket, Comparison, Constant, Expr, Value};
use super::exact::TooLarge;
use super::relation::{same_relation, value_of_relation};
use super::scalar_equality::{Scalars, Work, same_answer};

/// Compares two answers.
///
/// Lists and sets have no order; tuples, points and intervals do. A tuple may have lost its brackets if its order was
/// kept. A name in front (`x = 5`, `x \in [0, 1]`) says nothing.
///
/// # Errors
/// [`TooLarge`] when the work is used up.
pub(crate) fn same_value(gold: &Value, given: &Value, work: &mut Work) -> Result<bool, TooLarge> {
    if let Some(expanded) = expand_signs(gold) {
        return same_value(&expanded, given, work);
    }
    if let Some(expanded) = expand_signs(given) {
        return same_value(gold, &expanded, work);
    }
    match (gold, given) {
        (Value::Scalar(a), Value::Scalar(b)) => Ok(same_answer(a, b, work)? == Scalars::Same),
        (Value::Words(a), Value::Words(b)) => Ok(a == b),
        (Value::List(a), Value::List(b)) => same_members(&flat(a), &flat(b), work),
        (Value::Set(a) | Value::List(a), Value::Set(b) | Value::List(b)) => {
            let (a, b) = (without_repeats(&flat(a), work)?, without_repeats(&flat(b), work)?);
            same_members(&a, &b, work)
        }
        (
            Value::Bracketed { open: o, close: c, items: a },
            Value::Bracketed { open: p, close: q, items: b },
        ) => {
            // Two members may be an interval, whose brackets matter; more are a tuple, whose brackets are a matter of taste.
            Ok((a.len() != 2 || (o, c) == (p, q)) && same_in_order(a, b, work)?)
        }
        (Value::Bracketed { items: a, .. }, Value::List(b))
        | (Value::List(b), Value::Bracketed { items: a, .. }) => same_in_order(a, b, work),
        (Value::Union(a), Value::Union(b)) => same_members(a, b, work),
        (Value::Matrix(a), Value::Matrix(b)) => same_matrices(a, b, work),
        (Value::Matrix(a), other @ (Value::Bracketed { .. } | Value::List(_)))
        | (other @ (Value::Bracketed { .. } | Value::List(_)), Value::Matrix(a)) => {
            same_vector(a, other, work)
        }
        (Value::Set(one), other) | (other, Value::Set(one)) if one.len() == 1 && !is_interval(other) => {
            same_value(&one[0], other, work)
        }
        (Value::Relation { members: a, comparisons: x }, Value::Relation { members: b, comparisons: y }) => {
            same_relation((a, x), (b, y), work)
        }
        (relation @ Value::Relation { .. }, other) | (other, relation @ Value::Relation { .. }) => {
            match value_of_relation(relation, work)? {
                Some(value) => same_value(&value, other, work),
                None => Ok(false),
            }
        }
        _ => Ok(false),
    }
}

fn is_interval(value: &Value) -> bool {
    matches!(value, Value::Bracketed { .. } | Value::Union(_))
}

/// Both values of an answer with `±`, all signs chosen together.
fn expand_signs(value: &Value) -> Option<Value> {
    let both = |make: &dyn Fn(bool) -> Value| Some(Value::List(vec![make(false), make(true)]));
    match value {
        Value::Scalar(expr) if expr.has_plus_minus() => {
            both(&|negative| Value::Scalar(expr.with_sign(negative)))
        }
        Value::Relation { members, comparisons } if members.iter().any(Expr::has_plus_minus) => {
            both(&|negative| Value::Relation {
                members: members.iter().map(|member| member.with_sign(negative)).collect(),
                comparisons: comparisons.clone(),
            })
        }
        Value::Bracketed { open, close, items } if items.iter().any(|item| expand_signs(item).is_some()) => {
            both(&|negative| {
                let items = items.iter().map(|item| with_sign(item, negative)).collect();
                Value::Bracketed { open: *open, close: *close, items }
            })
        }
        _ => None,
    }
}

fn with_sign(value: &Value, negative: bool) -> Value {
    match value {
        Value::Scalar(expr) => Value::Scalar(expr.with_sign(negative)),
        other => other.clone(),
    }
}

/// Members with every `±` written out.
fn flat(items: &[Value]) -> Vec<Value> {
    let mut members = Vec::with_capacity(items.len());
    for item in items {
        match expand_signs(item) {
            Some(Value::List(both)) => members.extend(both),
            _ => members.push(item.clone()),
        }
    }
    members
}

fn without_repeats(items: &[Value], work: &mut Work) -> Result<Vec<Value>, TooLarge> {
    let mut kept: Vec<Value> = Vec::with_capacity(items.len());
    'items: for item in items {
        for earlier in &kept {
            if same_value(earlier, item, work)? {
                continue 'items;
            }
        }
        kept.push(item.clone());
    }
    Ok(kept)
}

/// Whether both hold the same members, each as often.
fn same_members(a: &[Value], b: &[Value], work: &mut Work) -> Result<bool, TooLarge> {
    if a.len() != b.len() {
        return Ok(false);
    }
    let mut left: Vec<&Value> = b.iter().collect();
    'members: for member in a {
        for (place, other) in left.iter().enumerate() {
            if same_value(member, other, work)? {
                left.swap_remove(place);
                continue 'members;
            }
        }
        return Ok(false);
    }
    Ok(true)
}

fn same_in_order(a: &[Value], b: &[Value], work: &mut Work) -> Result<bool, TooLarge> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (x, y) in a.iter().zip(b) {
        if !same_value(x, y, work)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_matrices(a: &[Vec<Expr>], b: &[Vec<Expr>], work: &mut Work) -> Result<bool, TooLarge> {
    if a.len() != b.len() || a[0].len() != b[0].len() {
        return Ok(false);
    }
    for (x, y) in a.iter().flatten().zip(b.iter().flatten()) {
        if same_answer(x, y, work)? != Scalars::Same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A matrix of one row or column may be written as a tuple.
fn same_vector(matrix: &[Vec<Expr>], other: &Value, work: &mut Work) -> Result<bool, TooLarge> {
    let (Value::Bracketed { items, .. } | Value::List(items)) = other else {
        return Ok(false);
    };
    if matrix.len() != 1 && matrix[0].len() != 1 {
        return Ok(false);
    }
    let entries: Vec<Value> = matrix.iter().flatten().cloned().map(Value::Scalar).collect();
    same_in_order(&entries, items, work)
}

/// The interval between two ends; `None` stands for no bound.
pub(super) fn interval(low: Option<(&Expr, bool)>, high: Option<(&Expr, bool)>) -> Value {
    let infinity = || Expr::Constant(Constant::Infinity);
    let kind = |closed| if closed { Bracket::Square } else { Bracket::Round };
    let (low, low_closed) =
        low.map_or((Expr::Negate(Box::new(infinity())), false), |(e, closed)| (e.clone(), closed));
    let (high, high_closed) = high.map_or((infinity(), false), |(e, closed)| (e.clone(), closed));
    let items = vec![Value::Scalar(low), Value::Scalar(high)];
    Value::Bracketed { open: kind(low_closed), close: kind(high_closed), items }
}

/// Whether a comparison includes its bound.
pub(super) fn is_closed(comparison: Comparison) -> bool {
    matches!(comparison, Comparison::LessOrEqual | Comparison::GreaterOrEqual)
}
