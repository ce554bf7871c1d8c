//! What a base of the tiny language can do, and whether reinforcement can teach it more.

use std::collections::BTreeMap;

use anyhow::Context;
use razor_core::Seed;
use razor_data::{Sources, TaskId, TinySkill, completion_style, skill_items};
use razor_envs::Judge;
use razor_models::{
    Completion, GenerationLimits, GenerationRequest, Sampling, ScoreLimits, StopReason, generate,
};
use razor_tensor::TileBudget;
use serde::{Deserialize, Serialize};

use crate::llm::fine_tune::{BaseModel, PromptStyle, TaskQuestions, TaskSettings};
use crate::llm::pretrain::recipe::{MICRO_BATCH_TOKENS, TILE_MIB};
use crate::llm::tiny_suite::{SuiteLimits, score_skills};

/// Items of each skill, held-out questions of each task, completions of each at temperature 1.
const N_ITEMS: usize = 150;
const N_QUESTIONS: usize = 200;
const N_SAMPLES: usize = 4;
/// Tokens after which a completion is cut: the longest of corpus and annotator have fewer.
const MAX_NEW_TOKENS: usize = 48;
const ROWS: usize = 256;
/// How much more often than the direct answer some reasoning has to be right, for reinforcement to find it.
const NEEDED_RATIO: f64 = 1.5;
/// Share of completions from which on a style counts.
const NEEDED_SHARE: f64 = 0.03;

/// Scores of a base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaseEvaluation {
    /// Weights.
    pub n_parameters: usize,
    /// Mean of the skills' scores.
    pub skill_mean: f64,
    /// One a skill.
    pub skills: Vec<SkillScore>,
    /// One a new task.
    pub tasks: Vec<TaskScore>,
}

/// Share of right items of a prior skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named after what they hold")]
pub struct SkillScore {
    pub name: String,
    pub score: f64,
    pub n_items: usize,
}

/// A new task on held-out questions, before any fine-tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// Which.
    pub task: TaskId,
    /// Held-out questions.
    pub n_questions: usize,
    /// Share of greedy completions that are right.
    pub greedy: f64,
    /// The same of completions at temperature 1.
    pub sampled: f64,
    /// Share of these that do not end by themselves.
    pub truncated: f64,
    /// Styles of the completions at temperature 1, the commonest first.
    pub styles: Vec<StyleScore>,
    /// How often the best reasoning is right, over how often the answer without any is; `None` where that never is.
    pub reasoning_over_direct: Option<f64>,
}

/// Completions of one style.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named after what they hold")]
pub struct StyleScore {
    pub style: String,
    pub share: f64,
    pub right: f64,
}

impl TaskScore {
    /// Whether some reasoning is right half again as often as the answer without any.
    pub fn reasoning_wins(&self) -> bool {
        self.reasoning_over_direct.map_or(self.sampled > 0.0, |ratio| ratio >= NEEDED_RATIO)
    }
}

/// Styles without reasoning: a number, values without a call, an option.
const DIRECT: [&str; 3] = ["direct", "bare", "guess"];

/// Scores a base of the tiny language. The same base gives the same scores.
///
/// # Errors
/// When the base knows no token that ends a completion, or its logits are not finite.
pub fn evaluate_base(base: &BaseModel) -> anyhow::Result<BaseEvaluation> {
    let seed = Seed::new(0).derive("evaluation of a base", 0);
    let items: Vec<_> =
        TinySkill::ALL.map(|skill| (skill, skill_items(skill, N_ITEMS, seed))).into_iter().collect();
    let scoring =
        ScoreLimits { batch_tokens: MICRO_BATCH_TOKENS, tiles: TileBudget { bytes: TILE_MIB << 20 } };
    let limits = SuiteLimits { max_rows: ROWS, scoring };
    let scores = score_skills(&base.decoder, &base.text, &base.stop_tokens, &items, limits)?;
    let skills: Vec<SkillScore> = scores
        .into_iter()
        .map(|score| SkillScore { score: score.mean(), n_items: score.verdicts.len(), name: score.name })
        .collect();
    let skill_mean = skills.iter().map(|skill| skill.score).sum::<f64>() / skills.len() as f64;
    let tasks = TaskId::GENERATED.into_iter().map(|task| evaluate_task(base, task, seed));
    Ok(BaseEvaluation {
        n_parameters: base.decoder.config().n_parameters(),
        skill_mean,
        skills,
        tasks: tasks.collect::<anyhow::Result<_>>()?,
    })
}

