//! From a document and its examples to the text that a policy reads.

use razor_data::{ChatOptions, ChatTemplate, DataError, Message};

use crate::few_shot::FewShot;
use crate::task::{Document, Scoring, Task};

/// Between examples.
const EXAMPLE_END: &str = "\n\n";
/// Between a question and its answer in plain text.
const ANSWER_START: &str = " ";

/// The mark that shows where an unfinished message ends in a rendered conversation; its white space tells whether the
/// template trims.
const UNFINISHED: &str = "UNFINISHED_MESSAGE_ENDS_HERE ";

/// The texts of a document as a policy reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// One, or one per choice.
    pub contexts: Vec<String>,
    /// What is scored after them: one per choice, or one; none where the policy writes.
    pub continuations: Vec<String>,
}

impl Prompt {
    /// Number of choices; 0 where the policy writes.
    pub fn n_choices(&self) -> usize {
        if self.continuations.is_empty() { 0 } else { self.contexts.len().max(self.continuations.len()) }
    }

    /// What is scored of a choice, and after what.
    pub fn pair(&self, choice: usize) -> (&str, &str) {
        let at = |texts: &[String]| choice.min(texts.len() - 1);
        (&self.contexts[at(&self.contexts)], &self.continuations[at(&self.continuations)])
    }
}

/// The prompts of the first `n` documents of a task.
///
/// # Errors
/// [`DataError::ChatTemplate`] where the chat template refuses a conversation.
pub fn prompts(task: &Task, n: usize, style: &PromptStyle<'_>) -> Result<Vec<Prompt>, DataError> {
    let mut few_shot = FewShot::new(task);
    let prompt = |document: &Document| {
        let examples = few_shot.examples(document);
        let continuation = |choice: &String| format!("{}{choice}", style.answer_start());
        Ok(Prompt {
            contexts: style.contexts(task, &examples, document)?,
            continuations: match task.scoring {
                Scoring::Choice(_) => document.continuations.iter().map(continuation).collect(),
                Scoring::Text(_) => Vec::new(),
            },
        })
    };
    task.documents.iter().take(n).map(prompt).collect()
}

/// How prompts are put together.
#[derive(Debug, Clone, Copy, Default)]
pub struct PromptStyle<'a> {
    /// Stands before everything else.
    pub system_instruction: Option<&'a str>,
    /// The chat template that is applied; `None` for plain text.
    pub template: Option<&'a ChatTemplate>,
    /// With a template: each example is a turn of its own, instead of all of them and the question one message.
    pub shots_as_turns: bool,
}

/// A message with what follows it in plain text.
#[derive(Debug, Clone)]
struct Turn {
    role: Role,
    content: String,
    after: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    System,
    User,
    Assistant,
}

impl PromptStyle<'_> {
    /// What stands between a prompt and a choice.
    fn answer_start(&self) -> &'static str {
        if self.template.is_some() { "" } else { ANSWER_START }
    }

    /// The prompts of a document: one, or where choices stand in the question one per choice.
    fn contexts(
        &self,
        task: &Task,
        examples: &[&Document],
        document: &Document,
    ) -> Result<Vec<String>, DataError> {
        let mut turns = self.opening(&task.description);
        for example in examples {
            let question = example.gold_context().to_owned();
            turns.push(Turn { role: Role::User, content: question, after: ANSWER_START });
            turns.push(Turn {
                role: Role::Assistant,
                content: example.answer().to_owned(),
                after: EXAMPLE_END,
            });
        }
        let start = &document.answer_start;
        let prompt = |context: &String| {
            let is_parted = start.is_empty()
                || context.ends_with(char::is_whitespace)
                || start.starts_with(char::is_whitespace);
            let after = if is_parted { "" } else { ANSWER_START };
            let mut turns = turns.clone();
            turns.push(Turn { role: Role::User, content: context.clone(), after });
            if !start.is_empty() {
                turns.push(Turn { role: Role::Assistant, content: start.clone(), after: "" });
            }
            self.text(&turns)
        };
        document.contexts.iter().map(prompt).collect()
    }

    /// Instruction and description, joined where white space does not already part them.
    fn opening(&self, description: &str) -> Vec<Turn> {
        let instruction = self.system_instruction.unwrap_or_default();
        let is_parted = instruction.is_empty()
            || description.is_empty()
            || instruction.ends_with(char::is_whitespace)
            || description.starts_with(char::is_whitespace);
        let between = if is_parted { "" } else { EXAMPLE_END };
        let content = [instruction, between, description].concat();
        if content.is_empty() { Vec::new() } else { vec![Turn { role: Role::System, content, after: "" }] }
    }

    fn text(&self, turns: &[Turn]) -> Result<String, DataError> {
        let Some(template) = self.template else { return Ok(plain(turns)) };
        let messages =
            if self.shots_as_turns { turns.iter().map(Turn::message).collect() } else { one_turn(turns) };
        render(template, &messages).or_else(|error| {
            // Some templates know no system message; the reference leaves it out then.
            match turns.first().is_some_and(|turn| turn.role == Role::System) {
                true => render(template, &messages[1..]),
                false => Err(error),
            }
        })
    }
}

