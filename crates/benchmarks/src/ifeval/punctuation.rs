//! `punctuation:`: what must not appear.

/// Checkers of `punctuation:`.
#[derive(Debug)]
pub(super) enum Punctuation {
    /// No ASCII comma; those of other scripts are allowed.
    NoComma,
}

impl Punctuation {
    pub(super) fn parse(name: &str) -> Option<Self> {
        (name == "no_comma").then_some(Self::NoComma)
    }

    pub(super) fn follows(&self, response: &str) -> bool {
        match self {
            Self::NoComma => !response.contains(','),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ifeval::instruction::follows;

    #[test]
    fn only_the_ascii_comma_is_forbidden() {
        assert!(follows("punctuation:no_comma", "{}", "one; two، three"));
        assert!(!follows("punctuation:no_comma", "{}", "one, two"));
    }
}
