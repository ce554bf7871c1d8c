//! Calls into engines that panic on some files from outside.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `run` gives, or the engine's last words as an error. The panic still prints its message on stderr.
///
/// Nothing that `run` may have left half done is used again: a file that makes an engine panic is refused.
pub(crate) fn guarded<T, E>(
    run: impl FnOnce() -> Result<T, E>,
    gave_up: impl FnOnce(String) -> E,
) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(gave_up(format!("the engine gave up: {words}")))
    })
}
