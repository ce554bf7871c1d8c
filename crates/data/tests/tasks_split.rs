//! Splits and overlaps go by the question and by nothing else.

use std::collections::HashSet;
use std::path::PathBuf;

use proptest::prelude::*;
use razor_data::{
    TaskExample, TaskId, is_test_question, load_task, normalize_question, remove_overlap, split_by_question,
};

fn examples(questions: &[String]) -> Vec<TaskExample> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../datasets/gsm8k/sample");
    let model =
        load_task(TaskId::Gsm8k, None, &folder).expect("the sample is in the tree").examples.remove(0);
    let example = |(idx, question): (usize, &String)| TaskExample {
        id: format!("set#{idx}"),
        question: question.clone(),
        ..model.clone()
    };
    questions.iter().enumerate().map(example).collect()
}

fn questions(prefix: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{prefix} question number {i}")).collect()
}

#[test]
fn one_question_in_ten_is_a_test_question() {
    let split = split_by_question(examples(&questions("A", 5_000)));
    assert_eq!(split.train.len() + split.test.len(), 5_000);
    // 500 expected, standard deviation 21: four of them.
    assert!(split.test.len().abs_diff(500) < 85, "{}", split.test.len());
}

#[test]
fn the_sides_of_known_questions_never_change() {
    let sides: Vec<bool> = questions("A", 64).iter().map(|question| is_test_question(question)).collect();
    let expected: Vec<usize> =
        sides.iter().enumerate().filter(|(_, is_test)| **is_test).map(|(i, _)| i).collect();
    assert_eq!(expected, TEST_SIDE, "a changed split would let runs train on what others tested on");
}

/// From an independent program: SHA-256 of "a question number i", first eight bytes, modulo ten.
const TEST_SIDE: [usize; 6] = [2, 7, 39, 41, 46, 54];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn neither_order_nor_spelling_moves_a_question(words in proptest::collection::vec("[a-zA-Z0-9]{1,6}", 1..6)) {
        let plain = words.join(" ");
        let dressed = format!("  \"{}?\"\n", words.join("\n\t ").to_uppercase());
        prop_assert_eq!(normalize_question(&plain), normalize_question(&dressed));
        prop_assert_eq!(is_test_question(&plain), is_test_question(&dressed));
        let mut all = questions(&plain, 20);
        all.push(plain.clone());
        let forward: HashSet<String> = split_by_question(examples(&all)).test.into_iter().map(|e| e.question).collect();
        all.reverse();
        let backward: HashSet<String> = split_by_question(examples(&all)).test.into_iter().map(|e| e.question).collect();
        prop_assert_eq!(forward, backward);
    }
}

#[test]
fn common_questions_leave_the_training_set_and_are_counted_by_source() {
    let train = examples(&["One?".into(), "Two".into(), "three".into(), "two ".into(), "four".into()]);
    let (first, second) =
        (examples(&["TWO".into(), "nine".into()]), examples(&["three!".into(), "2".into()]));
    let (kept, report) = remove_overlap(train, &[("first", &first), ("second", &second)]);
    let left: Vec<&str> = kept.iter().map(|example| example.question.as_str()).collect();
    assert_eq!(left, ["One?", "four"]);
    assert_eq!((report.removed, report.kept), (3, 2));
    assert_eq!(report.removed_ids, ["set#1", "set#2", "set#3"]);
    let counts: Vec<(&str, usize, usize)> = report
        .by_source
        .iter()
        .map(|source| (source.source.as_str(), source.removed, source.shared))
        .collect();
    assert_eq!(counts, [("first", 2, 1), ("second", 1, 1)]);
}

#[test]
fn the_two_sides_of_a_split_never_overlap() {
    let mut all = questions("A", 300);
    all.extend(questions("a", 300)); // the same questions in another case
    let split = split_by_question(examples(&all));
    let n_train = split.train.len();
    let (kept, report) = remove_overlap(split.train, &[("test", &split.test)]);
    assert_eq!((kept.len(), report.removed), (n_train, 0));
    assert!(!split.test.is_empty() && n_train > 0);
}
