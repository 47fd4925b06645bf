//! The environment of functions that run beside the runner, as KEY=VALUE lines in a file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use domain::account::Switches;
use domain::ports::Clock as _;

use super::parts::Local;
use super::place::Place;
use super::stage::DATABASE;
use crate::aws::AwsLocal;
use crate::clock::wall;
use crate::postgres::Postgres;

/// The first line of such a file; what does not begin with it is not ours to replace.
const HEAD: &str = "# Written by `claxton up --env`, removed when that ends.";

/// A file that is there as long as the run is.
#[derive(Debug)]
pub(crate) struct EnvFile(PathBuf);

impl EnvFile {
    /// Whether a file can be written at `path`.
    ///
    /// # Errors
    /// No directory to write it in; somebody else's file stands there.
    pub(crate) fn check(path: &Path) -> anyhow::Result<()> {
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !parent.is_dir() {
            bail!("cannot write {}: {} is no directory, make it first", path.display(), parent.display());
        }
        match fs::read_to_string(path) {
            Ok(text) if text.starts_with(HEAD) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Ok(_) => bail!("{} was not written by claxton: remove it or name another file", path.display()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes the file whole or not at all. Only its owner can read it.
    pub(crate) fn write(path: &Path, variables: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let mut text = format!("{HEAD}\n");
        for (name, value) in variables {
            text.push_str(&format!("{name}={value}\n"));
        }
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let open = || File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh);
        open()
            .and_then(|mut it| it.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&fresh, path))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, "{} could not be removed", self.0.display());
        }
    }
}

/// Everything a function needs to work with the parts of this run.
pub(crate) fn variables(
    place: &Place,
    postgres: &Postgres,
    aws: &AwsLocal,
    parts: &Local,
) -> BTreeMap<String, String> {
    let mut it = aws.environment();
    let mut set = |name: &str, value: String| {
        it.insert(name.to_owned(), value);
    };
    set("CLAXTON_STAGE", "local".to_owned());
    let ahead = parts.clock.now().0.saturating_sub(wall().0);
    set("CLAXTON_CLOCK_OFFSET_NS", ahead.to_string());
    set("DATABASE_URL", postgres.app_url(DATABASE));
    set("MIGRATE_DATABASE_URL", postgres.admin_url(DATABASE));
    set("OWNED_NOTES_DIR", place.notes().display().to_string());
    set("TRADIER_BASE_URL", parts.venue.base());
    for (queue, url) in parts.mail.urls() {
        set(lambda_kit::aws::variable(queue), url.to_owned());
    }
    for (name, value) in of_switches(&parts.switches) {
        set(name, value);
    }
    it
}

/// The switches as the variables that make them.
pub(crate) fn of_switches(switches: &Switches) -> [(&'static str, String); 10] {
    [
        ("TRADIER_EXECUTION_ENABLED", switches.execution_enabled.to_string()),
        ("TRADIER_SANDBOX", switches.sandbox.to_string()),
        ("TRADIER_EXECUTION_PRODUCTION_ENABLED", switches.production_enabled.to_string()),
        ("TRADIER_PORTFOLIO_SYNC_ENABLED", switches.portfolio_sync.to_string()),
        ("TRADIER_POSITION_RECONCILIATION_ENABLED", switches.reconciliation.to_string()),
        ("TRADIER_FORCE_FLATTEN_ENABLED", switches.force_flatten.to_string()),
        ("TRADIER_FORCE_FLATTEN_MINUTES_BEFORE_CLOSE", switches.flatten_minutes.to_string()),
        ("TRADIER_FORCE_FLATTEN_WATCHDOG_MINUTES", switches.watchdog_minutes.to_string()),
        ("TRADIER_FORCE_FLATTEN_INCLUDE_FOREIGN", switches.include_foreign.to_string()),
        ("DISALLOW_MARKET_ORDERS", switches.disallow_market_orders.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_switches_read_back_as_they_were() {
        let switches = Switches { flatten_minutes: 20, ..world::simulated::switches() };
        let vars = of_switches(&switches);
        assert_eq!(Switches::from_vars(vars.iter().map(|it| (it.0, it.1.as_str()))), Ok(switches));
    }

    #[test]
    fn a_file_of_somebody_else_is_not_replaced_and_ours_goes_with_the_run() {
        let scratch = Scratch::new("env-file");
        let path = scratch.path().join("env");
        EnvFile::check(&path).unwrap();
        let file = EnvFile::write(&path, &[("A".to_owned(), "1".to_owned())].into()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{HEAD}\nA=1\n"));
        EnvFile::check(&path).unwrap();
        drop(file);
        assert!(!path.exists());
        fs::write(&path, "MINE=1\n").unwrap();
        assert!(EnvFile::check(&path).unwrap_err().to_string().contains("name another file"));
        let nowhere = scratch.path().join("none/env");
        assert!(EnvFile::check(&nowhere).unwrap_err().to_string().contains("make it first"));
    }
}
