//! Values of expressions at fixed points.

use std::collections::BTreeSet;

use num_rational::BigRational;
use num_traits::ToPrimitive;

use super::approx::Approx;
use super::ast::{Constant, Expr, Function};

/// Points at which symbolic expressions are compared. The first have positive variables below 3, the next any signs, the
/// last go far out, where `|x + 3|` and a floor differ from what they are near zero.
pub(crate) const N_POINTS: u64 = 16;
const N_POSITIVE: u64 = 5;
const N_NEAR: u64 = 10;

/// Names of all variables and unknown functions.
pub(crate) fn names(expr: &Expr, into: &mut BTreeSet<String>) {
    if let Expr::Symbol(name) | Expr::Apply(name, _) = expr {
        into.insert(name.clone());
    }
    for part in expr.children() {
        names(part, into);
    }
}

/// A number in [0, 1) that depends on a name and a point only. FNV-1a, then the finalizer of SplitMix64.
fn noise(name: &str, point: u64, salt: u64) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes().chain(point.to_le_bytes()).chain(salt.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

fn variable(name: &str, point: u64) -> f64 {
    let reach = if point < N_NEAR { 1.0 } else { 4.0_f64.powf(1.0 + (point - N_NEAR) as f64) }; // up to 4096
    let size = reach * (0.3 + 2.2 * noise(name, point, 0));
    if point >= N_POSITIVE && noise(name, point, 1) < 0.5 { -size } else { size }
}

/// The value at one point; `None` where the expression is undefined there or leaves double precision.
pub(crate) fn evaluate(expr: &Expr, point: u64) -> Option<Approx> {
    let at = |part: &Expr| evaluate(part, point);
    match expr {
        Expr::Number(value) => rational(value),
        Expr::Based { .. } | Expr::PlusMinus(..) => None,
        Expr::Symbol(name) => Some(Approx::exactly(variable(name, point))),
        Expr::Constant(Constant::Pi) => Some(Approx::real(std::f64::consts::PI)),
        Expr::Constant(Constant::E) => Some(Approx::real(std::f64::consts::E)),
        Expr::Constant(Constant::I) => Some(Approx::imaginary_unit()),
        Expr::Constant(Constant::Infinity) => None,
        Expr::Negate(a) => at(a).map(Approx::neg),
        Expr::Degrees(a) => at(a),
        Expr::Percent(a) => Some(at(a)?.mul(Approx::real(0.01))),
        Expr::Sum(parts) => {
            parts.iter().try_fold(Approx::exactly(0.0), |sum, part| sum.add(at(part)?).finite())
        }
        Expr::Product(parts) => {
            parts.iter().try_fold(Approx::exactly(1.0), |product, part| product.mul(at(part)?).finite())
        }
        Expr::Quotient(a, b) => at(a)?.mul(at(b)?.recip()?).finite(),
        Expr::Power(a, b) => at(a)?.pow(at(b)?),
        Expr::Root(degree, a) => root(at(degree)?, at(a)?),
        Expr::Call(function, a) => call(*function, at(a)?),
        Expr::Log(base, a) => at(a)?.ln()?.mul(at(base)?.ln()?.recip()?).finite(),
        Expr::Factorial(a) => gamma_plus_one(at(a)?),
        Expr::Binomial(a, b) => {
            let (n, k) = (at(a)?, at(b)?);
            let under = gamma_plus_one(k)?.mul(gamma_plus_one(n.add(k.neg()))?);
            gamma_plus_one(n)?.mul(under.recip()?).finite()
        }
        Expr::Apply(name, arguments) => unknown_function(name, arguments, point),
    }
}

fn rational(value: &BigRational) -> Option<Approx> {
    let near = value.to_f64().filter(|near| near.is_finite())?;
    let exact = near.fract() == 0.0 && near.abs() < 9e15 && value.is_integer();
    Some(if exact { Approx::exactly(near) } else { Approx::real(near) })
}

/// The real root of odd degree of a negative number is negative, as school has it.
fn root(degree: Approx, a: Approx) -> Option<Approx> {
    if degree == Approx::exactly(2.0) {
        return a.sqrt();
    }
    let odd = degree.error == 0.0 && degree.im == 0.0 && degree.re.rem_euclid(2.0) == 1.0;
    if odd && a.is_real() && a.re < -a.error {
        return Some(a.neg().pow(degree.recip()?)?.neg());
    }
    a.pow(degree.recip()?)
}

fn call(function: Function, a: Approx) -> Option<Approx> {
    let half = Approx::exactly(0.5);
    match function {
        Function::Sin => a.sin(),
        Function::Cos => a.cos(),
        Function::Tan => a.sin()?.mul(a.cos()?.recip()?).finite(),
        Function::Cot => a.cos()?.mul(a.sin()?.recip()?).finite(),
        Function::Sec => a.cos()?.recip(),
        Function::Csc => a.sin()?.recip(),
        Function::Asin => inverse_wave(a, f64::asin),
        Function::Acos => inverse_wave(a, f64::acos),
        Function::Atan => a.is_real().then(|| a.real_function(a.re.atan(), 1.0 / (1.0 + a.re * a.re)))?,
        Function::Sinh => a.exp()?.add(a.neg().exp()?.neg()).mul(half).finite(),
        Function::Cosh => a.exp()?.add(a.neg().exp()?).mul(half).finite(),
        Function::Tanh => {
            let (up, down) = (a.exp()?, a.neg().exp()?);
            up.add(down.neg()).mul(up.add(down).recip()?).finite()
        }
        Function::Ln => a.ln(),
        Function::Exp => a.exp(),
        Function::Abs => a.real_function(a.size(), 1.0),
        Function::Floor => step(a, f64::floor),
        Function::Ceil => step(a, f64::ceil),
    }
}

/// Inverse sine or cosine inside the open interval where it is real and smooth.
fn inverse_wave(a: Approx, of: fn(f64) -> f64) -> Option<Approx> {
    let inside = 1.0 - a.re * a.re;
    if !a.is_real() || inside < 0.0 {
        return None;
    }
    // At the ends the slope is infinite, but the value is known when the argument is.
    if inside == 0.0 && a.error <= f64::EPSILON * 8.0 {
        return Some(Approx { re: of(a.re), im: 0.0, error: a.error.sqrt() * 2.0 + f64::EPSILON * 8.0, ..a });
    }
    a.real_function(of(a.re), 1.0 / inside.sqrt())
}

/// Floor or ceiling of a real number that is surely not across a step.
fn step(a: Approx, of: fn(f64) -> f64) -> Option<Approx> {
    let sure = a.is_real() && of(a.re - a.error) == of(a.re + a.error);
    sure.then(|| Approx { re: of(a.re), im: 0.0, error: 0.0, ..a })
}

/// `a!` through the gamma function (Lanczos, g = 7, nine terms: about 15 digits).
fn gamma_plus_one(a: Approx) -> Option<Approx> {
    if !a.is_real() || a.re.abs() > 160.0 {
        return None;
    }
    if a.re < -0.5 {
        // Reflection: Γ(1+x) Γ(-x) = -π / sin(πx)
        let angle = Approx::real(std::f64::consts::PI).mul(a);
        let other = gamma_plus_one(a.neg().add(Approx::exactly(-1.0)))?;
        return Some(Approx::real(-std::f64::consts::PI).mul(angle.sin()?.mul(other).recip()?));
    }
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = a.re;
    let series =
        TERMS.iter().zip(1..).fold(0.999_999_999_999_809_9, |sum, (term, k)| sum + term / (x + f64::from(k)));
    let t = x + 7.5;
    let value = (2.0 * std::f64::consts::PI).sqrt() * t.powf(x + 0.5) * (-t).exp() * series;
    // The slope is below value * (ln t + 1).
    let error = value.abs() * (a.error * (t.ln() + 1.0) + 2e-13);
    Approx { re: value, im: 0.0, error, off_branch: a.off_branch }.finite()
}

/// A smooth function that depends on the name alone, so equal arguments give equal values.
fn unknown_function(name: &str, arguments: &[Expr], point: u64) -> Option<Approx> {
    let mut sum = Approx::exactly(noise(name, 0, 2));
    for (argument, place) in arguments.iter().zip(3..) {
        let slope = Approx::exactly(0.7 + noise(name, place, 3));
        sum = sum.add(evaluate(argument, point)?.mul(slope));
    }
    Some(sum.sin()?.add(Approx::exactly(1.5)))
}
