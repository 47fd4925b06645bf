//! Directories for tests, removed when they end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, open to every user, removed on drop.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A fresh directory; `name` tells whose it is to somebody who finds it.
    ///
    /// # Panics
    /// When the temporary directory cannot be written.
    #[expect(clippy::expect_used, reason = "scaffolding of tests: there is nothing to test without it")]
    pub fn new(name: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = Path::new("/tmp").join(format!("claxton-{name}-{}-{count}", std::process::id()));
        std::fs::remove_dir_all(&dir).ok();
        std::fs::create_dir_all(&dir).expect("a directory under /tmp");
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).expect("its permissions");
        Self(dir)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
