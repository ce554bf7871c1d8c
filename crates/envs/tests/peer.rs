//! Verdicts beside those of `math_verify`, recorded in `tests/golden/rewards.json`.

use std::collections::BTreeMap;

use razor_envs::{MathGold, Outcome};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    pairs: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    gold: String,
    answer: String,
    peer: bool,
    #[serde(default)]
    set: String,
    #[serde(default)]
    kind: String,
}

/// Pairs on which we differ from the peer, and why we are right.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    // Equal for the peer, which rounds decimals to six digits; ours takes a decimal for what it writes.
    ("\\frac{1}{3}", "0.3333333333", "ten threes are not a third"),
    ("0.1", "0.10000001", "both are exact and differ"),
    // Equal for the peer, which drops what it does not read.
    ("25_8", "25_9", "the bases differ"),
    ("8\\text{ m}", "8\\text{ km}", "the units differ"),
    ("5,5", "5", "two answers were asked for, say a double root by multiplicity, and one was given"),
    // Different for the peer.
    ("\\sqrt{ab}", "\\sqrt{a}\\sqrt{b}", "equal wherever both are real"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "(1,2)", "the same vector"),
    ("\\sin 30^\\circ", "\\frac{1}{2}", "the sine of 30 degrees, which the peer takes for radians"),
    ("\\sqrt{-9}", "3i", "the principal root; the peer keeps the sides apart"),
];

fn ours(pair: &Pair) -> Option<bool> {
    let gold = MathGold::parse(&[&pair.gold]).ok()?;
    Some(gold.judge(&format!("The answer is $\\boxed{{{}}}$", pair.answer)).outcome == Outcome::Correct)
}

#[test]
fn verdicts_agree_with_the_peer_except_where_listed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/rewards.json");
    let fixture: Fixture = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(fixture.pairs.len() > 250);
    let mut surprises = Vec::new();
    let mut listed = 0;
    for pair in &fixture.pairs {
        let differs = ours(pair) != Some(pair.peer);
        let exception =
            EXCEPTIONS.iter().any(|(gold, answer, _)| *gold == pair.gold && *answer == pair.answer);
        listed += usize::from(exception && differs);
        if differs != exception {
            surprises.push(format!(
                "{:?} | {:?}: peer {}, ours {:?}",
                pair.gold,
                pair.answer,
                pair.peer,
                ours(pair)
            ));
        }
    }
    println!("{} of {} pairs agree with the peer", fixture.pairs.len() - listed, fixture.pairs.len());
    assert!(surprises.is_empty(), "{}:\n{}", surprises.len(), surprises.join("\n"));
    assert_eq!(listed, EXCEPTIONS.len(), "an exception is listed that is none");
}

/// Prints how often both agree on pairs from the real sets, which `rewards.py --data` makes; without them, passes.
#[test]
fn verdicts_on_real_answers_agree_with_the_peer() {
    let Some(path) = std::env::var_os("RAZOR_PEER_VERDICTS") else { return };
    let pairs: Vec<Pair> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut counts: BTreeMap<(String, String), [usize; 6]> = BTreeMap::new();
    for pair in &pairs {
        let count = counts.entry((pair.set.clone(), pair.kind.clone())).or_default();
        let ours = ours(pair);
        let judged = ours.unwrap_or(false);
        count[0] += 1;
        count[1] += usize::from(judged == pair.peer);
        count[2] += usize::from(judged && !pair.peer);
        count[3] += usize::from(!judged && pair.peer);
        count[4] += usize::from(judged);
        count[5] += usize::from(pair.peer);
        if judged != pair.peer || !judged && matches!(pair.kind.as_str(), "itself" | "rewritten") {
            println!(
                "{} {}: {:?} | {:?}: peer {}, ours {ours:?}",
                pair.set, pair.kind, pair.gold, pair.answer, pair.peer
            );
        }
    }
    let mut agreed = 0;
    for ((set, kind), [n, same, only_ours, only_peer, ours, peer]) in &counts {
        println!(
            "{set:15} {kind:10} {same} of {n} agree; only ours correct {only_ours}, only the peer's {only_peer}; correct for us {ours}, for the peer {peer}"
        );
        agreed += same;
    }
    assert!(agreed * 100 >= pairs.len() * 90, "{agreed} of {}", pairs.len());
}
