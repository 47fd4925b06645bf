//! `docs/sandbox.md`: every command on the page is run against a sandbox, and what the page says comes must come.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;

use domain::time::{UtcNanos, at_new_york};
use jiff::civil::time;
use sandbox::accounts;
use sandbox::market::Feed;
use sandbox::play::{Play, Setup, Start};
use sandbox::practice;
use serde_json::Value;
use sim::broker::faults::{Fault, FaultScript};
use sim::broker::{Latencies, Practice, Rules};
use tokio::sync::oneshot;

/// What stands for anything.
const ANYTHING: &str = "…";
/// The address on the page.
const ADDRESS: &str = "127.0.0.1:8100";

/// A fenced block: its language, its text, and the name of the file that it is, where the line before says so.
struct Block {
    language: String,
    text: String,
    file: Option<String>,
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sandbox.md");
    std::fs::read_to_string(path).unwrap()
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut open, mut before) = (Vec::new(), None::<Block>, String::new());
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, Some(language)) => {
                let file = before.strip_prefix("<!-- ").and_then(|it| it.strip_suffix(" -->"));
                let file = file.map(str::to_owned);
                open = Some(Block { language: language.to_owned(), text: String::new(), file });
            }
            (None, None) => {}
        }
        if !line.is_empty() {
            line.clone_into(&mut before);
        }
    }
    assert!(open.is_none(), "a block does not end");
    blocks
}

/// The wall's time.
#[expect(clippy::disallowed_methods, reason = "the runner's edge: here wall time comes in")]
fn wall() -> UtcNanos {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UtcNanos::default().plus(since.unwrap_or_default())
}

/// A sandbox as the page starts it, until the sender is dropped.
fn started(accounts_file: &str) -> (String, oneshot::Sender<()>, std::thread::JoinHandle<()>) {
    let users = accounts::parse(accounts_file).unwrap_or_else(|wrong| panic!("accounts.json {wrong}"));
    let (tell, told) = mpsc::channel();
    let (hold, held) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let (profile, feed) = Feed::wider_generated(7, None).unwrap();
            let at = at_new_york(profile.session.date, time(10, 0, 0, 0));
            let play = Play::start(Setup {
                listen: "127.0.0.1:0".parse().unwrap(),
                start: Start::At { at, speed: 1.0, holds_at_close: true },
                profile,
                feed,
                users,
                rules: Rules { latencies: Latencies::NEAR, ..Rules::live(7) },
                faults: None,
                journal: None,
                control: true,
                wall,
            });
            let play = play.await.unwrap();
            tell.send(play.address().to_string()).unwrap();
            tokio::select! { ran = play.run() => ran.unwrap(), _ = held => {} }
            play.stop().await.unwrap();
        });
    });
    (told.recv().unwrap(), hold, thread)
}

/// Whether `is` is what the page says.
fn like(says: &Value, is: &Value) -> bool {
    match (says, is) {
        (Value::String(it), _) if it == ANYTHING => true,
        (Value::Object(says), Value::Object(is)) => {
            says.iter().all(|(name, value)| is.get(name).is_some_and(|it| like(value, it)))
        }
        (Value::Array(says), Value::Array(is)) => {
            let open = says.last().is_some_and(|it| it == ANYTHING);
            let count = if open { says.len() - 1 } else { says.len() };
            (open || count == is.len()) && says.iter().take(count).zip(is).all(|(says, is)| like(says, is))
        }
        (says, is) => says == is,
    }
}

/// Whether `text` has the parts of `line` in order.
fn holds(text: &str, line: &str) -> bool {
    let mut rest = text;
    line.split(ANYTHING).map(str::trim).all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

fn run(command: &str, address: &str, dir: &Path) -> String {
    let command = command.replace(ADDRESS, address);
    let output = Command::new("sh").arg("-c").arg(&command).current_dir(dir).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_on_the_page_answers_as_the_page_says() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: curl is not here");
        return;
    }
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&dir).unwrap();
    let blocks = blocks(&page());
    let mut accounts_file = None;
    for block in &blocks {
        if let Some(name) = &block.file {
            std::fs::write(dir.join(name), &block.text).unwrap();
            if name == "accounts.json" {
                accounts_file = Some(block.text.clone());
            }
        }
    }
    let (address, hold, thread) = started(&accounts_file.expect("the page shows an accounts.json"));
    let mut ran = 0;
    let mut following = blocks.iter().peekable();
    while let Some(block) = following.next() {
        if block.language != "sh" || !block.text.contains("curl ") {
            continue;
        }
        let said = run(&block.text, &address, &dir);
        ran += 1;
        let Some(expected) = following.next_if(|it| it.language != "sh" && it.file.is_none()) else {
            panic!("the page does not say what comes of\n{}", block.text)
        };
        match expected.language.as_str() {
            "json" => {
                let says: Value = serde_json::from_str(&expected.text).unwrap();
                let is: Value = serde_json::from_str(&said)
                    .unwrap_or_else(|error| panic!("{error}: {said}\nto {}", block.text));
                assert!(like(&says, &is), "to\n{}\ncame\n{is}\nnot\n{}", block.text, expected.text);
            }
            "text" => {
                for line in expected.text.lines() {
                    assert!(holds(&said, line), "to\n{}\ncame\n{said}\nwithout\n{line}", block.text);
                }
            }
            other => panic!("{other} is not what comes of a command"),
        }
    }
    drop(hold);
    thread.join().unwrap();
    assert!(ran >= 15, "{ran} commands were run");
}

#[test]
fn the_files_on_the_page_are_read() {
    let mut read = 0;
    for block in blocks(&page()) {
        match block.file.as_deref() {
            Some("accounts.json") => drop(accounts::parse(&block.text).unwrap()),
            Some("practice.json") => drop(practice::parse(&block.text).unwrap()),
            Some(name) if name.ends_with("faults.json") => {
                drop(FaultScript::parse(&block.text).unwrap_or_else(|wrong| panic!("{name} {wrong}")));
            }
            Some(_) | None => continue,
        }
        read += 1;
    }
    assert!(read >= 4, "{read} files were read");
}

#[test]
fn every_switch_of_practice_is_on_the_page_with_what_is_usual() {
    let page = page();
    let usual = serde_json::to_value(Practice::USUAL).unwrap();
    for (name, value) in usual.as_object().unwrap() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let row = format!("| `{name}` | {value} | ");
        assert!(page.lines().any(|it| it.starts_with(&row)), "docs/sandbox.md needs the row {row}");
    }
}

#[test]
fn every_fault_is_on_the_page_in_its_own_words() {
    let page = page();
    for fault in Fault::ALL {
        let row = format!("| `{}` | {} |", fault.as_str(), fault.says());
        assert!(page.lines().any(|it| it == row), "docs/sandbox.md needs the row\n{row}");
    }
}
