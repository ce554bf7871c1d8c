//! The header of a safetensors file: an 8-byte length, a JSON object, and after it nothing but the tensors' bytes.
//!
//! Nothing in it is believed before it agrees with the length of the file: ranges must lie in the file, match shape and
//! type, and cover it without hole or overlap. A name that stands there twice is refused.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::error::ModelError;
use crate::strict_json::{UniqueMap, check_unique, shown, within};

/// Longest header that is read, bytes; the safetensors library has the same limit.
pub(super) const MAX_JSON_LEN: u64 = 100_000_000;

/// The key beside the tensors that holds texts.
pub(super) const METADATA_KEY: &str = "__metadata__";

/// Length of the length.
const PREFIX_LEN: u64 = 8;

/// Largest number of dimensions; a decoder has 2.
const MAX_RANK: usize = 8;

/// Element types of the format that are whole bytes.
const DTYPES: [(&str, u64); 17] = [
    ("F64", 8),
    ("F32", 4),
    ("F16", 2),
    ("BF16", 2),
    ("I64", 8),
    ("I32", 4),
    ("I16", 2),
    ("I8", 1),
    ("U64", 8),
    ("U32", 4),
    ("U16", 2),
    ("U8", 1),
    ("BOOL", 1),
    ("F8_E4M3", 1),
    ("F8_E5M2", 1),
    ("F8_E8M0", 1),
    ("C64", 8),
];

/// What a file says of one tensor, checked against the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// As in the file: `BF16`.
    pub(super) dtype: &'static str,
    pub(super) shape: Vec<usize>,
    /// First byte, from the start of the file.
    pub(super) start: u64,
    pub(super) n_bytes: u64,
}

/// A checked header.
#[derive(Debug)]
pub(super) struct Header {
    /// In the order of the file's bytes.
    pub(super) entries: Vec<Entry>,
}

impl Header {
    /// Reads and checks the header of `file`; `path` only names the file.
    pub(super) fn read(path: &Path, file: &mut File) -> Result<Self, ModelError> {
        let unread = |source| ModelError::Read { path: path.to_owned(), source };
        let bad = |message: String| ModelError::Layout { path: path.to_owned(), message };
        let file_len = file.metadata().map_err(unread)?.len();
        if file_len < PREFIX_LEN {
            return Err(bad(format!("is no safetensors file: {file_len} bytes, expected a header")));
        }
        let mut prefix = [0; PREFIX_LEN as usize];
        file.read_exact(&mut prefix).map_err(unread)?;
        let header_len = u64::from_le_bytes(prefix);
        let rest = file_len - PREFIX_LEN;
        if header_len > rest || header_len > MAX_JSON_LEN {
            let limit = rest.min(MAX_JSON_LEN);
            return Err(bad(format!(
                "is no safetensors file or is cut short: header of {header_len} bytes, at most {limit} possible"
            )));
        }
        let mut json = vec![0; usize::try_from(header_len).expect("at most 100 MB")];
        file.read_exact(&mut json).map_err(unread)?;
        parse(&json, PREFIX_LEN + header_len, file_len).map_err(bad)
    }
}

/// Checks the text of a header in a file of `file_len` bytes whose tensors start at byte `start`.
fn parse(json: &[u8], start: u64, file_len: u64) -> Result<Header, String> {
    if json.first() != Some(&b'{') {
        return Err("is no safetensors file: the header does not start with {".to_owned());
    }
    let raw: RawHeader = serde_json::from_slice(json).map_err(|error| format!("bad header: {error}"))?;
    check_metadata(&raw.metadata)?;
    let checked = raw.tensors.into_iter().map(|(name, info)| {
        let outcome = entry(&name, &info, start);
        outcome.map_err(|message| format!("tensor `{}` {message}", shown(&name)))
    });
    let mut entries = checked.collect::<Result<Vec<Entry>, String>>()?;
    // Empty tensors first: they share their offset with the tensor that follows.
    entries.sort_by_key(|entry| (entry.start, entry.n_bytes));
    check_cover(&entries, start, file_len)?;
    Ok(Header { entries })
}

/// Other libraries store linear weights the other way round.
fn check_metadata(metadata: &[(String, String)]) -> Result<(), String> {
    let format = metadata.iter().find(|(key, _)| key == "format").map(|(_, value)| value.as_str());
    match format {
        None | Some("pt" | "mlx") => Ok(()),
        Some(other) => Err(format!("weights of format `{}`, expected pt", shown(other))),
    }
}

