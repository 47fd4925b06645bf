//! The processes of a run, as the system lists them.

use std::collections::BTreeMap;
use std::fs;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pid: i32,
    pub(super) parent: i32,
    /// Its program: `orders`, `ingester`, `postgres`.
    pub(super) name: String,
    /// What it calls itself: `postgres: claxton_app claxton [local] idle`.
    pub(super) line: String,
}

impl Found {
    /// Whether it serves one connection of the functions to PostgreSQL.
    pub(super) fn is_connection(&self) -> bool {
        self.line.starts_with("postgres: claxton_app ")
    }
}

/// Everything that `root` started, and what that started.
pub(super) fn of(root: u32) -> Vec<Found> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    let mut children: BTreeMap<i32, Vec<Found>> = BTreeMap::new();
    for found in pids.filter_map(look) {
        children.entry(found.parent).or_default().push(found);
    }
    let mut below: Vec<Found> = Vec::new();
    let mut next = vec![i32::try_from(root).unwrap_or(0)];
    while let Some(pid) = next.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            next.push(child.pid);
            below.push(child);
        }
    }
    below
}

/// One process; `None` for one that is gone or was not waited for yet.
fn look(pid: i32) -> Option<Found> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = tail.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    (state != "Z").then(|| Found { pid, parent, name, line: line.trim_end().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_started_is_found_by_its_name() {
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        // Until it has become its program it still looks like us.
        let is_child = |it: &Found| u32::try_from(it.pid) == Ok(child.id()) && it.name == "sleep";
        let found = (0..100_000).find_map(|_| of(std::process::id()).into_iter().find(is_child)).unwrap();
        assert_eq!(found.line, "/bin/sleep 60");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
