//! `/_sandbox/`: what a run tells of itself, and how it is steered, from this machine alone.
//!
//! It is no part of Tradier's API and off unless asked for. A web page of somebody else must not reach it through a
//! browser on this machine: requests with an `Origin` and requests to a host name that is not this machine's are refused.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use broker::transport::Reply;
use domain::money::Price;
use domain::ports::Clock;
use domain::time::{UtcNanos, at_new_york};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::{Method, Request};
use jiff::civil::Time;
use serde_json::json;
use sim::broker::faults::FaultScript;
use sim::broker::{ForeignOrder, LegSide, Sandbox, TranscriptLine};

use crate::http::{Answer, response, text};
use crate::journal::Files;
use crate::listener::Shared;
use crate::market::{PacedClock, speed};

/// Where it is.
pub(crate) const PREFIX: &str = "/_sandbox/";
/// Lines of the transcript kept in memory; a journal keeps them all.
const LINES_MAX: usize = 20_000;
/// Lines in one answer.
const ANSWER_MAX: usize = 10_000;
/// The largest body: a script.
const BODY_MAX: usize = 1 << 20;
/// A body that has not arrived by then does not.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The furthest single step of the clock.
const STEP_MAX: Duration = Duration::from_secs(24 * 3_600);
/// What an option's order may do; shares have words of their own.
const OPTION_SIDES: [LegSide; 4] =
    [LegSide::BuyToOpen, LegSide::BuyToClose, LegSide::SellToOpen, LegSide::SellToClose];
/// Contracts of one order at most.
const QUANTITY_MAX: u32 = 10_000_000;
const JSON: &str = "application/json;charset=UTF-8";
const LINES: &str = "application/x-ndjson;charset=UTF-8";

/// What a run's owner hands over to whoever steers it.
#[derive(Debug)]
pub struct Control {
    clock: PacedClock,
    recorder: Rc<RefCell<Recorder>>,
}

impl Control {
    pub(crate) const fn new(clock: PacedClock, recorder: Rc<RefCell<Recorder>>) -> Self {
        Self { clock, recorder }
    }
}

/// The transcript of a run: its latest lines in memory, all of them on disk where there is a journal.
#[derive(Debug)]
pub(crate) struct Recorder {
    files: Option<Files>,
    kept: VecDeque<TranscriptLine>,
    /// Lines that the disk does not have yet.
    unwritten: Vec<TranscriptLine>,
}

impl Recorder {
    pub(crate) const fn new(files: Option<Files>) -> Self {
        Self { files, kept: VecDeque::new(), unwritten: Vec::new() }
    }

    /// Takes new lines over.
    pub(crate) fn record(&mut self, sandbox: &mut Sandbox) -> anyhow::Result<()> {
        let lines = sandbox.take_transcript();
        if self.files.is_some() {
            self.unwritten.extend(lines.iter().cloned());
        }
        self.kept.extend(lines);
        let over = self.kept.len().saturating_sub(LINES_MAX);
        self.kept.drain(..over);
        if let Some(files) = &self.files {
            files.append(&self.unwritten)?;
            self.unwritten.clear();
        }
        Ok(())
    }

    /// Takes new lines over and writes the state that includes them.
    pub(crate) fn save(&mut self, sandbox: &mut Sandbox) -> anyhow::Result<()> {
        self.record(sandbox)?;
        self.files.as_ref().map_or(Ok(()), |it| it.save(sandbox))
    }

    /// Lines from `from` on; `None` when they are not kept any more.
    fn lines(&self, from: u64, most: usize) -> anyhow::Result<Option<Vec<TranscriptLine>>> {
        let first = self.kept.front().map_or(from, |it| it.seq);
        if from >= first {
            let lines = self.kept.iter().filter(|it| it.seq >= from);
            return Ok(Some(lines.take(most).cloned().collect()));
        }
        let Some(files) = &self.files else { return Ok(None) };
        let lines = files.transcript()?.into_iter().filter(|it| it.seq >= from);
        Ok(Some(lines.take(most).collect()))
    }
}

/// What was asked.
struct Asked {
    method: Method,
    /// Beyond the prefix.
    path: String,
    query: Vec<(String, String)>,
    body: String,
}

impl Asked {
    fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|it| it.0 == name).map(|it| it.1.as_str()).filter(|it| !it.is_empty())
    }
}

/// Answers a request under the prefix.
pub(crate) async fn handle<C: Clock>(shared: &Rc<Shared<C>>, request: Request<Incoming>) -> Answer {
    let control = shared.control.borrow().clone();
    let Some(control) = control else {
        return text(404, "Not found: the sandbox was started without --control.");
    };
    if !is_from_here(request.headers()) {
        return text(403, "Refused: /_sandbox/ is for this machine, by the name localhost or 127.0.0.1.");
    }
    match read(request).await.and_then(|asked| act(shared, &control, &asked)) {
        Ok(answer) => answer,
        Err(why) => text(400, &why),
    }
}

