//! Images and labels in memory.

use serde::{Deserialize, Serialize};

use crate::dataset::{DatasetId, Provenance};

/// Rows and columns of every image.
pub const IMAGE_SIDE: usize = 28;
/// Bytes of one image: row-major grey levels, 0 = background, 255 = ink.
pub const IMAGE_LEN: usize = IMAGE_SIDE * IMAGE_SIDE;
/// Classes of both data sets; labels are below it.
pub const N_CLASSES: usize = 10;

/// Labelled 28x28 images, one byte a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    images: Vec<u8>,
    labels: Vec<u8>,
}

impl ImageSet {
    /// Joins images (`n * 784` bytes) and labels (`n` bytes, each below 10).
    ///
    /// # Panics
    /// When the lengths disagree or a label is 10 or more: files are checked before they get here.
    pub fn new(images: Vec<u8>, labels: Vec<u8>) -> Self {
        let (n_bytes, n_labels) = (images.len(), labels.len());
        assert_eq!(n_bytes, n_labels * IMAGE_LEN, "{n_bytes} bytes of images for {n_labels} labels");
        assert!(labels.iter().all(|&label| usize::from(label) < N_CLASSES), "a label is {N_CLASSES} or more");
        Self { images, labels }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The 784 grey levels of one image.
    ///
    /// # Panics
    /// When `idx` is not below [`len`](Self::len).
    pub fn image(&self, idx: usize) -> &[u8] {
        &self.images[idx * IMAGE_LEN..][..IMAGE_LEN]
    }

    /// The class of one image, 0 to 9.
    ///
    /// # Panics
    /// When `idx` is not below [`len`](Self::len).
    pub fn label(&self, idx: usize) -> u8 {
        self.labels[idx]
    }

    /// All images, one after the other.
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, in the order of the images.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The first `n` images, or all when there are fewer.
    #[must_use]
    pub fn truncated(mut self, n: usize) -> Self {
        self.labels.truncate(n);
        self.images.truncate(n.saturating_mul(IMAGE_LEN));
        self
    }
}

/// A file that was read, as run records keep it: enough to tell whether two runs saw the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Data set and file, such as `mnist/train-labels-idx1-ubyte`; never a path of this machine.
    pub name: String,
    /// SHA-256 of the unpacked bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Number of unpacked bytes.
    pub bytes: u64,
}

/// A data set with its split and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDataset {
    /// Which data set it is, or stands in for.
    pub id: DatasetId,
    /// Whether the images are real.
    pub provenance: Provenance,
    /// Training images.
    pub train: ImageSet,
    /// Test images.
    pub test: ImageSet,
    /// The files behind real images; for procedural images one record a split of what was generated.
    pub files: Vec<FileRecord>,
    /// Why [`load_or_generate`](crate::load_or_generate) fell back to procedural images, to be printed; otherwise `None`.
    pub stand_in_reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_keeps_images_beside_their_labels() {
        let images = [vec![1; IMAGE_LEN], vec![2; IMAGE_LEN], vec![3; IMAGE_LEN]].concat();
        let set = ImageSet::new(images, vec![7, 8, 9]).truncated(2);
        assert_eq!((set.len(), set.label(1), set.image(1)), (2, 8, [2; IMAGE_LEN].as_slice()));
        assert_eq!(set.clone().truncated(usize::MAX), set);
    }

    #[test]
    #[should_panic(expected = "783 bytes of images for 1 labels")]
    fn a_missing_pixel_is_a_bug() {
        let _ = ImageSet::new(vec![0; IMAGE_LEN - 1], vec![0]);
    }
}
