//! Files of JSON records: an array or one object a line, gzip or not, with the line of every record.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::DataError;
use crate::unpack::{read_unpacked, sha256_hex};

/// Largest unpacked file that is read, in bytes: ten times the largest of the public sets.
const MAX_BYTES: u64 = 1 << 30;

/// A file's records and what identifies its bytes.
pub(super) struct RecordFile {
    pub(super) path: PathBuf,
    pub(super) sha256: String,
    pub(super) bytes: u64,
    pub(super) records: Vec<Record>,
}

/// One JSON value and where it begins.
pub(crate) struct Record {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

impl RecordFile {
    /// Reads a file whole; what it holds is told by its first byte, not by its name.
    pub(super) fn read(path: &Path) -> Result<Self, DataError> {
        let text = read_text(path)?;
        let records = records(path, &text)?;
        let (sha256, bytes) = (sha256_hex(text.as_bytes()), text.len() as u64);
        Ok(Self { path: path.to_owned(), sha256, bytes, records })
    }

    /// A cursor at every record, in order.
    pub(super) fn cursors(&self) -> impl Iterator<Item = Cursor<'_>> {
        self.records.iter().map(|record| Cursor {
            path: &self.path,
            line: record.line,
            field: String::new(),
            value: &record.value,
        })
    }

    /// Identifier of the example at a place of the file.
    pub(super) fn id(&self, idx: usize) -> String {
        format!("{}#{idx}", self.stem())
    }

    /// The file's name without folder and extensions.
    pub(super) fn stem(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let stem = plain.strip_suffix(".jsonl").or_else(|| plain.strip_suffix(".json"));
        stem.unwrap_or(plain).to_owned()
    }
}

/// A place in a record, which names itself in errors.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    path: &'a Path,
    line: usize,
    field: String,
    value: &'a Value,
}

impl<'a> Cursor<'a> {
    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// `file:line`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.line)
    }

    /// `file:line` without the folder: short, and enough to find the record.
    pub(super) fn short_place(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{name}:{}", self.line)
    }

    /// A field that must be there.
    pub(super) fn field(&self, name: &str) -> Result<Self, DataError> {
        self.optional_field(name)?.ok_or_else(|| self.at(name, self.value).error("a value", "none"))
    }

    /// A field that may be absent or null.
    pub(super) fn optional_field(&self, name: &str) -> Result<Option<Self>, DataError> {
        let object = self.value.as_object().ok_or_else(|| self.mismatch("an object"))?;
        let value = object.get(name).filter(|value| !value.is_null());
        Ok(value.map(|value| self.at(name, value)))
    }

    /// The text here, untouched.
    pub(super) fn text(&self) -> Result<&'a str, DataError> {
        self.value.as_str().ok_or_else(|| self.mismatch("a string"))
    }

    /// The text here, untouched; more than white space.
    pub(super) fn filled_text(&self) -> Result<&'a str, DataError> {
        let text = self.text()?;
        if text.trim().is_empty() { Err(self.error("text", "an empty string")) } else { Ok(text) }
    }

    /// The elements of the array here.
    pub(super) fn items(&self) -> Result<Vec<Self>, DataError> {
        let items = self.value.as_array().ok_or_else(|| self.mismatch("an array"))?;
        let cursor = |(idx, value)| Self { field: format!("{}[{idx}]", self.field), value, ..self.clone() };
        Ok(items.iter().enumerate().map(cursor).collect())
    }

    /// An error about what stands here.
    pub(super) fn error(&self, expected: &str, found: &str) -> DataError {
        DataError::Field {
            path: self.path.to_owned(),
            line: self.line,
            field: if self.field.is_empty() { "(record)".to_owned() } else { self.field.clone() },
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }

    fn mismatch(&self, expected: &str) -> DataError {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        self.error(expected, found)
    }

    fn at(&self, name: &str, value: &'a Value) -> Self {
        let field = if self.field.is_empty() { name.to_owned() } else { format!("{}.{name}", self.field) };
        Self { field, value, ..self.clone() }
    }
}

/// A file of unknown size as text.
pub(crate) fn read_text(path: &Path) -> Result<String, DataError> {
    let bytes = read_unpacked(path, MAX_BYTES).map_err(without_size)?;
    String::from_utf8(bytes).map_err(|error| {
        let n_good = error.utf8_error().valid_up_to();
        let line = 1 + count_lines(&error.as_bytes()[..n_good]);
        json_error(path, line, "the text is not UTF-8".to_owned())
    })
}

/// The records of a text, of which there is at least one.
pub(crate) fn records(path: &Path, text: &str) -> Result<Vec<Record>, DataError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let records = match text.trim_start().starts_with('[') {
        true => array_elements(path, text)?,
        false => json_lines(path, text)?,
    };
    if records.is_empty() {
        return Err(json_error(path, 1, "expected records, found none".to_owned()));
    }
    Ok(records)
}

fn json_lines(path: &Path, text: &str) -> Result<Vec<Record>, DataError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(line_idx, line)| match serde_json::from_str(line) {
            Ok(value) => Ok(Record { line: line_idx + 1, value }),
            Err(error) => Err(json_error(path, line_idx + 1, error.to_string())),
        })
        .collect()
}

