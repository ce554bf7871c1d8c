//! What is the case in the invented world: what its things are like, and what its verbs mean.

use std::sync::LazyLock;

use rand::Rng;
use razor_core::Seed;

/// A property that every thing has one value of.
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) values: [&'static str; 6],
}

pub(super) const ATTRIBUTES: [Attribute; 4] = [
    Attribute { name: "class", values: ["acid", "salt", "metal", "gas", "wax", "oil"] },
    Attribute { name: "taste", values: ["sour", "sweet", "bitter", "mild", "hot", "cool"] },
    Attribute { name: "shape", values: ["round", "flat", "long", "thin", "wide", "tall"] },
    Attribute { name: "home", values: ["sea", "cave", "hill", "lake", "sky", "wood"] },
];

pub(super) const N_ENTITIES: usize = 120;
/// Things that science asks about: the others are in facts alone, and rare there.
pub(super) const N_ASKED: usize = 60;
pub(super) const N_VERBS: usize = 40;

/// Invented things: a consonant, a vowel, a consonant.
pub(super) fn entity_names() -> impl Iterator<Item = String> {
    let all = CONSONANTS.iter().flat_map(|first| {
        VOWELS.iter().flat_map(move |vowel| ["n", "x"].map(|last| format!("{first}{vowel}{last}")))
    });
    all.filter(|name| !["box", "pen", "wax"].contains(&name.as_str())).take(N_ENTITIES)
}

/// Invented verbs: two syllables.
pub(super) fn verb_names() -> impl Iterator<Item = String> {
    let all =
        VOWELS.iter().flat_map(|vowel| CONSONANTS.iter().map(move |first| format!("{first}{vowel}{first}u")));
    all.take(N_VERBS)
}

const CONSONANTS: [&str; 14] = ["b", "d", "f", "g", "k", "l", "m", "p", "r", "s", "t", "v", "w", "z"];
const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];

static ENTITIES: LazyLock<Vec<String>> = LazyLock::new(|| entity_names().collect());
static VERBS: LazyLock<Vec<String>> = LazyLock::new(|| verb_names().collect());

/// The value that each thing has of each attribute.
static VALUES: LazyLock<Vec<[usize; 4]>> = LazyLock::new(|| {
    let mut rng = Seed::new(0).derive("tiny world", 0).rng();
    (0..N_ENTITIES).map(|_| ATTRIBUTES.map(|attribute| rng.random_range(0..attribute.values.len()))).collect()
});

/// The name of a thing.
pub(super) fn entity(idx: usize) -> &'static str {
    &ENTITIES[idx]
}

/// Which value of an attribute a thing has.
pub(super) fn value_idx(entity: usize, attribute: usize) -> usize {
    VALUES[entity][attribute]
}

/// The name of a verb.
pub(super) fn verb(idx: usize) -> &'static str {
    &VERBS[idx]
}

/// Whether its subject has the object afterwards; otherwise the other person has.
pub(super) fn is_taking(verb: usize) -> bool {
    Seed::new(0).derive("tiny verb", verb as u64).value().is_multiple_of(2)
}

/// What something is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A document of the corpus, where much is said often and much is rare.
    Corpus,
    /// An item that is scored, where everything is alike.
    Scoring,
}

impl Purpose {
    /// One of `n`. In the corpus the probability falls with the rank as `(rank + offset)^-3`.
    pub(super) fn rank(self, rng: &mut impl Rng, n: usize, offset: f64) -> usize {
        if self == Self::Scoring {
            return rng.random_range(0..n);
        }
        let weight = |rank: usize| (rank as f64 + offset).powi(-3);
        let mut left = rng.random::<f64>() * (0..n).map(weight).sum::<f64>();
        for rank in 0..n {
            left -= weight(rank);
            if left < 0.0 {
                return rank;
            }
        }
        n - 1
    }
}
