//! TensorBoard event files: numbers by tag and step.
//!
//! A file is a row of records (length, its checksum, bytes, their checksum), each holding an `Event` message of
//! TensorBoard's `event.proto`. Of that format this writes the little that scalars need, by hand. Numbers become f32, as
//! in everything that writes `simple_value`.
//!
//! Each sitting of a run has a file of its own, so that a TensorBoard that is watching goes on to the new one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use razor_core::CoreError;

use crate::language::run::append_file::AppendFile;
use crate::language::run::error::RunError;
use crate::language::run::folder::names_in;
use crate::language::run::log::LogOffsets;

const FOLDER: &str = "tensorboard";

/// First thing in every file: which layout of `Event` follows.
const FILE_VERSION: &str = "brain.Event:2";

/// The event files of a run, the last of them open.
#[derive(Debug)]
pub(super) struct EventLog {
    file: AppendFile,
    name: String,
    /// Lengths of the files of earlier sittings.
    earlier: BTreeMap<String, u64>,
}

impl EventLog {
    /// Cuts the files of earlier sittings back to `offsets`, removes those that it does not name, and starts a new one.
    pub(super) fn open(run: &Path, offsets: &LogOffsets) -> Result<Self, RunError> {
        let folder = run.join(FOLDER);
        fs::create_dir_all(&folder).map_err(|source| CoreError::Write { path: folder.clone(), source })?;
        let mut earlier = BTreeMap::new();
        for file_name in names_in(&folder)?.into_iter().filter(|name| sitting(name).is_some()) {
            let name = format!("{FOLDER}/{file_name}");
            let path = run.join(&name);
            match offsets.0.get(&name) {
                Some(len) => {
                    AppendFile::open(&path, *len)?;
                    earlier.insert(name, *len);
                }
                None => fs::remove_file(&path).map_err(|source| RunError::Remove { path, source })?,
            }
        }
        // A file that somebody removed is no reason to stop: nothing is ever read from here.
        let last =
            offsets.0.keys().filter_map(|name| sitting(name.strip_prefix(FOLDER)?.strip_prefix('/')?)).max();
        let name = format!("{FOLDER}/events.out.tfevents.{:04}.razor", last.map_or(0, |last| last + 1));
        let mut file = AppendFile::open(&run.join(&name), 0)?;
        file.append(&record(&version_event(wall_time())))?;
        Ok(Self { file, name, earlier })
    }

    pub(super) fn append(&mut self, step: u64, scalars: &[(String, f64)]) -> Result<(), RunError> {
        self.file.append(&record(&scalars_event(wall_time(), step, scalars)))
    }

    pub(super) fn offsets(&self) -> Result<BTreeMap<String, u64>, RunError> {
        let mut offsets = self.earlier.clone();
        offsets.insert(self.name.clone(), self.file.sync()?);
        Ok(offsets)
    }
}

/// The number in the name of one of our files.
fn sitting(file_name: &str) -> Option<u64> {
    file_name.strip_prefix("events.out.tfevents.")?.strip_suffix(".razor")?.parse().ok()
}

/// Seconds since 1970.
fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

// Field numbers of event.proto and summary.proto.
const EVENT_WALL_TIME: u8 = 1;
const EVENT_STEP: u8 = 2;
const EVENT_FILE_VERSION: u8 = 3;
const EVENT_SUMMARY: u8 = 5;
const SUMMARY_VALUE: u8 = 1;
const VALUE_TAG: u8 = 1;
const VALUE_SIMPLE_VALUE: u8 = 2;

fn version_event(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    put_f64(&mut event, EVENT_WALL_TIME, wall_time);
    put_bytes(&mut event, EVENT_FILE_VERSION, FILE_VERSION.as_bytes());
    event
}

fn scalars_event(wall_time: f64, step: u64, scalars: &[(String, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, number) in scalars {
        let mut value = Vec::new();
        put_bytes(&mut value, VALUE_TAG, tag.as_bytes());
        value.push(VALUE_SIMPLE_VALUE << 3 | 5); // four bytes follow
        value.extend((*number as f32).to_le_bytes());
        put_bytes(&mut summary, SUMMARY_VALUE, &value);
    }
    let mut event = Vec::new();
    put_f64(&mut event, EVENT_WALL_TIME, wall_time);
    if step > 0 {
        // The format leaves out a number that is 0.
        event.push(EVENT_STEP << 3);
        put_varint(&mut event, step);
    }
    put_bytes(&mut event, EVENT_SUMMARY, &summary);
    event
}

fn put_f64(message: &mut Vec<u8>, field: u8, value: f64) {
    message.push(field << 3 | 1); // eight bytes follow
    message.extend(value.to_le_bytes());
}

fn put_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | 2); // a length and as many bytes follow
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// `data` as a record of a file.
fn record(data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(len);
    record.extend(masked_crc32c(&len).to_le_bytes());
    record.extend_from_slice(data);
    record.extend(masked_crc32c(data).to_le_bytes());
    record
}

/// The checksum as the record format stores it: changed, so that the checksum of data with checksums in it is sound.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), RFC 3720, bit-reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut idx = 0;
    while idx < 256 {
        let mut crc = idx as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[idx] = crc;
        idx += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// See `tests/golden/event_files.py`.
    const GOLDEN: &str = include_str!("../../../../../tests/golden/event_files.json");

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa); // RFC 3720, appendix B.4
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn records_are_those_of_tensorboard_byte_for_byte() {
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let wall_time = |case: &Value| case["wall_time"].as_f64().unwrap();
        let version = &golden["version"];
        assert_eq!(hex(&record(&version_event(wall_time(version)))), version["record"].as_str().unwrap());
        let cases = golden["scalars"].as_array().unwrap();
        assert!(cases.len() >= 5);
        for case in cases {
            let number = |value: &Value| match value.as_str() {
                Some(special) => special.parse().unwrap(), // JSON has no NaN and no infinity
                None => value.as_f64().unwrap(),
            };
            let scalars: Vec<(String, f64)> = case["values"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| (pair[0].as_str().unwrap().to_owned(), number(&pair[1])))
                .collect();
            let event = scalars_event(wall_time(case), case["step"].as_u64().unwrap(), &scalars);
            assert_eq!(hex(&record(&event)), case["record"].as_str().unwrap(), "{case}");
        }
    }

    #[test]
    fn only_our_own_files_are_touched() {
        assert_eq!(sitting("events.out.tfevents.0012.razor"), Some(12));
        assert_eq!(sitting("events.out.tfevents.1700000000.host.1.0"), None);
        assert_eq!(sitting("events.out.tfevents.x.razor"), None);
    }
}