/// A conversation up to the model's answer, or where the last message is the model's up to the end of its text.
fn render(template: &ChatTemplate, messages: &[Message]) -> Result<String, DataError> {
    let Some((last, before)) = messages.split_last().filter(|(last, _)| last.role() == "assistant") else {
        return template.render(messages, true, &ChatOptions::default());
    };
    let begun = last.content().unwrap_or_default();
    let marked = [before, &[Message::assistant(&format!("{begun}{UNFINISHED}"))]].concat();
    let text = template.render(&marked, false, &ChatOptions::default())?;
    let lost =
        || DataError::ChatTemplate { line: None, reason: "it drops the text of the last message".to_owned() };
    let end = text.rfind(UNFINISHED.trim_end()).ok_or_else(lost)?;
    let is_kept = text[end..].starts_with(UNFINISHED);
    Ok(if is_kept { text[..end].to_owned() } else { text[..end].trim_end().to_owned() })
}

impl Turn {
    fn message(&self) -> Message {
        match self.role {
            Role::System => Message::system(&self.content),
            Role::User => Message::user(&self.content),
            Role::Assistant => Message::assistant(&self.content),
        }
    }
}

fn plain(turns: &[Turn]) -> String {
    turns.iter().flat_map(|turn| [turn.content.as_str(), turn.after]).collect()
}

/// Examples and question as one message of the user, after the system's and before the start of the answer.
fn one_turn(turns: &[Turn]) -> Vec<Message> {
    let n_system = turns.iter().take_while(|turn| turn.role == Role::System).count();
    let (system, others) = turns.split_at(n_system);
    let n_start = others.iter().rev().take_while(|turn| turn.role == Role::Assistant).count();
    let (asked, start) = others.split_at(others.len() - n_start);
    let without_end = [asked.split_last().map_or(&[][..], |(_, before)| before)].concat();
    let last = asked.last().map_or("", |turn| turn.content.as_str());
    let asked = Message::user(&[plain(&without_end).as_str(), last].concat());
    system.iter().map(Turn::message).chain([asked]).chain(start.iter().map(Turn::message)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::task::Shots;

    fn document(question: &str, answer: &str) -> Document {
        Document {
            record: Value::Null,
            contexts: vec![question.to_owned()],
            continuations: vec![answer.to_owned()],
            gold: 0,
            is_true: Vec::new(),
            target: String::new(),
            answer_start: String::new(),
        }
    }

    fn task(description: &str) -> Task {
        Task {
            name: "t".into(),
            alias: "t".into(),
            version: 1.0,
            description: description.to_owned(),
            documents: Vec::new(),
            shots: Shots::Never,
            n_shots: 1,
            scoring: Scoring::Choice(&[]),
            files: Vec::new(),
        }
    }

    fn prompt(style: PromptStyle<'_>, description: &str) -> String {
        let task = task(description);
        style.contexts(&task, &[&document("Q1", "A1")], &document("Q2", "A2")).unwrap().remove(0)
    }

    #[test]
    fn plain_text_is_description_examples_and_question() {
        assert_eq!(prompt(PromptStyle::default(), "About.\n\n"), "About.\n\nQ1 A1\n\nQ2");
        let style = PromptStyle { system_instruction: Some("Be brief."), ..PromptStyle::default() };
        assert_eq!(prompt(style, "About.\n\n"), "Be brief.\n\nAbout.\n\nQ1 A1\n\nQ2");
        assert_eq!(prompt(style, ""), "Be brief.Q1 A1\n\nQ2", "as the reference has it");
    }

    #[test]
    fn examples_are_turns_or_part_of_the_question() {
        let source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<go>{% endif %}";
        let template = ChatTemplate::new(source).unwrap();
        let style = PromptStyle { template: Some(&template), shots_as_turns: true, ..PromptStyle::default() };
        assert_eq!(prompt(style, "About."), "<system>About.<user>Q1<assistant>A1<user>Q2<go>");
        let style = PromptStyle { shots_as_turns: false, ..style };
        assert_eq!(prompt(style, "About."), "<system>About.<user>Q1 A1\n\nQ2<go>");
        let refusing = source.replace(
            "{% for",
            "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}{% for",
        );
        let template = ChatTemplate::new(&refusing).unwrap();
        let style = PromptStyle { template: Some(&template), ..style };
        assert_eq!(prompt(style, "About."), "<user>Q1 A1\n\nQ2<go>");
    }

    #[test]
    fn a_begun_answer_ends_the_prompt_whether_the_template_trims_or_not() {
        let begun = Document { answer_start: "It is:\n".to_owned(), ..document("Q", "") };
        let task = task("");
        let text = |source: &str, shots_as_turns: bool| {
            let template = ChatTemplate::new(source).unwrap();
            let style = PromptStyle { template: Some(&template), shots_as_turns, ..PromptStyle::default() };
            style.contexts(&task, &[&document("Q1", "A1")], &begun).unwrap().remove(0)
        };
        let keeping = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}";
        assert_eq!(text(keeping, true), "<user>Q1</s><assistant>A1</s><user>Q</s><assistant>It is:\n");
        assert_eq!(text(keeping, false), "<user>Q1 A1\n\nQ</s><assistant>It is:\n");
        let trimming = keeping.replace("m.content", "m.content | trim");
        assert_eq!(text(&trimming, true), "<user>Q1</s><assistant>A1</s><user>Q</s><assistant>It is:");
        let plain = PromptStyle::default().contexts(&task, &[], &begun).unwrap();
        assert_eq!(plain, ["Q It is:\n"]);
        let dropping = ChatTemplate::new("{% for m in messages %}{{ m.role }}{% endfor %}").unwrap();
        let style = PromptStyle { template: Some(&dropping), ..PromptStyle::default() };
        let message = style.contexts(&task, &[], &begun).unwrap_err().to_string();
        assert!(message.contains("drops the text"), "{message}");
    }
}
