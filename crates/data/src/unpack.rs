//! Reading a file whole, gzip or not, with a bound on what it may unpack to.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::error::DataError;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The unpacked content of a file that should hold `expected` bytes.
///
/// Whether it is gzip is told by its first bytes, not by its name: browsers unpack on the way. No more than
/// `expected + 1` bytes are ever held, whatever the stream would unpack to. A shorter file is returned as it is; its
/// header says more about what is missing.
pub(crate) fn read_unpacked(path: &Path, expected: u64) -> Result<Vec<u8>, DataError> {
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let mut head = Vec::with_capacity(GZIP_MAGIC.len());
    file.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut head).map_err(failed)?;
    let is_gzip = head == GZIP_MAGIC;
    let whole = io::Cursor::new(head).chain(file);

    let mut bytes = Vec::new();
    if is_gzip {
        let outcome = MultiGzDecoder::new(whole).take(expected + 1).read_to_end(&mut bytes);
        outcome.map_err(|source| gzip_error(path, expected, bytes.len() as u64, source))?;
    } else {
        whole.take(expected + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > expected {
        return Err(DataError::TooLarge { path: path.to_owned(), expected });
    }
    Ok(bytes)
}

/// SHA-256 as 64 lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gzip_error(path: &Path, expected: u64, unpacked: u64, source: io::Error) -> DataError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::UnexpectedEof => DataError::GzipTruncated { path, expected, found: unpacked },
        _ => DataError::Gzip { path, unpacked, source },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn file_with(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.gz");
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    fn content() -> Vec<u8> {
        (0..5000_u32).map(|i| (i * i % 253) as u8).collect()
    }

    #[test]
    fn gzip_is_told_by_content_not_by_name() {
        for stored in [content(), gzip(&content())] {
            let (_dir, path) = file_with(&stored);
            assert_eq!(read_unpacked(&path, 5000).unwrap(), content());
        }
    }

    #[test]
    fn a_gzip_bomb_stops_at_the_bound() {
        let (_dir, path) = file_with(&gzip(&vec![0; 50_000_000]));
        let message = read_unpacked(&path, 5000).unwrap_err().to_string();
        assert!(message.contains("file.gz: expected 5000 unpacked bytes, found more"), "{message}");
    }

    #[test]
    fn a_cut_gzip_stream_is_called_truncated() {
        let packed = gzip(&content());
        let (_dir, path) = file_with(&packed[..packed.len() / 2]);
        let error = read_unpacked(&path, 5000).unwrap_err();
        assert!(
            matches!(error, DataError::GzipTruncated { expected: 5000, found, .. } if found < 5000),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_gzip_stream_is_refused() {
        let mut packed = gzip(&content());
        let crc = packed.len() - 6; // inside the trailing checksum
        packed[crc] ^= 1;
        let (_dir, path) = file_with(&packed);
        assert!(matches!(read_unpacked(&path, 5000), Err(DataError::Gzip { .. })));
        let (_dir, path) = file_with(&[&gzip(&content())[..], b"junk after the stream"].concat());
        assert!(matches!(read_unpacked(&path, 5000), Err(DataError::Gzip { .. })));
    }

    #[test]
    fn sha256_is_the_published_one() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
