//! Sentences as Punkt splits them (Kiss and Strunk 2006, Computational Linguistics 32(4), section 4).
//!
//! Follows NLTK 3.10: every `.`, `?` or `!` with white space or punctuation behind it may end a sentence. Its
//! word and what comes next are annotated by the model, and closing quotes and brackets go back to the
//! sentence that they close.

use std::ops::Range;

use crate::ifeval::{
    punkt_model::{Punkt, Spelling},
    punkt_tokens::{PunktToken, ends_sentence, is_not_in_words, tokens},
    python_text::is_space,
};

impl Punkt {
    /// The sentences of a text, without the white space between them.
    pub fn sentences(&self, text: &str) -> Vec<String> {
        let characters: Vec<char> = text.chars().collect();
        realign(&characters, &slices(&characters, self))
            .into_iter()
            .map(|sentence| characters[sentence].iter().collect())
            .collect()
    }
}

/// A character that may end a sentence, with what is needed to decide.
struct Candidate {
    /// Index of the character.
    end: usize,
    /// From the start of its word to the end of what follows it.
    context: Range<usize>,
    /// Start of the next word, if white space stands between.
    next_word: Option<usize>,
}

/// Parts of the text between accepted ends, before closing marks are moved.
fn slices(text: &[char], model: &Punkt) -> Vec<Range<usize>> {
    let mut slices = Vec::new();
    let mut start = 0;
    for candidate in candidates(text) {
        if contains_end(&text[candidate.context.clone()], model) {
            slices.push(start..candidate.end + 1);
            start = candidate.next_word.unwrap_or(candidate.end + 1);
        }
    }
    let end = text.iter().rposition(|character| !is_space(*character)).map_or(0, |last| last + 1);
    slices.push(start..end.max(start));
    slices
}

/// All candidates; of several in one word, such as `!!!`, only the last.
fn candidates(text: &[char]) -> Vec<Candidate> {
    let mut kept = Vec::new();
    let mut previous: Option<Candidate> = None;
    // The last word before a candidate that was looked at.
    let mut word = 0..0;
    for end in 0..text.len() {
        let Some((context_end, next_word)) = follow_up(text, end) else { continue };
        let last_space = text[word.end..end].iter().rposition(|c| c.is_ascii_whitespace() || *c == '\u{b}');
        // A space right at the front counts as none: so does the original.
        let start = last_space.filter(|space| *space > 0).map_or(word.start, |space| word.end + space + 1);
        if word.end <= start {
            kept.extend(previous.take());
        }
        word = start..end;
        previous = Some(Candidate { end, context: start..context_end, next_word });
    }
    kept.extend(previous);
    kept
}

/// End of the context behind a possible sentence end at `position`, and the start of the next word.
fn follow_up(text: &[char], position: usize) -> Option<(usize, Option<usize>)> {
    if !ends_sentence(text[position]) {
        return None;
    }
    let next = *text.get(position + 1)?;
    if is_not_in_words(next) {
        return Some((position + 2, None));
    }
    if !next.is_whitespace() {
        return None;
    }
    let word = position + 1 + text[position + 1..].iter().position(|c| !c.is_whitespace())?;
    let length = text[word..].iter().position(|c| c.is_whitespace()).unwrap_or(text.len() - word);
    Some((word + length, Some(word)))
}

/// Whether a sentence ends inside `context`, not only with its last token.
fn contains_end(context: &[char], model: &Punkt) -> bool {
    let mut tokens = tokens(context);
    for token in &mut tokens {
        annotate_alone(token, model);
    }
    let (mut at, mut ends) = (0, false);
    while let [token, next, ..] = &mut tokens[at..] {
        annotate_by_next(token, next, model);
        ends |= token.ends_sentence;
        at += 1;
    }
    ends
}

/// First pass: by the type of the token alone.
fn annotate_alone(token: &mut PunktToken, model: &Punkt) {
    if matches!(token.text.as_str(), "." | "?" | "!") {
        token.ends_sentence = true;
    } else if token.is_ellipsis() {
        token.ellipsis = true;
    } else if let Some(word) = token.text.strip_suffix('.').filter(|word| !word.ends_with('.')) {
        let word = word.to_lowercase();
        let last_part = word.rsplit('-').next().unwrap_or_default();
        token.abbreviation = model.is_abbreviation(&word) || model.is_abbreviation(last_part);
        token.ends_sentence = !token.abbreviation;
    }
}

