//! A completion for a question with four options.
#![no_main]

use libfuzzer_sys::fuzz_target;
use razor_data::ChoiceOption;
use razor_envs::{Outcome, choice_answer};

fuzz_target!(|data: &[u8]| {
    let completion = String::from_utf8_lossy(data);
    let options: Vec<ChoiceOption> = [("A", "430.5"), ("B", "CC(=O)[O-]"), ("C", "True"), ("D", "a b")]
        .map(|(label, text)| ChoiceOption { label: label.to_owned(), text: text.to_owned() })
        .into();
    let verdict = choice_answer("B", &options, &completion).expect("B is an option");
    assert_eq!(verdict.outcome == Outcome::Correct, verdict.outcome != Outcome::Unparseable && verdict.extracted.as_deref() == Some("B"));
});
