//! Prior skills: what the base can do before any fine-tuning, as items that are scored.

use std::collections::HashSet;
use std::fmt;

use razor_core::Seed;
use serde::{Deserialize, Serialize};

use crate::task::is_test_question;
use crate::tiny_language::skill_draw::draw;
use crate::tiny_language::world::Purpose;

/// Something that the base learns from its corpus beside the new tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TinySkill {
    /// Letters in reverse, without one of them where that is asked.
    Reverse,
    /// Numbers from the smallest, or from the nearest to one that is given.
    Sort,
    /// Keys with their values in the order of the keys, or of the values.
    LookUp,
    /// Letters, each as often as it is said.
    Repeat,
    /// The brackets that close those that are open.
    Brackets,
    /// Properties of things, many of them rare in the corpus.
    Facts,
    /// Whether a sum is larger than another.
    Compare,
    /// Who has an object, by verbs that are rare in the corpus, with negation and other objects.
    Who,
    /// The next of numbers that change by two steps in turn.
    Pattern,
}

/// One question of a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillItem {
    /// What the policy reads.
    pub prompt: String,
    /// Completions to choose from; the right one alone where the policy writes it.
    pub choices: Vec<String>,
    /// Which of them is right.
    pub gold: usize,
}

impl TinySkill {
    /// Every skill, in the order in which they are listed.
    pub const ALL: [Self; 9] = [
        Self::Reverse,
        Self::Sort,
        Self::LookUp,
        Self::Repeat,
        Self::Brackets,
        Self::Facts,
        Self::Compare,
        Self::Who,
        Self::Pattern,
    ];

    /// The name in records and recipes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reverse => "reverse",
            Self::Sort => "sort",
            Self::LookUp => "look_up",
            Self::Repeat => "repeat",
            Self::Brackets => "brackets",
            Self::Facts => "facts",
            Self::Compare => "compare",
            Self::Who => "who",
            Self::Pattern => "pattern",
        }
    }

    /// Whether the policy writes the answer, which has to be that of the item to the letter and end there; otherwise the
    /// likeliest choice is its answer.
    pub const fn is_written(self) -> bool {
        match self {
            Self::Reverse | Self::Sort | Self::LookUp | Self::Repeat | Self::Brackets => true,
            Self::Facts | Self::Compare | Self::Who | Self::Pattern => false,
        }
    }
}

impl fmt::Display for TinySkill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Up to `n` different items of a skill; fewer where it has not so many.
///
/// None of their prompts is in the corpus, except for facts, which nobody could know otherwise.
pub fn skill_items(skill: TinySkill, n: usize, seed: Seed) -> Vec<SkillItem> {
    let mut rng = seed.derive(skill.name(), 0).rng();
    let (mut items, mut known) = (Vec::with_capacity(n), HashSet::new());
    for _ in 0..1_000 * n {
        if items.len() == n {
            break;
        }
        let item = draw(skill, &mut rng, Purpose::Scoring);
        if is_fresh(skill, &item.prompt) && known.insert(item.prompt.clone()) {
            items.push(item);
        }
    }
    items
}

/// Whether a prompt may be asked of a base, because its corpus never has it.
fn is_fresh(skill: TinySkill, prompt: &str) -> bool {
    skill == TinySkill::Facts || is_test_question(prompt)
}

/// Whether a prompt may be in the corpus.
pub(super) fn is_in_corpus(skill: TinySkill, prompt: &str) -> bool {
    skill == TinySkill::Facts || !is_test_question(prompt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_differ_and_hold_their_answer() {
        for skill in TinySkill::ALL {
            let items = skill_items(skill, 150, Seed::new(1));
            assert_eq!(items.len(), 150, "{skill}");
            let prompts: HashSet<&str> = items.iter().map(|item| item.prompt.as_str()).collect();
            assert_eq!(prompts.len(), 150, "{skill}");
            for item in &items {
                let choices: HashSet<&String> = item.choices.iter().collect();
                assert_eq!(choices.len(), item.choices.len(), "{item:?}");
                assert!(item.gold < item.choices.len());
                assert_eq!(item.choices.len() == 1, skill.is_written(), "{item:?}");
            }
        }
    }

    #[test]
    fn items_depend_on_their_seed_alone() {
        let items = skill_items(TinySkill::Sort, 20, Seed::new(2));
        assert_eq!(skill_items(TinySkill::Sort, 20, Seed::new(2)), items);
        assert_ne!(skill_items(TinySkill::Sort, 20, Seed::new(3)), items);
    }
}
