//! Ingester, sandbox and every function as processes, from coming up to leaving nothing behind.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests: what fails here fails the test"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use local::run::processes::{PROGRAMS, ProcessesAsk, processes};
use local::scratch::Scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_postgres::NoTls;

/// Tells the process that is the runner where its run lies.
const DIR: &str = "CLAXTON_TEST_DIR";
const SEED: u64 = 7;
/// From nothing to the first rows.
const UP_WITHIN: Duration = Duration::from_secs(60);
/// From SIGTERM to the end.
const DOWN_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Where cargo leaves programs: above the directory of tests.
fn programs() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned()
}

#[test]
#[ignore = "the runner that the test below starts"]
fn runner() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let ask = ProcessesAsk {
        seed: SEED,
        data_dir: dir.into(),
        programs: programs(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        // Bars are written and balances are read at each full minute: the first is a few seconds ahead.
        start: Some(jiff::civil::time(9, 30, 53, 0)),
        env: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(processes(&ask, &mut std::io::stdout()))).unwrap();
}

fn start(dir: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "runner", "--include-ignored", "--nocapture"]).env(DIR, OsString::from(dir));
    command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

/// Where the runner says that it is up.
async fn address(runner: &mut Child) -> String {
    let mut lines = BufReader::new(runner.stdout.take().unwrap()).lines();
    let said = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it says where it is");
            if let Some((_, url)) = line.split_once("claxton is up: http://") {
                return url.trim_end_matches('/').to_owned();
            }
        }
    };
    let address = tokio::time::timeout(UP_WITHIN, said).await.expect("it comes up in time");
    // What the test harness says at the end must find a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    address
}

/// Status and body of a request.
async fn ask(address: &str, method: &str, path: &str, name: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {name}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Page and API answer as those of a run in one process, each by its function's process.
async fn page_and_api_answer(address: &str) {
    let get = async |path: &str| ask(address, "GET", path, "local-operator", "").await;
    let (status, page) = get("/").await;
    assert!(status == 200 && page.contains("<title>Claxton</title>"), "{status}");
    let (status, day) = get("/local/day").await;
    assert_eq!(status, 200, "{day}");
    let day: serde_json::Value = serde_json::from_str(&day).unwrap();
    assert_eq!((&day["source"], &day["phase"]), (&"generated:seed=7".into(), &"open".into()), "{day}");
    assert!(day["ticks"].as_u64() > Some(0) && day["microbars"].as_u64() > Some(0), "{day}");
    assert_eq!(get("/v1/health").await.0, 200);
    assert_eq!(get("/v1/status").await.0, 200);
    let flip = r#"{"scope": "global", "state": "no_entries", "reason": "a test"}"#;
    for (name, wanted) in [("nobody", 401), ("local-member-1", 403), ("local-operator", 200)] {
        assert_eq!(ask(address, "PUT", "/v1/kill-switch", name, flip).await.0, wanted, "{name}");
    }
    assert!(get("/v1/kill-switch").await.1.contains("a test"));
    assert_eq!(ask(address, "GET", "/v1/credentials", "local-member-1", "").await.0, 200);
}

/// How many accounts have balances and how many bars are in the books; `None` while there are no books.
async fn written(dir: &Path) -> Option<(i64, i64)> {
    let mut config = tokio_postgres::Config::new();
    config.host_path(dir.join("postgres")).user("claxton").dbname("claxton");
    let (client, connection) = config.connect(NoTls).await.ok()?;
    tokio::spawn(connection);
    let sql = "SELECT (SELECT count(DISTINCT account_id) FROM portfolio_snapshots), (SELECT count(*) FROM microbars)";
    let row = client.query_one(sql, &[]).await.ok()?;
    Some((row.get(0), row.get(1)))
}

/// The parent and the state of every process.
fn every_process() -> BTreeMap<u32, (u32, char)> {
    let stat = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        Some((fields.next()?.parse().ok()?, state))
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|it| it.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

/// Everything `root` started, and what that started.
fn descendants(root: u32) -> Vec<u32> {
    let all = every_process();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(of) = found.get(next).copied() {
        found.extend(all.iter().filter(|it| it.1.0 == of).map(|it| *it.0));
        next += 1;
    }
    found.split_off(1)
}

async fn wait_until_written(dir: &Path, runner: &mut Child) {
    let looking = async {
        loop {
            assert_eq!(runner.try_wait().unwrap(), None, "the runner ended");
            if written(dir).await.is_some_and(|(accounts, bars)| accounts > 0 && bars > 0) {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(UP_WITHIN, looking).await.expect("balances and bars in time");
}

async fn end(runner: &mut Child) {
    kill(Pid::from_raw(runner.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(DOWN_WITHIN, runner.wait()).await.expect("it ends in time").unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn a_session_runs_in_processes_and_leaves_nothing_running() {
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|it| !programs().join(it).is_file()).collect();
    if !missing.is_empty() {
        println!("skipped: {} not built; cargo build --profile fast --workspace --bins", missing.join(", "));
        return;
    }
    let scratch = Scratch::new("processes");
    let mut runner = start(scratch.path());
    let address = address(&mut runner).await;
    wait_until_written(scratch.path(), &mut runner).await;
    page_and_api_answer(&address).await;
    let started = descendants(runner.id().unwrap());
    // One of each but `migrate`, which is done; those that queues wake besides.
    assert!(started.len() >= PROGRAMS.len(), "{started:?}");
    end(&mut runner).await;
    let left: Vec<u32> = every_process()
        .into_iter()
        .filter(|it| started.contains(&it.0) && it.1.1 != 'Z')
        .map(|it| it.0)
        .collect();
    assert_eq!(left, [0_u32; 0], "still running");
    let log = std::fs::read_to_string(scratch.path().join("run/logs/ingester.log")).unwrap();
    assert!(log.contains("a later start goes on from here"), "{log}");
}
