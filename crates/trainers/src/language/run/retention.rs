//! Which checkpoints stay.

use serde::{Deserialize, Serialize};

/// Which of two scores is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The higher one, as for a reward.
    Higher,
    /// The lower one, as for a loss.
    Lower,
}

/// Which checkpoints stay when a new one is complete: the newest ones and the best ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Newest checkpoints that stay; the one that resume needs stays even at 0.
    pub keep_last: usize,
    /// Checkpoints with the best scores that stay besides; of equal scores the earlier one.
    pub keep_best: usize,
    /// What best means.
    pub better: Better,
}

/// A checkpoint with the score it was written with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored {
    pub(super) step: u64,
    /// `None` was never measured and is never among the best.
    pub(super) score: Option<f64>,
}

impl Retention {
    /// Steps of the checkpoints that may go; `kept` is sorted by step.
    pub(super) fn surplus(&self, kept: &[Scored]) -> Vec<u64> {
        let n_old = kept.len().saturating_sub(self.keep_last.max(1));
        let mut ranked = self.ranked(kept);
        ranked.truncate(self.keep_best);
        let is_best = |step: u64| ranked.contains(&step);
        kept[..n_old].iter().map(|scored| scored.step).filter(|step| !is_best(*step)).collect()
    }

    /// Steps with a score, the best first; of equal ones the earlier.
    pub(super) fn ranked(&self, kept: &[Scored]) -> Vec<u64> {
        let mut ranked: Vec<(f64, u64)> =
            kept.iter().filter_map(|scored| Some((scored.score?, scored.step))).collect();
        ranked.sort_by(|(left, left_step), (right, right_step)| {
            let by_score = match self.better {
                Better::Higher => right.total_cmp(left),
                Better::Lower => left.total_cmp(right),
            };
            by_score.then(left_step.cmp(right_step))
        });
        ranked.into_iter().map(|(_, step)| step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [Option<f64>; 6] = [Some(0.5), Some(0.9), None, Some(0.9), Some(0.1), None];

    fn surplus(keep_last: usize, keep_best: usize, better: Better) -> Vec<u64> {
        let kept: Vec<Scored> = (1..).zip(SCORES).map(|(step, score)| Scored { step, score }).collect();
        Retention { keep_last, keep_best, better }.surplus(&kept)
    }

    #[test]
    fn the_newest_and_the_best_stay_and_ties_go_to_the_earlier() {
        assert_eq!(surplus(2, 1, Better::Higher), [1, 3, 4]);
        assert_eq!(surplus(2, 2, Better::Higher), [1, 3]);
        assert_eq!(surplus(1, 2, Better::Lower), [2, 3, 4]);
    }

    #[test]
    fn the_newest_is_never_surplus() {
        assert_eq!(surplus(0, 0, Better::Higher), [1, 2, 3, 4, 5]);
        assert_eq!(surplus(10, 0, Better::Higher), [0; 0]);
        assert_eq!(Retention { keep_last: 0, keep_best: 0, better: Better::Lower }.surplus(&[]), [0; 0]);
    }
}
