//! How an item of each skill is drawn, for the corpus and for scoring alike.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::tiny_language::skill::{SkillItem, TinySkill};
use crate::tiny_language::vocabulary::{BRACKETS, LARGEST, LETTERS, NAMES, OBJECTS};
use crate::tiny_language::world::{ATTRIBUTES, N_VERBS, by_rank, entity, is_taking, value_idx, verb};

/// An item; `entity` tells of which thing, where it is about one.
pub(super) fn draw<R: Rng>(skill: TinySkill, rng: &mut R, entity: impl Fn(&mut R) -> usize) -> SkillItem {
    match skill {
        TinySkill::Reverse => reverse(rng),
        TinySkill::Sort => sort(rng),
        TinySkill::LookUp => look_up(rng),
        TinySkill::Repeat => repeat(rng),
        TinySkill::Brackets => brackets(rng),
        TinySkill::Facts => {
            let entity = entity(rng);
            fact(entity, rng)
        }
        TinySkill::Compare => compare(rng),
        TinySkill::Who => who(rng),
        TinySkill::Pattern => pattern(rng),
    }
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

fn reverse(rng: &mut impl Rng) -> SkillItem {
    let n = rng.random_range(5..=12);
    let mut letters = letters(n, rng);
    let prompt = format!("rev {} :", letters.join(" "));
    letters.reverse();
    written(prompt, letters.join(" "))
}

fn sort(rng: &mut impl Rng) -> SkillItem {
    let n = rng.random_range(5..=9);
    let mut numbers = numbers(n, rng);
    let prompt = format!("sort {} :", joined(&numbers));
    numbers.sort_unstable();
    written(prompt, joined(&numbers))
}

fn look_up(rng: &mut impl Rng) -> SkillItem {
    let n = rng.random_range(2..=9);
    let mut keys = LETTERS;
    keys.shuffle(rng);
    let values = numbers(n, rng);
    let pairs: Vec<String> = keys.iter().zip(&values).map(|(key, value)| format!("{key} {value}")).collect();
    let asked = rng.random_range(0..n);
    // The answer follows the key that is asked for, as it does in its pair.
    written(format!("look {} ; {}", pairs.join(" , "), keys[asked]), values[asked].to_string())
}

fn repeat(rng: &mut impl Rng) -> SkillItem {
    let (letters, n) = (letters(2, rng).join(" "), rng.random_range(2..=9));
    written(format!("say {letters} {n} times :"), vec![letters; n].join(" "))
}

fn brackets(rng: &mut impl Rng) -> SkillItem {
    let n = rng.random_range(4..=12);
    let mut open: Vec<[&str; 2]> = (0..n).map(|_| *BRACKETS.choose(rng).expect("there are some")).collect();
    let text =
        |open: &[[&str; 2]], side: usize| open.iter().map(|pair| pair[side]).collect::<Vec<_>>().join(" ");
    let prompt = format!("last {} now :", text(&open, 0));
    open.reverse();
    written(prompt, text(&open, 1))
}

fn fact(of: usize, rng: &mut impl Rng) -> SkillItem {
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
        let (one, two) = (rng.random_range(1..=20), rng.random_range(1..=20));
        let difference = *[-5, -4, -3, -2, -1, 1, 2, 3, 4, 5].choose(rng).expect("there are some");
        let third = one + two - difference;
        if (0..=LARGEST).contains(&third) && one + two <= LARGEST {
            return SkillItem {
                prompt: format!("is {one} + {two} > {third} ? :"),
                choices: ["yes", "no"].map(str::to_owned).to_vec(),
                gold: usize::from(difference < 0),
            };
        }
    }
}

fn who(rng: &mut impl Rng) -> SkillItem {
    let people: Vec<&str> = NAMES.choose_multiple(rng, 2).copied().collect();
    let object = OBJECTS.choose(rng).expect("there are some");
    let verb_idx = by_rank(rng, N_VERBS, 6.0);
    let is_negated = rng.random_bool(0.5);
    let has = if is_negated { "has not" } else { "has" };
    let verb = verb(verb_idx);
    SkillItem {
        prompt: format!("{} {verb} {object} by {} . who {has} {object} ? :", people[0], people[1]),
        choices: people.iter().map(|&name| name.to_owned()).collect(),
        gold: usize::from(is_taking(verb_idx) == is_negated),
    }
}

fn pattern(rng: &mut impl Rng) -> SkillItem {
    loop {
        let step =
            |rng: &mut _| *[-6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6].choose(rng).expect("there are some");
        let steps = [step(rng), step(rng)];
        let mut numbers = vec![rng.random_range(0..=LARGEST)];
        for place in 0..4 {
            numbers.push(numbers[place] + steps[place % 2]);
        }
        let is_word = |number: &i32| (0..=LARGEST).contains(number);
        let gold = numbers[4];
        let mut options: Vec<i32> =
            [-3, -2, -1, 1, 2, 3].iter().map(|error| gold + error).filter(is_word).collect();
        if !numbers.iter().all(is_word) || options.len() < 3 {
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
