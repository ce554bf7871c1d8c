//! `razor data show` of an example of a task: text, tokens, loss mask and reward.

use std::process::ExitCode;

use anyhow::{Context, bail};
use razor_data::{
    ChatOptions, ChatTemplate, ExampleRecipe, ExampleText, LengthPolicy, Message, PreviewStyle,
    PromptMessage, Sources, TaskData, TaskExample, TaskId, TemplateName, TokenExample, Tokenizer,
    build_example, final_answer_text, is_test_question, load_task_from, load_user_task, render_tokens,
};
use razor_envs::{Judge, Outcome, Verdict};
use razor_models::resolve_model;
use serde_json::{Value, json};

use crate::UsageError;
use crate::args::{ShowArgs, SplitName};
use crate::progress::download_progress;
use crate::terminal::{allows_colours, print, print_json};

/// Longest row that is shown as tokens.
const CONTEXT: usize = 32_768;

/// Shows one example of a task, or of a user's own file of JSON lines.
pub(crate) fn show(task: TaskId, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let data = match (&args.file, task) {
        (Some(file), TaskId::UserFile) => load_user_task(file)?,
        (Some(_), task) => {
            return Err(UsageError(format!("--file is for `razor data show file`, found {task}")).into());
        }
        (None, TaskId::UserFile) => {
            return Err(
                UsageError("name your JSON lines: razor data show file --file FILE".to_owned()).into()
            );
        }
        (None, task) => load_task_from(task, args.subset.as_deref(), &Sources::new(args.data.clone()))?,
    };
    let example = pick(&data, args)?;
    let completion = completion_of(example, args.completion.as_deref());
    let verdict = match (&example.answer, &completion) {
        (Some(answer), Some(completion)) => Some(Judge::new(answer)?.judge(completion)),
        _ => None,
    };
    let tokens = match (&args.model, &completion) {
        (Some(model), Some(completion)) => Some(Tokens::of(model, example, completion)?),
        _ => None,
    };
    if args.json {
        print_json(&as_json(example, completion.as_deref(), verdict.as_ref(), tokens.as_ref()))?;
    } else {
        print(&as_text(&data, example, completion.as_deref(), verdict.as_ref(), tokens.as_ref()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn pick<'a>(data: &'a TaskData, args: &ShowArgs) -> anyhow::Result<&'a TaskExample> {
    let is_wanted = |example: &&TaskExample| match args.split {
        None => true,
        Some(SplitName::Test) => is_test_question(&example.question),
        Some(SplitName::Train) => !is_test_question(&example.question),
    };
    let n = data.examples.iter().filter(is_wanted).count();
    let found = data.examples.iter().filter(is_wanted).nth(args.index);
    found.with_context(|| {
        format!("there is no example {} of {}: it has {n}, counted from 0", args.index, data.task)
    })
}

/// What the user gave, or the worked solution of the data set, or its bare answer in the form that is asked for.
fn completion_of(example: &TaskExample, given: Option<&str>) -> Option<String> {
    let own = || example.answer.as_ref().map(|answer| final_answer_text(answer, example.format));
    given.map(str::to_owned).or_else(|| example.target.clone()).or_else(own)
}

/// An example as a model sees it.
struct Tokens {
    tokenizer: Tokenizer,
    example: TokenExample,
}

impl Tokens {
    fn of(model: &str, example: &TaskExample, completion: &str) -> anyhow::Result<Self> {
        let folder = resolve_model(model, None, false, download_progress(false))?;
        let tokenizer = Tokenizer::load(&folder)?;
        let template = ChatTemplate::load(&folder, TemplateName::Default, &tokenizer)?;
        let completion = completion.to_owned();
        let text = match template {
            Some(_) => ExampleText::Chat { prompt: example.prompt.iter().map(message).collect(), completion },
            None => {
                let contents: Vec<&str> =
                    example.prompt.iter().map(|message| message.content.as_str()).collect();
                ExampleText::Plain { prompt: contents.join("\n\n"), completion }
            }
        };
        let recipe = ExampleRecipe {
            tokenizer: &tokenizer,
            template: template.as_ref(),
            chat: ChatOptions::default(),
            context_len: CONTEXT,
            length_policy: LengthPolicy::Refuse,
        };
        let built = build_example(&text, &recipe);
        let example = match built {
            Ok(built) => built,
            Err(problem) => bail!("example {} cannot be trained on: {problem}", example.id),
        };
        Ok(Self { tokenizer, example })
    }
}

fn message(message: &PromptMessage) -> Message {
    Message::new(&message.role, &message.content)
}

fn as_text(
    data: &TaskData,
    example: &TaskExample,
    completion: Option<&str>,
    verdict: Option<&Verdict>,
    tokens: Option<&Tokens>,
) -> String {
    let has_colours = allows_colours(&std::io::stdout());
    let heading = |name: &str| {
        let name = printable(name);
        if has_colours { format!("\n\x1b[1m{name}\x1b[0m\n") } else { format!("\n--- {name} ---\n") }
    };
    let mut text = origin_text(data, example);
    let mut section = |name: &str, content: &str| {
        text.push_str(&heading(name));
        text.push_str(printable(content).trim_end_matches('\n'));
        text.push('\n');
    };
    for message in &example.prompt {
        section(&message.role, &message.content);
    }
    if let Some(completion) = completion {
        section("completion", completion);
    }
    if let Some(answer) = &example.answer {
        section("right answer", &final_answer_text(answer, example.format));
    }
    if let Some(verdict) = verdict {
        section("reward", &verdict_text(verdict));
    }
    if let Some(tokens) = tokens {
        let style = if has_colours { PreviewStyle::Ansi } else { PreviewStyle::Plain };
        text.push_str(&format!(
            "{}{}",
            heading("tokens"),
            render_tokens(&tokens.example, &tokens.tokenizer, style)
        ));
    }
    text
}

/// Which example of which files.
fn origin_text(data: &TaskData, example: &TaskExample) -> String {
    let side = if is_test_question(&example.question) { "test" } else { "train" };
    let (task, n) = (data.task, data.examples.len());
    let mut text = format!("{task} {}, {side} side of the split by question; the set has {n}\n", example.id);
    for file in &data.provenance {
        let sum = if file.matches_manifest == Some(false) { ", not the bytes of the manifest" } else { "" };
        text.push_str(&format!("from {}{sum}\n", file.path.display()));
    }
    text
}

/// Text of a file without what would move the cursor or hide text on a terminal.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(character),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.extend(character.escape_default()),
            _ if character.is_control() => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out
}

fn verdict_text(verdict: &Verdict) -> String {
    let outcome = match verdict.outcome {
        Outcome::Correct => "correct",
        Outcome::Wrong => "wrong",
        Outcome::Unparseable => "unparseable",
    };
    let taken = verdict
        .extracted
        .as_ref()
        .map_or_else(String::new, |taken| format!(", taken for the answer: {taken}"));
    format!("{} ({outcome}): {}{taken}", verdict.reward(), verdict.reason)
}

fn as_json(
    example: &TaskExample,
    completion: Option<&str>,
    verdict: Option<&Verdict>,
    tokens: Option<&Tokens>,
) -> Value {
    let mut object = json!({
        "example": example,
        "is_test": is_test_question(&example.question),
        "completion": completion,
        "verdict": verdict.map(|verdict| json!({
            "reward": verdict.reward(),
            "outcome": verdict.outcome,
            "reason": verdict.reason,
            "extracted": verdict.extracted,
        })),
    });
    if let Some(Tokens { example, .. }) = tokens {
        object["tokens"] = json!({
            "ids": example.ids,
            "mask": example.mask(),
            "boundary_differs": example.boundary_differs,
        });
    }
    object
}
