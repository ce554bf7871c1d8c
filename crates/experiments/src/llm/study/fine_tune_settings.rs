//! A run's setting as the settings of a fine-tuning run.

use std::path::Path;

use razor_core::Seed;
use razor_models::LORA_TARGETS;
use razor_trainers::language::loss::{
    KlEstimator, KlPenalty, Optimization, PolicyGradientConfig, SftConfig, SftLoss, paper_grpo, paper_sft,
    paper_simpo, reinforce_1_0,
};
use razor_trainers::language::run::{Better, Retention};
use razor_trainers::language::{BaseKlConfig, SftKl};

use crate::llm::fine_tune::{
    AnchorSettings, CadenceSettings, FineTuneSettings, LoraSettings, MethodSettings, TaskSettings,
};
use crate::llm::study::config::{LlmConfig, NewTaskConfig};
use crate::llm::study::method::StudyMethod;
use crate::llm::study::plan::Setting;

/// The fine-tuning run of a setting on the model in `model`, without cadences: these go by its number of steps.
pub(crate) fn fine_tune_settings(
    config: &LlmConfig,
    task: &NewTaskConfig,
    setting: &Setting,
    model: String,
    seed: Seed,
) -> FineTuneSettings {
    let numbers = &config.training;
    let is_lora = setting.method.is_lora();
    let lora = is_lora.then(|| LoraSettings {
        rank: numbers.lora_rank,
        alpha: numbers.lora_alpha,
        use_rslora: false,
        targets: LORA_TARGETS.iter().map(|&target| target.to_owned()).collect(),
    });
    let anchor = (setting.method == StudyMethod::SftL2sp)
        .then_some(AnchorSettings { coefficient: numbers.l2sp_coefficient, fisher: None });
    FineTuneSettings {
        // TOML has no whole numbers above this.
        seed: seed.value() >> 1,
        model,
        n_steps: setting.n_steps,
        n_epochs: setting.n_epochs,
        task: task_settings(config, task),
        method: method_settings(config, task, setting),
        anchor,
        lora,
        cadence: CadenceSettings { evaluate_every: 0, checkpoint_every: 0, show_every: 0 },
        base_kl: BaseKlConfig {
            every: 0,
            n_prompts: config.measure.n_kl_prompts,
            n_samples: 1,
            max_new_tokens: task.max_new_tokens,
            n_resamples: config.measure.n_resamples,
        },
        kl_budget: None,
        memory: config.memory,
        retention: Retention { keep_last: 1, keep_best: 0, better: Better::Higher },
    }
}

/// The questions of a new task.
pub(crate) fn task_settings(config: &LlmConfig, task: &NewTaskConfig) -> TaskSettings {
    TaskSettings {
        name: task.source.clone(),
        subset: task.subset.clone(),
        file: None,
        annotations: (task.annotations != Path::new("")).then(|| task.annotations.clone()),
        imitates_answers: task.imitates_answers,
        prompt_style: config.base.prompt_style,
        max_train: task.max_train,
        max_test: task.max_test,
        max_new_tokens: task.max_new_tokens,
    }
}

fn method_settings(config: &LlmConfig, task: &NewTaskConfig, setting: &Setting) -> MethodSettings {
    let numbers = &config.training;
    let max_completion_tokens = task.max_new_tokens;
    let sft = |loss: SftLoss| SftConfig {
        loss,
        optimization: optimization(paper_sft().optimization, config, setting),
        ..paper_sft()
    };
    let supervised =
        |loss: SftLoss, kl: Option<SftKl>| MethodSettings::Sft { config: sft(loss), kl, replay: None };
    let policy_gradient = |preset: PolicyGradientConfig| MethodSettings::PolicyGradient {
        config: PolicyGradientConfig {
            group_size: numbers.group_size,
            n_iterations: setting.n_iterations,
            max_completion_tokens,
            optimization: optimization(preset.optimization, config, setting),
            ..preset
        },
    };
    let coefficient = numbers.kl_coefficient;
    match setting.method {
        StudyMethod::Grpo | StudyMethod::LoraGrpo => policy_gradient(paper_grpo()),
        StudyMethod::GrpoKl => {
            let mut preset = paper_grpo();
            preset.loss.kl =
                Some(KlPenalty { coefficient, estimator: KlEstimator::K3, multiply_by_ratio: true });
            policy_gradient(preset)
        }
        StudyMethod::Reinforce => policy_gradient(reinforce_1_0()),
        StudyMethod::SftOwn | StudyMethod::SftFresh => MethodSettings::RejectionSft {
            config: sft(SftLoss::Nll),
            n_draws: numbers.n_draws,
            max_completion_tokens,
            is_fresh: setting.method == StudyMethod::SftFresh,
        },
        StudyMethod::SelfDistillation => MethodSettings::SelfDistillation {
            config: sft(SftLoss::Nll),
            is_reverse: true,
            max_completion_tokens,
        },
        StudyMethod::Sft | StudyMethod::SftL2sp | StudyMethod::LoraSft => supervised(SftLoss::Nll, None),
        StudyMethod::SftDft => supervised(SftLoss::Dft, None),
        StudyMethod::SftKl => supervised(SftLoss::Nll, Some(SftKl { coefficient, is_reverse: false })),
        StudyMethod::Simpo => MethodSettings::Simpo {
            loss: paper_simpo(),
            config: sft(SftLoss::Nll),
            n_draws: numbers.n_draws,
            max_completion_tokens,
        },
    }
}

fn optimization(preset: Optimization, config: &LlmConfig, setting: &Setting) -> Optimization {
    let mut optimization = Optimization {
        learning_rate: setting.peak_rate(config),
        schedule: setting.schedule,
        n_warmup: config.training.n_warmup,
        sequences_per_step: setting.batch_size,
        ..preset
    };
    optimization.adamw.epsilon = setting.epsilon;
    optimization
}
