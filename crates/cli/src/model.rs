//! A model folder as the commands use it: decoder, tokenizer, and where there are conversations the chat template.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use burn::tensor::DType;
use clap::{Args, ValueEnum};
use razor_data::{ChatOptions, ChatTemplate, Message, TemplateName, Tokenizer};
use razor_experiments::llm::fine_tune::{BaseModel, ModelText};
use razor_models::{Checkpoint, Decoder, LmConfig, WeightDtype, adapter_base, resolve_model};

use crate::backend::{self, BACKEND};
use crate::progress::download_progress;

/// Which model, and how its weights are kept.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Type of the weights in memory; `auto` keeps what the files have. On the CPU sums are f32 in any case
    #[arg(long, value_name = "TYPE", default_value = "auto")]
    pub(crate) dtype: DtypeChoice,
    /// Branch, tag or commit of a hub id
    #[arg(long, value_name = "REV")]
    pub(crate) revision: Option<String>,
    /// Use the hub's cache only
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Type of the weights in memory.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DtypeChoice {
    Auto,
    F32,
    Bf16,
}

/// A model that was read.
pub(crate) struct LoadedModel {
    pub(crate) folder: PathBuf,
    pub(crate) decoder: Decoder,
    pub(crate) tokenizer: Tokenizer,
}

impl LoadedModel {
    /// Reads `name`, a folder or a hub id, and tells on standard error what it read.
    pub(crate) fn read(name: &str, args: &ModelArgs, quiet: bool) -> anyhow::Result<Self> {
        let folder = resolve_model(name, args.revision.as_deref(), args.offline, download_progress(quiet))?;
        refuse_adapter(&folder)?;
        let tokenizer = Tokenizer::load(&folder)?;
        let decoder = read_decoder(&folder, args.dtype, quiet)?;
        let (n_tokens, n_rows) = (tokenizer.vocab_len(), decoder.config().vocab_size);
        if n_tokens > n_rows {
            bail!(
                "{}: the tokenizer has {n_tokens} tokens, the model only {n_rows}: they do not belong together",
                folder.display()
            );
        }
        Ok(Self { folder, decoder, tokenizer })
    }

    /// Tokens that end a completion: those of the tokenizer, the generation settings and the config.
    pub(crate) fn stop_tokens(&self) -> Vec<u32> {
        let mut ids = self.tokenizer.eos_ids().to_vec();
        ids.extend(&self.decoder.config().eos_token_ids);
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// As fine-tuning takes it.
    pub(crate) fn into_base(self) -> anyhow::Result<BaseModel> {
        let stop_tokens = self.stop_tokens();
        if stop_tokens.is_empty() {
            bail!(
                "{} names no token that ends a completion (eos_token_id in config.json or generation_config.json), so the \
                 policy could never learn to stop",
                self.folder.display()
            );
        }
        let template = ChatTemplate::load(&self.folder, TemplateName::Default, &self.tokenizer)?;
        let context_len = self.decoder.config().max_positions;
        Ok(BaseModel {
            folder: self.folder,
            text: ModelText { tokenizer: self.tokenizer, template, context_len },
            decoder: self.decoder,
            stop_tokens,
        })
    }

    /// The tokens of a prompt that is taken as it is, with the beginning token where the model has one.
    pub(crate) fn encode_prompt(&self, prompt: &str) -> anyhow::Result<Vec<u32>> {
        let mut ids = self.tokenizer.encode(prompt, true)?;
        let bos = self.tokenizer.bos();
        if bos.is_some() && ids.first() == bos.as_ref() && ids.get(1) == bos.as_ref() {
            ids.remove(0); // the text began with the token that the tokenizer puts before it
        }
        Ok(ids)
    }

    /// How the model writes conversations. Read only where there are some: a template that cannot be used, or none, is no
    /// reason to refuse plain text.
    pub(crate) fn chat_template(&self) -> anyhow::Result<ChatTemplate> {
        let template = ChatTemplate::load(&self.folder, TemplateName::Default, &self.tokenizer)?;
        template.with_context(|| {
            let folder = self.folder.display();
            format!(
                "{folder} has no chat template: give `prompt` instead of `messages`, with the markers it was trained on"
            )
        })
    }

    /// The prompt of a conversation, ready for the answer.
    pub(crate) fn encode_chat(
        &self,
        template: &ChatTemplate,
        messages: &[Message],
    ) -> anyhow::Result<Vec<u32>> {
        let text = template.render(messages, true, &ChatOptions::default())?;
        Ok(self.tokenizer.encode(&text, false)?) // the template writes the special tokens itself
    }
}

/// An adapter has neither weights of its own nor a tokenizer.
pub(crate) fn refuse_adapter(folder: &Path) -> anyhow::Result<()> {
    if adapter_base(folder)?.is_some() && !folder.join("config.json").is_file() {
        let shown = folder.display();
        bail!(
            "{shown} is an adapter: `razor merge --adapter {shown} --out DIR` makes a model of it and its base"
        );
    }
    Ok(())
}

/// Reads a decoder onto the build's device.
pub(crate) fn read_decoder(folder: &Path, dtype: DtypeChoice, quiet: bool) -> anyhow::Result<Decoder> {
    let config = LmConfig::load(folder)?;
    let checkpoint = Checkpoint::open(folder)?;
    let report = checkpoint.check(&config)?;
    let dtype = match dtype {
        DtypeChoice::F32 => WeightDtype::F32,
        DtypeChoice::Bf16 => WeightDtype::Bf16,
        // f16 has digits that bf16 has not
        DtypeChoice::Auto if report.dtypes.iter().all(|&stored| stored == "BF16") => WeightDtype::Bf16,
        DtypeChoice::Auto => WeightDtype::F32,
    };
    if !quiet {
        let n = config.n_parameters();
        let count = match n {
            1_000_000.. => format!("{:.1} million", n as f64 * 1e-6),
            _ => format!("{:.1} thousand", n as f64 * 1e-3),
        };
        let name = if dtype == WeightDtype::F32 { "f32" } else { "bf16" };
        eprintln!("{}: {count} parameters, {name} in memory, {BACKEND}", folder.display());
        for ignored in &report.ignored {
            eprintln!("  `{}` is not read: {}", ignored.name, ignored.reason);
        }
    }
    // On a CPU bf16 is a way to store weights; a GPU computes in it.
    let compute = match (dtype, BACKEND) {
        (WeightDtype::Bf16, "cuda" | "wgpu") => DType::BF16,
        _ => DType::F32,
    };
    let device = backend::device();
    let read = |spec: &razor_models::TensorSpec| {
        // biases and norms are small, and kept in f32 they cost nothing
        checkpoint.read(spec, if spec.shape.len() == 1 { WeightDtype::F32 } else { dtype })
    };
    Decoder::build(&config, compute, &device, read)
        .with_context(|| format!("cannot read {}", folder.display()))
}
