//! What a file holds, in 64 characters.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// Length in bytes and SHA-256, in hexadecimal digits, of what is left of an open file.
///
/// # Errors
/// That of reading.
pub fn file_digest(mut file: &File) -> io::Result<(u64, String)> {
    let (mut hash, mut buffer, mut n_bytes) = (Sha256::new(), vec![0; CHUNK], 0);
    loop {
        let n_read = file.read(&mut buffer)?;
        if n_read == 0 {
            return Ok((n_bytes, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        hash.update(&buffer[..n_read]);
        n_bytes += n_read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard_for_any_number_of_chunks() {
        let dir = tempfile::tempdir().unwrap();
        let digest = |bytes: &[u8]| {
            let path = dir.path().join("file");
            std::fs::write(&path, bytes).unwrap();
            file_digest(&File::open(path).unwrap()).unwrap()
        };
        // FIPS 180-2, appendix B.1 and B.3.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(b"abc"), (3, abc.to_owned()));
        let (million, is_million) = digest(&vec![b'a'; 1_000_000]);
        assert_eq!(million, 1_000_000);
        assert_eq!(is_million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
        let (two, of_two) = digest(&vec![0; CHUNK + 1]);
        assert_eq!(two, CHUNK as u64 + 1);
        assert_ne!(of_two, digest(&vec![0; CHUNK]).1);
    }
}
