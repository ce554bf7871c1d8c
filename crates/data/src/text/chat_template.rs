//! Conversations to prompt text, by the model's own Jinja template.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value, escape_formatter};
use regex::Regex;
use serde_json::Map;

use crate::error::DataError;
use crate::text::conversation::Message;
use crate::text::model_folder::{JsonFile, read_if_there};
use crate::text::panic_guard::guarded;
use crate::text::prompt_time::PromptTime;
use crate::text::python_filters::{escape, indent};
use crate::text::python_json::tojson;
use crate::text::python_methods::call_method;
use crate::text::python_repr::python_str;
use crate::text::tokenizer::Tokenizer;

/// Template instructions one rendering may take; a conversation of 1,000 turns takes about 100,000.
const FUEL: u64 = 5_000_000;
const NAME: &str = "chat_template";

/// Which of a model's templates is meant, where it has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateName {
    /// The one for plain conversations.
    Default,
    /// The one for conversations with tools; the default one where the model has no other.
    ToolUse,
}

/// What a rendering may use besides the messages. The default is none of it.
#[derive(Debug, Clone, Default)]
pub struct ChatOptions {
    /// JSON schemas of the tools the model may call.
    pub tools: Option<Vec<serde_json::Value>>,
    /// Documents to answer from, mostly `{"title", "text"}`.
    pub documents: Option<Vec<serde_json::Value>>,
    /// The date for `strftime_now`; a template that asks for it is refused without.
    pub now: Option<PromptTime>,
    /// Further variables, such as `enable_thinking`; they win over special tokens of the same name.
    pub variables: Map<String, serde_json::Value>,
}

/// A compiled chat template, which renders as `transformers` 5 does.
///
/// Templates come from outside: a wrong one gives an error with its line, and a rendering ends after 5 million
/// instructions. The memory of intermediate text is not bounded, so a template written to exhaust it can.
///
/// Known differences, besides filters and methods that are errors here: a loop over none has no turns (there an error),
/// the arguments of `~` print invisible characters in lists as they are, and a slice with a negative step that stops
/// before index 0 takes it along.
///
/// ```
/// use razor_data::{ChatOptions, ChatTemplate, Message};
///
/// let source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>\n{% endfor %}\
///               {% if add_generation_prompt %}<assistant>{% endif %}";
/// let template = ChatTemplate::new(source)?;
/// let text = template.render(&[Message::user("12 + 30?")], true, &ChatOptions::default())?;
/// assert_eq!(text, "<user>12 + 30?</s>\n<assistant>");
/// # Ok::<(), razor_data::DataError>(())
/// ```
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    special_tokens: BTreeMap<String, String>,
}

impl ChatTemplate {
    /// Compiles a template; no special token is known to it yet.
    ///
    /// # Errors
    /// [`DataError::ChatTemplate`] with the line of the mistake.
    pub fn new(source: &str) -> Result<Self, DataError> {
        let mut environment = python_environment();
        let compiled = without_generation_marks(source);
        run_engine(|| environment.add_template_owned(NAME, compiled))?;
        Ok(Self { environment, source: source.to_owned(), special_tokens: BTreeMap::new() })
    }

    /// The same template with `bos_token`, `eos_token` and the like as variables.
    #[must_use]
    pub fn with_special_tokens(mut self, special_tokens: &BTreeMap<String, String>) -> Self {
        self.special_tokens.clone_from(special_tokens);
        self
    }

    /// The template of a model folder, with the tokenizer's special tokens: `chat_template.jinja`, or else the field
    /// `chat_template` of `tokenizer_config.json`, which is text or a list of `{"name", "template"}`. `None` if the
    /// model has none.
    ///
    /// # Errors
    /// [`DataError::Read`], [`Json`](DataError::Json), [`JsonField`](DataError::JsonField) or
    /// [`ChatTemplate`](DataError::ChatTemplate).
    pub fn load(folder: &Path, name: TemplateName, tokenizer: &Tokenizer) -> Result<Option<Self>, DataError> {
        let template = read_source(folder, name)?.map(|source| Self::new(&source)).transpose()?;
        Ok(template.map(|template| template.with_special_tokens(tokenizer.special_tokens())))
    }

    /// The text of the template.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The conversation as text; `add_generation_prompt` ends it with what comes before the model's next answer.
    ///
    /// # Errors
    /// [`DataError::ChatTemplate`]: a `raise_exception` of the template, an undefined value that is used, a date
    /// without [`ChatOptions::now`], or too many instructions.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        options: &ChatOptions,
    ) -> Result<String, DataError> {
        let messages: Vec<_> = messages.iter().map(with_reasoning).collect();
        let mut context: BTreeMap<&str, Value> = BTreeMap::new();
        for (name, text) in &self.special_tokens {
            context.insert(name, text.as_str().into());
        }
        for (name, value) in &options.variables {
            context.insert(name, Value::from(Serde(value)));
        }
        context.insert("messages", Value::from(Serde(&messages)));
        context.insert("tools", Value::from(Serde(&options.tools)));
        context.insert("documents", Value::from(Serde(&options.documents)));
        context.insert("add_generation_prompt", add_generation_prompt.into());
        let now = options.now;
        context.insert("strftime_now", Value::from_function(move |format: &str| write_time(now, format)));
        let context = Value::from_pairs(context);
        run_engine(|| self.environment.get_template(NAME)?.render(context))
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("source", &self.source)
            .field("special_tokens", &self.special_tokens)
            .finish_non_exhaustive()
    }
}

