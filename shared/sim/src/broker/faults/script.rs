//! What is to go wrong: by rules, which say when exactly, and by rates, which leave it to a seed.

use std::collections::BTreeMap;

use jiff::civil::Time;
use serde::{Deserialize, Serialize};

use super::kind::{Fault, Point};
use crate::broker::written::{self, Miswritten};
use crate::broker::{LegSide, StreamKind};

/// Rules in one script.
pub const RULES_MAX: usize = 1_000;
/// The longest delay: a quarter of an hour.
const DELAY_MS_MAX: u64 = 900_000;
/// Statuses a failing server answers with.
const STATUSES: [u16; 5] = [404, 500, 502, 503, 504];

/// Faults of a sandbox. The same script, requests and market times strike the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultScript {
    /// Where draws come from.
    #[serde(default)]
    pub seed: u64,
    /// How often each fault strikes wherever it can: a share of 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<Fault, Chance>,
    /// Faults that strike where they are told to; the first that does wins over later ones and over rates.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub rules: Rules,
}

impl FaultScript {
    /// Reads a script.
    ///
    /// # Errors
    /// [`Miswritten`] names line and field.
    pub fn parse(text: &str) -> Result<Self, Miswritten> {
        written::read(text)
    }

    /// Whether nothing goes wrong.
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.rules.0.is_empty()
    }
}

/// The rules of a script, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Rule>", into = "Vec<Rule>")]
pub struct Rules(pub(super) Vec<Rule>);

impl Rules {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<Rule>> for Rules {
    type Error = String;
    fn try_from(rules: Vec<Rule>) -> Result<Self, String> {
        if rules.len() > RULES_MAX {
            return Err(format!("field rules: at most {RULES_MAX} are kept"));
        }
        Ok(Self(rules))
    }
}

impl From<Rules> for Vec<Rule> {
    fn from(it: Rules) -> Self {
        it.0
    }
}

/// A share of 1, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Chance(pub(super) u32);

impl TryFrom<f64> for Chance {
    type Error = String;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be from 0 to 1")]
    fn try_from(share: f64) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("{share} is no share: expected a number from 0 to 1, such as 0.05"));
        }
        Ok(Self((share * 1e6).round() as u32))
    }
}

impl From<Chance> for f64 {
    fn from(it: Chance) -> Self {
        Self::from(it.0) / 1e6
    }
}

/// One fault, and what it strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Rule {
    pub(super) fault: Fault,
    pub(super) on: Match,
    pub(super) nth: u64,
    pub(super) times: u64,
    pub(super) from: Option<Time>,
    pub(super) until: Option<Time>,
    pub(super) chance: Option<Chance>,
    pub(super) with: With,
}

/// How a fault strikes, for those that can strike in several ways.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct With {
    pub(super) delay_ms: u64,
    pub(super) age_ms: u64,
    pub(super) status: u16,
    pub(super) errors: Vec<String>,
    pub(super) reason: String,
}

impl With {
    /// What a fault does where nothing is said.
    pub(super) fn usual(fault: Fault) -> Self {
        Self {
            delay_ms: fault.delay_ms().unwrap_or(0),
            age_ms: 60_000,
            status: fault.status().unwrap_or(0),
            errors: fault.errors().unwrap_or(&[]).iter().map(|it| (*it).to_owned()).collect(),
            reason: super::super::check::NO_BUYING_POWER.to_owned(),
        }
    }
}

/// What a rule is about. What is not said matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Match {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<Verb>,
    /// The path; `*` stands for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<String>,
    /// A series or an underlying, as the request or the order names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) symbol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) side: Option<LegSide>,
    /// The order's tag; `*` stands for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tag: Option<String>,
    /// The order's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) order: Option<u64>,
    /// `account` or `market`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<StreamKind>,
}

/// A method as rules spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