fn evaluate_task(base: &BaseModel, task: TaskId, seed: Seed) -> anyhow::Result<TaskScore> {
    let settings = TaskSettings {
        name: task.name().to_owned(),
        subset: String::new(),
        file: None,
        annotations: None,
        imitates_answers: false,
        prompt_style: PromptStyle::Plain,
        max_train: 0,
        max_test: N_QUESTIONS,
        max_new_tokens: MAX_NEW_TOKENS,
    };
    let questions = TaskQuestions::load(&settings, &Sources::new(None))?;
    let (prompts, of) =
        base.text.prompts(&questions.test, PromptStyle::Plain, MAX_NEW_TOKENS, "the longest completion")?;
    let judges = base.text.judges(&of)?;
    let greedy = Sampling { temperature: 0.0, ..Sampling::PLAIN };
    let greedy = answers(base, &prompts, &judges, greedy, &[Seed::new(0)])?;
    let seeds: Vec<Seed> = (0..N_SAMPLES as u64).map(|idx| seed.derive(task.name(), idx)).collect();
    let sampled = answers(base, &prompts, &judges, Sampling::PLAIN, &seeds)?;
    let share = |answers: &[Answered], is: &dyn Fn(&Answered) -> bool| {
        answers.iter().filter(|answer| is(answer)).count() as f64 / answers.len() as f64
    };
    let mut by_style = BTreeMap::<&str, Vec<Answered>>::new();
    for answer in &sampled {
        by_style.entry(completion_style(task, &answer.text)).or_default().push(answer.clone());
    }
    let mut styles: Vec<StyleScore> = by_style
        .iter()
        .map(|(style, of)| StyleScore {
            style: (*style).to_owned(),
            share: of.len() as f64 / sampled.len() as f64,
            right: share(of, &|answer| answer.is_right),
        })
        .collect();
    styles.sort_by(|one, other| other.share.total_cmp(&one.share));
    let is_direct = |style: &&StyleScore| DIRECT.contains(&style.style.as_str());
    let direct = styles.iter().find(is_direct).map_or(0.0, |style| style.right);
    let reasoned = styles.iter().filter(|style| !is_direct(style) && style.share >= NEEDED_SHARE);
    let best = reasoned.map(|style| style.right).fold(0.0, f64::max);
    Ok(TaskScore {
        task,
        n_questions: prompts.len(),
        greedy: share(&greedy, &|answer| answer.is_right),
        sampled: share(&sampled, &|answer| answer.is_right),
        truncated: share(&sampled, &|answer| answer.is_truncated),
        styles,
        reasoning_over_direct: (direct > 0.0).then(|| best / direct),
    })
}

#[derive(Debug, Clone)]
struct Answered {
    text: String,
    is_right: bool,
    is_truncated: bool,
}

fn answers(
    base: &BaseModel,
    prompts: &[Vec<u32>],
    judges: &[Judge],
    sampling: Sampling,
    seeds: &[Seed],
) -> anyhow::Result<Vec<Answered>> {
    let stream = |prompt: usize| seeds.iter().map(move |seed| seed.derive("prompt", prompt as u64)).collect();
    let requests: Vec<GenerationRequest> = prompts
        .iter()
        .enumerate()
        .map(|(idx, prompt)| GenerationRequest { prompt: prompt.clone(), seeds: stream(idx) })
        .collect();
    let limits = GenerationLimits {
        max_new_tokens: MAX_NEW_TOKENS,
        stop_tokens: base.stop_tokens.clone(),
        max_rows: ROWS,
    };
    let mut drawn: Vec<Option<Completion>> = vec![None; prompts.len() * seeds.len()];
    let mut keep = |prompt: usize, sample: usize, completion: Completion| {
        drawn[prompt * seeds.len() + sample] = Some(completion);
    };
    generate(&base.decoder, &requests, sampling, &limits, &mut |_, _, _| false, &mut keep)?;
    let judged = drawn.into_iter().enumerate().map(|(place, completion)| {
        let completion = completion.context("every completion ends")?;
        let text = base.text.tokenizer.decode(&completion.tokens, true)?;
        Ok(Answered {
            is_right: judges[place / seeds.len()].judge(&text).reward() == 1.0,
            is_truncated: completion.stop_reason != StopReason::StopToken,
            text,
        })
    });
    judged.collect()
}
