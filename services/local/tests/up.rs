//! `claxton up` as a process: what it serves, what it writes, how it ends.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests: what fails here fails the test"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use local::scratch::Scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_claxton");

/// A run that is up.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn start(data: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("claxton is up: ") else {
            panic!("it said {line:?} and ended with {:?}", child.wait());
        };
        Self { url: url.trim_end_matches('/').to_owned(), child }
    }

    /// Status, head and body of a request.
    fn ask(&self, method: &str, path: &str, name: Option<&str>, body: &str) -> (u16, String, String) {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let name = name.map(|it| format!("Authorization: Bearer {it}\r\n")).unwrap_or_default();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{name}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    fn json(&self, path: &str, name: Option<&str>) -> Value {
        let (status, _, body) = self.ask("GET", path, name, "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Its exit code.
    fn end(mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.child.wait().unwrap().code()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|it| it.is_none()) {
            self.signal(Signal::SIGTERM);
            self.child.wait().unwrap();
        }
    }
}

fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|it| !it.contains(") Z "))
}

fn claxton(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(PROGRAM).args(args).output().unwrap();
    let text = |it: Vec<u8>| String::from_utf8(it).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn it_serves_page_and_api_writes_the_environment_and_ends_cleanly() {
    let scratch = Scratch::new("up");
    let (data, env) = (scratch.path().join("data"), scratch.path().join("env"));
    let run = Running::start(&data, &["--env", env.to_str().unwrap(), "--speed", "30"]);

    let (status, head, page) = run.ask("GET", "/", None, "");
    assert!(status == 200 && head.contains("text/html") && page.contains("<title>Claxton</title>"), "{head}");
    let status = run.json("/v1/status", None);
    assert_eq!((&status["executionEnabled"], &status["sandbox"]), (&true.into(), &true.into()));
    let day = run.json("/local/day", None);
    assert_eq!((&day["session"], &day["source"]), (&"2026-12-01".into(), &"generated:seed=7".into()));

    members_see_their_own_accounts_and_only_the_operator_stops_all(&run);
    the_environment_names_every_part(&env);

    let (code, out, err) = claxton(&["status", "--url", &run.url]);
    assert!(code == Some(0) && out.contains("New York") && out.contains("health     up"), "{out}{err}");
    let (_, out, _) = claxton(&["status", "--json", "--url", &run.url]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["health"]["database"]["verdict"], "ok");

    let postmaster = std::fs::read_to_string(data.join("postgres/data/postmaster.pid")).unwrap();
    let postmaster = postmaster.lines().next().unwrap();
    assert!(alive(postmaster));
    assert_eq!(run.end(Signal::SIGTERM), Some(0));
    assert!(!alive(postmaster) && !env.exists(), "something was left behind");

    goes_on_where_it_was(&data, &day);
}

fn members_see_their_own_accounts_and_only_the_operator_stops_all(run: &Running) {
    let account = |name| run.json("/v1/status", Some(name))["accounts"][0]["last4"].clone();
    assert_eq!([account("local-member-1"), account("local-member-2")], ["0001", "0002"]);
    let flip = r#"{"scope": "global", "state": "no_entries", "reason": "a test"}"#;
    for (name, wanted) in
        [(None, 401), (Some("nobody"), 401), (Some("local-member-1"), 403), (Some("local-operator"), 200)]
    {
        assert_eq!(run.ask("PUT", "/v1/kill-switch", name, flip).0, wanted, "{name:?}");
    }
    assert_eq!(run.json("/v1/kill-switch", None)[0]["state"], "no_entries");
    assert_eq!(run.ask("GET", "/v1/nothing", None, "").0, 404);
    assert_eq!(run.ask("GET", "/elsewhere", None, "").0, 404);
}

/// What `cargo lambda watch` gives the functions, and the rows that `events/` names.
fn the_environment_names_every_part(env: &Path) {
    let text = std::fs::read_to_string(env).unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{name} is missing in\n{text}")).to_owned()
    };
    for name in
        ["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "TRADIER_BASE_URL", "QUEUE_EXITS"]
    {
        assert!(value(name).starts_with("http://127.0.0.1:"), "{name}");
    }
    for queue in ["TRANSITIONS", "ENTRIES", "BROKER_EVENTS", "FLATTEN", "ALERTS"] {
        value(&format!("QUEUE_{queue}"));
    }
    assert_eq!([value("CLAXTON_STAGE"), value("TRADIER_EXECUTION_ENABLED")], ["local", "true"]);
    assert!(value("OWNED_NOTES_DIR").starts_with('/'));
    value("CLAXTON_CLOCK_OFFSET_NS").parse::<i64>().unwrap();
    assert!(value("DATABASE_URL").contains("claxton_app@"));
    let rows = rows(
        &value("MIGRATE_DATABASE_URL"),
        "SELECT user_id::text || ' ' || account_id::text || ' ' || status FROM broker_credentials ORDER BY 1",
    );
    let of_the_events =
        "a0000000-0000-0000-0000-000000000001 b0000000-0000-0000-0000-000000000001 active".to_owned();
    assert!(rows.len() == 3 && rows.contains(&of_the_events), "{rows:?}");
}

fn rows(url: &str, sql: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query(sql, &[]).await.unwrap().iter().map(|it| it.get(0)).collect()
    })
}

/// The books are kept, and the session goes on.
fn goes_on_where_it_was(data: &Path, before: &Value) {
    let again = Running::start(data, &[]);
    let day = again.json("/local/day", None);
    assert_eq!(day["session"], before["session"]);
    assert!(day["at"].as_str() > before["at"].as_str(), "{day} after {before}");
    assert_eq!(again.json("/v1/kill-switch", None)[0]["reason"], "a test");
    assert_eq!(again.end(Signal::SIGINT), Some(0));
}

#[test]
fn a_port_that_is_taken_is_one_line_and_nothing_is_left_behind() {
    let scratch = Scratch::new("up-port");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = scratch.path().join("data");
    let (code, out, err) = claxton(&["up", "--listen", &address, "--data-dir", data.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains(&address) && err.contains("--listen") && err.trim().lines().count() == 1, "{err}");
    assert!(!data.exists());
}

#[test]
fn status_says_how_to_start_what_is_not_there() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, _, err) = claxton(&["status", "--url", &format!("http://{silent}")]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains(&format!("nothing answers at http://{silent}: start it with `claxton up`")),
        "{err}"
    );
}
