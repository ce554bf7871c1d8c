//! Do all methods lie on one curve?

use crate::bootstrap::{BootstrapInterval, RunBootstrap, number_groups};
use crate::error::MetricsError;
use crate::fit::{QuadraticFit, r_squared};
use crate::scatter::{Scatter, weighted_mean};

/// How well the law of all other methods predicts a method it never saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutGroup {
    /// 1 − squared error / spread of the held-out points about their own mean. Far below 0 is possible: a method
    /// that covers a narrow range has little spread to explain. `None` when its y is constant.
    pub r2: Option<f64>,
    /// Mean of observed − predicted, in the unit of y: above 0, the method forgets more than the others' law says.
    pub mean_residual: f64,
    /// Root of the mean squared residual, in the unit of y.
    pub root_mean_square: f64,
}

/// Fits the quadratic on all other groups and scores each group out of sample, in ascending order of group.
///
/// The harder reading of the paper's "single relationship" (arXiv 2509.04259, Figure 3), which was fitted to all
/// methods at once. A group whose complement cannot be fitted carries the error of that fit.
///
/// # Panics
/// When `groups` does not have one entry per point.
pub fn leave_one_group_out<G: Ord + Clone>(
    points: &Scatter,
    groups: &[G],
) -> Vec<(G, Result<HeldOutGroup, MetricsError>)> {
    assert_eq!(groups.len(), points.x().len(), "{} groups for {} points", groups.len(), points.x().len());
    let (names, group_of_point) = number_groups(groups);
    let hold_out = |group| {
        let inside = membership(&group_of_point, group);
        let outside: Vec<f64> = inside.iter().map(|weight| 1.0 - weight).collect();
        let fit = QuadraticFit::new(points, &outside)?;
        Ok(score_group(points, &inside, &fit))
    };
    names.iter().enumerate().map(|(group, &name)| (name.clone(), hold_out(group))).collect()
}

/// Mean of observed − predicted per group under the one pooled quadratic, with an interval over runs, in ascending
/// order of group.
///
/// The test of "at equal KL, methods forget equally": an interval that excludes 0 says this method does not lie
/// on the common curve. Each resample refits the pooled curve, so its uncertainty is included. A group's interval
/// is `None` under the rule of [`RunBootstrap::interval`].
///
/// # Errors
/// As [`QuadraticFit::new`] on all points.
///
/// # Panics
/// When `groups` does not have one entry per point.
pub fn group_residuals<G: Ord + Clone>(
    points: &Scatter,
    groups: &[G],
    runs: &RunBootstrap,
) -> Result<Vec<(G, Option<BootstrapInterval>)>, MetricsError> {
    assert_eq!(groups.len(), points.x().len(), "{} groups for {} points", groups.len(), points.x().len());
    QuadraticFit::new(points, points.each_once())?;
    let (names, group_of_point) = number_groups(groups);
    let intervals = runs.intervals(|weights| match QuadraticFit::new(points, weights) {
        Ok(fit) => mean_residuals(points, weights, &group_of_point, names.len(), &fit),
        Err(_) => vec![None; names.len()],
    });
    Ok(names.into_iter().cloned().zip(intervals).collect())
}

fn mean_residuals(
    points: &Scatter,
    weights: &[f64],
    group_of_point: &[usize],
    n_groups: usize,
    fit: &QuadraticFit,
) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0.0); n_groups];
    for (idx, &group) in group_of_point.iter().enumerate() {
        let (residual, total) = &mut sums[group];
        *residual += weights[idx] * (points.y()[idx] - fit.predict(points.x()[idx]));
        *total += weights[idx];
    }
    sums.into_iter().map(|(residual, total)| (total > 0.0).then(|| residual / total)).collect()
}

