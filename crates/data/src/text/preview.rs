//! Showing which tokens of an example are trained.

use std::fmt::Write;

use crate::text::token_example::TokenExample;
use crate::text::tokenizer::Tokenizer;
use crate::unpack::sha256_hex;

/// Columns of a line of ids, without its name.
const WIDTH: usize = 110;

/// How [`render_tokens`] marks tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviewStyle {
    /// Brackets: `[prompt]`, `{completion}`, with `*` inside where the token is special.
    Plain,
    /// Colours of a terminal: the prompt dim, the completion in two colours that alternate, special tokens underlined.
    Ansi,
}

/// An example as text in which every token border shows, then lines of ids, the mask under each, and a legend with counts
/// and a short digest by which two runs can be compared.
///
/// Control characters are written as escapes, so a token cannot move the cursor; a token that ends in a line break is
/// followed by one.
pub fn render_tokens(example: &TokenExample, tokenizer: &Tokenizer, style: PreviewStyle) -> String {
    let mut out = String::new();
    for (token_idx, &id) in example.ids.iter().enumerate() {
        let trained = example.completion.contains(&token_idx);
        let raw = tokenizer.token_text(id);
        let text = visible(&raw);
        let special = tokenizer.is_special(id);
        match style {
            PreviewStyle::Plain => out.push_str(&bracketed(&text, trained, special)),
            PreviewStyle::Ansi => out.push_str(&coloured(&text, trained, special, token_idx)),
        }
        if raw.ends_with('\n') {
            out.push('\n');
        }
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.push_str(&legend(example, tokenizer, style));
    out
}

fn bracketed(text: &str, trained: bool, special: bool) -> String {
    let star = if special { "*" } else { "" };
    if trained { format!("{{{star}{text}{star}}}") } else { format!("[{star}{text}{star}]") }
}

fn coloured(text: &str, trained: bool, special: bool, token_idx: usize) -> String {
    let underline = if special { ";4" } else { "" };
    let colour = match (trained, token_idx % 2) {
        (false, _) => "2",
        (true, 0) => "30;42",
        (true, _) => "30;46",
    };
    let border = if trained { "" } else { "|" };
    format!("\u{1b}[{colour}{underline}m{text}{border}\u{1b}[0m")
}

fn legend(example: &TokenExample, tokenizer: &Tokenizer, style: PreviewStyle) -> String {
    let mask = example.mask();
    let key = match style {
        PreviewStyle::Plain => "[prompt] {trained} *special*",
        PreviewStyle::Ansi => {
            "\u{1b}[2mprompt|\u{1b}[0m \u{1b}[30;42mtrained\u{1b}[0m \u{1b}[4mspecial\u{1b}[0m"
        }
    };
    let ends = example.completion_ids().last().is_some_and(|id| tokenizer.eos_ids().contains(id));
    let mut hashed: Vec<u8> = example.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    hashed.extend_from_slice(&mask);
    let digest = sha256_hex(&hashed);
    let (n_prompt, n_trained) = (example.completion.start, example.completion.len());
    let mut out = String::new();
    let end = if ends { "yes" } else { "NO" };
    let merge = if example.boundary_differs { "; encoded as one text the ids differ" } else { "" };
    out.push_str(&id_lines(&example.ids, &mask));
    writeln!(
        out,
        "{key}\n{n_prompt} prompt tokens, {n_trained} trained tokens, stop token at the end: {end}, sha256 {}{merge}",
        &digest[..12]
    )
    .expect("writing to a string does not fail");
    out
}

/// Ids with the mask under them, in pairs of lines that a terminal does not break.
fn id_lines(ids: &[u32], mask: &[u8]) -> String {
    let (mut out, mut id_line, mut mask_line) = (String::new(), String::new(), String::new());
    let mut flush = |id_line: &mut String, mask_line: &mut String| {
        writeln!(out, "ids {id_line}\nmask{mask_line}").expect("writing to a string does not fail");
        id_line.clear();
        mask_line.clear();
    };
    for (id, bit) in ids.iter().zip(mask) {
        let id = id.to_string();
        if id_line.len() + id.len() >= WIDTH {
            flush(&mut id_line, &mut mask_line);
        }
        write!(id_line, " {id}").expect("writing to a string does not fail");
        write!(mask_line, " {bit:>w$}", w = id.len()).expect("writing to a string does not fail");
    }
    flush(&mut id_line, &mut mask_line);
    out
}

fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || character == '\u{2028}' || character == '\u{202e}' {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}
