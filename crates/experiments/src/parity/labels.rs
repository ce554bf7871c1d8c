//! Labels that supervised methods are trained on.

use rand::Rng;

use crate::parity::task::{N_LABELS, Task};

/// SFT-1: every even digit → 0, every odd one → 1.
pub(crate) fn sft1_label(class: u8) -> usize {
    usize::from(class % 2)
}

/// SFT-2: even → uniform {0, 4}, odd → uniform {1, 5}.
pub(crate) fn sft2_label(class: u8, rng: &mut impl Rng) -> usize {
    usize::from(class % 2) + 4 * rng.random_range(0..2_usize)
}

/// One of the five labels of the right parity.
pub(crate) fn right_label(class: u8, rng: &mut impl Rng) -> usize {
    usize::from(class % 2) + 2 * rng.random_range(0..5_usize)
}

/// One of the five labels of the wrong parity.
pub(crate) fn wrong_label(class: u8, rng: &mut impl Rng) -> usize {
    usize::from((class + 1) % 2) + 2 * rng.random_range(0..5_usize)
}

/// 1 for a label of the right parity, 0 otherwise: the reward of every RL method.
pub(crate) fn parity_reward(class: u8, label: usize) -> f32 {
    debug_assert!(label < N_LABELS, "label {label} of {N_LABELS}");
    f32::from(Task::Parity.is_right(class, label))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use razor_core::Seed;

    use super::*;

    #[test]
    fn each_annotator_uses_its_own_labels_and_only_those() {
        let mut rng = Seed::new(0).rng();
        let mut drawn = |draw: &mut dyn FnMut(&mut rand_chacha::ChaCha8Rng) -> usize| {
            (0..200).map(|_| draw(&mut rng)).collect::<BTreeSet<_>>()
        };
        assert_eq!(drawn(&mut |rng| sft2_label(6, rng)), [0, 4].into());
        assert_eq!(drawn(&mut |rng| sft2_label(3, rng)), [1, 5].into());
        assert_eq!(drawn(&mut |rng| right_label(8, rng)), [0, 2, 4, 6, 8].into());
        assert_eq!(drawn(&mut |rng| wrong_label(8, rng)), [1, 3, 5, 7, 9].into());
        assert_eq!((sft1_label(8), sft1_label(5)), (0, 1));
    }

    #[test]
    fn the_reward_looks_at_parity_alone() {
        assert_eq!(parity_reward(7, 1), 1.0);
        assert_eq!(parity_reward(7, 8), 0.0);
    }
}
