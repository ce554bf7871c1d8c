//! MMLU: questions of 57 school and university subjects, four options each.
//!
//! Paper: arXiv 2009.03300. Version 1.0 in lm-evaluation-harness 0.4.13; groups 2. `mmlu/test.jsonl` and, for examples,
//! `mmlu/dev.jsonl` have `subject`, `question`, `choices`, `answer`.

use std::collections::BTreeMap;

use razor_data::{DataFile, Sources};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::choice_scoring::ChoiceMetric;
use crate::error::BenchmarkError;
use crate::suite::{Benchmark, Group};
use crate::task::{Document, Scoring, Shots, Task};

const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

pub(crate) const BENCHMARK: Benchmark = Benchmark {
    name: "mmlu",
    about: "exam questions of 57 subjects, the letter of one of four options",
    default_shots: 0,
    read,
    groups: &[
        Group { name: "mmlu_stem", alias: "stem", tasks: STEM, version: 2.0 },
        Group { name: "mmlu_other", alias: "other", tasks: OTHER, version: 2.0 },
        Group {
            name: "mmlu_social_sciences",
            alias: "social sciences",
            tasks: SOCIAL_SCIENCES,
            version: 2.0,
        },
        Group { name: "mmlu_humanities", alias: "humanities", tasks: HUMANITIES, version: 2.0 },
        Group { name: "mmlu", alias: "mmlu", tasks: &[], version: 2.0 },
    ],
};

const STEM: &[&str] = &[
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "electrical_engineering",
    "elementary_mathematics",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_mathematics",
    "high_school_physics",
    "high_school_statistics",
    "machine_learning",
];
const OTHER: &[&str] = &[
    "business_ethics",
    "clinical_knowledge",
    "college_medicine",
    "global_facts",
    "human_aging",
    "management",
    "marketing",
    "medical_genetics",
    "miscellaneous",
    "nutrition",
    "professional_accounting",
    "professional_medicine",
    "virology",
];
const SOCIAL_SCIENCES: &[&str] = &[
    "econometrics",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_macroeconomics",
    "high_school_microeconomics",
    "high_school_psychology",
    "human_sexuality",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
];
const HUMANITIES: &[&str] = &[
    "formal_logic",
    "high_school_european_history",
    "high_school_us_history",
    "high_school_world_history",
    "international_law",
    "jurisprudence",
    "logical_fallacies",
    "moral_disputes",
    "moral_scenarios",
    "philosophy",
    "prehistory",
    "professional_law",
    "world_religions",
];

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    subject: String,
    question: String,
    choices: [String; 4],
    answer: usize,
}

fn read(sources: &Sources) -> Result<Vec<Task>, BenchmarkError> {
    let files = [DataFile::load("mmlu/test.jsonl", sources)?, DataFile::load("mmlu/dev.jsonl", sources)?];
    let (test, mut dev) = (by_subject(&files[0])?, by_subject(&files[1])?);
    let task = |(subject, documents): (String, Vec<Document>)| Task {
        name: format!("mmlu_{subject}"),
        version: 1.0,
        description: format!(
            "The following are multiple choice questions (with answers) about {}.\n\n",
            subject.replace('_', " ")
        ),
        documents,
        shots: Shots::FirstOf(dev.remove(&subject).unwrap_or_default()),
        n_shots: 0,
        scoring: Scoring::Choice(&[ChoiceMetric::Acc]),
        files: files.iter().map(Into::into).collect(),
        alias: subject,
    };
    Ok(test.into_iter().map(task).collect())
}

fn by_subject(file: &DataFile) -> Result<BTreeMap<String, Vec<Document>>, BenchmarkError> {
    let mut subjects: BTreeMap<String, Vec<Document>> = BTreeMap::new();
    for (idx, record) in file.records::<Record>()?.into_iter().enumerate() {
        if record.answer >= LETTERS.len() {
            let reason = format!("record {}: the answer is {}, expected 0 to 3", idx + 1, record.answer);
            return Err(file.refuse(idx + 1, reason).into());
        }
        let document = document(&record);
        subjects.entry(record.subject).or_default().push(document);
    }
    Ok(subjects)
}

fn document(record: &Record) -> Document {
    let options = LETTERS.iter().zip(&record.choices).map(|(letter, choice)| format!("{letter}. {choice}\n"));
    Document {
        record: json!(record),
        contexts: vec![format!("{}\n{}Answer:", record.question.trim(), options.collect::<String>())],
        continuations: LETTERS.map(str::to_owned).to_vec(),
        gold: record.answer,
        is_true: Vec::new(),
        target: record.answer.to_string(),
        answer_start: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_is_in_one_group() {
        let mut subjects = [STEM, OTHER, SOCIAL_SCIENCES, HUMANITIES].concat();
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), 57);
    }

    #[test]
    fn a_question_lists_its_options() {
        let choices = ["w", "x", "y", "z"].map(str::to_owned);
        let record = Record { subject: "a".into(), question: " Why?\n".into(), choices, answer: 2 };
        let document = document(&record);
        assert_eq!(document.contexts, ["Why?\nA. w\nB. x\nC. y\nD. z\nAnswer:"]);
        assert_eq!(document.answer(), "C");
    }
}
