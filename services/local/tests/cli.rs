//! The binary itself: exit codes and where its words go.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

use std::process::{Command, Output};

fn claxton(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claxton"));
    command.args(args).env_clear().envs(env.iter().copied()).output().unwrap()
}

#[test]
fn help_is_there_for_everything() {
    for args in [&["--help"][..], &["config", "--help"], &["config", "show", "--help"], &["--version"]] {
        let output = claxton(args, &[]);
        assert!(output.status.success() && !output.stdout.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for args in [&["frobnicate"][..], &["config"], &["config", "show", "--jsn"]] {
        let output = claxton(args, &[]);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
    }
}

#[test]
fn an_error_is_one_line_and_exit_code_1() {
    let output = claxton(&["config", "show"], &[("TRADIER_SANDBOKS", "false")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "claxton: unknown setting TRADIER_SANDBOKS: did you mean TRADIER_SANDBOX?\n");
}

#[test]
fn settings_are_shown_as_a_table_or_as_json() {
    let env = [("TRADIER_EXECUTION_ENABLED", "true")];
    let table = String::from_utf8(claxton(&["config", "show"], &env).stdout).unwrap();
    assert!(
        table.starts_with("TRADIER_EXECUTION_ENABLED") && table.contains("Orders go to the sandbox"),
        "{table}"
    );
    let json = claxton(&["config", "show", "--json"], &env).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["executionEnabled"], &json["sandbox"]), (&true.into(), &true.into()));
}
