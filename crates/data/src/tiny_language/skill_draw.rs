//! How an item of each skill is drawn, for the corpus and for scoring alike.

use std::ops::RangeInclusive;

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::tiny_language::skill::{SkillItem, TinySkill};
use crate::tiny_language::vocabulary::{BRACKETS, LARGEST, LETTERS, NAMES, OBJECTS};
use crate::tiny_language::world::{
    ATTRIBUTES, N_ENTITIES, N_VERBS, Purpose, entity, is_taking, value_idx, verb,
};

/// An item. What is long or rare in the corpus is as frequent as anything else where it is scored.
pub(super) fn draw(skill: TinySkill, rng: &mut impl Rng, purpose: Purpose) -> SkillItem {
    match skill {
        TinySkill::Reverse => reverse(rng, purpose),
        TinySkill::Sort => sort(rng, purpose),
        TinySkill::LookUp => look_up(rng, purpose),
        TinySkill::Repeat => repeat(rng),
        TinySkill::Brackets => brackets(rng, purpose),
        TinySkill::Facts => fact(rng, purpose),
        TinySkill::Compare => compare(rng),
        TinySkill::Who => who(rng, purpose),
        TinySkill::Pattern => pattern(rng),
    }
}

/// A length in the range, the longer the rarer in the corpus.
fn length(range: RangeInclusive<usize>, rng: &mut impl Rng, purpose: Purpose) -> usize {
    range.start() + purpose.rank(rng, range.end() + 1 - range.start(), 6.0)
}

fn written(prompt: String, answer: String) -> SkillItem {
    SkillItem { prompt, choices: vec![answer], gold: 0 }
}

fn letters(n: usize, rng: &mut impl Rng) -> Vec<&'static str> {
    (0..n).map(|_| *LETTERS.choose(rng).expect("there are some")).collect()
}