/// Jinja as `transformers` sets it up.
fn python_environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.build().expect("the default delimiters are valid"));
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(call_method);
    environment.set_formatter(write_value);
    environment.add_filter("tojson", tojson);
    environment.add_filter("indent", indent);
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, format!("the template refuses: {message}")))
    });
    // In Python text and mappings have a length and items, and truth values are numbers.
    environment.add_test("sequence", |value: &Value| {
        let kinds = [ValueKind::String, ValueKind::Seq, ValueKind::Map, ValueKind::Undefined];
        kinds.contains(&value.kind())
    });
    environment
        .add_test("number", |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
    environment
}

fn write_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if !matches!(state.auto_escape(), AutoEscape::None) {
        let reason = "autoescape is not supported: prompts are not HTML";
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    match python_str(value) {
        Some(text) => out.write_str(&text).map_err(Error::from),
        None => escape_formatter(out, state, value),
    }
}

fn write_time(now: Option<PromptTime>, format: &str) -> Result<String, Error> {
    let refuse = |reason: String| Error::new(ErrorKind::InvalidOperation, reason);
    let now = now.ok_or_else(|| {
        let reason =
            "the template writes the date into the prompt; give it, so that prompts do not change by the day";
        refuse(reason.to_owned())
    })?;
    now.format(format)
        .map_err(|directive| refuse(format!("strftime_now: directive `{directive}` is not known")))
}

/// Takes the marks `{% generation %}` as a plain scope: spans of completions are found by
/// [`build_example`](crate::build_example) instead, because most templates lack the marks.
fn without_generation_marks(source: &str) -> String {
    static MARKS: LazyLock<[(Regex, &str); 2]> = LazyLock::new(|| {
        let mark = |pattern| Regex::new(pattern).expect("the pattern is valid");
        [
            (mark(r"\{%([-+]?)\s*generation\s*([-+]?)%\}"), "{%$1 with $2%}"),
            (mark(r"\{%([-+]?)\s*endgeneration\s*([-+]?)%\}"), "{%$1 endwith $2%}"),
        ]
    });
    MARKS.iter().fold(source.to_owned(), |text, (mark, scope)| mark.replace_all(&text, *scope).into_owned())
}

/// Reasoning goes by three names; templates read the first or, for one model family, `thinking`.
fn with_reasoning(message: &Message) -> Map<String, serde_json::Value> {
    let fields = message.fields();
    let names = ["reasoning_content", "thinking", "reasoning"];
    let Some(reasoning) = names.iter().find_map(|name| fields.get(*name).filter(|value| !value.is_null()))
    else {
        return fields.clone();
    };
    let mut all = Map::new();
    all.insert("thinking".to_owned(), reasoning.clone());
    all.extend(fields.clone());
    all.insert("reasoning_content".to_owned(), reasoning.clone());
    all
}

fn read_source(folder: &Path, name: TemplateName) -> Result<Option<String>, DataError> {
    let path = folder.join("chat_template.jinja");
    if let Some(bytes) = read_if_there(&path)? {
        return match String::from_utf8(bytes) {
            Ok(source) => Ok(Some(source)),
            Err(error) => {
                let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
                Err(DataError::Read { path, source })
            }
        };
    }
    let field = "chat_template";
    let config = JsonFile::read(folder, "tokenizer_config.json")?;
    match config.get(field) {
        None => Ok(None),
        Some(serde_json::Value::String(source)) => Ok(Some(source.clone())),
        Some(list @ serde_json::Value::Array(entries)) => {
            let named = |wanted: &str| {
                let entry = entries.iter().find(|entry| entry["name"] == wanted)?;
                entry["template"].as_str().map(str::to_owned)
            };
            let special = if name == TemplateName::ToolUse { named("tool_use") } else { None };
            let found = special.or_else(|| named("default"));
            found
                .map(Some)
                .ok_or_else(|| config.wrong(field, "an entry named `default` with its template", list))
        }
        Some(other) => Err(config.wrong(field, "text or a list of named templates", other)),
    }
}

/// Runs the engine. Its version 3.0.5 panics on some slices with a negative step.
fn run_engine<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, DataError> {
    guarded(|| run().map_err(|error| refuse(&error)), |reason| DataError::ChatTemplate { line: None, reason })
}

/// The line and cause, without the name of the template, which is always the same.
fn refuse(error: &Error) -> DataError {
    let reason = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    DataError::ChatTemplate { line: error.line(), reason }
}