/// Whether the caller means this machine, and is no web page.
fn is_from_here(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|it| it.to_str().ok()).unwrap_or("");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let loopback = name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|it| it.is_loopback());
    loopback && !headers.contains_key(ORIGIN)
}

async fn read(request: Request<Incoming>) -> Result<Asked, String> {
    let method = request.method().clone();
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or("").to_owned();
    let pairs = |text: &[u8]| -> Vec<(String, String)> {
        form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    };
    let mut query = pairs(request.uri().query().unwrap_or("").as_bytes());
    let body = Limited::new(request.into_body(), BODY_MAX).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Err(format!("The body is broken or larger than {BODY_MAX} bytes.")),
        Err(_) => return Err("The body did not arrive in time.".to_owned()),
    };
    let body = String::from_utf8(body.to_vec()).map_err(|_| "The body is not UTF-8.".to_owned())?;
    if method == Method::POST {
        query.extend(pairs(body.as_bytes()));
    }
    Ok(Asked { method, path, query, body })
}

fn act<C: Clock>(shared: &Rc<Shared<C>>, control: &Control, asked: &Asked) -> Result<Answer, String> {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "state") => Ok(state(shared, control)),
        ("GET", "transcript") => transcript(shared, control, asked),
        ("GET", "faults") => Ok(faults(shared)),
        ("PUT", "faults") => {
            let script = FaultScript::parse(&asked.body).map_err(|it| it.to_string())?;
            set_faults(shared, script)
        }
        ("DELETE", "faults") => set_faults(shared, FaultScript::default()),
        ("POST", "foreign-order") => foreign_order(shared, asked),
        ("POST", path) if path.starts_with("clock/") => {
            let action = path.trim_start_matches("clock/");
            move_clock(shared, control, action, asked)?;
            Ok(state(shared, control))
        }
        (method, path) => Ok(text(
            404,
            &format!(
                "Not found: {method} {PREFIX}{path}. There are GET state, transcript and faults, PUT and DELETE faults, \
                 and POST foreign-order, clock/hold, clock/resume, clock/step and clock/speed."
            ),
        )),
    }
}

fn answer(content: &str, body: Vec<u8>) -> Answer {
    let headers = vec![("content-type".to_owned(), content.to_owned())];
    response(Reply { status: 200, headers, body }, true)
}

fn state<C: Clock>(shared: &Rc<Shared<C>>, control: &Control) -> Answer {
    shared.settle();
    let civil = |it: UtcNanos| it.new_york().strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
    let overview = shared.sandbox.borrow().overview();
    let session = overview.session;
    // In this order: a clock that stands shows where it stands.
    let held = control.clock.is_held();
    let now = control.clock.now();
    let accounts: serde_json::Map<String, serde_json::Value> = overview
        .accounts
        .iter()
        .map(|(number, it)| {
            let row =
                json!({ "type": it.kind.as_str(), "cash": it.cash.to_f64(), "positions": it.positions });
            (number.clone(), row)
        })
        .collect();
    let body = json!({
        "session": { "date": session.date, "open": civil(session.open), "close": civil(session.close) },
        "clock": {
            "time": now.to_string(),
            "newYork": civil(now),
            "speed": control.clock.speed(),
            "held": held,
            "holdsAt": control.clock.holds_at().map(civil),
        },
        "orders": { "known": overview.orders, "working": overview.working },
        "accounts": accounts,
        "streams": overview.streams,
        "transcript": { "lines": overview.lines },
        "faults": { "struck": overview.faults.struck },
    });
    answer(JSON, body.to_string().into_bytes())
}

fn transcript<C: Clock>(shared: &Rc<Shared<C>>, control: &Control, asked: &Asked) -> Result<Answer, String> {
    let number = |name: &str, default: u64| match asked.value(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| format!("{name}: {text:?} is no whole number.")),
    };
    let from = number("from", 1)?.max(1);
    let most = usize::try_from(number("limit", ANSWER_MAX as u64)?).unwrap_or(usize::MAX).min(ANSWER_MAX);
    shared.settle();
    let failed = |it: anyhow::Error| format!("{it:#}");
    let mut recorder = control.recorder.borrow_mut();
    recorder.record(&mut shared.sandbox.borrow_mut()).map_err(failed)?;
    let Some(lines) = recorder.lines(from, most).map_err(failed)? else {
        let first = recorder.kept.front().map_or(1, |it| it.seq);
        return Err(format!(
            "from: lines before {first} are not kept in memory; start with --journal to keep all of them."
        ));
    };
    let mut body = Vec::new();
    for line in &lines {
        serde_json::to_writer(&mut body, line).map_err(|it| it.to_string())?;
        body.push(b'\n');
    }
    Ok(answer(LINES, body))
}

