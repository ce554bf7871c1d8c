//! The real task files, where this machine has them: counts, answers and overlaps.
//!
//! Each test runs only where `RAZOR_DATA` names a folder with the files; elsewhere it passes without checking anything.

use std::collections::HashSet;
use std::path::PathBuf;

use razor_data::{
    Answer, NoteKind, OverlapReport, TaskData, TaskExample, TaskId, final_answer_text, is_test_question,
    load_task, normalize_question, remove_overlap, split_by_question,
};

fn real() -> Option<PathBuf> {
    std::env::var_os("RAZOR_DATA").filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

/// Loads a part and checks what holds for all of them.
fn load(dir: &std::path::Path, task: TaskId, subset: &str) -> TaskData {
    let data = load_task(task, Some(subset), dir).unwrap_or_else(|error| panic!("{error}"));
    assert!(data.provenance.iter().all(|file| file.matches_manifest == Some(true)), "{task} {subset}");
    let ids: HashSet<&str> = data.examples.iter().map(|example| example.id.as_str()).collect();
    assert_eq!(ids.len(), data.examples.len(), "{task} {subset}: identifiers differ");
    for example in &data.examples {
        let last = example.prompt.last().expect("a prompt has a message");
        assert!(last.role == "user" && last.content.contains(&example.question), "{task} {}", example.id);
        let answer = example.answer.as_ref().expect("public sets state answers");
        assert!(!final_answer_text(answer, example.format).trim().is_empty(), "{task} {}", example.id);
    }
    data
}

fn count(data: &TaskData, kind: NoteKind, reason: &str) -> usize {
    let matches = data.notes.iter().filter(|note| note.kind == kind && note.reason.contains(reason));
    matches.map(|note| note.count).sum()
}

fn n_choices(data: &TaskData) -> usize {
    data.examples.iter().filter(|example| matches!(example.answer, Some(Answer::Choice { .. }))).count()
}

fn without(train: &TaskData, test: &TaskData) -> OverlapReport {
    remove_overlap(train.examples.clone(), &[("test", &test.examples)]).1
}

fn math_answer(example: &TaskExample) -> &str {
    match &example.answer {
        Some(Answer::Math { accepted }) => &accepted[0],
        other => panic!("{}: {other:?}", example.id),
    }
}

#[test]
fn mathematics_has_its_published_counts() {
    let Some(dir) = real() else { return };
    for (task, subset, expected) in [
        (TaskId::OpenReasonerZero, "math500", 500),
        (TaskId::OpenReasonerZero, "aime2024", 30),
        (TaskId::Gsm8k, "train", 7_473),
        (TaskId::Gsm8k, "test", 1_319),
        (TaskId::Math, "test", 5_000),
        (TaskId::Asdiv, "train", 1_788),
        (TaskId::MinervaMath, "test", 272),
        (TaskId::OlympiadBench, "test", 675),
        (TaskId::Amc, "test", 83),
    ] {
        let data = load(&dir, task, subset);
        assert_eq!((data.examples.len(), &data.notes[..]), (expected, &[][..]), "{task} {subset}");
    }
}

#[test]
fn gsm8k_answers_are_plain_integers() {
    let Some(dir) = real() else { return };
    for subset in ["train", "test"] {
        for example in load(&dir, TaskId::Gsm8k, subset).examples {
            let answer = math_answer(&example);
            assert!(answer.parse::<i64>().is_ok(), "{}: {answer}", example.id);
            let target = example.target.as_deref().unwrap();
            assert!(target.ends_with(&format!("\n\\boxed{{{answer}}}")), "{target}");
            assert!(!target.contains("<<") && !target.contains(">>") && !target.contains("####"), "{target}");
        }
    }
}

#[test]
fn every_worked_solution_of_math_holds_its_answer_in_a_box() {
    let Some(dir) = real() else { return };
    let data = load(&dir, TaskId::Math, "test");
    assert!(data.examples.iter().all(|example| example.target.as_deref().unwrap().contains("\\boxed")));
    let subjects: HashSet<&str> =
        data.examples.iter().filter_map(|example| example.subject.as_deref()).collect();
    assert_eq!(subjects.len(), 7);
    let amc = load(&dir, TaskId::Amc, "test");
    assert!(amc.examples.iter().all(|example| math_answer(example).parse::<i64>().is_ok()));
}

#[test]
fn sciknoweval_has_its_published_counts() {
    let Some(dir) = real() else { return };
    // Repeats: counted by an independent program on the question's text, skipped rows left out.
    for (subset, examples, choices, skipped, repeats) in [
        ("Chemistry/L3", 2_400, 2_100, 0, 5),
        ("Biology/L3", 600, 600, 0, 192),
        ("Material/L3", 934, 934, 1, 29),
        ("Physics/L3", 1_018, 800, 0, 25),
        ("Chemistry/L1", 3_000, 3_000, 0, 1),
        ("Chemistry/L2", 2_095, 1_295, 0, 99),
        ("Chemistry/L4", 1_000, 1_000, 0, 86),
        ("Chemistry/L5", 199, 0, 0, 0),
    ] {
        let data = load(&dir, TaskId::Sciknoweval, subset);
        let found = (
            data.examples.len(),
            n_choices(&data),
            count(&data, NoteKind::Skipped, ""),
            count(&data, NoteKind::Flagged, "repeats"),
        );
        assert_eq!(found, (examples, choices, skipped, repeats), "{subset}: {:?}", data.notes);
    }
    let physics = load(&dir, TaskId::Sciknoweval, "Physics/L3");
    assert_eq!(count(&physics, NoteKind::Flagged, "read the same"), 6);
    assert_eq!(count(&physics, NoteKind::Flagged, "open answer"), 218);
}

#[test]
fn toolalpaca_has_its_published_counts() {
    let Some(dir) = real() else { return };
    let data = load(&dir, TaskId::Toolalpaca, "eval");
    let n_calls: Vec<usize> = (data.examples.iter())
        .map(|example| match &example.answer {
            Some(Answer::ToolCalls { calls }) => calls.len(),
            other => panic!("{}: {other:?}", example.id),
        })
        .collect();
    assert_eq!((data.examples.len(), n_calls.iter().sum::<usize>()), (214, 297));
    assert_eq!(n_calls.iter().filter(|&&n| n == 1).count(), 151);
    assert_eq!(n_calls.iter().max(), Some(&5));
    assert_eq!(count(&data, NoteKind::Flagged, "not JSON"), 36);
    assert_eq!(count(&data, NoteKind::Flagged, "documentation lacks"), 15);
    let tools: HashSet<&str> =
        data.examples.iter().filter_map(|example| example.subject.as_deref()).collect();
    assert_eq!(tools.len(), 21);
    for (subset, expected) in [("eval_simulated", 100), ("eval_real", 114)] {
        assert_eq!(load(&dir, TaskId::Toolalpaca, subset).examples.len(), expected);
    }
}

#[test]
fn sets_of_related_work_have_their_published_counts() {
    let Some(dir) = real() else { return };
    for (task, subset, expected, skipped) in [
        (TaskId::TooluseEval, "eval", 97, 0),
        (TaskId::TooluseEval, "first_upload", 68, 0),
        (TaskId::TooluseEval, "sdpo_test", 68, 0),
        (TaskId::ScienceEval, "eval", 507, 0),
        (TaskId::ScienceEval, "processed_train", 1_568, 232),
        (TaskId::ScienceEval, "processed_val", 107, 13),
        (TaskId::ScienceEval, "processed_eval", 425, 55),
        (TaskId::ScienceEval, "sdpo_train", 1_890, 0),
        (TaskId::ScienceEval, "sdpo_test", 210, 0),
    ] {
        let data = load(&dir, task, subset);
        let found = (data.examples.len(), count(&data, NoteKind::Skipped, ""));
        assert_eq!(found, (expected, skipped), "{task} {subset}");
    }
}

#[test]
fn math500_lies_inside_the_test_problems_of_math() {
    let Some(dir) = real() else { return };
    let (math, math500) = (load(&dir, TaskId::Math, "test"), load(&dir, TaskId::OpenReasonerZero, "math500"));
    let report = without(&math, &math500);
    assert_eq!((report.removed, report.kept, report.by_source[0].shared), (500, 4_500, 500));
}

#[test]
fn what_training_sets_share_with_evaluation_sets() {
    let Some(dir) = real() else { return };
    let chemistry = load(&dir, TaskId::Sciknoweval, "Chemistry/L3");
    let tools = load(&dir, TaskId::Toolalpaca, "eval");
    for (train, task, subset, removed, shared, of) in [
        (&chemistry, TaskId::ScienceEval, "eval", 298, 297, 507),
        (&chemistry, TaskId::ScienceEval, "processed_train", 1_570, 1_568, 1_568),
        (&chemistry, TaskId::ScienceEval, "processed_val", 107, 107, 107),
        (&chemistry, TaskId::ScienceEval, "processed_eval", 427, 425, 425),
        (&chemistry, TaskId::ScienceEval, "sdpo_train", 1_890, 1_890, 1_890),
        (&chemistry, TaskId::ScienceEval, "sdpo_test", 210, 210, 210),
        (&tools, TaskId::TooluseEval, "eval", 68, 68, 97),
        (&tools, TaskId::TooluseEval, "first_upload", 68, 68, 68),
        (&tools, TaskId::TooluseEval, "sdpo_test", 68, 68, 68),
    ] {
        let test = load(&dir, task, subset);
        let report = without(train, &test);
        let found = (report.removed, report.by_source[0].shared, test.examples.len());
        assert_eq!(found, (removed, shared, of), "{} and {task} {subset}", train.task);
    }
}

#[test]
fn sets_of_mathematics_share_nothing_but_math500() {
    let Some(dir) = real() else { return };
    let part = |task, subset| load(&dir, task, subset);
    let train = [part(TaskId::Gsm8k, "train"), part(TaskId::Math, "test"), part(TaskId::Asdiv, "train")];
    let tests = [
        part(TaskId::Gsm8k, "test"),
        part(TaskId::OpenReasonerZero, "aime2024"),
        part(TaskId::Amc, "test"),
        part(TaskId::OlympiadBench, "test"),
        part(TaskId::MinervaMath, "test"),
    ];
    for train in &train {
        for test in &tests {
            assert_eq!(without(train, test).removed, 0, "{} and {} {}", train.task, test.task, test.subset);
        }
    }
}

#[test]
fn a_tenth_of_every_set_is_its_test_side_and_no_question_is_on_both() {
    let Some(dir) = real() else { return };
    for (task, subset) in [
        (TaskId::Sciknoweval, "Chemistry/L3"),
        (TaskId::Sciknoweval, "Chemistry/L2"),
        (TaskId::Gsm8k, "train"),
        (TaskId::Math, "test"),
        (TaskId::Toolalpaca, "eval"),
    ] {
        let data = load(&dir, task, subset);
        let n = data.examples.len();
        let raw: HashSet<&str> = data.examples.iter().map(|example| example.question.as_str()).collect();
        let folded: HashSet<String> = raw.iter().map(|question| normalize_question(question)).collect();
        assert_eq!(raw.len(), folded.len(), "{task} {subset}: folding case merges no two molecules");
        let split = split_by_question(data.examples);
        let share = split.test.len() as f64 / n as f64;
        let four_deviations = 4.0 * (0.09 / n as f64).sqrt();
        assert!((share - 0.1).abs() < four_deviations, "{task} {subset}: {share}");
        let overlap = remove_overlap(split.train, &[("test", &split.test)]).1;
        assert_eq!(overlap.removed, 0, "{task} {subset}");
        assert!(split.test.iter().all(|example| is_test_question(&example.question)));
    }
}
