//! The floor plan as data: who may use whom, and what must be where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Crates of `shared/` and what each may use.
const SHARED: [(&str, &[&str]); 8] = [
    ("domain", &[]),
    ("engine", &["domain"]),
    ("wire", &["domain", "engine"]),
    ("store", &["domain", "wire"]),
    ("broker", &["domain"]),
    ("desk", &["domain"]),
    ("sim", &["domain", "engine", "broker"]),
    ("lambda_kit", &["domain", "wire"]),
];

/// The functions there are.
const FUNCTIONS: [&str; 11] = [
    "api",
    "control",
    "credentials",
    "flat-watch",
    "flatten",
    "migrate",
    "orders",
    "portfolio-sync",
    "reconcile",
    "report",
    "transitions",
];

/// The services there are.
const SERVICES: [&str; 4] = ["ingester", "local", "sandbox", "world"];

/// Those that may use functions and other services.
const MAY_USE_ANYTHING: [&str; 3] = ["world", "local", "tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every package of the workspace with those of our own that its `[dependencies]` name.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let ours: BTreeSet<&str> =
        SHARED.iter().map(|it| it.0).chain(FUNCTIONS).chain(SERVICES).chain(["tests"]).collect();
    let mut edges = BTreeMap::new();
    for dir in ["shared", "functions", "services"] {
        for entry in std::fs::read_dir(root().join(dir)).unwrap() {
            let manifest = entry.unwrap().path().join("Cargo.toml");
            let text = std::fs::read_to_string(&manifest).unwrap();
            let name =
                text.lines().find_map(|it| it.strip_prefix("name = ")).unwrap().trim_matches('"').to_owned();
            let mut uses = BTreeSet::new();
            let mut inside = false;
            for line in text.lines() {
                if line.starts_with('[') {
                    inside = line == "[dependencies]";
                } else if let Some((key, _)) = line.split_once([' ', '.', '=']).filter(|_| inside)
                    && ours.contains(key)
                {
                    uses.insert(key.to_owned());
                }
            }
            edges.insert(name, uses);
        }
    }
    edges
}

#[test]
fn nobody_uses_what_the_floor_plan_does_not_allow() {
    let shared: BTreeMap<&str, &[&str]> = SHARED.into_iter().collect();
    for (name, uses) in edges() {
        for used in uses {
            let allowed = match shared.get(name.as_str()) {
                Some(may) => may.contains(&used.as_str()),
                None if MAY_USE_ANYTHING.contains(&name.as_str()) => true,
                None if FUNCTIONS.contains(&name.as_str()) => {
                    shared.contains_key(used.as_str()) && used != "sim"
                }
                None => shared.contains_key(used.as_str()),
            };
            assert!(allowed, "{name} uses {used}: see the table in docs/ARCHITECTURE.md");
        }
    }
}

#[test]
fn every_room_is_where_the_floor_plan_says() {
    let names: BTreeSet<String> = edges().into_keys().collect();
    let expected: BTreeSet<String> =
        SHARED.iter().map(|it| it.0).chain(FUNCTIONS).chain(SERVICES).map(str::to_owned).collect();
    assert_eq!(names, expected);
}

#[test]
fn only_orders_and_flatten_call_the_desk() {
    let callers: Vec<String> =
        edges().into_iter().filter(|(_, uses)| uses.contains("desk")).map(|(name, _)| name).collect();
    for caller in callers {
        assert!(
            ["orders", "flatten", "world", "local"].contains(&caller.as_str()),
            "{caller} calls the desk"
        );
    }
}

#[test]
fn every_function_has_its_entry_point_and_its_use_case() {
    for name in FUNCTIONS {
        for file in ["main.rs", "lib.rs"] {
            let path = root().join("functions").join(name).join("src").join(file);
            assert!(path.is_file(), "{} is missing", path.display());
        }
    }
}

/// Rust sources of the workspace.
pub(super) fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> =
        ["shared", "functions", "services", "tests"].iter().map(|it| root().join(it)).collect();
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_file_can_be_read_in_one_sitting() {
    for path in sources() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 700, "{} has {lines} lines: split it where its subject does", path.display());
    }
}

#[test]
fn every_library_forbids_unsafe_code_by_the_workspace_lints() {
    for dir in ["shared", "functions", "services"] {
        for entry in std::fs::read_dir(root().join(dir)).unwrap() {
            let manifest = entry.unwrap().path().join("Cargo.toml");
            let text = std::fs::read_to_string(&manifest).unwrap();
            assert!(
                text.contains("[lints]\nworkspace = true"),
                "{} does not take the workspace's lints",
                manifest.display()
            );
        }
    }
}

#[test]
fn the_template_reports_single_failures_and_gives_queues_time() {
    let template = std::fs::read_to_string(root().join("infra/template.yaml")).unwrap();
    let mappings = template.matches("Type: SQS\n").count();
    assert!(mappings > 0);
    assert_eq!(mappings, template.matches("FunctionResponseTypes: [ReportBatchItemFailures]").count());
    // Six times the default time-out of 30 s: AWS Lambda Developer Guide, "Configuring a queue to use with Lambda".
    let queues = template.matches("RedrivePolicy:").count();
    assert_eq!(queues, template.matches("VisibilityTimeout: 180").count());
    assert!(template.contains("Timeout: 30"));
}

#[test]
fn schedules_are_in_new_york_time_without_a_flexible_window() {
    let template = std::fs::read_to_string(root().join("infra/template.yaml")).unwrap();
    let schedules = template.matches("Type: ScheduleV2").count();
    assert!(schedules > 0);
    assert_eq!(schedules, template.matches("ScheduleExpressionTimezone: America/New_York").count());
    assert_eq!(schedules, template.matches("FlexibleTimeWindow: { Mode: \"OFF\" }").count());
}

#[test]
fn use_cases_await_ports_and_nothing_else() {
    let banned = [
        "tokio",
        "spawn",
        "select!",
        "HashMap",
        "HashSet",
        "Instant::",
        "SystemTime",
        "thread_local",
        "std::env",
    ];
    for path in sources() {
        let text = path.to_string_lossy().into_owned();
        let is_use_case =
            (text.contains("/functions/") && !text.ends_with("/main.rs")) || text.contains("/shared/desk/");
        if !is_use_case || text.contains("/tests") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        for word in banned {
            assert!(
                !source.contains(word),
                "{text} names {word}: a use case awaits ports, and its callers own the rest"
            );
        }
    }
}

#[test]
fn the_core_has_no_input_or_output() {
    let banned =
        ["std::fs", "std::net", "std::env", "std::process", "tokio", "SystemTime", "Instant::now", "HashMap"];
    for path in sources() {
        let text = path.to_string_lossy().into_owned();
        let is_core = ["/shared/domain/src", "/shared/engine/src", "/shared/sim/src"]
            .iter()
            .any(|it| text.contains(it));
        if !is_core {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        for word in banned {
            assert!(!code.contains(word) || text.contains("tests"), "{text} names {word}");
        }
    }
}