fn entry(name: &str, info: &RawTensor, data_start: u64) -> Result<Entry, String> {
    let (dtype, element) = DTYPES
        .into_iter()
        .find(|(dtype, _)| *dtype == info.dtype)
        .ok_or_else(|| format!("has the unknown type `{}`", shown(&info.dtype)))?;
    if info.shape.len() > MAX_RANK {
        return Err(format!("has {} dimensions, expected at most {MAX_RANK}", info.shape.len()));
    }
    let n_bytes = info.shape.iter().try_fold(element, |product, side| product.checked_mul(*side));
    let n_bytes = n_bytes.ok_or_else(|| format!("has the absurd shape {:?}", info.shape))?;
    let [begin, end] = info.data_offsets;
    if begin.checked_add(n_bytes) != Some(end) {
        let shape = &info.shape;
        return Err(format!("lies at bytes {begin} to {end}, but {dtype} {shape:?} takes {n_bytes} bytes"));
    }
    let start = data_start.checked_add(begin).ok_or_else(|| format!("starts at the absurd byte {begin}"))?;
    let shape = info.shape.iter().map(|side| usize::try_from(*side)).collect::<Result<Vec<usize>, _>>();
    let shape = shape.map_err(|_| format!("has the absurd shape {:?}", info.shape))?;
    Ok(Entry { name: name.to_owned(), dtype, shape, start, n_bytes })
}

/// The tensors follow each other from the first byte after the header to the last of the file.
fn check_cover(entries: &[Entry], start: u64, file_len: u64) -> Result<(), String> {
    let mut end = start;
    for entry in entries {
        if entry.start != end {
            let what = if entry.start < end { "overlaps the one before it" } else { "follows a hole" };
            let (name, found) = (shown(&entry.name), entry.start - start);
            return Err(format!("tensor `{name}` {what}: starts at byte {found}, expected {}", end - start));
        }
        // Cannot overflow: every end so far is the next start, which lies in the file.
        end = entry.start.saturating_add(entry.n_bytes);
        if end > file_len {
            let (name, missing) = (shown(&entry.name), end - file_len);
            return Err(format!(
                "is cut short: tensor `{name}` ends {missing} bytes after the end of the file"
            ));
        }
    }
    if end == file_len { Ok(()) } else { Err(format!("has {} bytes that no tensor owns", file_len - end)) }
}

/// A header as it is written.
struct RawHeader {
    metadata: Vec<(String, String)>,
    tensors: Vec<(String, RawTensor)>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawHeaderVisitor)
    }
}

struct RawHeaderVisitor;

impl<'de> Visitor<'de> for RawHeaderVisitor {
    type Value = RawHeader;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
        let (mut metadata, mut tensors, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        while let Some(name) = map.next_key::<String>()? {
            check_unique(&mut seen, &name)?;
            if name == METADATA_KEY {
                let UniqueMap(texts) = map.next_value().map_err(|error: A::Error| within(&name, &error))?;
                metadata = texts;
            } else {
                let tensor = map.next_value().map_err(|error: A::Error| within(&name, &error))?;
                tensors.push((name, tensor));
            }
        }
        Ok(RawHeader { metadata, tensors })
    }
}

