//! Names: which data set, and whether its images are real.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// One of the two image sets of ParityMNIST.
///
/// ```
/// use razor_data::DatasetId;
///
/// assert_eq!("fashion_mnist".parse::<DatasetId>().unwrap(), DatasetId::FashionMnist);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetId {
    /// Handwritten digits; their parity is the new task.
    Mnist,
    /// Clothes in ten classes; the prior task.
    FashionMnist,
}

impl DatasetId {
    /// Every data set, in the order in which they are listed.
    pub const ALL: [Self; 2] = [Self::Mnist, Self::FashionMnist];

    /// The name in records, folders and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion_mnist",
        }
    }
}

impl fmt::Display for DatasetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DatasetId {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        let known = Self::ALL.into_iter().find(|id| id.name() == name);
        known.ok_or_else(|| DataError::UnknownDataset { name: name.to_owned() })
    }
}

/// Whether images were recorded or drawn by this crate. Every record and page that shows a number says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// The official images, checked by SHA-256.
    Real,
    /// Stand-ins generated from a seed; see [`procedural_images`](crate::procedural_images).
    Procedural,
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Real => "real",
            Self::Procedural => "procedural",
        })
    }
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// For training.
    Train,
    /// For measuring; never trained on.
    Test,
}

impl Split {
    /// The name in messages and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_match_serde() {
        #[derive(Serialize)]
        struct Line {
            id: DatasetId,
        }
        for id in DatasetId::ALL {
            assert_eq!(id.name().parse::<DatasetId>().unwrap(), id);
            assert_eq!(toml::to_string(&Line { id }).unwrap(), format!("id = \"{id}\"\n"));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = "cifar".parse::<DatasetId>().unwrap_err().to_string();
        assert!(message.contains("`cifar`") && message.contains("mnist, fashion_mnist"), "{message}");
    }
}
