//! JSON lines in and out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use razor_core::write_atomic;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::terminal::print;

/// Reads one object a line from a file, or from standard input for `-`. Empty lines are skipped.
///
/// # Errors
/// Names the file and the line that cannot be read.
pub(crate) fn read_lines<R: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<R>> {
    let shown = if is_standard(path) { "standard input".to_owned() } else { path.display().to_string() };
    let reader: Box<dyn BufRead> = if is_standard(path) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).with_context(|| format!("cannot read {shown}"))?))
    };
    let mut records = Vec::new();
    for (idx, line) in reader.lines().enumerate() {
        let line = line.with_context(|| format!("{shown}:{}: cannot be read as UTF-8", idx + 1))?;
        let line = line.strip_prefix('\u{feff}').filter(|_| idx == 0).unwrap_or(&line); // some editors write the mark
        if line.trim().is_empty() {
            continue;
        }
        let record = serde_json::from_str(line).map_err(|error| {
            anyhow::anyhow!(
                "{shown}:{}: {}",
                idx + 1,
                error.to_string().replace(" at line 1 column", ", column")
            )
        })?;
        records.push(record);
    }
    if records.is_empty() {
        bail!("{shown} has no lines: expected one JSON object a line");
    }
    Ok(records)
}

fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Where results go: standard output line by line, or a file that is written whole at the end.
pub(crate) struct LineWriter {
    path: Option<PathBuf>,
    text: String,
}

impl LineWriter {
    pub(crate) fn new(path: Option<&Path>) -> Self {
        Self { path: path.map(Path::to_owned), text: String::new() }
    }

    pub(crate) fn write(&mut self, record: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(record)? + "\n";
        if self.path.is_some() {
            self.text.push_str(&line);
            return Ok(());
        }
        print(&line)
    }

    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self.path {
            Some(path) => Ok(write_atomic(&path, self.text.as_bytes())?),
            None => Ok(io::stdout().flush()?),
        }
    }
}
