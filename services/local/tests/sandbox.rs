//! `claxton sandbox` as a process: how it starts, whom it serves, what it refuses, how it ends and goes on.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: what fails here fails the test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use local::scratch::Scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_claxton");

/// A sandbox that listens.
struct Running {
    child: Child,
    host: String,
    said: String,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["sandbox", "--listen", "127.0.0.1:0"]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().map(Result::unwrap).unwrap_or_default();
        let Some(host) = first.strip_prefix("listening on http://") else {
            panic!("it said {first:?} and ended with {:?}", child.wait());
        };
        let said = lines.next().unwrap().unwrap();
        Self { host: host.to_owned(), said, child }
    }

    fn ask(&self, method: &str, path: &str, token: &str, form: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
            self.host,
            form.len()
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, "stub-token", "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Its exit code.
    fn end(mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.child.wait().unwrap().code()
    }
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|it| it.is_none()) {
            self.signal(Signal::SIGKILL);
            self.child.wait().unwrap();
        }
    }
}

fn refused(args: &[&str]) -> String {
    let output = Command::new(PROGRAM).arg("sandbox").args(args).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}: {output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.code() == Some(1) {
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    }
    said
}

fn file(scratch: &Scratch, name: &str, text: &str) -> String {
    let path = scratch.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn data() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    dir.is_dir().then_some(dir)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how soon a process listens is measured on the wall")]
fn it_listens_within_two_seconds_at_ten_o_clock_and_ends_cleanly() {
    let begun = Instant::now();
    let run = Running::start(&[]);
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    assert!(run.said.contains("10:00:00 New York") && run.said.contains("holds at"), "{}", run.said);
    let profile = run.json("/v1/user/profile");
    let account = &profile["profile"]["account"];
    assert_eq!(
        (&account["account_number"], &account["type"], &account["option_level"]),
        (&"VA00000001".into(), &"margin".into(), &6.into())
    );
    for token in ["", "nobody"] {
        let (status, body) = run.ask("GET", "/v1/user/profile", token, "");
        assert!(status == 401 && body.contains("Invalid Access Token"), "{token:?}: {status} {body}");
    }
    assert_eq!(run.ask("GET", "/_sandbox/state", "stub-token", "").0, 404);
    assert_eq!(run.end(Signal::SIGINT), Some(0));
}

#[test]
fn accounts_of_each_type_come_from_a_file_and_faults_from_another() {
    let scratch = Scratch::new("sandbox-files");
    let accounts = r#"{"users": [{"id": "jane", "tokens": ["jane-1", "jane-2"], "accounts": [
        {"number": "VA7", "type": "cash", "cash": "2500.50", "option_level": 2},
        {"number": "VA8", "type": "pdt"}]}]}"#;
    let faults = r#"{"rules": [{"fault": "token_refused", "on": {"account": "VA8"}}]}"#;
    let (accounts, faults) =
        (file(&scratch, "accounts.json", accounts), file(&scratch, "faults.json", faults));
    let run =
        Running::start(&["--accounts", &accounts, "--faults", &faults, "--control", "--limits", "sandbox"]);
    let (status, body) = run.ask("GET", "/v1/accounts/VA7/balances", "jane-2", "");
    assert!(status == 200 && body.contains("\"cash_available\":2500.5"), "{status} {body}");
    assert_eq!(run.ask("GET", "/v1/accounts/VA7/balances", "stub-token", "").0, 401);
    let (status, body) = run.ask("GET", "/v1/accounts/VA8/balances", "jane-1", "");
    assert!(status == 401 && body.contains("Access Token expired"), "{status} {body}");
    assert_eq!(run.json("/_sandbox/state")["faults"]["struck"]["token_refused"], 1);
    assert_eq!(run.end(Signal::SIGTERM), Some(0));
}

