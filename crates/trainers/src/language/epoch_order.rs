//! Which examples a step sees.

use rand::seq::SliceRandom;
use razor_core::Seed;

/// Examples in a new random order every epoch, cut into batches; the last batch of an epoch may be smaller.
///
/// A batch depends on seed and step alone, so a run that goes on needs no position in the data.
#[derive(Debug, Clone)]
pub struct EpochOrder {
    n_examples: usize,
    batch_size: usize,
    seed: Seed,
    /// The order that was made last, and its epoch.
    current: Option<(usize, Vec<usize>)>,
}

impl EpochOrder {
    /// # Panics
    /// Without examples, or for batches of none.
    pub fn new(n_examples: usize, batch_size: usize, seed: Seed) -> Self {
        assert!(n_examples > 0 && batch_size > 0, "an epoch has examples, a batch too");
        Self { n_examples, batch_size, seed, current: None }
    }

    /// Batches of an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.n_examples.div_ceil(self.batch_size)
    }

    /// Epoch of a step, both from 0.
    pub fn epoch(&self, step_idx: usize) -> usize {
        step_idx / self.batches_per_epoch()
    }

    /// The examples of a step, from 0.
    pub fn batch(&mut self, step_idx: usize) -> &[usize] {
        let epoch = self.epoch(step_idx);
        if self.current.as_ref().is_none_or(|(known, _)| *known != epoch) {
            let mut order: Vec<usize> = (0..self.n_examples).collect();
            order.shuffle(&mut self.seed.derive("epoch", epoch as u64).rng());
            self.current = Some((epoch, order));
        }
        let (_, order) = self.current.as_ref().expect("it was made above");
        let start = (step_idx % self.batches_per_epoch()) * self.batch_size;
        &order[start..order.len().min(start + self.batch_size)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_sees_every_example_once_and_the_next_in_another_order() {
        let mut order = EpochOrder::new(10, 4, Seed::new(3));
        let epoch = |order: &mut EpochOrder, first: usize| -> Vec<usize> {
            (first..first + 3).flat_map(|step| order.batch(step).to_vec()).collect()
        };
        let (one, two) = (epoch(&mut order, 0), epoch(&mut order, 3));
        assert_ne!(one, two);
        for mut epoch in [one, two] {
            epoch.sort_unstable();
            assert_eq!(epoch, (0..10).collect::<Vec<_>>());
        }
        assert_eq!(order.batch(2).len(), 2);
    }

    #[test]
    fn a_batch_depends_on_its_step_alone() {
        let mut going = EpochOrder::new(7, 2, Seed::new(0));
        let all: Vec<Vec<usize>> = (0..12).map(|step| going.batch(step).to_vec()).collect();
        for (step, expected) in all.iter().enumerate().rev() {
            assert_eq!(EpochOrder::new(7, 2, Seed::new(0)).batch(step), expected);
        }
    }
}