/// Second pass, sections 4.1 to 4.3: by the pair with the next token.
fn annotate_by_next(token: &mut PunktToken, next: &PunktToken, model: &Punkt) {
    if !token.text.ends_with('.') {
        return;
    }
    let (word, next_word) = (token.kind_without_period(), next.kind_without_final_period());
    if model.is_collocation(word, next_word) {
        (token.ends_sentence, token.abbreviation) = (false, true);
        return;
    }
    let initial = token.is_initial();
    let starts = next_starts_sentence(next, model);
    if (token.abbreviation || token.ellipsis) && !initial {
        let frequent_starter = next.starts_upper() && model.is_sentence_starter(next_word);
        if starts == Starts::Yes || frequent_starter {
            token.ends_sentence = true;
            return;
        }
    }
    if initial || token.is_number() {
        let name =
            initial && starts == Starts::Unknown && next.starts_upper() && !model.seen_lower(next_word);
        if starts == Starts::No || name {
            (token.ends_sentence, token.abbreviation) = (false, true);
        }
    }
}

/// What the spelling of a word says about its place (section 4.1.1).
#[derive(PartialEq)]
enum Starts {
    Yes,
    No,
    Unknown,
}

fn next_starts_sentence(next: &PunktToken, model: &Punkt) -> Starts {
    if matches!(next.text.as_str(), ";" | ":" | "," | "." | "!" | "?") {
        return Starts::No;
    }
    let spelling = model.spelling(next.kind_without_final_period());
    if next.starts_upper() && spelling == Spelling::UpperOnlyAtStart {
        Starts::Yes
    } else if next.starts_lower() && spelling != Spelling::LowerEvenAtStart {
        Starts::No
    } else {
        Starts::Unknown
    }
}

/// Moves quotes and brackets at the front of a slice to the sentence before.
fn realign(text: &[char], slices: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut sentences = Vec::new();
    let mut moved = 0;
    for (slice_idx, slice) in slices.iter().enumerate() {
        let start = slice.start + moved;
        let closing = slices.get(slice_idx + 1).and_then(|next| closing_marks(&text[next.clone()]));
        moved = closing.as_ref().map_or(0, |(_, with_space)| *with_space);
        if let Some((marks, _)) = closing {
            let next_start = slices[slice_idx + 1].start;
            sentences.push(start..next_start + marks);
        } else if start < slice.end {
            sentences.push(start..slice.end);
        }
    }
    sentences
}

/// Number of closing marks at the front of `slice`, alone and with the white space behind them; they must
/// stand before white space, a dash or the end.
fn closing_marks(slice: &[char]) -> Option<(usize, usize)> {
    let is_mark = |c: &char| "\"')]}‘’“”«»".contains(*c);
    let marks = slice.iter().take_while(|c| is_mark(c)).count();
    let rest = &slice[marks..];
    let space = rest.iter().take_while(|c| c.is_whitespace()).count();
    let stands = space > 0 || rest.is_empty() || rest.starts_with(&['-', '-']);
    (marks > 0 && stands).then_some((marks, marks + space))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_sentences(text: &str) -> Vec<String> {
        Punkt::english().sentences(text)
    }

    #[test]
    fn known_abbreviations_and_initials_do_not_end_a_sentence() {
        assert_eq!(
            split_sentences("Mr. J. Bach met Dr. Who. They ate."),
            ["Mr. J. Bach met Dr. Who.", "They ate."]
        );
        assert_eq!(split_sentences("He moved to the U.S. The house was big.").len(), 2);
        assert_eq!(
            split_sentences(
                "See e.g. Rome, p. 7. It rained at 5 p.m. in Tenn. near Gate No. 3... So we left."
            )
            .len(),
            3
        );
    }

    #[test]
    fn closing_quotes_belong_to_the_sentence_that_they_close() {
        assert_eq!(
            split_sentences("(One.) \"Two!\" “Three?” Four"),
            ["(One.)", "\"Two!\"", "“Three?”", "Four"]
        );
    }

    #[test]
    fn several_marks_end_one_sentence() {
        assert_eq!(split_sentences("Stop!!! Now?! Yes..."), ["Stop!!!", "Now?!", "Yes..."]);
        assert_eq!(split_sentences("Version 3.5 costs 2. dollars"), ["Version 3.5 costs 2. dollars"]);
    }

    #[test]
    fn a_text_without_an_end_is_one_sentence() {
        assert_eq!(split_sentences("# Title\n\n* one\n* two\n"), ["# Title\n\n* one\n* two"]);
        assert!(split_sentences(" \n").is_empty());
    }
}
