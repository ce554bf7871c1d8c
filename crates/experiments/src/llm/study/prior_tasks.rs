//! What must not be forgotten: the skills of the embedded base, or the prior-ability benchmarks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use razor_benchmarks::{
    Answer, Benchmark, ChoiceScore, Document, Judges, Prompt, PromptStyle as SuiteStyle, Scoring, Task,
    TextLimits, VerdictValue, prompts, score_choices, write_answers,
};
use razor_core::Seed;
use razor_data::{SkillItem, Sources, TinySkill, skill_items};
use razor_models::{Decoder, ScoreLimits};
use razor_tensor::TileBudget;

use crate::llm::fine_tune::{BaseModel, MemorySettings, PromptStyle};
use crate::llm::study::config::{EMBEDDED, LlmConfig};
use crate::llm::study::folder::StudyFile;
use crate::llm::study::record::BenchmarkScore;
use crate::llm::tiny_suite::{SuiteLimits, score_skills};

/// Characters of a document that a report shows.
const SHOWN: usize = 300;

/// The prior tasks with their documents, ready to be asked.
pub(crate) enum PriorTasks {
    /// Of the embedded base.
    Skills(Vec<(TinySkill, Vec<SkillItem>)>),
    /// Public ones.
    Benchmarks {
        benchmarks: Vec<PriorBenchmark>,
        /// One at a time: it may run programs.
        judges: Box<Mutex<Judges>>,
    },
}

/// A benchmark's tasks with their prompts.
pub(crate) struct PriorBenchmark {
    name: String,
    tasks: Vec<(Task, Vec<Prompt>)>,
}

impl PriorTasks {
    /// Reads or makes the documents. The same for every seed of the study: the suite is a yardstick.
    pub(crate) fn load(config: &LlmConfig, base: &BaseModel, sources: &Sources) -> Result<Self> {
        let n = config.prior.max_documents;
        if config.prior.benchmarks.iter().any(|name| name == EMBEDDED) {
            let items = |&skill: &TinySkill| (skill, skill_items(skill, n, Seed::new(0)));
            return Ok(Self::Skills(TinySkill::ALL.iter().map(items).collect()));
        }
        let style = SuiteStyle {
            system_instruction: None,
            template: match config.base.prompt_style {
                PromptStyle::Chat => base.text.template.as_ref(),
                PromptStyle::Plain => None,
            },
            shots_as_turns: true,
        };
        let mut benchmarks = Vec::new();
        for benchmark in Benchmark::named(&config.prior.benchmarks)? {
            let mut tasks = Vec::new();
            let loaded = benchmark.load(sources, None)?;
            let per_task = n.div_ceil(loaded.len().max(1));
            for task in loaded {
                let asked = prompts(&task, per_task.min(task.documents.len()), &style)?;
                tasks.push((task, asked));
            }
            benchmarks.push(PriorBenchmark { name: benchmark.name.to_owned(), tasks });
        }
        let all: Vec<&Task> =
            benchmarks.iter().flat_map(|benchmark| &benchmark.tasks).map(|(task, _)| task).collect();
        let judges = Judges::for_tasks(&all, false).context("written programs cannot be judged here")?;
        Ok(Self::Benchmarks { benchmarks, judges: Box::new(Mutex::new(judges)) })
    }

    /// What they are called.
    pub(crate) fn names(&self) -> Vec<&str> {
        match self {
            Self::Skills(skills) => skills.iter().map(|(skill, _)| skill.name()).collect(),
            Self::Benchmarks { benchmarks, .. } => {
                benchmarks.iter().map(|benchmark| benchmark.name.as_str()).collect()
            }
        }
    }

    /// The files that were read.
    pub(crate) fn files(&self) -> Vec<StudyFile> {
        let Self::Benchmarks { benchmarks, .. } = self else { return Vec::new() };
        let name = |path: &Path| {
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        };
        let mut files = Vec::new();
        for (task, _) in benchmarks.iter().flat_map(|benchmark| &benchmark.tasks) {
            for file in &task.files {
                files.push(StudyFile { name: name(&file.path), sha256: file.sha256.clone() });
            }
        }
        files
    }

    /// What is asked, as text.
    pub(crate) fn prompt_texts(&self) -> Vec<String> {
        match self {
            Self::Skills(skills) => {
                skills.iter().flat_map(|(_, items)| items).map(|item| item.prompt.clone()).collect()
            }
            Self::Benchmarks { benchmarks, .. } => {
                let asked = benchmarks.iter().flat_map(|benchmark| &benchmark.tasks);
                asked.flat_map(|(_, prompts)| prompts).map(|prompt| prompt.contexts[0].clone()).collect()
            }
        }
    }

