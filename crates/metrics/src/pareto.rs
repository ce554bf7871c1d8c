//! The frontier of new-task against prior-task score, and reading it at a matched level.

use crate::scatter::Scatter;

/// The runs that no other run beats in both scores.
///
/// Paper: arXiv 2509.04259, appendix B.1. Methods are compared here, at a matched new-task score, never at
/// equal steps or equal learning rate. Points are (new-task score, prior-task score), more is better in both; any
/// unit, as long as levels and tolerances use the same one.
///
/// Whether the untouched base policy is one of the points is the caller's choice, and it should be the same for
/// all methods.
///
/// ```
/// use razor_metrics::{Frontier, Scatter};
///
/// let new_task = [0.90, 0.94, 0.92, 0.96];
/// let prior_task = [0.70, 0.60, 0.50, 0.30];
/// let kl = [0.1, 0.9, 2.0, 3.0];
/// let points = Scatter::new(&new_task, &prior_task)?;
/// let frontier = Frontier::new(&points, points.each_once());
/// assert_eq!(frontier.points(), [0, 1, 3]);
/// assert!((frontier.read(0.95, &prior_task).expect("reached") - 0.45).abs() < 1e-12);
/// assert!((frontier.read(0.95, &kl).expect("reached") - 1.95).abs() < 1e-12);
/// assert_eq!(frontier.read(0.97, &kl), None);
/// # Ok::<(), razor_metrics::MetricsError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Frontier {
    points: Vec<usize>,
    new_task: Vec<f64>,
    prior_task: Vec<f64>,
}

impl Frontier {
    /// The frontier of the points with a positive weight: empty when there is none.
    ///
    /// Of equal points the first one given is kept. With the weights of
    /// [`RunBootstrap`](crate::RunBootstrap) this gives the frontier of a resample; a frontier is an extreme, which
    /// a resample can lower and never raise, so such intervals lean to the worse side.
    pub fn new(points: &Scatter, weights: &[f64]) -> Self {
        let mut frontier: Vec<usize> = Vec::new();
        let mut best = f64::NEG_INFINITY;
        let (x, y) = (points.x(), points.y());
        // From the best new-task score down, a point must raise the prior score; of equal x only the best may.
        for ties in points.by_x().chunk_by(|&a, &b| x[a] == x[b]).rev() {
            let counted = ties.iter().copied().filter(|&idx| weights[idx] > 0.0);
            let top = counted.reduce(|top, idx| if y[idx] > y[top] { idx } else { top });
            if let Some(idx) = top.filter(|&idx| y[idx] > best) {
                best = y[idx];
                frontier.push(idx);
            }
        }
        frontier.reverse();
        Self {
            new_task: frontier.iter().map(|&idx| x[idx]).collect(),
            prior_task: frontier.iter().map(|&idx| y[idx]).collect(),
            points: frontier,
        }
    }

    /// Indices of the frontier's points, ascending in new-task and strictly descending in prior-task score.
    pub fn points(&self) -> &[usize] {
        &self.points
    }

    /// Any quantity recorded for each point (prior-task score, KL, learning rate), read along the frontier at a
    /// new-task `level`.
    ///
    /// - Above the best new-task score: `None`, the level was not reached.
    /// - Between two frontier points: linear in the new-task score. For the two scores that is attainable: a coin
    ///   that picks one of the two policies for each input has exactly these expected accuracies. KL is convex in
    ///   the policy, so the linear value is an upper bound for that mixture.
    /// - Below the lowest frontier point: the value at that point. It reaches the level and has the method's best
    ///   prior score, so nobody would choose another one.
    ///
    /// # Panics
    /// When `quantity` is shorter than the points the frontier was made from.
    pub fn read(&self, level: f64, quantity: &[f64]) -> Option<f64> {
        let (left, right, share) = self.locate(level)?;
        let (left, right) = (quantity[self.points[left]], quantity[self.points[right]]);
        Some(left + (right - left) * share)
    }

    /// Points within `tolerance` of the frontier: some frontier point p has x_p − x ≤ tolerance and
    /// y_p − y ≤ tolerance. Ascending.
    ///
    /// The paper keeps runs "within 2 accuracy points" before it fits the exponential and does not say how the
    /// distance is taken; this box is our choice. For accuracies as fractions 2 points are 0.02.
    pub fn near(&self, points: &Scatter, tolerance: f64) -> Vec<usize> {
        // 0.93 - 0.91 is a little more than 0.02 in f64; a point exactly on the edge is in.
        let tolerance = tolerance + 1e-12;
        let close = |x: f64, y: f64| {
            let mut frontier = self.new_task.iter().zip(&self.prior_task);
            frontier.any(|(&p_x, &p_y)| p_x - x <= tolerance && p_y - y <= tolerance)
        };
        (0..points.x().len()).filter(|&idx| close(points.x()[idx], points.y()[idx])).collect()
    }

