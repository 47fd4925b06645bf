//! Functions as processes, with the real runtime on their side.
//!
//! The bootstrap is this very program: `bootstrap` below is started as a process of its own and polls like any function.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests: what fails here fails the test"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use lambda_runtime::{LambdaEvent, service_fn};
use local::runtime_api::{Function, FunctionProcess, InvokeError};
use local::scratch::Scratch;
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(20);

fn process(test: &str, env: &[(&str, &str)]) -> FunctionProcess {
    FunctionProcess {
        name: "example".to_owned(),
        program: std::env::current_exe().unwrap(),
        args: ["--exact", test, "--include-ignored", "--nocapture"].map(str::to_owned).to_vec(),
        env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>(),
        log: None,
    }
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    match event.payload["do"].as_str() {
        Some("fail") => Err("the handler said no".into()),
        Some("crash") => std::process::abort(),
        Some("hang") => std::future::pending().await,
        _ => Ok(json!({
            "got": event.payload,
            "process": std::process::id(),
            "deadline": event.context.deadline,
            "path": std::env::var_os("HOME").is_none(),
        })),
    }
}

#[tokio::test]
#[ignore = "the bootstrap that the tests below start"]
async fn bootstrap() {
    lambda_runtime::run(service_fn(handle)).await.unwrap();
}

#[test]
#[ignore = "a bootstrap that does not come up"]
fn broken_bootstrap() {
    eprintln!("this bootstrap ends at once, as it should");
    std::process::exit(3);
}

async fn process_of(function: &Function) -> u64 {
    function.invoke_json(&json!({}), LONG).await.unwrap()["process"].as_u64().unwrap()
}

fn alive(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|it| !it.contains(") Z "))
}

#[tokio::test]
async fn a_function_answers_from_a_process_of_its_own_and_ends_when_asked() {
    let function = Function::spawn(process("bootstrap", &[])).await.unwrap();
    println!("first poll after {:?}", function.started_in());
    let answer = function.invoke_json(&json!({"n": 1}), LONG).await.unwrap();
    assert_eq!(answer["got"], json!({"n": 1}));
    assert_eq!(answer["path"], json!(true), "our environment is not passed on");
    let pid = answer["process"].as_u64().unwrap();
    assert_ne!(pid, u64::from(std::process::id()));
    assert_eq!(process_of(&function).await, pid, "one process serves all");
    function.stop().await;
    assert!(!alive(pid), "process {pid} is still there");
}

#[tokio::test]
async fn an_error_is_the_handlers_own_and_the_process_goes_on() {
    let function = Function::spawn(process("bootstrap", &[])).await.unwrap();
    let pid = process_of(&function).await;
    let error = function.invoke_json(&json!({"do": "fail"}), LONG).await.unwrap_err();
    assert!(
        matches!(&error, InvokeError::Failed { message, .. } if message.contains("said no")),
        "{error:?}"
    );
    let error = function.invoke(Bytes::from_static(b"not json"), LONG).await.unwrap_err();
    assert!(matches!(&error, InvokeError::Failed { .. }), "{error:?}");
    assert_eq!(process_of(&function).await, pid);
    function.stop().await;
}

#[tokio::test]
async fn a_crashed_process_loses_one_invocation_and_is_replaced() {
    let function = Function::spawn(process("bootstrap", &[])).await.unwrap();
    let pid = process_of(&function).await;
    for _ in 0..7 {
        let error = function.invoke_json(&json!({"do": "crash"}), LONG).await.unwrap_err();
        assert!(matches!(&error, InvokeError::Crashed(how) if how.contains("signal: 6")), "{error:?}");
    }
    assert_ne!(process_of(&function).await, pid);
    function.stop().await;
}

#[tokio::test]
async fn a_function_that_overruns_its_time_is_killed_and_what_waited_is_served() {
    let function = Function::spawn(process("bootstrap", &[])).await.unwrap();
    let pid = process_of(&function).await;
    let hang = json!({"do": "hang"});
    let limit = Duration::from_millis(100);
    let (hung, next) = tokio::join!(function.invoke_json(&hang, limit), process_of(&function));
    assert_eq!(hung, Err(InvokeError::TimedOut(limit)));
    assert!(next != pid && !alive(pid), "process {pid} is still there");
    function.stop().await;
}

#[tokio::test]
async fn dropping_a_function_kills_its_process() {
    let function = Function::spawn(process("bootstrap", &[])).await.unwrap();
    let pid = process_of(&function).await;
    drop(function);
    let gone = async {
        while alive(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, gone).await.unwrap();
}

#[tokio::test]
async fn what_does_not_start_is_said_in_one_line() {
    let scratch = Scratch::new("bootstrap");
    let mut broken = process("broken_bootstrap", &[]);
    broken.log = Some(scratch.path().join("log"));
    let error = format!("{:#}", Function::spawn(broken.clone()).await.unwrap_err());
    assert!(error.contains("example does not start: exit status: 3") && !error.contains('\n'), "{error}");
    assert!(
        std::fs::read_to_string(broken.log.as_ref().unwrap()).unwrap().contains("ends at once, as it should")
    );
    broken.program = scratch.path().join("nothing");
    let error = format!("{:#}", Function::spawn(broken).await.unwrap_err());
    assert!(error.contains("build it first") && !error.contains('\n'), "{error}");
}
