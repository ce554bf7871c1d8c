//! The hand-written samples in `datasets/` have the layout and every quirk of the real files.

use std::path::PathBuf;

use razor_data::{
    Answer, AnswerFormat, DataError, NoteKind, Sources, TaskData, TaskExample, TaskId, load_task,
    load_task_from,
};

/// The data folder that holds the samples of `folder`.
fn sample(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../datasets").join(folder).join("sample")
}

fn load(folder: &str, task: TaskId, subset: &str) -> TaskData {
    load_task(task, Some(subset), &sample(folder)).expect("the sample is in the tree")
}

fn math_answers(data: &TaskData) -> Vec<Vec<String>> {
    let accepted = |example: &TaskExample| match &example.answer {
        Some(Answer::Math { accepted }) => accepted.clone(),
        other => panic!("{}: {other:?}", example.id),
    };
    data.examples.iter().map(accepted).collect()
}

/// Label and option texts.
fn choice(example: &TaskExample) -> (&str, Vec<&str>) {
    match &example.answer {
        Some(Answer::Choice { label, options }) => {
            (label, options.iter().map(|option| option.text.as_str()).collect())
        }
        other => panic!("{}: {other:?}", example.id),
    }
}

fn count(data: &TaskData, kind: NoteKind, reason: &str) -> usize {
    let matches = data.notes.iter().filter(|note| note.kind == kind && note.reason.contains(reason));
    matches.map(|note| note.count).sum()
}

fn user_text(example: &TaskExample) -> &str {
    let last = example.prompt.last().expect("a prompt has a message");
    assert_eq!(last.role, "user");
    &last.content
}

#[test]
fn gsm8k_loses_commas_and_calculator_marks_and_ends_in_a_box() {
    let data = load("gsm8k", TaskId::Gsm8k, "train");
    assert_eq!(math_answers(&data), [["1200"], ["16"], ["-7"]]);
    let target = data.examples[0].target.as_deref().unwrap();
    assert_eq!(target, "It carries 4*300 = 1,200 people a day.\n\\boxed{1200}");
    assert_eq!(data.examples[1].id, "train#1");
    let asked = user_text(&data.examples[0]);
    assert!(asked.starts_with(&data.examples[0].question) && asked.ends_with("inside \\boxed{}."), "{asked}");
    let by_default = load_task(TaskId::Gsm8k, None, &sample("gsm8k")).unwrap();
    assert_eq!(by_default, data, "the training part is the default");
    assert_eq!(load("gsm8k", TaskId::Gsm8k, "test").examples.len(), 1);
}

#[test]
fn a_file_that_is_not_the_listed_one_says_so() {
    let file = &load("gsm8k", TaskId::Gsm8k, "train").provenance[0];
    assert_eq!((file.records, file.matches_manifest), (3, Some(false)));
    assert_eq!(file.sha256.len(), 64);
}

#[test]
fn mathematics_keeps_its_latex_and_every_accepted_answer() {
    let math = load("math_extra", TaskId::Math, "test");
    assert_eq!(math_answers(&math), [["\\frac{1}{6}"], ["5"]]);
    assert_eq!(math.examples[1].subject.as_deref(), Some("number_theory"));
    assert!(math.examples[0].target.as_deref().unwrap().ends_with("\\boxed{\\frac{1}{6}}.$"));
    assert_eq!(math_answers(&load("math_extra", TaskId::Asdiv, "train")), [["1/6"], ["11"]]);
    let minerva = math_answers(&load("math_extra", TaskId::MinervaMath, "test"));
    assert_eq!(minerva, [vec!["10"], vec!["\\frac{1}{2}", "0.5"]]);
    assert_eq!(math_answers(&load("math_extra", TaskId::OlympiadBench, "test")), [["$n+1$"]]);
}

#[test]
fn a_float_answer_loses_its_zero() {
    let amc = load("math_extra", TaskId::Amc, "test");
    assert_eq!(math_answers(&amc), [["142"], ["-4"]]);
    assert_eq!(amc.examples[1].meta["difficulty"], "4.625");
}

#[test]
fn both_forms_of_open_reasoner_zero_give_the_same_examples() {
    let evaluation = load("open_reasoner_zero", TaskId::OpenReasonerZero, "math500");
    let training = load("open_reasoner_zero", TaskId::OpenReasonerZero, "57k");
    assert_eq!(math_answers(&evaluation), [["5"], ["\\left( 2, \\frac{\\pi}{2} \\right)"]]);
    assert_eq!(math_answers(&training), [["56"], ["5"]]);
    let (first, last) = (&evaluation.examples[0], &training.examples[1]);
    assert_eq!((&first.question, &first.prompt, &first.answer), (&last.question, &last.prompt, &last.answer));
}

