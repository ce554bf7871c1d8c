//! The IDX format of the MNIST family: big-endian `u32` header, then bytes.
//!
//! Images: magic 2051, count, rows, columns, then `count * rows * columns` bytes. Labels: magic 2049, count, then one
//! byte each. The header is never believed before it agrees with the length of the file.

use std::path::Path;

use crate::error::DataError;
use crate::image_set::{IMAGE_LEN, IMAGE_SIDE, N_CLASSES};

const IMAGES_MAGIC: u32 = 2051;
const LABELS_MAGIC: u32 = 2049;

/// The pixels of an IDX file of 28x28 images, 784 bytes an image; `path` only names the file in errors.
///
/// # Errors
/// [`DataError::Header`], [`Magic`](DataError::Magic), [`Shape`](DataError::Shape),
/// [`Truncated`](DataError::Truncated) or [`TrailingBytes`](DataError::TrailingBytes).
pub fn parse_idx_images<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a [u8], DataError> {
    let ([count, rows, columns], body) = split_header(path, bytes, "images", IMAGES_MAGIC)?;
    if (rows as usize, columns as usize) != (IMAGE_SIDE, IMAGE_SIDE) {
        return Err(DataError::Shape { path: path.to_owned(), rows, columns });
    }
    check_length(path, bytes.len() - body.len(), count, IMAGE_LEN, body.len())?;
    Ok(body)
}

/// The labels of an IDX file, one byte each; `path` only names the file in errors.
///
/// # Errors
/// [`DataError::Header`], [`Magic`](DataError::Magic), [`Truncated`](DataError::Truncated),
/// [`TrailingBytes`](DataError::TrailingBytes) or [`Label`](DataError::Label).
pub fn parse_idx_labels<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a [u8], DataError> {
    let ([count], body) = split_header(path, bytes, "labels", LABELS_MAGIC)?;
    check_length(path, bytes.len() - body.len(), count, 1, body.len())?;
    match body.iter().position(|&label| usize::from(label) >= N_CLASSES) {
        Some(idx) => Err(DataError::Label { path: path.to_owned(), idx, found: body[idx] }),
        None => Ok(body),
    }
}

/// An IDX file of 28x28 images.
#[cfg(any(test, feature = "hub"))]
pub(crate) fn encode_idx_images(images: &[u8]) -> Vec<u8> {
    let side = IMAGE_SIDE as u32;
    encode(&[IMAGES_MAGIC, item_count(images.len() / IMAGE_LEN), side, side], images)
}

/// An IDX file of labels.
#[cfg(any(test, feature = "hub"))]
pub(crate) fn encode_idx_labels(labels: &[u8]) -> Vec<u8> {
    encode(&[LABELS_MAGIC, item_count(labels.len())], labels)
}

/// The `N` words after the magic number, and what follows them.
fn split_header<'a, const N: usize>(
    path: &Path,
    bytes: &'a [u8],
    what: &'static str,
    expected: u32,
) -> Result<([u32; N], &'a [u8]), DataError> {
    let short = || DataError::Header { path: path.to_owned(), expected: 4 * (N + 1), found: bytes.len() };
    let (found, mut rest) = take_word(bytes).ok_or_else(short)?;
    if found != expected {
        return Err(DataError::Magic { path: path.to_owned(), what, expected, found });
    }
    let mut words = [0; N];
    for word in &mut words {
        (*word, rest) = take_word(rest).ok_or_else(short)?;
    }
    Ok((words, rest))
}

fn take_word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*word), rest))
}

fn check_length(
    path: &Path,
    header: usize,
    count: u32,
    item_len: usize,
    body_len: usize,
) -> Result<(), DataError> {
    // u64: a header may claim 2^32 images, 3.4e12 bytes.
    let expected = header as u64 + u64::from(count) * item_len as u64;
    let found = (header + body_len) as u64;
    let path = path.to_owned();
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Err(DataError::Truncated { path, count, expected, found }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(DataError::TrailingBytes { path, count, expected, found }),
    }
}