    /// Question and right answer of every document, for people; long ones are cut.
    pub(crate) fn document_texts(&self) -> BTreeMap<String, Vec<String>> {
        let shown = |question: &str, answer: &str| {
            let text = format!("{question} → {answer}");
            match text.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("{}...", &text[..end]),
                None => text,
            }
        };
        match self {
            Self::Skills(skills) => {
                let text = |item: &SkillItem| shown(&item.prompt, &item.choices[item.gold]);
                let texts = |(skill, items): &(TinySkill, Vec<SkillItem>)| {
                    (skill.name().to_owned(), items.iter().map(text).collect())
                };
                skills.iter().map(texts).collect()
            }
            Self::Benchmarks { benchmarks, .. } => {
                let texts = |benchmark: &PriorBenchmark| {
                    let documents = benchmark
                        .tasks
                        .iter()
                        .flat_map(|(task, prompts)| task.documents.iter().take(prompts.len()));
                    let text = |document: &Document| {
                        shown(document.contexts.first().map_or("", String::as_str), &document.target)
                    };
                    (benchmark.name.clone(), documents.map(text).collect())
                };
                benchmarks.iter().map(texts).collect()
            }
        }
    }

    /// Every benchmark under a policy.
    pub(crate) fn score(
        &self,
        policy: &Decoder,
        base: &BaseModel,
        memory: &MemorySettings,
    ) -> Result<Vec<BenchmarkScore>> {
        let tiles = TileBudget { bytes: memory.tile_mib << 20 };
        let limits = ScoreLimits { batch_tokens: memory.micro_batch_tokens, tiles };
        match self {
            Self::Skills(skills) => {
                let limits = SuiteLimits { max_rows: memory.generation_rows, scoring: limits };
                let scores = score_skills(policy, &base.text, &base.stop_tokens, skills, limits)?;
                Ok(scores.into_iter().map(|score| scored(score.name, score.verdicts)).collect())
            }
            Self::Benchmarks { benchmarks, judges } => {
                let judges = judges.lock().expect("no holder panics");
                let mut found = Vec::with_capacity(benchmarks.len());
                for benchmark in benchmarks {
                    let mut verdicts = Vec::new();
                    for (task, prompts) in &benchmark.tasks {
                        let answers = answers(policy, base, task, prompts, limits, memory.generation_rows)?;
                        for (document, answer) in task.documents.iter().zip(&answers) {
                            verdicts.push(value(&task.judge(document, answer, &judges)?));
                        }
                    }
                    found.push(scored(benchmark.name.clone(), verdicts));
                }
                Ok(found)
            }
        }
    }
}

fn scored(name: String, verdicts: Vec<f64>) -> BenchmarkScore {
    let score = verdicts.iter().sum::<f64>() / verdicts.len().max(1) as f64;
    BenchmarkScore { name, score, verdicts }
}

/// The figure that lm-evaluation-harness users quote: the normalized accuracy where there is one, else the first metric.
fn value(verdicts: &[razor_benchmarks::Verdict]) -> f64 {
    let normalized = verdicts.iter().find(|verdict| verdict.metric == "acc_norm");
    match normalized.or(verdicts.first()).map(|verdict| &verdict.value) {
        Some(VerdictValue::Number(number)) => *number,
        Some(VerdictValue::Flags(flags)) => {
            flags.iter().filter(|&&flag| flag).count() as f64 / flags.len().max(1) as f64
        }
        None => 0.0,
    }
}

fn answers(
    policy: &Decoder,
    base: &BaseModel,
    task: &Task,
    prompts: &[Prompt],
    limits: ScoreLimits,
    max_rows: usize,
) -> Result<Vec<Answer>> {
    let mut found: Vec<Option<Answer>> = vec![None; prompts.len()];
    match &task.scoring {
        Scoring::Choice(_) => {
            let asked: Vec<&Prompt> = prompts.iter().collect();
            let mut keep =
                |idx: usize, scores: &[ChoiceScore]| found[idx] = Some(Answer::Choices(scores.to_vec()));
            score_choices(policy, &base.text.tokenizer, &asked, None, limits, &mut keep)?;
        }
        Scoring::Text(scoring) => {
            let mut tokens = Vec::with_capacity(prompts.len());
            for prompt in prompts {
                tokens.push(base.text.tokenizer.encode(&prompt.contexts[0], true)?);
            }
            let text = TextLimits {
                stop_tokens: &base.stop_tokens,
                max_rows,
                max_new_tokens: scoring.max_new_tokens,
            };
            let mut keep = |idx: usize, answer: String| found[idx] = Some(Answer::Text(answer));
            write_answers(policy, &base.text.tokenizer, tokens, scoring.stops, text, &mut keep)?;
        }
    }
    Ok(found.into_iter().map(|answer| answer.expect("every document was answered")).collect())
}
