//! The hub's form of the image sets: Parquet rows of a PNG and a label, turned back into IDX.

use std::fs::File;
use std::io::Cursor;
use std::panic::catch_unwind;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Row, RowAccessor};
use png::{BitDepth, ColorType, Decoder, Limits};

use crate::error::DataError;
use crate::idx::{encode_idx_images, encode_idx_labels};
use crate::image_set::{IMAGE_LEN, IMAGE_SIDE, N_CLASSES};

/// Memory that decoding one PNG may take; a 28x28 image needs a fraction.
const PNG_MEMORY: usize = 1 << 20;

/// The images and labels of one split as IDX files; columns `image` (`bytes`, `path`) and `label`.
///
/// # Errors
/// [`DataError::Parquet`] unless the file has exactly `count` rows of 28x28 8-bit grey PNGs with labels 0 to 9;
/// [`DataError::Read`] when it cannot be opened.
pub(crate) fn read_split(path: &Path, count: u32) -> Result<(Vec<u8>, Vec<u8>), DataError> {
    let failed = |reason: String| DataError::Parquet { path: path.to_owned(), reason };
    // `parquet` asserts some things that a damaged file can break; that is still only a damaged file.
    let outcome = catch_unwind(|| read_rows(path, count));
    outcome.unwrap_or_else(|_| Err(failed("the Parquet structure is damaged".to_owned())))
}

fn read_rows(path: &Path, count: u32) -> Result<(Vec<u8>, Vec<u8>), DataError> {
    let failed = |reason: String| DataError::Parquet { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let reader = SerializedFileReader::new(file).map_err(|error| failed(error.to_string()))?;
    let n_rows = reader.metadata().file_metadata().num_rows();
    if n_rows != i64::from(count) {
        return Err(failed(format!("expected {count} rows, found {n_rows}")));
    }
    let mut images = Vec::with_capacity(count as usize * IMAGE_LEN);
    let mut labels = Vec::with_capacity(count as usize);
    let rows = reader.get_row_iter(None).map_err(|error| failed(error.to_string()))?;
    for (row_idx, row) in rows.take(count as usize).enumerate() {
        let at_row = |reason: String| failed(format!("row {row_idx}: {reason}"));
        let row = row.map_err(|error| at_row(error.to_string()))?;
        let (png, label) = fields(&row).map_err(at_row)?;
        images.extend_from_slice(&decode_png(png).map_err(at_row)?);
        labels.push(label);
    }
    Ok((encode_idx_images(&images), encode_idx_labels(&labels)))
}

fn fields(row: &Row) -> Result<(&[u8], u8), String> {
    let column = |name: &str| {
        let found = row.get_column_iter().position(|(column, _)| column == name);
        found.ok_or_else(|| format!("expected columns `image` and `label`, `{name}` is missing"))
    };
    let wrong = |error: parquet::errors::ParquetError| error.to_string();
    let image = row.get_group(column("image")?).map_err(wrong)?;
    let bytes = image.get_column_iter().position(|(field, _)| field == "bytes");
    let png = image.get_bytes(bytes.ok_or("expected `image` to have a field `bytes`")?).map_err(wrong)?;
    let label = row.get_long(column("label")?).map_err(wrong)?;
    match u8::try_from(label) {
        Ok(class) if usize::from(class) < N_CLASSES => Ok((png.data(), class)),
        _ => Err(format!("label is {label}, expected 0 to 9")),
    }
}

fn decode_png(bytes: &[u8]) -> Result<[u8; IMAGE_LEN], String> {
    let wrong = |error: png::DecodingError| error.to_string();
    let decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: PNG_MEMORY });
    let mut reader = decoder.read_info().map_err(wrong)?;
    let info = reader.info();
    let (width, height, form) =
        (info.width as usize, info.height as usize, (info.color_type, info.bit_depth));
    if (width, height, form) != (IMAGE_SIDE, IMAGE_SIDE, (ColorType::Grayscale, BitDepth::Eight)) {
        return Err(format!("expected a 28 x 28 8-bit grey PNG, found {width} x {height}, {form:?}"));
    }
    let mut image = [0; IMAGE_LEN];
    reader.next_frame(&mut image).map_err(wrong)?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SmallSet;

    const TRAIN: &[u8] = include_bytes!("../tests/fixtures/train.parquet");

    fn read(bytes: &[u8], count: u32) -> Result<(Vec<u8>, Vec<u8>), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.parquet");
        std::fs::write(&path, bytes).unwrap();
        read_split(&path, count).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_written_by_pyarrow_become_the_idx_files() {
        let [images, labels, ..] = SmallSet::new().files;
        assert_eq!(read(TRAIN, 3).unwrap(), (images, labels));
    }

    #[test]
    fn another_number_of_rows_is_refused() {
        let message = read(TRAIN, 4).unwrap_err();
        assert!(message.contains("train.parquet: expected 4 rows, found 3"), "{message}");
    }

    #[test]
    fn a_damaged_file_is_an_error_wherever_it_is_cut_or_changed() {
        for len in 0..TRAIN.len() {
            assert!(read(&TRAIN[..len], 3).is_err(), "cut to {len} bytes");
        }
        for idx in (0..TRAIN.len()).step_by(31) {
            let mut changed = TRAIN.to_vec();
            changed[idx] ^= 0x55;
            let _ = read(&changed, 3); // may still parse; the SHA-256 of the content decides then
        }
    }

    #[test]
    fn only_grey_28_by_28_pngs_are_taken() {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 28, 29);
        encoder.set_color(ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&[0; 28 * 29]).unwrap();
        let message = decode_png(&bytes).unwrap_err();
        assert!(message.contains("expected a 28 x 28 8-bit grey PNG, found 28 x 29"), "{message}");
        assert!(decode_png(&bytes[..60]).is_err());
    }
}