#[test]
fn options_keep_their_backslashes_and_unpaired_ones_are_skipped() {
    let data = load("sciknoweval", TaskId::Sciknoweval, "Chemistry/L3");
    let kinds: Vec<&str> = data.examples.iter().map(|example| example.meta["type"].as_str()).collect();
    assert_eq!(kinds, ["filling", "mcq-4-choices"], "files by name, rows in order");
    let example = &data.examples[1];
    let smiles = "CCOC(=O)/C=C1\\CCN1";
    assert_eq!(choice(example), ("A", vec![smiles, "C[C@@H](O)C", "c1ccccc1", "C1CCCCC1"]));
    assert!(user_text(example).contains(&format!("\n\nA. {smiles}\nB. C[C@@H](O)C\n")));
    assert!(user_text(example).ends_with("where X is A, B, C or D."));
    assert_eq!(example.subject.as_deref(), Some("retrosynthesis"));
    assert_eq!(count(&data, NoteKind::Skipped, "do not pair"), 1);
    assert!(data.notes[0].places[0].ends_with("retrosynthesis.jsonl:2"), "{:?}", data.notes);
    assert_eq!(count(&data, NoteKind::Flagged, "listed in the manifest but not here"), 4);
}

#[test]
fn an_equation_to_balance_is_text_on_an_answer_line() {
    let data = load("sciknoweval", TaskId::Sciknoweval, "Chemistry/L3");
    let example = &data.examples[0];
    assert_eq!(example.answer, Some(Answer::Text { accepted: vec!["2H2 + O2 = 2H2O".into()] }));
    assert_eq!(example.format, AnswerFormat::AnswerLine);
    let asked = user_text(example);
    assert!(asked.contains("Keep the order") && asked.contains("\"Answer: \""), "{asked}");
}

#[test]
fn true_or_false_and_two_options_are_choices() {
    let data = load("sciknoweval", TaskId::Sciknoweval, "Biology/L3");
    let [two, soluble, insoluble] = &data.examples[..] else { panic!("{} examples", data.examples.len()) };
    assert_eq!(choice(two), ("A", vec![" GFP", "hen's egg lysozyme "]), "option texts are not trimmed");
    assert_eq!(choice(soluble), ("True", vec!["Yes", "No"]));
    assert_eq!(choice(insoluble).0, "False");
    assert!(user_text(soluble).contains("\n\nTrue. Yes\nFalse. No\n\n"));
}

#[test]
fn open_answers_repeats_and_equal_options_are_flagged() {
    let physics = load("sciknoweval", TaskId::Sciknoweval, "Physics/L3");
    assert_eq!(count(&physics, NoteKind::Flagged, "read the same"), 1);
    assert_eq!(count(&physics, NoteKind::Flagged, "open answer"), 1);
    assert_eq!(physics.examples[1].meta["level"], "L5", "the record's level stands, not the folder's");
    assert_eq!(physics.examples[1].format, AnswerFormat::Whole);
    let doping = load("sciknoweval", TaskId::Sciknoweval, "Chemistry/L2");
    assert_eq!((doping.examples.len(), count(&doping, NoteKind::Flagged, "repeats")), (2, 1));
}

#[test]
fn every_instruction_of_a_tool_is_an_example() {
    let data = load("toolalpaca", TaskId::Toolalpaca, "eval");
    let ids: Vec<&str> = data.examples.iter().map(|example| example.id.as_str()).collect();
    assert_eq!(ids, ["eval_simulated#0", "eval_simulated#1", "eval_real#0"]);
    let asked = user_text(&data.examples[1]);
    for part in ["Tool: Tide Tables", "one of [findHarbour, getTides]\n", "Action Input: ", "Thought: "] {
        assert!(asked.contains(part), "{asked}");
    }
    assert!(asked.ends_with("Request: Show me two days of tides at Sandwich."), "{asked}");
    let target = data.examples[0].target.as_deref().unwrap();
    assert!(target.ends_with("\nAction: findHarbour\nAction Input: {\"name\": \"Marée\"}"), "{target}");
}

#[test]
fn odd_golden_calls_stay_as_text_and_are_counted() {
    let data = load("toolalpaca", TaskId::Toolalpaca, "eval");
    let Some(Answer::ToolCalls { calls }) = &data.examples[1].answer else { panic!("a tool task has calls") };
    assert_eq!(calls[1].action_input, "{\"harbourId\": ${harbourId from findHarbour}, \"days\": 2}");
    assert_eq!(data.examples[1].meta["non_json_calls"], "1");
    assert_eq!(count(&data, NoteKind::Flagged, "not JSON"), 2);
    assert_eq!(count(&data, NoteKind::Flagged, "documentation lacks"), 1);
    assert!(!data.examples[0].meta.contains_key("non_json_calls"));
}

#[test]
fn keys_that_golden_calls_carry_are_told_in_the_prompt() {
    let data = load("toolalpaca", TaskId::Toolalpaca, "eval");
    let told = "Give every call these arguments too: {\"api_key\":\"***\"}\n\nRequest: ";
    assert!(user_text(&data.examples[2]).contains(told), "{}", user_text(&data.examples[2]));
    assert!(!user_text(&data.examples[0]).contains("these arguments too"));
}

