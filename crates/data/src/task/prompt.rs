//! What a policy is asked, and how it is asked to write its answer.
//!
//! One message of the user, no system message: the chat template's own default stands.
//! Paper: arXiv 2509.04259, appendix B.1, which does not print its prompts; the wording is ours.

use crate::answer::{Answer, ChoiceOption, ToolCall};
use crate::task::example::{AnswerFormat, PromptMessage};

/// A tool as its prompt shows it.
pub(super) struct ToolText<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) documentation: &'a str,
    pub(super) functions: Vec<&'a str>,
    /// JSON object of arguments that every call has to carry.
    pub(super) fixed_arguments: Option<String>,
}

/// A question of mathematics; the answer goes inside `\boxed{}`.
pub(super) fn math_prompt(question: &str) -> Vec<PromptMessage> {
    let request = "Reason step by step, then put the final answer inside \\boxed{}.";
    vec![PromptMessage::user(format!("{question}\n\n{request}"))]
}

/// A question with options; the answer goes on the last line.
pub(super) fn choice_prompt(question: &str, options: &[ChoiceOption]) -> Vec<PromptMessage> {
    let lines: Vec<String> =
        options.iter().map(|option| format!("{}. {}", option.label, option.text)).collect();
    let labels: Vec<&str> = options.iter().map(|option| option.label.as_str()).collect();
    let request = format!(
        "Think step by step. Finish with one line \"Answer: X\", where X is {}.",
        join_with_or(&labels)
    );
    vec![PromptMessage::user(format!("{question}\n\n{}\n\n{request}", lines.join("\n")))]
}

/// A question whose answer is text. `instruction` is the data set's own: without it many of its questions say nothing.
pub(super) fn text_prompt(instruction: &str, question: &str, format: AnswerFormat) -> Vec<PromptMessage> {
    let request = match format {
        AnswerFormat::AnswerLine => {
            "\n\nFinish with one line that holds \"Answer: \" and then the answer alone."
        }
        _ => "",
    };
    vec![PromptMessage::user(format!("{instruction}\n\n{question}{request}"))]
}

/// A request that takes calls of a tool.
pub(super) fn tool_prompt(tool: &ToolText<'_>, request: &str) -> Vec<PromptMessage> {
    let ToolText { name, description, documentation, functions, fixed_arguments } = tool;
    let fixed = match fixed_arguments {
        Some(arguments) => format!("Give every call these arguments too: {arguments}\n\n"),
        None => String::new(),
    };
    vec![PromptMessage::user(format!(
        "Fulfil the user's request by calling functions of this tool.\n\n\
         Tool: {name}\nWhat it is for: {description}\nFunctions:\n{}\n\n\
         Write every call as three lines, one call after the other:\n\
         Thought: why this call is needed\n\
         Action: the function, one of [{}]\n\
         Action Input: its arguments as one JSON object, taken from the request\n\n\
         {fixed}Request: {request}",
        documentation.trim_end(),
        functions.join(", ")
    ))]
}

/// The text with which a right completion ends: the answer as the prompt's format wants it.
///
/// A multiple-choice answer is its label, any other one the first that is accepted.
pub fn final_answer_text(answer: &Answer, format: AnswerFormat) -> String {
    let content = match answer {
        Answer::Math { accepted } | Answer::Text { accepted } => {
            accepted.first().cloned().unwrap_or_default()
        }
        Answer::Choice { label, .. } => label.clone(),
        Answer::ToolCalls { calls } => calls.iter().map(call_text).collect::<Vec<_>>().join("\n"),
    };
    match format {
        AnswerFormat::Boxed => format!("\\boxed{{{content}}}"),
        AnswerFormat::AnswerLine => format!("Answer: {content}"),
        AnswerFormat::AnswerTag => format!("<answer>\n{content}\n</answer>"),
        AnswerFormat::ToolCalls | AnswerFormat::Whole => content,
    }
}

/// One call as the prompt asks for it. No set states a thought, so a plain one stands in.
fn call_text(call: &ToolCall) -> String {
    let ToolCall { action, action_input } = call;
    format!("Thought: I need to call {action}.\nAction: {action}\nAction Input: {action_input}")
}

fn join_with_or(labels: &[&str]) -> String {
    match labels {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(labels: &[&str]) -> Vec<ChoiceOption> {
        labels
            .iter()
            .map(|label| ChoiceOption { label: (*label).into(), text: format!("t{label}") })
            .collect()
    }

    #[test]
    fn a_choice_prompt_names_its_options_and_the_last_line() {
        let prompt = choice_prompt("Which \\C=C\\ ?", &options(&["A", "B", "C"]));
        assert_eq!(prompt.len(), 1);
        assert_eq!(
            prompt[0].content,
            "Which \\C=C\\ ?\n\nA. tA\nB. tB\nC. tC\n\n\
             Think step by step. Finish with one line \"Answer: X\", where X is A, B or C."
        );
        assert!(choice_prompt("q", &options(&["True", "False"]))[0].content.ends_with("X is True or False."));
    }

    #[test]
    fn a_final_answer_has_the_format_that_the_prompt_asks_for() {
        let choice = Answer::Choice { label: "B".into(), options: options(&["A", "B"]) };
        assert_eq!(final_answer_text(&choice, AnswerFormat::AnswerLine), "Answer: B");
        assert_eq!(final_answer_text(&choice, AnswerFormat::AnswerTag), "<answer>\nB\n</answer>");
        let math = Answer::Math { accepted: vec!["\\frac{1}{2}".into(), "0.5".into()] };
        assert_eq!(final_answer_text(&math, AnswerFormat::Boxed), "\\boxed{\\frac{1}{2}}");
        let call = |action: &str| ToolCall { action: action.into(), action_input: "{}".into() };
        let tools = Answer::ToolCalls { calls: vec![call("find"), call("show")] };
        let text = final_answer_text(&tools, AnswerFormat::ToolCalls);
        assert!(text.ends_with("\nThought: I need to call show.\nAction: show\nAction Input: {}"), "{text}");
    }
}
