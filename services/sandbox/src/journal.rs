//! The broker's side of a run on disk: written before each answer leaves, so that a run killed at any line goes on with
//! the broker where it was.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sim::broker::{Sandbox, TranscriptLine};

/// The transcript, a line an event.
pub const TRANSCRIPT: &str = "transcript.jsonl";
/// The broker's state after the last journaled change.
const STATE: &str = "broker.json";

/// The files of a broker.
#[derive(Debug, Clone)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// In `dir`, which is there.
    pub fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Writes what changed: the transcript's new lines, then the state that includes them.
    ///
    /// # Errors
    /// The disk's, with the file.
    pub fn write(&self, sandbox: &mut Sandbox) -> anyhow::Result<()> {
        let lines = sandbox.take_transcript();
        self.append(&lines)?;
        self.save(sandbox)
    }

    /// Writes lines of the transcript.
    ///
    /// # Errors
    /// The disk's, with the file.
    pub fn append(&self, lines: &[TranscriptLine]) -> anyhow::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let path = self.dir.join(TRANSCRIPT);
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut it| it.write_all(&text)).with_context(|| unwritable(&path))
    }

    /// Writes the state.
    ///
    /// # Errors
    /// The disk's, with the file.
    pub fn save(&self, sandbox: &Sandbox) -> anyhow::Result<()> {
        let (path, fresh) = (self.dir.join(STATE), self.dir.join("broker.json.new"));
        fs::write(&fresh, sandbox.to_bytes()?)
            .and_then(|()| fs::rename(&fresh, &path))
            .with_context(|| unwritable(&path))
    }

    /// The broker as it was journaled, and its transcript cut back to that; `None` when nothing was.
    ///
    /// # Errors
    /// Files that cannot be read or are broken.
    pub fn restore(&self) -> anyhow::Result<Option<Sandbox>> {
        let path = self.dir.join(STATE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let sandbox = Sandbox::from_bytes(&bytes).with_context(|| format!("{} is broken", path.display()))?;
        let mut kept = self.transcript()?;
        kept.retain(|it| it.seq <= sandbox.lines());
        let mut file = File::create(self.dir.join(TRANSCRIPT))?;
        for line in &kept {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")?;
        }
        Ok(Some(sandbox))
    }

    /// Every line so far. A last line that was cut off by a crash is left out.
    ///
    /// # Errors
    /// A file that cannot be read or is broken.
    pub fn transcript(&self) -> anyhow::Result<Vec<TranscriptLine>> {
        read_transcript(&self.dir.join(TRANSCRIPT))
    }
}

/// Reads a transcript. A line that is not one is an error that names it, unless it is the last.
///
/// # Errors
/// A file that cannot be read or is broken.
pub fn read_transcript(path: &Path) -> anyhow::Result<Vec<TranscriptLine>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mut lines = Vec::new();
    let mut broken: Option<(usize, serde_json::Error)> = None;
    for (n, text) in BufReader::new(file).lines().enumerate() {
        if let Some((line, error)) = broken {
            anyhow::bail!("{}:{line}: expected a transcript line: {error}", path.display());
        }
        match serde_json::from_str(&text?) {
            Ok(line) => lines.push(line),
            Err(error) => broken = Some((n + 1, error)),
        }
    }
    Ok(lines)
}

fn unwritable(path: &Path) -> String {
    format!("cannot write {}: make room or choose another directory", path.display())
}