#[test]
fn prompts_of_related_work_are_kept_as_published() {
    let folder = "self_distillation_eval";
    let evaluation = load(folder, TaskId::TooluseEval, "eval");
    let first = load(folder, TaskId::TooluseEval, "first_upload");
    assert_eq!(
        evaluation.examples[0].answer, first.examples[0].answer,
        "an array or lines, the same records"
    );
    assert!(user_text(&evaluation.examples[0]).starts_with("You have this tool.\n"));
    assert_eq!(evaluation.examples[0].prompt.len(), 1);
    let sdpo = load(folder, TaskId::TooluseEval, "sdpo_test");
    assert_eq!(sdpo.examples[0].answer, first.examples[0].answer, "calls inside a text are the same calls");
    assert_eq!(sdpo.examples[0].question, evaluation.examples[0].question);
    assert!(
        sdpo.examples.iter().all(|example| example.prompt.len() == 1),
        "null and `None` are no system text"
    );
}

#[test]
fn options_are_found_in_all_three_layouts_of_the_science_sets() {
    let folder = "self_distillation_eval";
    let science = load(folder, TaskId::ScienceEval, "eval");
    let original = load("sciknoweval", TaskId::Sciknoweval, "Chemistry/L3");
    assert_eq!(choice(&science.examples[0]), choice(&original.examples[1]));
    assert_eq!(science.examples[0].question, original.examples[1].question);
    assert_eq!(
        (science.examples[0].prompt[0].role.as_str(), science.examples[0].prompt.len()),
        ("system", 2)
    );

    let processed = load(folder, TaskId::ScienceEval, "processed_train");
    assert_eq!(choice(&processed.examples[0]), choice(&original.examples[1]));
    assert_eq!(processed.examples[0].question, original.examples[1].question);
    assert_eq!(processed.examples[0].target.as_deref(), Some("The correct answer is A."));
    assert_eq!((processed.examples.len(), count(&processed, NoteKind::Skipped, "no answer")), (1, 1));

    let sdpo = load(folder, TaskId::ScienceEval, "sdpo_test");
    assert_eq!(choice(&sdpo.examples[0]), ("B", vec!["CC", "CCC", "CCCC", "CCCCC"]));
    assert_eq!(sdpo.examples[0].question, "Which molecule is 'propane'?");
    assert!(user_text(&sdpo.examples[0]).ends_with("step by step."), "the prompt itself is whole");
    assert_eq!(sdpo.examples[0].prompt[0].role, "system");
}

#[test]
fn a_task_that_is_nowhere_lists_the_places() {
    let error = load_task(TaskId::Gsm8k, Some("test"), &sample("toolalpaca")).unwrap_err();
    assert!(matches!(error, DataError::TaskNotFound { .. }));
    let message = error.to_string();
    assert!(
        message.contains("gsm8k (test) was not found") && message.contains("no gsm8k/test.jsonl"),
        "{message}"
    );

    let variable = sample("toolalpaca");
    let sources = Sources::from_lookup(None, |name| (name == "RAZOR_DATA").then(|| variable.clone().into()));
    let message = load_task_from(TaskId::Sciknoweval, None, &sources).unwrap_err().to_string();
    assert!(message.contains("(RAZOR_DATA): no sciknoweval/raw_data/Chemistry/L3"), "{message}");
    assert!(message.contains("datasets/raw (the default folder)"), "{message}");
    assert_eq!(load_task_from(TaskId::Toolalpaca, None, &sources).unwrap().examples.len(), 3);
}

#[test]
fn half_a_task_names_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("toolalpaca")).unwrap();
    let half = sample("toolalpaca").join("toolalpaca/eval_real.json");
    std::fs::copy(half, dir.path().join("toolalpaca/eval_real.json")).unwrap();
    let message = load_task(TaskId::Toolalpaca, None, dir.path()).unwrap_err().to_string();
    assert!(message.contains("incomplete, missing toolalpaca/eval_simulated.json (or .gz)"), "{message}");
    assert!(load_task(TaskId::Toolalpaca, Some("eval_real"), dir.path()).is_ok());
}

#[test]
fn a_user_s_file_is_no_task_of_a_data_folder() {
    let message = load_task(TaskId::UserFile, None, &sample("gsm8k")).unwrap_err().to_string();
    assert!(message.contains("no task is called `user_file`"), "{message}");
}

#[test]
fn a_named_place_that_is_a_file_is_refused() {
    let file = sample("gsm8k").join("gsm8k/train.jsonl");
    let message = load_task_from(TaskId::Gsm8k, None, &Sources::new(Some(file))).unwrap_err().to_string();
    assert!(message.contains("--data is") && message.contains("not a folder"), "{message}");
}
