//! One example as text, for a terminal or a log.

use crate::dataset::Split;
use crate::error::DataError;
use crate::image_set::{IMAGE_SIDE, ImageDataset};
use crate::manifest::Manifest;

/// How grey levels are drawn. Both styles put two rows of pixels into one line of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureStyle {
    /// Ten characters from blank to dense; readable anywhere.
    Ascii,
    /// Half blocks in the 24 grey levels of a 256-colour terminal.
    Ansi,
}

/// A picture of one example under a line with its label and provenance.
///
/// # Errors
/// [`DataError::NoSuchExample`] when the split has no example `idx`.
pub fn render_example(
    dataset: &ImageDataset,
    split: Split,
    idx: usize,
    style: PictureStyle,
) -> Result<String, DataError> {
    let set = match split {
        Split::Train => &dataset.train,
        Split::Test => &dataset.test,
    };
    if idx >= set.len() {
        return Err(DataError::NoSuchExample { id: dataset.id, split: split.name(), idx, len: set.len() });
    }
    let (id, split, provenance) = (dataset.id, split.name(), dataset.provenance);
    let label = set.label(idx);
    let class = Manifest::embedded().entry(id).class_name(label);
    let mut text = format!("{id} {split} {idx}: label {label} ({class}), {provenance} data\n");
    text.push_str(&render_image(set.image(idx), style));
    Ok(text)
}

fn render_image(image: &[u8], style: PictureStyle) -> String {
    let mut text = String::with_capacity(16 * image.len());
    for two_rows in image.chunks_exact(2 * IMAGE_SIDE) {
        let (upper, lower) = two_rows.split_at(IMAGE_SIDE);
        for (&above, &below) in upper.iter().zip(lower) {
            match style {
                PictureStyle::Ascii => text.push(ascii_shade(above.midpoint(below))),
                PictureStyle::Ansi => {
                    let (above, below) = (grey_index(above), grey_index(below));
                    text.push_str(&format!("\x1b[38;5;{above};48;5;{below}m▀"));
                }
            }
        }
        text.push_str(if style == PictureStyle::Ansi { "\x1b[0m\n" } else { "\n" });
    }
    text
}

fn ascii_shade(level: u8) -> char {
    const SHADES: &[u8; 10] = b" .:-=+*#%@";
    char::from(SHADES[usize::from(level) * SHADES.len() / 256])
}

/// Grey `level` among the colours 232 (nearly black) to 255 (nearly white) of the 256-colour palette.
fn grey_index(level: u8) -> u16 {
    232 + u16::from(level) * 24 / 256
}

#[cfg(test)]
mod tests {
    use razor_core::Seed;

    use super::*;
    use crate::dataset::DatasetId;
    use crate::image_set::IMAGE_LEN;
    use crate::procedural::procedural_images;

    #[test]
    fn ascii_has_fourteen_lines_and_darkens_with_ink() {
        let mut image = [0; IMAGE_LEN];
        image[..IMAGE_SIDE].fill(255); // only the upper of the first two rows
        image[2 * IMAGE_SIDE..4 * IMAGE_SIDE].fill(255);
        let text = render_image(&image, PictureStyle::Ascii);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 14);
        assert_eq!((lines[0], lines[1], lines[2]), (&*"=".repeat(28), &*"@".repeat(28), &*" ".repeat(28)));
    }

    #[test]
    fn ansi_resets_the_colours_at_every_line_end() {
        let text = render_image(&[128; IMAGE_LEN], PictureStyle::Ansi);
        assert!(text.lines().all(|line| line.ends_with("\x1b[0m")));
        assert_eq!(text.matches("\x1b[38;5;244;48;5;244m▀").count(), IMAGE_LEN / 2);
    }

    #[test]
    fn the_heading_names_label_and_provenance() {
        let dataset = procedural_images(DatasetId::FashionMnist, Seed::new(1), 3, 10);
        let label = dataset.test.label(9);
        let text = render_example(&dataset, Split::Test, 9, PictureStyle::Ascii).unwrap();
        assert!(text.starts_with(&format!("fashion_mnist test 9: label {label} (")), "{text}");
        assert!(text.lines().next().unwrap().ends_with("procedural data"), "{text}");
    }

    #[test]
    fn an_example_past_the_end_is_an_error() {
        let dataset = procedural_images(DatasetId::Mnist, Seed::new(1), 3, 2);
        let error = render_example(&dataset, Split::Train, 3, PictureStyle::Ascii).unwrap_err();
        assert_eq!(error.to_string(), "train of mnist has 3 images, no number 3; the first is 0");
    }
}
