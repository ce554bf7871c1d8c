//! The backends that `razor` can be built for, as cargo flags.

use std::fmt;
use std::str::FromStr;

use crate::usage::UsageError;

/// A Burn backend, which is a Cargo feature of `razor-cli`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Backend {
    /// CPU, the default.
    #[default]
    Flex,
    /// CPU, kept for cross-checks.
    Ndarray,
    /// Any GPU with Vulkan, Metal or DirectX 12.
    Wgpu,
    /// NVIDIA GPUs.
    Cuda,
}

impl Backend {
    pub(crate) const ALL: [Self; 4] = [Self::Flex, Self::Ndarray, Self::Wgpu, Self::Cuda];

    pub(crate) fn feature(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }

    /// Cargo flags that select exactly this backend.
    ///
    /// `flex` needs none: naming a default feature would not change the build, only its command line.
    pub(crate) fn cargo_flags(self) -> Vec<&'static str> {
        match self {
            Self::Flex => Vec::new(),
            _ => vec!["--no-default-features", "--features", self.feature()],
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.feature())
    }
}

impl FromStr for Backend {
    type Err = UsageError;

    fn from_str(name: &str) -> Result<Self, UsageError> {
        Self::ALL.into_iter().find(|backend| backend.feature() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::feature).join(", ");
            UsageError::new(format!("unknown backend `{name}`; expected one of {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_parsed_by_the_name_that_they_show() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse::<Backend>().expect("its own name"), backend);
        }
    }

    #[test]
    fn an_unknown_backend_is_answered_with_the_known_ones() {
        let message = "tpu".parse::<Backend>().expect_err("not a backend").to_string();
        assert!(Backend::ALL.iter().all(|backend| message.contains(backend.feature())), "{message}");
    }
}