fn score_group(points: &Scatter, inside: &[f64], fit: &QuadraticFit) -> HeldOutGroup {
    let residuals: Vec<f64> = points.x().iter().zip(points.y()).map(|(&x, y)| y - fit.predict(x)).collect();
    let squares: Vec<f64> = residuals.iter().map(|residual| residual * residual).collect();
    let has_spread = points.check_spread(inside, 1).is_ok();
    HeldOutGroup {
        r2: has_spread.then(|| r_squared(points, inside, |x| fit.predict(x))),
        mean_residual: weighted_mean(&residuals, inside),
        root_mean_square: weighted_mean(&squares, inside).sqrt(),
    }
}

fn membership(group_of_point: &[usize], group: usize) -> Vec<f64> {
    group_of_point.iter().map(|&other| f64::from(u8::from(other == group))).collect()
}

#[cfg(test)]
mod tests {
    use razor_core::Seed;

    use super::*;

    /// Three methods with 4 runs of 5 points on y = x²/10, the last method `shift` above it.
    fn three_methods(shift: f64) -> (Scatter, Vec<&'static str>, Vec<usize>) {
        let (mut x, mut y, mut methods, mut runs) = (vec![], vec![], vec![], vec![]);
        for (method_idx, method) in ["grpo", "oracle", "sft"].into_iter().enumerate() {
            for point in 0..20_usize {
                let at = 0.1 * point as f64 + 0.03 * method_idx as f64;
                let above = if method == "sft" { shift } else { 0.0 };
                // A fixed ripple stands for noise, so that resamples differ.
                let ripple = 0.001 * ((point * 7 + method_idx * 3) % 5) as f64;
                x.push(at);
                y.push(0.1 * at * at + above + ripple);
                methods.push(method);
                runs.push(method_idx * 4 + point % 4);
            }
        }
        (Scatter::new(&x, &y).unwrap(), methods, runs)
    }

    #[test]
    fn a_method_off_the_common_curve_is_found() {
        let (points, methods, runs) = three_methods(0.05);
        let runs = RunBootstrap::new(&runs, 400, Seed::new(5)).unwrap();
        let residuals = group_residuals(&points, &methods, &runs).unwrap();
        let (name, sft) = (residuals[2].0, residuals[2].1.unwrap());
        assert_eq!(name, "sft");
        // The pooled curve moves a third of the way towards the odd method.
        assert!((sft.estimate - 0.05 * 2.0 / 3.0).abs() < 0.003, "{sft:?}");
        assert!(sft.low > 0.0, "{sft:?}");
        assert!(residuals[0].1.unwrap().high < 0.0, "{residuals:?}");
    }

    #[test]
    fn the_held_out_residual_is_the_whole_shift() {
        let (points, methods, _) = three_methods(0.05);
        let held_out = leave_one_group_out(&points, &methods);
        let sft = held_out[2].1.clone().unwrap();
        assert!((sft.mean_residual - 0.05).abs() < 0.001, "{sft:?}");
        assert!((sft.root_mean_square - 0.05).abs() < 0.001, "{sft:?}");
        assert!(sft.r2.unwrap() < 0.9, "{sft:?}");
    }

    #[test]
    fn methods_on_one_curve_predict_each_other() {
        let (points, methods, _) = three_methods(0.0);
        for (method, held_out) in leave_one_group_out(&points, &methods) {
            let held_out = held_out.unwrap();
            assert!(held_out.r2.unwrap() > 0.99, "{method}: {held_out:?}");
            assert!(held_out.mean_residual.abs() < 0.002, "{method}: {held_out:?}");
        }
    }

    #[test]
    fn a_constant_group_has_a_residual_and_no_r2() {
        let points = Scatter::new(&[0.0, 1.0, 2.0, 3.0, 1.0], &[0.0, 1.0, 4.0, 9.0, 1.5]).unwrap();
        let held_out = leave_one_group_out(&points, &[0, 0, 0, 0, 1]);
        let single = held_out[1].1.clone().unwrap();
        assert_eq!(single.r2, None);
        assert!((single.mean_residual - 0.5).abs() < 1e-12);
        assert!(held_out[0].1.is_err(), "one point cannot carry a parabola");
    }
}
