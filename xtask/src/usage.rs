//! What counts as bad usage, and the scanning of arguments that are handed through.

use std::ffi::{OsStr, OsString};
use std::fmt;

/// A mistake in the command line: told to the user with exit code 2.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl UsageError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

pub(crate) fn is_usage_error(error: &anyhow::Error) -> bool {
    error.is::<UsageError>() || error.is::<lexopt::Error>()
}

pub(crate) fn is_help(argument: &OsStr) -> bool {
    argument == "--help" || argument == "-h"
}

/// Whether `--help` stands before any `--`; what follows `--` belongs to another program.
pub(crate) fn asks_for_help(args: &[OsString]) -> bool {
    args.iter().take_while(|argument| *argument != "--").any(|argument| is_help(argument))
}

/// Takes `--NAME VALUE` or `--NAME=VALUE` out of arguments that are otherwise handed through untouched.
///
/// The last one wins. Arguments after `--` are left alone.
///
/// # Errors
/// [`UsageError`] when the value is missing or is not text.
pub(crate) fn take_option(args: &mut Vec<OsString>, name: &str) -> anyhow::Result<Option<String>> {
    let with_equals = format!("{name}=");
    let mut value = None;
    let mut index = 0;
    while index < args.len() && args[index] != "--" {
        if args[index] == name {
            args.remove(index);
            if index == args.len() {
                return Err(UsageError::new(format!("`{name}` needs a value")).into());
            }
            value = Some(args.remove(index));
        } else if let Some(rest) = args[index].to_str().and_then(|text| text.strip_prefix(&with_equals)) {
            value = Some(rest.into());
            args.remove(index);
        } else {
            index += 1;
        }
    }
    let text = value.map(OsString::into_string).transpose();
    text.map_err(|value| UsageError::new(format!("`{name} {}` is not text", value.display())).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(args: &[&str]) -> Vec<OsString> {
        args.iter().map(OsString::from).collect()
    }

    #[test]
    fn an_option_is_taken_out_wherever_it_stands_and_the_rest_keeps_its_order() {
        for args in [
            &["--backend", "wgpu", "parity", "--seed", "1"][..],
            &["parity", "--backend=wgpu", "--seed", "1"],
            &["parity", "--seed", "1", "--backend", "wgpu"],
        ] {
            let mut args = os(args);
            let backend = take_option(&mut args, "--backend").expect("well formed");
            assert_eq!(backend.as_deref(), Some("wgpu"));
            assert_eq!(args, os(&["parity", "--seed", "1"]));
        }
    }

    #[test]
    fn what_follows_two_dashes_is_left_alone() {
        let mut args = os(&["parity", "--", "--backend", "wgpu", "--help"]);
        assert_eq!(take_option(&mut args, "--backend").expect("well formed"), None);
        assert!(!asks_for_help(&args));
        assert_eq!(args.len(), 5);
    }

    #[test]
    fn an_option_without_its_value_is_bad_usage() {
        let error = take_option(&mut os(&["parity", "--backend"]), "--backend").expect_err("no value");
        assert!(is_usage_error(&error), "{error}");
    }
}
