//! How a count is compared with its threshold.

/// The two comparisons that prompts use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    LessThan,
    AtLeast,
}

impl Relation {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "less than" => Some(Self::LessThan),
            "at least" => Some(Self::AtLeast),
            _ => None,
        }
    }

    pub(super) fn holds(self, count: usize, threshold: usize) -> bool {
        match self {
            Self::LessThan => count < threshold,
            Self::AtLeast => count >= threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_less_than_is_strict() {
        assert!(Relation::AtLeast.holds(3, 3) && !Relation::AtLeast.holds(2, 3));
        assert!(Relation::LessThan.holds(2, 3) && !Relation::LessThan.holds(3, 3));
        assert_eq!(Relation::parse("at most"), None);
    }
}
