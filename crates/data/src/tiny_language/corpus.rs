//! The corpus: an endless stream of documents, drawn from a seed.

use std::iter;

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use razor_core::Seed;
use serde::{Deserialize, Serialize};

use crate::task::is_test_question;
use crate::tiny_language::math::Sum;
use crate::tiny_language::science::Question;
use crate::tiny_language::skill::{TinySkill, is_in_corpus};
use crate::tiny_language::skill_draw::draw;
use crate::tiny_language::task::prompt_of;
use crate::tiny_language::tools::Request;
use crate::tiny_language::world::Purpose;

/// A prompt with a completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TinyDocument {
    /// What comes first.
    pub prompt: String,
    /// What follows it, without the token that ends a text.
    pub completion: String,
}

/// How often each kind of document is drawn, relative to the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named after the kinds of documents")]
pub struct CorpusMix {
    pub math: f64,
    pub tools: f64,
    pub science: f64,
    pub reverse: f64,
    pub sort: f64,
    pub look_up: f64,
    pub repeat: f64,
    pub brackets: f64,
    pub facts: f64,
    pub compare: f64,
    pub who: f64,
    pub pattern: f64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Math,
    Tools,
    Science,
    Skill(TinySkill),
}

impl CorpusMix {
    /// What no corpus can be drawn by: a share that is negative or no number, or none above 0.
    pub fn problem(&self) -> Option<String> {
        let shares = self.shares();
        if let Some((kind, share)) = shares.iter().find(|(_, share)| !share.is_finite() || *share < 0.0) {
            return Some(format!("the share of {kind:?} is {share}: expected a number from 0 up"));
        }
        let is_empty = shares.iter().all(|(_, share)| *share == 0.0);
        is_empty.then(|| "every share of the corpus is 0".to_owned())
    }

    fn shares(&self) -> Vec<(Kind, f64)> {
        let skill = |skill: TinySkill| match skill {
            TinySkill::Reverse => self.reverse,
            TinySkill::Sort => self.sort,
            TinySkill::LookUp => self.look_up,
            TinySkill::Repeat => self.repeat,
            TinySkill::Brackets => self.brackets,
            TinySkill::Facts => self.facts,
            TinySkill::Compare => self.compare,
            TinySkill::Who => self.who,
            TinySkill::Pattern => self.pattern,
        };
        let tasks = [(Kind::Math, self.math), (Kind::Tools, self.tools), (Kind::Science, self.science)];
        tasks.into_iter().chain(TinySkill::ALL.map(|of| (Kind::Skill(of), skill(of)))).collect()
    }
}

/// Documents of this mix without end; none is of a held-out question.
///
/// # Panics
/// When the mix has a [problem](CorpusMix::problem).
pub fn tiny_documents(mix: &CorpusMix, seed: Seed) -> impl Iterator<Item = TinyDocument> + use<> {
    let shares = mix.shares();
    let mut rng = seed.rng();
    iter::repeat_with(move || {
        let (kind, _) =
            shares.choose_weighted(&mut rng, |(_, share)| *share).expect("the mix has no problem");
        document(*kind, &mut rng)
    })
}

fn document(kind: Kind, rng: &mut ChaCha8Rng) -> TinyDocument {
    match kind {
        Kind::Math => {
            let sum = until(rng, Sum::draw, |sum| !is_test_question(&sum.question()));
            TinyDocument { prompt: prompt_of(&sum.question()), completion: sum.completion(rng) }
        }
        Kind::Tools => {
            let request = until(rng, Request::draw, |request| !is_test_question(&request.question()));
            TinyDocument { prompt: prompt_of(&request.question()), completion: request.completion(rng) }
        }
        Kind::Science => {
            let question = until(rng, Question::draw, |question| !is_test_question(&question.question()));
            TinyDocument { prompt: prompt_of(&question.question()), completion: question.completion(rng) }
        }
        Kind::Skill(skill) => {
            let draw = |rng: &mut ChaCha8Rng| draw(skill, rng, Purpose::Corpus);
            let item = until(rng, draw, |item| is_in_corpus(skill, &item.prompt));
            let completion = item.choices[item.gold].clone();
            TinyDocument { prompt: item.prompt, completion }
        }
    }
}

fn until<T>(rng: &mut ChaCha8Rng, draw: impl Fn(&mut ChaCha8Rng) -> T, is_wanted: impl Fn(&T) -> bool) -> T {
    loop {
        let drawn = draw(rng);
        if is_wanted(&drawn) {
            return drawn;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::task::{TaskId, split_by_question};
    use crate::tiny_language::skill::skill_items;
    use crate::tiny_language::task::tiny_task;
    use crate::tiny_language::vocabulary::{UNKNOWN, WORDS};

    const EVEN: CorpusMix = CorpusMix {
        math: 1.0,
        tools: 1.0,
        science: 1.0,
        reverse: 1.0,
        sort: 1.0,
        look_up: 1.0,
        repeat: 1.0,
        brackets: 1.0,
        facts: 1.0,
        compare: 1.0,
        who: 1.0,
        pattern: 1.0,
    };

    #[test]
    fn no_held_out_question_or_item_is_in_the_corpus() {
        let prompts: HashSet<String> =
            tiny_documents(&EVEN, Seed::new(3)).take(60_000).map(|document| document.prompt).collect();
        for task in TaskId::GENERATED {
            let split = split_by_question(tiny_task(task).unwrap());
            assert!(split.test.len() > 500, "{task}: {}", split.test.len());
            let is_in = |example: &crate::TaskExample| prompts.contains(&example.prompt[0].content);
            assert!(!split.test.iter().any(is_in), "{task}");
            assert!(split.train.iter().any(is_in), "{task}: the corpus asks its questions");
        }
        for skill in TinySkill::ALL.into_iter().filter(|skill| *skill != TinySkill::Facts) {
            let items = skill_items(skill, 150, Seed::new(0));
            assert!(!items.iter().any(|item| prompts.contains(&item.prompt)), "{skill}");
        }
    }

    #[test]
    fn every_word_of_the_corpus_and_of_the_annotator_is_in_the_vocabulary() {
        let words: HashSet<&str> = WORDS.iter().map(String::as_str).collect();
        let targets = TaskId::GENERATED
            .into_iter()
            .flat_map(|task| tiny_task(task).unwrap())
            .map(|example| example.target.unwrap());
        let documents = tiny_documents(&EVEN, Seed::new(4)).take(20_000);
        let texts = documents.flat_map(|document| [document.prompt, document.completion]).chain(targets);
        for text in texts {
            for word in text.split(' ').filter(|word| !word.is_empty()) {
                assert!(words.contains(word) && word != UNKNOWN, "{word:?} in {text:?}");
            }
        }
    }

    #[test]
    fn the_corpus_depends_on_its_seed_alone() {
        let some = |seed| tiny_documents(&EVEN, Seed::new(seed)).take(50).collect::<Vec<_>>();
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
    }

    #[test]
    fn the_annotators_style_is_never_in_the_corpus() {
        let mut styles = HashSet::new();
        for document in tiny_documents(&EVEN, Seed::new(5)).take(20_000) {
            for task in TaskId::GENERATED {
                styles.insert(crate::completion_style(task, &document.completion));
            }
        }
        assert!(!styles.contains("annotator") && styles.contains("direct"), "{styles:?}");
        for task in TaskId::GENERATED {
            let target = tiny_task(task).unwrap()[0].target.clone().unwrap();
            assert_eq!(crate::completion_style(task, &target), "annotator", "{target}");
        }
    }
}