/// A rule as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    fault: Fault,
    #[serde(default)]
    on: Match,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nth: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chance: Option<Chance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Written {
    /// What is wrong, as `field <name>: <problem>`.
    fn check(&self) -> Result<(), String> {
        let fault = self.fault;
        let wrong = |field: &str, problem: &str| Err(format!("field {field}: {problem}"));
        let foreign =
            |field: &str| wrong(field, &format!("{} does not take it: leave it out", fault.as_str()));
        if self.nth == Some(0) {
            return wrong("nth", "expected a whole number from 1 on: 1 is the first that matches");
        }
        if self.times == Some(0) {
            return wrong(
                "times",
                "expected a whole number from 1 on: a rule that never strikes is left out",
            );
        }
        if let (Some(from), Some(until)) = (self.from, self.until)
            && until <= from
        {
            return wrong("until", &format!("{until} is not after from, {from}"));
        }
        if self.delay_ms.is_some() && fault.delay_ms().is_none() {
            return foreign("delay_ms");
        }
        if self.delay_ms.is_some_and(|it| it > DELAY_MS_MAX) {
            return wrong("delay_ms", &format!("expected milliseconds from 0 to {DELAY_MS_MAX}"));
        }
        if self.age_ms.is_some() && fault != Fault::StaleQuote {
            return foreign("age_ms");
        }
        if self.status.is_some() && fault.status().is_none() {
            return foreign("status");
        }
        if self.status.is_some_and(|it| !STATUSES.contains(&it)) {
            return wrong("status", "expected 500, 502, 503, 504 or 404");
        }
        if self.errors.is_some() && fault.errors().is_none() {
            return foreign("errors");
        }
        if self.errors.as_ref().is_some_and(|it| it.is_empty() || it.len() > 16) {
            return wrong("errors", "expected 1 to 16 texts");
        }
        if self.reason.is_some() && fault != Fault::RejectAfterAcceptance {
            return foreign("reason");
        }
        self.check_match()
    }

    /// A rule that could never match is a mistake.
    fn check_match(&self) -> Result<(), String> {
        let (on, point) = (&self.on, self.fault.point());
        let told = [
            ("method", on.method.is_some(), [Point::Request].as_slice()),
            ("path", on.path.is_some(), &[Point::Request]),
            ("account", on.account.is_some(), &[Point::Request, Point::Order, Point::Event]),
            ("symbol", on.symbol.is_some(), &[Point::Request, Point::Order, Point::Event, Point::Quote]),
            ("side", on.side.is_some(), &[Point::Request, Point::Order, Point::Event]),
            ("tag", on.tag.is_some(), &[Point::Request, Point::Order, Point::Event]),
            ("order", on.order.is_some(), &[Point::Request, Point::Order, Point::Event]),
            ("stream", on.stream.is_some(), &[Point::Event, Point::Quote]),
        ];
        for (field, said, points) in told {
            if said && !points.contains(&point) {
                let fault = self.fault.as_str();
                return Err(format!("field on.{field}: {fault} is not decided by it: leave it out"));
            }
        }
        Ok(())
    }
}

impl TryFrom<Written> for Rule {
    type Error = String;
    fn try_from(it: Written) -> Result<Self, String> {
        it.check()?;
        let usual = With::usual(it.fault);
        Ok(Self {
            fault: it.fault,
            on: it.on,
            nth: it.nth.unwrap_or(1),
            // One that is counted out strikes once, any other always.
            times: it.times.unwrap_or(if it.nth.is_some() { 1 } else { u64::MAX }),
            from: it.from,
            until: it.until,
            chance: it.chance,
            with: With {
                delay_ms: it.delay_ms.unwrap_or(usual.delay_ms),
                age_ms: it.age_ms.unwrap_or(usual.age_ms),
                status: it.status.unwrap_or(usual.status),
                errors: it.errors.unwrap_or(usual.errors),
                reason: it.reason.unwrap_or(usual.reason),
            },
        })
    }
}

impl From<Rule> for Written {
    fn from(it: Rule) -> Self {
        let fault = it.fault;
        Self {
            fault,
            on: it.on,
            nth: (it.nth > 1).then_some(it.nth),
            times: (it.times < u64::MAX || it.nth > 1).then_some(it.times),
            from: it.from,
            until: it.until,
            chance: it.chance,
            delay_ms: fault.delay_ms().map(|_| it.with.delay_ms),
            age_ms: (fault == Fault::StaleQuote).then_some(it.with.age_ms),
            status: fault.status().map(|_| it.with.status),
            errors: fault.errors().map(|_| it.with.errors),
            reason: (fault == Fault::RejectAfterAcceptance).then_some(it.with.reason),
        }
    }
}
