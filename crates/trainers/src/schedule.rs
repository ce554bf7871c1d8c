//! Learning rate over the steps of a run.

use serde::{Deserialize, Serialize};

/// What follows the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// The peak learning rate until the end.
    Constant,
    /// Half a cosine from the peak to zero.
    Cosine,
    /// A straight line from the peak to zero; the default of `transformers`.
    Linear,
    /// The peak until 60 % of the steps, then a straight line to 2 % of it: what small models are pre-trained with.
    StableThenLinear,
}

/// Where [`Schedule::StableThenLinear`] begins to fall, as a share of all steps, and what it falls to.
const STABLE_UNTIL: f64 = 0.6;
const LOWEST: f64 = 0.02;

impl Schedule {
    /// Learning rate of step `step_idx` (from 0) of `n_steps`, after `n_warmup` steps of linear warm-up.
    ///
    /// Warm-up starts at `peak / n_warmup`, not at zero, so that no step is lost.
    pub fn learning_rate(self, peak: f64, step_idx: usize, n_warmup: usize, n_steps: usize) -> f64 {
        if step_idx < n_warmup {
            return peak * (step_idx + 1) as f64 / n_warmup as f64;
        }
        let progress = || (step_idx - n_warmup) as f64 / (n_steps - n_warmup) as f64;
        match self {
            Self::Constant => peak,
            Self::Cosine => 0.5 * peak * (1.0 + (std::f64::consts::PI * progress()).cos()),
            Self::Linear => peak * (1.0 - progress()),
            Self::StableThenLinear => {
                let share = step_idx as f64 / n_steps as f64;
                let fallen = ((share - STABLE_UNTIL) / (1.0 - STABLE_UNTIL)).max(0.0);
                peak * (1.0 - (1.0 - LOWEST) * fallen)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_climbs_to_the_peak_and_cosine_falls_towards_zero() {
        let rates: Vec<f64> = (0..100).map(|s| Schedule::Cosine.learning_rate(2.0, s, 10, 100)).collect();
        assert_eq!(rates[0], 0.2);
        assert_eq!(rates[9], 2.0);
        assert_eq!(rates[10], 2.0);
        assert!((rates[55] - 1.0).abs() < 1e-12, "halfway down after half of the cosine: {}", rates[55]);
        assert!(rates[99] > 0.0 && rates[99] < 0.001);
    }

    #[test]
    fn linear_falls_by_the_same_amount_at_every_step() {
        let rates: Vec<f64> = (0..10).map(|s| Schedule::Linear.learning_rate(1.0, s, 2, 10)).collect();
        assert_eq!(rates, [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]);
    }

    #[test]
    fn stable_then_linear_stays_for_three_fifths_and_ends_near_a_fiftieth() {
        let rate = |step_idx| Schedule::StableThenLinear.learning_rate(2.0, step_idx, 10, 1000);
        assert_eq!([rate(10), rate(600)], [2.0, 2.0]);
        assert!((rate(800) - 2.0 * 0.51).abs() < 1e-12, "{}", rate(800));
        assert!((rate(999) - 2.0 * (0.02 + 0.98 / 400.0)).abs() < 1e-12, "{}", rate(999));
    }

    #[test]
    fn constant_stays_at_the_peak() {
        assert_eq!(Schedule::Constant.learning_rate(3e-4, 99, 10, 100), 3e-4);
        assert_eq!(Schedule::Constant.learning_rate(3e-4, 0, 0, 100), 3e-4);
    }
}
