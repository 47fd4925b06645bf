//! `claxton demo` and `claxton verify` as processes: a whole day, proof of it, and being killed in the middle.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: what fails here fails the test"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use local::scratch::Scratch;
use nix::sys::signal::Signal;
use serde_json::Value;

/// A day that closes early, with entries, exits and a flatten.
const SHORT_DAY: &str = "8";
/// Another one.
const OTHER_SHORT_DAY: &str = "16";
/// How often a running demo's transcript is looked at: no event tells us of it.
const LOOK: Duration = Duration::from_millis(4);

/// One demo: its seed and where it keeps and leaves its files.
struct Run<'a> {
    seed: &'a str,
    data: PathBuf,
    out: PathBuf,
}

impl<'a> Run<'a> {
    fn new(scratch: &Scratch, seed: &'a str) -> Self {
        Self { seed, data: scratch.path().join("data"), out: scratch.path().join("out") }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claxton"));
        command.args(["demo", "--seed", self.seed, "--json", "--data-dir"]).arg(&self.data);
        command.arg("--out").arg(&self.out).env_remove("CLAXTON_PG_BIN");
        command
    }

    fn output(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Runs to the end; the summary on the last line.
    fn finish(&self) -> Value {
        let output = self.output();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert_eq!(servers_in(&self.data), 0, "a server is left");
        last_line(&output)
    }

    /// Runs until the broker's transcript is as asked, then sends `signal`. What was printed comes back.
    #[expect(clippy::disallowed_methods, reason = "another process writes the file, and tells nobody when")]
    fn until(&self, what: &str, signal: Signal, reached: impl Fn(&[Value]) -> bool) -> Output {
        let running = self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut running: Child = running.unwrap();
        loop {
            if let Some(ended) = running.try_wait().unwrap() {
                let output = running.wait_with_output().unwrap();
                panic!("the day ended ({ended}) before {what}: {}", said(&output));
            }
            if reached(&lines(&self.data.join("run/transcript.jsonl"))) {
                break;
            }
            std::thread::sleep(LOOK);
        }
        let pid = nix::unistd::Pid::from_raw(i32::try_from(running.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
        running.wait_with_output().unwrap()
    }

    fn kill_when(&self, what: &str, reached: impl Fn(&[Value]) -> bool) {
        self.until(what, Signal::SIGKILL, reached);
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The error of a command that must end with exit code 1: one line.
fn error_of(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    let text = String::from_utf8_lossy(&output.stderr);
    let told: Vec<_> = text.lines().filter(|it| it.starts_with("claxton: ")).collect();
    assert_eq!(told.len(), 1, "{text}");
    assert_eq!(text.lines().last(), Some(told[0]), "{text}");
    told[0].to_owned()
}

fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// The whole lines of a file that may be written to at this moment.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|it| serde_json::from_str(it).ok()).collect()
}

fn count(lines: &[Value], event: &str) -> usize {
    lines.iter().filter(|it| it["event"] == event).count()
}

/// Processes that were started on a directory below `dir`.
fn servers_in(dir: &Path) -> usize {
    let dir = dir.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let started = |it: std::fs::DirEntry| std::fs::read(it.path().join("cmdline")).unwrap_or_default();
    processes
        .filter(|it| it.file_name().to_string_lossy().parse::<u32>().is_ok())
        .map(started)
        .filter(|it| {
            let line = String::from_utf8_lossy(it);
            line.contains("postgres") && line.contains(dir)
        })
        .count()
}

fn verify(out: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_claxton")).args(["verify", "--json"]).arg(out).output().unwrap()
}

/// Nothing was sent twice: each tag of ours is one order.
fn assert_no_second_order(out: &Path) {
    let transcript = lines(&out.join("transcript.jsonl"));
    let tags: Vec<_> =
        transcript.iter().filter(|it| it["event"] == "accepted").map(|it| it["tag"].to_string()).collect();
    assert!(!tags.is_empty());
    assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), tags.len(), "{tags:?}");
}

/// Changes a file for the length of a check.
fn with_changed(path: &Path, change: impl Fn(&str) -> String, check: impl FnOnce()) {
    let kept = std::fs::read_to_string(path).unwrap();
    let changed = change(&kept);
    assert!(changed != kept, "nothing was changed in {}", path.display());
    std::fs::write(path, changed).unwrap();
    check();
    std::fs::write(path, kept).unwrap();
}

#[test]
fn a_day_is_proven_by_its_files_and_the_same_seed_leaves_the_same_bytes() {
    let scratch = Scratch::new("demo-proof");
    let run = Run::new(&scratch, SHORT_DAY);
    let sum = run.finish();
    for field in ["ticks", "microbars", "setups", "transitions", "intents", "brokerOrders", "fills"] {
        assert!(sum[field].as_u64().unwrap() > 0, "{field}: {sum}");
    }
    assert_eq!((&sum["duplicateOrders"], &sum["nakedShorts"]), (&0.into(), &0.into()));
    assert_eq!((&sum["flatAtClose"], &sum["reconciled"]), (&true.into(), &true.into()));
    assert_eq!(sum["session"], "2026-12-24");
    assert!(sum["realizedPnl"].is_f64() && sum["wallSeconds"].as_f64().unwrap() > 0.0, "{sum}");
    let proven = verify(&run.out);
    assert_eq!((proven.status.code(), last_line(&proven)), (Some(0), sum.clone()), "{}", said(&proven));
    tampering_is_found_and_named(&run.out, &sum);

    let again = Run { data: scratch.path().join("data-2"), out: scratch.path().join("out-2"), ..run };
    let second = again.finish();
    assert_eq!((&second["realizedPnl"], &second["intents"]), (&sum["realizedPnl"], &sum["intents"]));
    let transcript = |it: &str| std::fs::read(scratch.path().join(it).join("transcript.jsonl")).unwrap();
    assert!(transcript("out") == transcript("out-2"), "the second day's transcript differs");
    another_version_is_one_line(&again);
}

fn tampering_is_found_and_named(out: &Path, sum: &Value) {
    let (transcript, ledger) = (out.join("transcript.jsonl"), out.join("ledger.jsonl"));
    let fee = |text: &str| {
        let at = text.find(r#""event":"filled""#).unwrap();
        let (before, after) = text.split_at(at);
        before.to_owned() + &after.replacen(r#""fee":"#, r#""fee":1"#, 1)
    };
    with_changed(&transcript, fee, || {
        assert!(error_of(&verify(out)).contains("realizedPnl: the summary says"));
    });
    let without = |text: &str, n: usize| {
        text.lines()
            .enumerate()
            .filter(|it| it.0 + 1 != n)
            .map(|it| it.1.to_owned() + "\n")
            .collect::<String>()
    };
    with_changed(
        &transcript,
        |it| without(it, 20),
        || {
            let told = error_of(&verify(out));
            assert!(
                told.contains("transcript.jsonl:20: expected the line with seq 20, found seq 21"),
                "{told}"
            );
        },
    );
    with_changed(
        &transcript,
        |it| it.trim_end().trim_end_matches('}').to_owned() + "\n",
        || {
            assert!(error_of(&verify(out)).contains("expected a transcript line"));
        },
    );
    with_changed(
        &ledger,
        |it| it.replacen(r#""kind":"intent""#, r#""kind":"dream""#, 1),
        || {
            let told = error_of(&verify(out));
            assert!(
                told.contains("ledger.jsonl:") && told.contains("expected a line of the books"),
                "{told}"
            );
        },
    );
    let intent = |text: &str| text.lines().position(|it| it.contains(r#""kind":"intent""#)).unwrap() + 1;
    with_changed(
        &ledger,
        |it| without(it, intent(it)),
        || {
            let wanted = format!("intents: the summary says {}", sum["intents"]);
            assert!(error_of(&verify(out)).contains(&wanted));
        },
    );
    with_changed(
        &out.join("summary.json"),
        |it| it.replace(r#""setups": "#, r#""setups": 1"#),
        || {
            assert!(error_of(&verify(out)).contains("setups: the summary says 1"));
        },
    );
    assert!(verify(out).status.success(), "the files are as they were");
}

fn another_version_is_one_line(run: &Run<'_>) {
    let version = run.data.join("postgres/data/PG_VERSION");
    with_changed(
        &version,
        |_| "9\n".to_owned(),
        || {
            let told = error_of(&run.output());
            assert!(told.contains("was made by PostgreSQL 9 "), "{told}");
            assert_eq!(servers_in(&run.data), 0);
        },
    );
}

#[test]
fn a_run_killed_four_times_goes_on_and_sends_no_second_order() {
    let scratch = Scratch::new("demo-killed");
    let run = Run::new(&scratch, SHORT_DAY);
    run.kill_when("the first order", |it| count(it, "accepted") >= 1);
    let other = Run { seed: OTHER_SHORT_DAY, data: run.data.clone(), out: scratch.path().join("other") };
    let told = error_of(&other.output());
    assert!(told.contains("holds an unfinished run (demo of generated:seed=8)"), "{told}");

    run.kill_when("the first fill", |it| count(it, "filled") >= 1);
    run.kill_when("an order of the flatten", |it| {
        let close = it.iter().find_map(|it| it["close"].as_i64()).unwrap_or(i64::MAX);
        let flatten = close.saturating_sub(15 * 60 * 1_000_000_000);
        it.iter().any(|it| it["event"] == "accepted" && it["at"].as_i64().unwrap() >= flatten)
    });
    run.kill_when("the close", |it| count(it, "session_closed") >= 1);
    let sum = run.finish();
    assert_eq!((&sum["duplicateOrders"], &sum["flatAtClose"]), (&0.into(), &true.into()), "{sum}");
    assert!(sum["ticks"].as_u64().unwrap() > 200_000, "the whole day counts: {sum}");
    assert_no_second_order(&run.out);
    let proven = verify(&run.out);
    assert_eq!(last_line(&proven), sum, "{}", said(&proven));
}

#[test]
fn a_run_stopped_before_its_first_order_and_killed_while_one_works_ends_flat() {
    let scratch = Scratch::new("demo-stopped");
    let run = Run::new(&scratch, OTHER_SHORT_DAY);
    let stopped = run.until("the first requests", Signal::SIGTERM, |it| count(it, "request") >= 4);
    let told = error_of(&stopped);
    assert!(told.contains("the same command goes on from here"), "{told}");
    assert_eq!(servers_in(&run.data), 0, "a stopped run leaves a server");
    run.kill_when("an open order", |it| count(it, "opened") > count(it, "filled") + count(it, "canceled"));
    run.kill_when("a changed limit or a second order", |it| {
        count(it, "changed") + count(it, "accepted") >= 2
    });
    let sum = run.finish();
    assert_eq!((&sum["duplicateOrders"], &sum["reconciled"]), (&0.into(), &true.into()), "{sum}");
    assert_no_second_order(&run.out);
    assert!(verify(&run.out).status.success());
}

#[test]
fn what_is_asked_wrongly_is_exit_code_2_and_starts_nothing() {
    let scratch = Scratch::new("demo-args");
    let data = scratch.path().join("data");
    for (args, told) in [
        (&["--date", "2026-11-26"][..], "the next session is 2026-11-27"),
        (&["--date", "tomorrow"], "such as 2026-11-20"),
        (&["--seed=-1"], "expected a whole number"),
        (&["--seed", "many"], "expected a whole number"),
        (&["--recorded", "/nowhere"], "--date"),
        (&["--speed", "0"], "expected a number from 0.001"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claxton"));
        let output = command.arg("demo").args(args).arg("--data-dir").arg(&data).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(said(&output).contains(told), "{args:?}: {}", said(&output));
        assert!(!data.exists(), "{args:?}");
    }
}

/// A table as sessions are recorded: compressed.
fn write_table(path: &Path, text: &str) {
    let plain = path.with_extension("");
    std::fs::write(&plain, text).unwrap();
    assert!(Command::new("gzip").arg("-f").arg(&plain).status().unwrap().success());
}

#[test]
fn a_broken_recording_or_no_postgresql_is_one_line_and_leaves_nothing_behind() {
    let scratch = Scratch::new("demo-broken");
    let (data, recorded) = (scratch.path().join("data"), scratch.path().join("recorded"));
    std::fs::create_dir(&recorded).unwrap();
    let demo = |more: &[&str], bin: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claxton"));
        command.arg("demo").args(more).arg("--data-dir").arg(&data);
        if !bin.is_empty() {
            command.env("CLAXTON_PG_BIN", bin);
        }
        let told = error_of(&command.output().unwrap());
        assert_eq!(servers_in(&data), 0);
        told
    };
    let day = ["--recorded", recorded.to_str().unwrap(), "--date", "2013-10-07"];
    let told = demo(&day, "");
    assert!(told.contains(recorded.to_str().unwrap()) && told.contains("expected"), "{told}");
    let head = "ts_event,symbol,price,size,exchange,sale_condition_hex,suspicious";
    let good = "2013-10-07T13:30:00.464000000Z,SPY,167.41,100,P,20002000,0";
    let bad = good.replace("167.41", "a lot");
    write_table(&recorded.join("spy_trades_tick.csv.gz"), &format!("{head}\n{good}\n{bad}\n"));
    write_table(
        &recorded.join("spy_1s_quotes.csv.gz"),
        "ts_open,symbol,bid_open,bid_high,bid_low,bid_close,bid_size,ask_open,ask_high,ask_low,ask_close,ask_size\n",
    );
    let told = demo(&day, "");
    assert!(told.contains("spy_trades_tick.csv.gz:3:3: expected "), "{told}");
    assert!(!data.exists(), "a session that cannot be read starts nothing");

    let told = demo(&["--seed", SHORT_DAY], "/nowhere/bin");
    assert!(told.contains("CLAXTON_PG_BIN=/nowhere/bin holds no initdb and postgres"), "{told}");
    // The directory is good for another day: nothing had begun.
    assert!(!data.join("run.json").exists());
    let told = demo(&["--seed", OTHER_SHORT_DAY], "/nowhere/bin");
    assert!(told.contains("holds no initdb and postgres"), "{told}");
}