/// The elements of a JSON array one by one, so that each has its line.
fn array_elements(path: &Path, text: &str) -> Result<Vec<Record>, DataError> {
    let mut records = Vec::new();
    let mut scan = Scan { text, at: 0, line: 1 };
    scan.take('[');
    if scan.take(']') {
        return scan.end(path).map(|()| records);
    }
    loop {
        scan.skip_space();
        let line = scan.line;
        let mut stream = serde_json::Deserializer::from_str(&text[scan.at..]).into_iter::<Value>();
        let value = match stream.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => return Err(json_error(path, line + error.line() - 1, reason(&error))),
            None => return Err(json_error(path, line, "the array ends early".to_owned())),
        };
        let n_bytes = stream.byte_offset();
        scan.advance(n_bytes);
        records.push(Record { line, value });
        if scan.take(']') {
            return scan.end(path).map(|()| records);
        }
        if !scan.take(',') {
            return Err(json_error(path, scan.line, "expected `,` or `]` after an element".to_owned()));
        }
    }
}

/// A place in a text that counts lines.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Scan<'_> {
    fn advance(&mut self, n_bytes: usize) {
        self.line += count_lines(&self.text.as_bytes()[self.at..self.at + n_bytes]);
        self.at += n_bytes;
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.advance(rest.len() - rest.trim_start().len());
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        let is_there = self.text[self.at..].starts_with(wanted);
        if is_there {
            self.advance(wanted.len_utf8());
        }
        is_there
    }

    fn end(mut self, path: &Path) -> Result<(), DataError> {
        self.skip_space();
        if self.at == self.text.len() {
            return Ok(());
        }
        Err(json_error(path, self.line, "expected the end of the file after the array".to_owned()))
    }
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

/// The message without its position, which is relative to the element.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.clone(), |(reason, _)| reason.to_owned())
}

fn json_error(path: &Path, line: usize, reason: String) -> DataError {
    DataError::NotJson { path: path.to_owned(), line, reason }
}

/// The errors of a file whose size nobody knows beforehand.
fn without_size(error: DataError) -> DataError {
    match error {
        DataError::GzipTruncated { path, found, .. } => DataError::GzipCut { path, found },
        DataError::TooLarge { path, expected } => DataError::OverLimit { path, limit: expected },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(content: &[u8]) -> Result<RecordFile, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set.jsonl.gz");
        std::fs::write(&path, content).unwrap();
        RecordFile::read(&path)
    }

    fn refusal(content: &[u8]) -> String {
        read(content).err().expect("the file is refused").to_string()
    }

    #[test]
    fn arrays_and_lines_gzip_or_not_give_the_same_records() {
        let (array, lines) = ("\n[\n {\"a\": 1},\n\n {\"a\":\n [2]} ]\n", "{\"a\": 1}\n\n{\"a\": [2]}\r\n");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(lines.as_bytes()).unwrap();
        let packed = encoder.finish().unwrap();
        for (content, expected) in [(array.as_bytes(), [3, 5]), (lines.as_bytes(), [1, 3]), (&packed, [1, 3])]
        {
            let file = read(content).unwrap();
            let values: Vec<&Value> = file.records.iter().map(|record| &record.value).collect();
            assert_eq!(values, [&serde_json::json!({"a": 1}), &serde_json::json!({"a": [2]})]);
            let line_numbers: Vec<usize> = file.records.iter().map(|record| record.line).collect();
            assert_eq!(line_numbers, expected);
            assert_eq!(file.stem(), "set");
        }
    }

    #[test]
    fn damage_is_named_by_its_line() {
        for (content, expected) in [
            (&b"{\"a\": 1}\n{\"a\": \n"[..], ":2: "),
            (b"[{\"a\": 1},\n{\"a\" 3}]", ":2: expected `:`"),
            (b"[{\"a\": 1},\n{\"a\": \n", ":3: EOF"), // where the file ends
            (b"[{\"a\": 1}\n{\"a\": 2}]", ":2: expected `,` or `]`"),
            (b"[{\"a\": 1}]\nmore", ":2: expected the end"),
            (b"[{\"a\": 1},", "ends early"),
            (b"{\"a\": 1}\n\xff", ":2: the text is not UTF-8"),
            (b"\n \n", "found none"),
            (b"[]", "found none"),
        ] {
            let message = refusal(content);
            assert!(message.contains("set.jsonl.gz") && message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_cut_gzip_file_names_no_size_that_nobody_knows() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"{\"question\": \"how many?\"}").unwrap();
        let packed = encoder.finish().unwrap();
        let message = refusal(&packed[..packed.len() - 9]);
        assert!(message.contains("ends early") && !message.contains("1073741824"), "{message}");
    }

    #[test]
    fn fields_name_their_path() {
        let file = read(b"{\"a\": {\"b\": [\"x\", 3]}}").unwrap();
        let record = file.cursors().next().unwrap();
        let items = record.field("a").unwrap().field("b").unwrap().items().unwrap();
        assert_eq!(items[0].text().unwrap(), "x");
        let message = items[1].text().unwrap_err().to_string();
        assert!(message.ends_with(":1: field `a.b[1]`: expected a string, found a number"), "{message}");
        let message = record.field("c").err().unwrap().to_string();
        assert!(message.ends_with(":1: field `c`: expected a value, found none"), "{message}");
    }
}
