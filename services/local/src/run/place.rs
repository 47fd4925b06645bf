//! The data directory of a run. It holds one run, named by command, source and date: unfinished it continues, finished it
//! is replaced.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

/// The form of the manifest we write.
const VERSION: u32 = 1;
const MANIFEST: &str = "run.json";

/// Which run a directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunKey {
    /// `demo` or `up`.
    pub command: String,
    /// The source's name: `generated:seed=7`, `recorded:2013-10-07`.
    pub source: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    version: u32,
    #[serde(flatten)]
    key: RunKey,
    finished: bool,
}

/// A data directory, open for one run.
#[derive(Debug)]
pub struct Place {
    root: PathBuf,
    key: RunKey,
    /// Whether an unfinished run goes on.
    pub resumes: bool,
}

impl Place {
    /// Opens `root` for `key`: a new run starts with an empty directory of its own, an unfinished one of the same name
    /// goes on.
    ///
    /// # Errors
    /// An unfinished run of another name, a manifest that cannot be read, a directory that cannot be written.
    pub fn open(root: &Path, key: RunKey) -> anyhow::Result<Self> {
        fs::create_dir_all(root)
            .with_context(|| format!("cannot make the data directory {}", root.display()))?;
        let path = root.join(MANIFEST);
        let found = match fs::read(&path) {
            Ok(bytes) => Some(read(&path, &bytes)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let resumes = match &found {
            Some(it) if !it.finished && it.key == key => true,
            Some(it) if !it.finished => bail!(
                "{} holds an unfinished run ({} of {}): run the same command again to finish it, or remove the directory",
                root.display(),
                it.key.command,
                it.key.source
            ),
            Some(_) | None => false,
        };
        let place = Self { root: root.to_owned(), key, resumes };
        if !resumes {
            let run = place.run();
            if run.exists() {
                fs::remove_dir_all(&run).with_context(|| format!("cannot replace {}", run.display()))?;
            }
            fs::create_dir_all(&run).with_context(|| format!("cannot make {}", run.display()))?;
            place.write(false)?;
        }
        Ok(place)
    }

    /// Where the run's own files lie.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Where notes of what is owned lie.
    pub fn notes(&self) -> PathBuf {
        self.run().join("owned")
    }

    /// Where PostgreSQL lies; it outlives runs.
    pub fn postgres(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// Notes that the run came to its end.
    ///
    /// # Errors
    /// The manifest cannot be written.
    pub fn finish(&self) -> anyhow::Result<()> {
        self.write(true)
    }

    /// Takes back a run that never began: nothing of it is left, so the directory is free for any other. One that resumes
    /// stays as it was.
    pub fn abandon(&self) {
        if !self.resumes {
            // What cannot be removed is named by whoever opens the directory next.
            fs::remove_file(self.root.join(MANIFEST)).ok();
            fs::remove_dir_all(self.run()).ok();
        }
    }

    fn write(&self, finished: bool) -> anyhow::Result<()> {
        let manifest = Manifest { version: VERSION, key: self.key.clone(), finished };
        let (path, fresh) = (self.root.join(MANIFEST), self.root.join("run.json.new"));
        fs::write(&fresh, serde_json::to_vec_pretty(&manifest)?)
            .and_then(|()| fs::rename(&fresh, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn read(path: &Path, bytes: &[u8]) -> anyhow::Result<Manifest> {
    let manifest: Manifest = serde_json::from_slice(bytes)
        .with_context(|| format!("{} is no manifest of a run: remove the data directory", path.display()))?;
    if manifest.version != VERSION {
        bail!(
            "{} is of version {}, this program reads {VERSION}: remove the data directory",
            path.display(),
            manifest.version
        );
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn key(source: &str) -> RunKey {
        RunKey { command: "demo".to_owned(), source: source.to_owned() }
    }

    #[test]
    fn an_unfinished_run_continues_and_a_finished_one_is_replaced() {
        let scratch = Scratch::new("place");
        let first = Place::open(scratch.path(), key("generated:seed=1")).unwrap();
        fs::write(first.run().join("mark"), "x").unwrap();
        let again = Place::open(scratch.path(), key("generated:seed=1")).unwrap();
        assert!(again.resumes && again.run().join("mark").exists());
        let other = Place::open(scratch.path(), key("generated:seed=2")).unwrap_err().to_string();
        assert!(other.contains("unfinished run (demo of generated:seed=1)"), "{other}");
        again.finish().unwrap();
        let next = Place::open(scratch.path(), key("generated:seed=2")).unwrap();
        assert!(!next.resumes && !next.run().join("mark").exists());
    }

    #[test]
    fn a_run_that_never_began_leaves_the_directory_free_and_a_resumed_one_stays() {
        let scratch = Scratch::new("abandoned");
        Place::open(scratch.path(), key("generated:seed=1")).unwrap().abandon();
        let other = Place::open(scratch.path(), key("generated:seed=2")).unwrap();
        assert!(!other.resumes);
        Place::open(scratch.path(), key("generated:seed=2")).unwrap().abandon();
        assert!(Place::open(scratch.path(), key("generated:seed=2")).unwrap().resumes);
    }
}
