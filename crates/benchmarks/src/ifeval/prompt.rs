//! One line of the data set.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::ifeval::{error::IfevalError, instruction::Instruction};

/// A prompt with the instructions that its response must follow.
#[derive(Debug)]
pub struct IfevalPrompt {
    /// Number of the prompt in the data set.
    pub key: i64,
    /// What the policy is asked, instructions included.
    pub prompt: String,
    /// Names of the instructions, such as `keywords:existence`.
    pub instruction_ids: Vec<String>,
    /// The checkers, in the order of `instruction_ids`.
    pub instructions: Vec<Instruction>,
}

/// The fields as they stand in the file; others are ignored.
#[derive(Deserialize)]
struct Row {
    key: i64,
    prompt: String,
    instruction_id_list: Vec<String>,
    kwargs: Vec<Map<String, Value>>,
}

impl IfevalPrompt {
    /// Reads one line of `input_data.jsonl`.
    ///
    /// # Errors
    /// Text that is not such a row, a number of argument objects that differs from that of instructions,
    /// and instructions that [`Instruction::parse`] refuses; all but the first name the prompt's key.
    pub fn parse(line: &str) -> Result<Self, IfevalError> {
        let row: Row = serde_json::from_str(line).map_err(|source| IfevalError::Json { source })?;
        let Row { key, prompt, instruction_id_list: instruction_ids, kwargs } = row;
        if instruction_ids.len() != kwargs.len() {
            let (instructions, arguments) = (instruction_ids.len(), kwargs.len());
            return Err(IfevalError::Lengths { key, instructions, arguments });
        }
        let mut instructions = Vec::with_capacity(kwargs.len());
        for (index, (id, kwargs)) in instruction_ids.iter().zip(&kwargs).enumerate() {
            let instruction = Instruction::parse(id, kwargs);
            instructions.push(instruction.map_err(|source| IfevalError::Instruction {
                key,
                index,
                source: Box::new(source),
            })?);
        }
        Ok(Self { key, prompt, instruction_ids, instructions })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn a_row_becomes_a_prompt() {
        let line = r#"{"key": 7, "prompt": "Say yes.", "instruction_id_list": ["startend:quotation"], "kwargs": [{}]}"#;
        let prompt = IfevalPrompt::parse(line).unwrap();
        assert_eq!((prompt.key, prompt.prompt.as_str(), prompt.instructions.len()), (7, "Say yes.", 1));
    }

    #[test]
    fn errors_name_the_prompt() {
        let line = r#"{"key": 7, "prompt": "", "instruction_id_list": ["startend:quotation"], "kwargs": []}"#;
        assert_eq!(
            IfevalPrompt::parse(line).unwrap_err().to_string(),
            "prompt 7: 1 instructions but 0 argument objects"
        );
        let line = r#"{"key": 7, "prompt": "", "instruction_id_list": ["startend:end"], "kwargs": [{}]}"#;
        let error = IfevalPrompt::parse(line).unwrap_err();
        assert_eq!(error.to_string(), "prompt 7, instruction 0");
        assert_eq!(error.source().unwrap().to_string(), "unknown instruction `startend:end`");
        assert!(matches!(IfevalPrompt::parse("{}"), Err(IfevalError::Json { .. })));
    }
}