/// The text of a header whose tensors lie one after the other, padded so that their bytes start at a multiple of 8.
pub(super) fn header_bytes<'a>(
    tensors: impl Iterator<Item = (&'a str, &'static str, &'a [usize], u64)>,
) -> Vec<u8> {
    let mut object = serde_json::Map::new();
    object.insert(METADATA_KEY.to_owned(), serde_json::json!({"format": "pt"}));
    let mut begin = 0;
    for (name, dtype, shape, n_bytes) in tensors {
        let end = begin + n_bytes;
        object.insert(
            name.to_owned(),
            serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}),
        );
        begin = end;
    }
    let mut json = serde_json::to_vec(&object).expect("plain data with text keys");
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut json);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;

    /// The outcome for a file that holds this header and `n_data` bytes.
    fn outcome(json: &str, n_data: u64) -> Result<Header, String> {
        let start = PREFIX_LEN + json.len() as u64;
        parse(json.as_bytes(), start, start + n_data)
    }

    fn refusal(json: &str, n_data: u64) -> String {
        outcome(json, n_data).expect_err("the header is refused")
    }

    #[test]
    fn a_header_that_covers_its_file_is_taken() {
        let json = format!(
            r#"{{"__metadata__":{{"format":"pt"}},"b":{ENTRY},"a":{{"dtype":"BF16","shape":[3,1],"data_offsets":[8,14]}}}}  "#
        );
        let header = outcome(&json, 14).unwrap();
        let start = PREFIX_LEN + json.len() as u64;
        assert_eq!(
            header.entries[1],
            Entry { name: "a".into(), dtype: "BF16", shape: vec![3, 1], start: start + 8, n_bytes: 6 }
        );
    }

    #[test]
    fn an_empty_tensor_may_share_its_offset() {
        let json = format!(r#"{{"a":{ENTRY},"none":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}}}"#);
        assert_eq!(outcome(&json, 8).unwrap().entries[0].name, "none");
    }

    #[test]
    fn ranges_that_do_not_cover_the_file_are_refused_by_tensor() {
        let second = |begin: u64, end: u64| {
            format!(r#"{{"a":{ENTRY},"second":{{"dtype":"U8","shape":[4],"data_offsets":[{begin},{end}]}}}}"#)
        };
        assert!(refusal(&second(6, 10), 10).contains("`second` overlaps"));
        assert!(refusal(&second(12, 16), 16).contains("`second` follows a hole"));
        assert!(refusal(&second(8, 12), 11).contains("cut short: tensor `second` ends 1 bytes after"));
        assert!(refusal(&second(8, 12), 13).contains("1 bytes that no tensor owns"));
        assert!(refusal(&second(12, 8), 12).contains("`second` lies at bytes 12 to 8"));
        assert!(refusal(&second(8, 13), 13).contains("takes 4 bytes"));
    }

    #[test]
    fn numbers_beyond_all_bounds_are_refused() {
        let tensor = |shape: &str, end: &str| {
            format!(r#"{{"big":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
        };
        assert!(refusal(&tensor("[9223372036854775807,4]", "8"), 8).contains("`big` has the absurd shape"));
        assert!(refusal(&tensor("[99999999999999999999]", "8"), 8).contains("`big`"));
        assert!(refusal(&tensor("[-1]", "8"), 8).contains("`big`"));
        assert!(refusal(&tensor("[1,1,1,1,1,1,1,1,1]", "4"), 4).contains("9 dimensions"));
        let far = r#"{"far":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]}}"#;
        assert!(refusal(far, 1).contains("`far` starts at the absurd byte"));
    }

    #[test]
    fn what_is_repeated_unknown_or_missing_is_refused_by_name() {
        assert!(refusal(&format!(r#"{{"a":{ENTRY},"a":{ENTRY}}}"#), 8).contains("`a` stands there twice"));
        let unknown = ENTRY.replace("F32", "Q4");
        assert!(
            refusal(&format!(r#"{{"a":{unknown}}}"#), 8).contains("tensor `a` has the unknown type `Q4`")
        );
        let extra = ENTRY.replace("\"shape\"", "\"stride\":1,\"shape\"");
        assert!(refusal(&format!(r#"{{"a":{extra}}}"#), 8).contains("stride"));
        let twice = ENTRY.replace("\"shape\"", "\"dtype\":\"F32\",\"shape\"");
        assert!(refusal(&format!(r#"{{"a":{twice}}}"#), 8).contains("duplicate field"));
        assert!(refusal(r#"{"a":{"dtype":"F32","shape":[2]}}"#, 8).contains("data_offsets"));
        assert!(refusal(r#"{"__metadata__":{"format":"tf"}}"#, 0).contains("`tf`"));
        assert!(refusal(r#"{"__metadata__":{"a":1}}"#, 0).contains("`__metadata__`"));
        assert!(refusal("[1]", 0).contains("does not start with {"));
        assert!(refusal(r#"{"a":"#, 0).contains("bad header"));
    }

    #[test]
    fn written_headers_are_aligned_and_read_back() {
        let specs = [("a", "F32", &[2, 2][..], 16), ("b.with.a.longer.name", "BF16", &[3][..], 6)];
        let bytes = header_bytes(specs.into_iter());
        assert_eq!(bytes.len() % 8, 0);
        let header = parse(&bytes[8..], bytes.len() as u64, bytes.len() as u64 + 22).unwrap();
        assert_eq!(header.entries[1].start, bytes.len() as u64 + 16);
    }
}