    /// The lowest new-task level above which `self` no longer has the higher prior score: where `other` catches up.
    ///
    /// Searched from the lowest frontier point of either upwards. `None` when `self` is not ahead there, or
    /// when it stays ahead up to the highest level both reach.
    pub fn caught_up_by(&self, other: &Self) -> Option<f64> {
        let lead = |level| Some(self.prior_task_at(level)? - other.prior_task_at(level)?);
        let mut levels = [self.new_task.as_slice(), &other.new_task].concat();
        levels.sort_unstable_by(f64::total_cmp);
        // Both curves are linear between neighbouring levels, and so is the lead.
        let mut previous = levels.first().and_then(|&level| Some((level, lead(level)?)))?;
        if previous.1 <= 0.0 {
            return None;
        }
        for level in levels {
            let now = lead(level)?; // `None` above the highest level both reach
            if now <= 0.0 {
                return Some(previous.0 + (level - previous.0) * previous.1 / (previous.1 - now));
            }
            previous = (level, now);
        }
        None
    }

    fn prior_task_at(&self, level: f64) -> Option<f64> {
        let (left, right, share) = self.locate(level)?;
        Some(self.prior_task[left] + (self.prior_task[right] - self.prior_task[left]) * share)
    }

    /// The frontier points around `level` and how far it lies from the first to the second.
    fn locate(&self, level: f64) -> Option<(usize, usize, f64)> {
        let right = self.new_task.partition_point(|&x| x < level);
        let right_x = *self.new_task.get(right).filter(|_| !level.is_nan())?;
        let Some(left) = right.checked_sub(1) else {
            return Some((right, right, 0.0));
        };
        let left_x = self.new_task[left];
        Some((left, right, (level - left_x) / (right_x - left_x)))
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;
    use razor_core::Seed;

    use super::*;

    fn frontier(new_task: &[f64], prior_task: &[f64]) -> (Scatter, Frontier) {
        let points = Scatter::new(new_task, prior_task).unwrap();
        let frontier = Frontier::new(&points, points.each_once());
        (points, frontier)
    }

    #[test]
    fn exactly_the_undominated_points_are_kept() {
        let mut rng = Seed::new(4).rng();
        for n_points in 1..40 {
            // A coarse grid, so that ties in one or both scores are common.
            let mut draw = || (0..n_points).map(|_| f64::from(rng.random_range(0..8_u8))).collect::<Vec<_>>();
            let (x, y) = (draw(), draw());
            let (_, frontier) = frontier(&x, &y);
            let beats = |p: usize, q: usize| x[p] >= x[q] && y[p] >= y[q] && (x[p] > x[q] || y[p] > y[q]);
            for point in 0..n_points {
                let dominated = (0..n_points).any(|other| beats(other, point));
                let equal = |&kept: &usize| x[kept] == x[point] && y[kept] == y[point];
                assert_eq!(frontier.points().iter().any(equal), !dominated, "{x:?} {y:?} {point}");
            }
            assert!(frontier.points().is_sorted_by(|&a, &b| x[a] < x[b] && y[a] > y[b]));
        }
    }

    #[test]
    fn below_the_lowest_frontier_point_its_own_values_hold() {
        let (_, frontier) = frontier(&[0.5, 0.9, 0.95], &[0.6, 0.7, 0.4]);
        assert_eq!(frontier.points(), [1, 2]);
        assert_eq!(frontier.read(0.2, &[7.0, 8.0, 9.0]), Some(8.0));
        assert_eq!(frontier.read(0.9, &[7.0, 8.0, 9.0]), Some(8.0));
    }

    #[test]
    fn a_level_nobody_reached_has_no_value() {
        let (_, frontier) = frontier(&[0.5, 0.9], &[0.7, 0.6]);
        assert_eq!(frontier.read(0.9, &[1.0, 2.0]), Some(2.0));
        assert_eq!(frontier.read(0.9001, &[1.0, 2.0]), None);
        assert_eq!(frontier.read(f64::NAN, &[1.0, 2.0]), None);
        let (_, empty) = self::frontier(&[], &[]);
        assert_eq!(empty.read(0.1, &[]), None);
    }

    #[test]
    fn points_without_weight_are_not_on_the_frontier() {
        let points = Scatter::new(&[0.5, 0.9], &[0.5, 0.9]).unwrap();
        assert_eq!(Frontier::new(&points, &[1.0, 0.0]).points(), [0]);
    }

    #[test]
    fn two_points_off_is_near_and_three_is_not() {
        let (points, frontier) = frontier(&[0.90, 0.95, 0.93, 0.92, 0.70], &[0.70, 0.50, 0.48, 0.47, 0.72]);
        // Point 2 lies (0.02, 0.02) from point 1; point 3 is 0.03 off both ways; point 4 is on the frontier.
        assert_eq!(frontier.near(&points, 0.02), [0, 1, 2, 4]);
    }

    #[test]
    fn the_crossing_of_two_frontiers_is_interpolated() {
        let (_, rl) = frontier(&[0.90, 0.96], &[0.70, 0.10]);
        let (_, sft) = frontier(&[0.92, 0.98], &[0.40, 0.34]);
        // rl falls by 10 per unit, sft by 1 from 0.92: 0.70 - 10 d = 0.40 - (d - 0.02) at d = 0.28 / 9.
        let crossing = rl.caught_up_by(&sft).unwrap();
        assert!((crossing - (0.90 + 0.28 / 9.0)).abs() < 1e-12, "{crossing}");
        assert_eq!(sft.caught_up_by(&rl), None, "never ahead at the start");
        let (_, better) = frontier(&[0.97], &[0.99]);
        assert_eq!(better.caught_up_by(&sft), None, "ahead throughout");
    }
}