#[test]
fn what_cannot_be_is_one_line_that_says_what_to_do() {
    let scratch = Scratch::new("sandbox-refused");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(&["--listen", &address]);
    assert!(said.contains(&address) && said.contains("choose another port"), "{said}");
    let accounts = file(
        &scratch,
        "accounts.json",
        "{\"users\": [\n {\"id\": \"\", \"tokens\": [\"a\"], \"accounts\": []}]}",
    );
    let said = refused(&["--accounts", &accounts]);
    assert!(said.contains("accounts.json line 2, field id: expected 1 to 64"), "{said}");
    let faults = file(
        &scratch,
        "faults.json",
        "{\"rules\": [\n {\"fault\": \"slow_answer\",\n \"delay_ms\": \"long\"}]}",
    );
    let said = refused(&["--faults", &faults]);
    assert!(said.contains("faults.json line 3, field delay_ms: invalid type"), "{said}");
    let practice = file(&scratch, "practice.json", "{\n\"strict\": true}");
    let said = refused(&["--practice", &practice]);
    assert!(said.contains("practice.json line 2, field strict: is not known"), "{said}");
    assert!(refused(&["--faults", "nowhere.json"]).contains("cannot read nowhere.json"));
    assert!(refused(&["--recorded", "nowhere", "--date", "2024-01-05"]).contains("nowhere"));
    for args in [["--speed", "0"], ["--listen", "8100"], ["--limits", "some"], ["--date", "2026-11-26"]] {
        let said = refused(&args);
        assert!(said.contains("error: invalid value"), "{args:?}: {said}");
    }
}

#[test]
fn a_killed_one_goes_on_from_its_journal() {
    let scratch = Scratch::new("sandbox-journal");
    let dir = scratch.path().join("journal");
    let args = ["--journal", dir.to_str().unwrap(), "--control"];
    let run = Running::start(&args);
    assert_eq!(run.ask("POST", "/_sandbox/clock/step?to=10:45", "", "").0, 200);
    let dates = run.json("/v1/markets/options/expirations?symbol=SPX&includeAllRoots=true");
    let date = &dates["expirations"]["date"];
    let date = date.as_str().or_else(|| date[0].as_str()).unwrap().to_owned();
    let chain = run.json(&format!("/v1/markets/options/chains?symbol=SPX&expiration={date}"));
    let rows = chain["options"]["option"].as_array().unwrap();
    let row = rows.iter().find(|it| it["ask"].as_f64().is_some_and(|ask| (1.0..8.0).contains(&ask))).unwrap();
    let form = format!(
        "class=option&symbol=SPX&option_symbol={}&side=buy_to_open&quantity=1&type=market&duration=day&tag=kept",
        row["symbol"].as_str().unwrap()
    );
    let (status, body) = run.ask("POST", "/v1/accounts/VA00000001/orders", "stub-token", &form);
    assert!(status == 200 && body.contains("\"status\":\"ok\""), "{status} {body}");
    assert_eq!(run.end(Signal::SIGKILL), None);
    let run = Running::start(&args);
    assert!(run.said.contains("10:45:0"), "{}", run.said);
    assert_eq!(run.json("/_sandbox/state")["orders"]["known"], 1);
    let (_, lines) = run.ask("GET", "/_sandbox/transcript", "", "");
    assert!(lines.contains("\"tag\":\"kept\""), "{lines}");
    assert_eq!(run.end(Signal::SIGTERM), Some(0));
    let other =
        refused(&["--listen", "127.0.0.1:0", "--journal", dir.to_str().unwrap(), "--date", "2024-01-05"]);
    assert!(other.contains("name another directory"), "{other}");
}

#[test]
fn a_recorded_day_is_played() {
    let Some(dir) = data() else {
        println!("skipped: shared/data is not here");
        return;
    };
    let run = Running::start(&["--recorded", dir.to_str().unwrap(), "--date", "2013-10-07"]);
    assert!(run.said.contains("session 2013-10-07") && run.said.contains("10:00:0"), "{}", run.said);
    let spy = run.json("/v1/markets/quotes?symbols=SPY");
    assert!(spy["quotes"]["quote"]["last"].as_f64().is_some_and(|it| it > 100.0), "{spy}");
    assert_eq!(run.end(Signal::SIGTERM), Some(0));
}