fn faults<C: Clock>(shared: &Rc<Shared<C>>) -> Answer {
    let sandbox = shared.sandbox.borrow();
    let body = json!({ "script": sandbox.faults(), "counts": sandbox.fault_counts() });
    answer(JSON, body.to_string().into_bytes())
}

fn set_faults<C: Clock>(shared: &Rc<Shared<C>>, script: FaultScript) -> Result<Answer, String> {
    shared.sandbox.borrow_mut().set_faults(script);
    if !shared.journal() {
        return Err("The change could not be journaled.".to_owned());
    }
    Ok(faults(shared))
}

/// Places an order as somebody would on the broker's website: it is checked for nothing but its account.
fn foreign_order<C: Clock>(shared: &Rc<Shared<C>>, asked: &Asked) -> Result<Answer, String> {
    let need = |name: &str| asked.value(name).ok_or_else(|| format!("{name}: is required."));
    let wrong = |name: &str, expected: &str| format!("{name}: expected {expected}.");
    let price = asked.value("price").map(Price::parse).transpose();
    let order = ForeignOrder {
        account: need("account")?.to_owned(),
        series: need("option_symbol")?
            .parse()
            .map_err(|_| wrong("option_symbol", "an option such as SPXW261201C05605000"))?,
        side: LegSide::parse(need("side")?)
            .filter(|it| OPTION_SIDES.contains(it))
            .ok_or_else(|| wrong("side", "buy_to_open, buy_to_close, sell_to_open or sell_to_close"))?,
        quantity: need("quantity")?
            .parse()
            .ok()
            .filter(|it| (1..=QUANTITY_MAX).contains(it))
            .ok_or_else(|| wrong("quantity", "whole contracts from 1 to 10000000"))?,
        price: price.map_err(|_| wrong("price", "dollars such as 2.35; none for a market order"))?,
        tag: asked.value("tag").map(str::to_owned),
    };
    let account = order.account.clone();
    let now = shared.clock.now();
    let id = shared.sandbox.borrow_mut().place_foreign(now, order);
    let id = id.ok_or_else(|| format!("account: {account} is not known."))?;
    if !shared.settle() {
        return Err("The change could not be journaled.".to_owned());
    }
    shared.wake();
    Ok(answer(JSON, json!({ "order": { "id": id } }).to_string().into_bytes()))
}

fn move_clock<C: Clock>(
    shared: &Rc<Shared<C>>,
    control: &Control,
    action: &str,
    asked: &Asked,
) -> Result<(), String> {
    let clock = &control.clock;
    match action {
        "hold" => clock.hold(),
        "resume" => clock.resume(),
        "speed" => clock.set_speed(speed(asked.value("x").unwrap_or("")).map_err(|it| format!("x: {it}."))?),
        "step" => {
            let date = shared.sandbox.borrow().session().date;
            let to = match (asked.value("seconds"), asked.value("to")) {
                (Some(seconds), None) => {
                    let step = seconds.parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
                    let step = step.filter(|it| *it <= STEP_MAX).ok_or_else(|| {
                        format!("seconds: {seconds:?} is no number from 0 to {}.", STEP_MAX.as_secs())
                    })?;
                    clock.now().plus(step)
                }
                (None, Some(to)) => {
                    let wrong = || format!("to: {to:?} is no New York time such as 10:30 or 10:30:15.");
                    at_new_york(date, to.parse::<Time>().map_err(|_| wrong())?)
                }
                (Some(_), Some(_)) | (None, None) => {
                    return Err("Expected seconds, such as 60, or to, such as 10:30.".to_owned());
                }
            };
            clock.step_to(to);
        }
        other => return Err(format!("{other:?} is not one of hold, resume, step, speed.")),
    }
    // Everything up to the new time happens before the answer; every waiting answer that is due leaves.
    if !shared.settle() {
        return Err("The change could not be journaled.".to_owned());
    }
    shared.wake();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn only_this_machine_by_its_own_names_and_no_web_page() {
        for (host, origin, is) in [
            ("127.0.0.1:8100", None, true),
            ("localhost:8100", None, true),
            ("LOCALHOST", None, true),
            ("[::1]:8100", None, true),
            ("127.0.0.1:8100", Some("http://evil.example"), false),
            ("evil.example:8100", None, false),
            ("127.0.0.1.evil.example", None, false),
            ("10.0.0.1", None, false),
            ("", None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            assert_eq!(is_from_here(&headers), is, "{host} {origin:?}");
        }
    }
}