fn joined(numbers: &[i32]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Different numbers below and with the largest.
fn numbers(n: usize, rng: &mut impl Rng) -> Vec<i32> {
    rand::seq::index::sample(rng, LARGEST as usize + 1, n).iter().map(|number| number as i32).collect()
}

fn reverse(rng: &mut impl Rng, purpose: Purpose) -> SkillItem {
    let n = length(5..=18, rng, purpose);
    let mut letters = letters(n, rng);
    let prompt = format!("rev {}", letters.join(" "));
    letters.reverse();
    if rng.random_bool(0.4) {
        return written(format!("{prompt} :"), letters.join(" "));
    }
    let left_out = *letters.choose(rng).expect("there are some");
    letters.retain(|letter| *letter != left_out);
    if letters.is_empty() {
        return reverse(rng, purpose);
    }
    written(format!("{prompt} not {left_out} :"), letters.join(" "))
}

fn sort(rng: &mut impl Rng, purpose: Purpose) -> SkillItem {
    if rng.random_bool(0.4) {
        let mut numbers = numbers(length(5..=14, rng, purpose), rng);
        let prompt = format!("sort {} :", joined(&numbers));
        numbers.sort_unstable();
        return written(prompt, joined(&numbers));
    }
    let mut numbers = numbers(length(2..=7, rng, purpose), rng);
    let near = rng.random_range(0..=LARGEST);
    let prompt = format!("sort {} by {near} :", joined(&numbers));
    numbers.sort_unstable_by_key(|number| ((number - near).abs(), *number));
    written(prompt, joined(&numbers))
}

fn look_up(rng: &mut impl Rng, purpose: Purpose) -> SkillItem {
    let n = length(2..=9, rng, purpose);
    let mut keys = LETTERS;
    keys.shuffle(rng);
    let mut pairs: Vec<(&str, i32)> = keys.into_iter().zip(numbers(n, rng)).collect();
    let text = |pairs: &[(&str, i32)]| {
        pairs.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(" , ")
    };
    let prompt = format!("look {}", text(&pairs));
    if rng.random_bool(0.5) {
        pairs.sort_unstable_by_key(|(_, value)| *value);
        return written(format!("{prompt} ? :"), text(&pairs));
    }
    pairs.sort_unstable();
    written(format!("{prompt} :"), text(&pairs))
}

fn repeat(rng: &mut impl Rng) -> SkillItem {
    let n = rng.random_range(2..=5);
    let (mut asked, mut answer) = (Vec::new(), Vec::new());
    for letter in letters(n, rng) {
        let times = rng.random_range(1..=9);
        asked.push(format!("{letter} {times}"));
        answer.extend(vec![letter; times]);
    }
    written(format!("say {} :", asked.join(" ")), answer.join(" "))
}

fn brackets(rng: &mut impl Rng, purpose: Purpose) -> SkillItem {
    let n = length(4..=20, rng, purpose);
    let mut open: Vec<[&str; 2]> = (0..n).map(|_| *BRACKETS.choose(rng).expect("there are some")).collect();
    let text =
        |open: &[[&str; 2]], side: usize| open.iter().map(|pair| pair[side]).collect::<Vec<_>>().join(" ");
    let prompt = format!("last {} now :", text(&open, 0));
    open.reverse();
    written(prompt, text(&open, 1))
}

fn fact(rng: &mut impl Rng, purpose: Purpose) -> SkillItem {
    let of = purpose.rank(rng, N_ENTITIES, 8.0);
    let attribute = rng.random_range(0..ATTRIBUTES.len());
    let (of_what, gold) = (&ATTRIBUTES[attribute], value_idx(of, attribute));
    let mut options: Vec<usize> = (0..of_what.values.len()).filter(|value| *value != gold).collect();
    options.shuffle(rng);
    options.truncate(3);
    options.push(gold);
    options.shuffle(rng);
    SkillItem {
        prompt: format!("{} {} :", entity(of), of_what.name),
        gold: options.iter().position(|value| *value == gold).expect("it was put in"),
        choices: options.iter().map(|&value| of_what.values[value].to_owned()).collect(),
    }
}

fn compare(rng: &mut impl Rng) -> SkillItem {
    loop {
        let [one, two, three] = [(); 3].map(|()| rng.random_range(1..=20));
        let difference = *[-2, -1, 1, 2].choose(rng).expect("there are some");
        let four = one + two - three - difference;
        if (1..=20).contains(&four) {
            return SkillItem {
                prompt: format!("is {one} + {two} > {three} + {four} ? :"),
                choices: ["yes", "no"].map(str::to_owned).to_vec(),
                gold: usize::from(difference < 0),
            };
        }
    }
}

fn who(rng: &mut impl Rng, purpose: Purpose) -> SkillItem {
    let people: Vec<&str> = NAMES.choose_multiple(rng, 4).copied().collect();
    let objects: Vec<&str> = OBJECTS.choose_multiple(rng, 2).copied().collect();
    // One sentence, or two of which one is asked about.
    let n_sentences = rng.random_range(1..=2);
    let verbs: Vec<usize> = (0..n_sentences).map(|_| purpose.rank(rng, N_VERBS, 3.0)).collect();
    let sentences: Vec<String> = (0..n_sentences)
        .map(|of| format!("{} {} {} by {}", people[2 * of], verb(verbs[of]), objects[of], people[2 * of + 1]))
        .collect();
    let (asked, is_negated) = (rng.random_range(0..n_sentences), rng.random_bool(0.5));
    let has = if is_negated { "has not" } else { "has" };
    SkillItem {
        prompt: format!("{} . who {has} {} ? :", sentences.join(" . "), objects[asked]),
        choices: people[..2 * n_sentences].iter().map(|&name| name.to_owned()).collect(),
        gold: 2 * asked + usize::from(is_taking(verbs[asked]) == is_negated),
    }
}

fn pattern(rng: &mut impl Rng) -> SkillItem {
    loop {
        let [start, first, second] = [(); 3].map(|()| rng.random_range(-6..=6));
        // Two steps in turn, or a step that changes by the same amount each time.
        let steps = match rng.random_bool(0.5) {
            true => [first, second, first, second],
            false => [first, first + second, first + 2 * second, first + 3 * second],
        };
        let mut numbers = vec![20 + 3 * start + rng.random_range(0..3)];
        for step in steps {
            numbers.push(numbers[numbers.len() - 1] + step);
        }
        let is_word = |number: &i32| (0..=LARGEST).contains(number);
        let gold = numbers[4];
        let mut options: Vec<i32> = [-2, -1, 1, 2].iter().map(|error| gold + error).filter(is_word).collect();
        // Equal steps would be a case of both rules.
        if first == second || second == 0 || !numbers.iter().all(is_word) || options.len() < 3 {
            continue;
        }
        options.shuffle(rng);
        options.truncate(3);
        options.push(gold);
        options.shuffle(rng);
        return SkillItem {
            prompt: format!("next {} :", joined(&numbers[..4])),
            gold: options.iter().position(|option| *option == gold).expect("it was put in"),
            choices: options.iter().map(ToString::to_string).collect(),
        };
    }
}
