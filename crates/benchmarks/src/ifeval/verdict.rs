//! Strict and loose verdicts, and the four accuracies reported from them.

use crate::ifeval::{prompt::IfevalPrompt, punkt_model::Punkt, python_text::strip};

/// What one response made of the instructions of its prompt, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfevalVerdict {
    /// Whether the response as it is follows each instruction.
    pub strict: Vec<bool>,
    /// Whether at least one of eight variants does: without the first line, the last line or both, each with
    /// and without asterisks. Meant to forgive an opening such as "Sure, here is".
    pub loose: Vec<bool>,
}

impl IfevalVerdict {
    /// Whether every instruction is followed strictly.
    pub fn follows_all_strictly(&self) -> bool {
        self.strict.iter().all(|followed| *followed)
    }

    /// Whether every instruction is followed loosely, each by a variant of its own.
    pub fn follows_all_loosely(&self) -> bool {
        self.loose.iter().all(|followed| *followed)
    }
}

/// Judges `response` by every instruction of `prompt`; `punkt` splits its sentences.
pub fn judge(prompt: &IfevalPrompt, response: &str, punkt: &Punkt) -> IfevalVerdict {
    let variants = loose_variants(response);
    let strict: Vec<bool> =
        prompt.instructions.iter().map(|instruction| instruction.follows(response, punkt)).collect();
    let loose = prompt.instructions.iter().zip(&strict).map(|(instruction, strict)| {
        *strict || variants.iter().any(|variant| instruction.follows(variant, punkt))
    });
    let loose = loose.collect();
    IfevalVerdict { strict, loose }
}

/// The variants besides the response itself, each once.
fn loose_variants(response: &str) -> Vec<String> {
    let lines: Vec<&str> = response.split('\n').collect();
    let without = |first: usize, last: usize| {
        let kept = lines.get(first..lines.len() - last).unwrap_or_default().join("\n");
        strip(&kept).to_owned()
    };
    let cut = [response.to_owned(), without(1, 0), without(0, 1), without(1, 1)];
    let mut variants = Vec::new();
    for variant in cut.iter().cloned().chain(cut.iter().map(|text| text.replace('*', ""))) {
        if variant != response && !variants.contains(&variant) {
            variants.push(variant);
        }
    }
    variants
}

/// The four accuracies of IFEval, each in 0..=1, over all prompts judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IfevalAccuracy {
    /// Share of prompts with every instruction followed strictly.
    pub prompt_strict: f64,
    /// Share of prompts with every instruction followed loosely.
    pub prompt_loose: f64,
    /// Share of all instructions that are followed strictly.
    pub instruction_strict: f64,
    /// Share of all instructions that are followed loosely.
    pub instruction_loose: f64,
}

impl IfevalAccuracy {
    /// Means over `verdicts`; instructions weigh the same, however many share a prompt. `None` without verdicts
    /// or without instructions.
    pub fn of(verdicts: &[IfevalVerdict]) -> Option<Self> {
        let prompt = |follows: fn(&IfevalVerdict) -> bool| share(verdicts.iter().map(follows));
        Some(Self {
            prompt_strict: prompt(IfevalVerdict::follows_all_strictly)?,
            prompt_loose: prompt(IfevalVerdict::follows_all_loosely)?,
            instruction_strict: share(verdicts.iter().flat_map(|verdict| verdict.strict.iter().copied()))?,
            instruction_loose: share(verdicts.iter().flat_map(|verdict| verdict.loose.iter().copied()))?,
        })
    }
}

fn share(flags: impl Iterator<Item = bool>) -> Option<f64> {
    let (followed, all) = flags.fold((0_u64, 0_u64), |(yes, all), flag| (yes + u64::from(flag), all + 1));
    (all > 0).then(|| followed as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(id: &str, kwargs: &str) -> IfevalPrompt {
        let line =
            format!(r#"{{"key": 1, "prompt": "p", "instruction_id_list": ["{id}"], "kwargs": [{kwargs}]}}"#);
        IfevalPrompt::parse(&line).unwrap()
    }

    #[test]
    fn loose_forgives_an_opening_line_and_asterisks() {
        let quoted = prompt("startend:quotation", "{}");
        let punkt = Punkt::english();
        let verdict = judge(&quoted, "Sure, here it is:\n**\"yes\"**", &punkt);
        assert_eq!(verdict, IfevalVerdict { strict: vec![false], loose: vec![true] });
        assert!(!verdict.follows_all_strictly() && verdict.follows_all_loosely());
        assert_eq!(judge(&quoted, "Sure: \"yes\"", &punkt).loose, [false]);
    }

    #[test]
    fn a_response_of_one_line_has_no_shorter_variant() {
        assert_eq!(loose_variants("*a*"), ["", "a"]);
        assert_eq!(loose_variants("a\n b \nc"), ["b \nc", "a\n b", "b"]);
    }

    #[test]
    fn instructions_weigh_the_same_in_the_accuracy() {
        let verdicts = [
            IfevalVerdict { strict: vec![true, true, false], loose: vec![true; 3] },
            IfevalVerdict { strict: vec![false], loose: vec![false] },
        ];
        let accuracy = IfevalAccuracy::of(&verdicts).unwrap();
        assert_eq!((accuracy.prompt_strict, accuracy.prompt_loose), (0.0, 0.5));
        assert_eq!((accuracy.instruction_strict, accuracy.instruction_loose), (0.5, 0.75));
        assert_eq!(IfevalAccuracy::of(&[]), None);
    }
}