#[cfg(any(test, feature = "hub"))]
fn item_count(n: usize) -> u32 {
    u32::try_from(n).expect("a data set in memory has fewer than 2^32 items")
}

#[cfg(any(test, feature = "hub"))]
fn encode(header: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE_IMAGE: [u8; 16] = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28];
    const TWO_LABELS: [u8; 10] = [0, 0, 8, 1, 0, 0, 0, 2, 9, 0];

    fn images(bytes: &[u8]) -> Result<Vec<u8>, String> {
        parse_idx_images(Path::new("dir/images"), bytes)
            .map(<[u8]>::to_vec)
            .map_err(|error| error.to_string())
    }

    fn labels(bytes: &[u8]) -> Result<Vec<u8>, String> {
        parse_idx_labels(Path::new("dir/labels"), bytes)
            .map(<[u8]>::to_vec)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn hand_made_bytes_parse() {
        let pixels: Vec<u8> = (0..IMAGE_LEN).map(|pixel| (pixel % 251) as u8).collect();
        assert_eq!(images(&[&ONE_IMAGE[..], &pixels].concat()).unwrap(), pixels);
        assert_eq!(labels(&TWO_LABELS).unwrap(), [9, 0]);
    }

    #[test]
    fn encoding_gives_the_hand_made_bytes() {
        let pixels = [5; IMAGE_LEN];
        assert_eq!(encode_idx_images(&pixels), [&ONE_IMAGE[..], &pixels].concat());
        assert_eq!(encode_idx_labels(&[9, 0]), TWO_LABELS);
    }

    #[test]
    fn each_refusal_names_file_expected_and_found() {
        let one_image = [&ONE_IMAGE[..], &[0; IMAGE_LEN]].concat();
        let refusals = [
            (images(&ONE_IMAGE[..15]), "dir/images: expected a header of 16 bytes, found a file of 15"),
            (images(&[]), "dir/images: expected a header of 16 bytes, found a file of 0"),
            (images(&TWO_LABELS), "dir/images: expected magic number 2051 (images), found 2049"),
            (labels(&one_image), "dir/labels: expected magic number 2049 (labels), found 2051"),
            (images(&one_image[..799]), "truncated, the header's count of 1 needs 800 bytes, found 799"),
            (images(&[&one_image[..], &[0]].concat()), "trailing bytes, the header's count of 1 needs 800"),
            (labels(&TWO_LABELS[..9]), "truncated, the header's count of 2 needs 10 bytes, found 9"),
            (labels(&[&TWO_LABELS[..], &[1]].concat()), "trailing bytes"),
            (labels(&[0, 0, 8, 1, 0, 0, 0, 2, 3, 10]), "dir/labels: label 1 is 10, expected 0 to 9"),
        ];
        for (outcome, expected) in refusals {
            let message = outcome.unwrap_err();
            assert!(message.contains(expected), "expected `{expected}` in `{message}`");
        }
        let mut wide = one_image;
        wide[15] = 29;
        assert!(images(&wide).unwrap_err().contains("expected images of 28 x 28 pixels, found 28 x 29"));
    }

    #[test]
    fn an_absurd_count_is_refused_without_allocating_for_it() {
        let mut absurd = ONE_IMAGE;
        absurd[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(images(&absurd).unwrap_err().contains("needs 3367254359296 bytes, found 16"));
    }

    proptest! {
        #[test]
        fn no_byte_string_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64), magic in 2049_u32..2052) {
            let with_magic = [&magic.to_be_bytes()[..], &bytes].concat();
            for input in [&bytes, &with_magic] {
                let _ = images(input);
                let _ = labels(input);
            }
        }

        #[test]
        fn what_is_encoded_parses_back(values in proptest::collection::vec(0_u8..10, 0..300)) {
            prop_assert_eq!(labels(&encode_idx_labels(&values)).unwrap(), values);
        }
    }
}
