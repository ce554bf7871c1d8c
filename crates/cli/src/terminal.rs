//! What a person reads: standard output, colours, lengths of time.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

/// Writes to standard output. A reader that went away (`razor ... | head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a line to standard error. That nobody listens any more is no reason to end a run.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// [`print()`]s a value as indented JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Prints an error with what caused it. A cause that the line before already tells is left out.
pub(crate) fn print_error(error: &anyhow::Error) {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(&format!("\n  because {cause}"));
        }
    }
    let label = if allows_colours(&io::stderr()) { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
    tell(&format!("{label} {}", text.trim_end()));
}

/// Whether escape codes are welcome: a terminal that is not `dumb`, and no `NO_COLOR`.
pub(crate) fn allows_colours(stream: &impl IsTerminal) -> bool {
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// `42 s`, `3 min 20 s` or `2 h 05 min`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{} s", seconds.max(1)),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

/// A command as one would type it.
pub(crate) fn command_text(words: impl IntoIterator<Item = String>) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let quoted = |word: String| {
        let plain = !word.is_empty() && word.chars().all(is_plain);
        if plain { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_two_units_at_most() {
        let text = |seconds| duration_text(Duration::from_secs_f64(seconds));
        assert_eq!(
            [text(0.2), text(42.4), text(200.0), text(7530.0)],
            ["1 s", "42 s", "3 min 20 s", "2 h 05 min"]
        );
    }

    #[test]
    fn a_command_can_be_typed_again() {
        let words = ["razor", "--set", "grid.learning_rates=[1e-4, 1e-3]", "it's"].map(str::to_owned);
        assert_eq!(command_text(words), r"razor --set 'grid.learning_rates=[1e-4, 1e-3]' 'it'\''s'");
    }
}
