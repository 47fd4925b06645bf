//! Faults of requests: what is answered, when, and whether at all.

use std::time::Duration;

use broker::transport::{Method, Reply, Request};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use super::super::answer::Answer;
use super::super::engine::Action;
use super::super::limits::Budget;
use super::super::params::Params;
use super::super::transcript::{TranscriptEvent, body_text};
use super::super::{LegSide, Sandbox};
use super::{Fault, FaultDue, Point, Strike, Subject, with_underlyings};

/// Requests that wait for their effect at once; beyond them one has it immediately.
const HELD_MAX: usize = 1_000;
/// Bad gateways answer with a page.
const BAD_GATEWAY: &str =
    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>";

/// What becomes of a request, for whoever carries its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It is answered.
    Reply(Reply),
    /// It has its effect, and is answered when market time reaches `at`.
    Late {
        /// When the answer leaves.
        at: UtcNanos,
        /// The answer.
        reply: Reply,
    },
    /// It has its effect when market time reaches `at`; its answer is had by [`Sandbox::take_late`] then.
    Held {
        /// When it has its effect.
        at: UtcNanos,
        /// What its answer is kept under.
        ticket: u64,
    },
    /// The connection closes without an answer.
    NoAnswer,
    /// The connection closes after so many bytes of the answer's body.
    Cut {
        /// The whole answer.
        reply: Reply,
        /// Bytes of the body that leave.
        at: usize,
    },
}

/// A request that waits for its effect, without its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Held {
    user: String,
    method: String,
    path: String,
    params: Vec<(String, String)>,
}

impl Sandbox {
    /// What becomes of `request`, which arrives at `now`: [`Self::answer`], and whatever goes wrong on its way.
    pub fn dispose(&mut self, now: UtcNanos, request: &Request) -> Disposition {
        self.advance(now);
        self.faults.answer_after_ms = None;
        let strike = self.struck_request(request);
        let Some(Strike { fault, with, .. }) = strike else {
            let reply = self.answer(now, request);
            return match self.faults.answer_after_ms.take() {
                Some(delay_ms) => self.late(delay_ms, reply),
                None => Disposition::Reply(reply),
            };
        };
        match fault {
            Fault::RequestLost => Disposition::NoAnswer,
            Fault::AnswerLost => {
                self.answer(now, request);
                Disposition::NoAnswer
            }
            Fault::SlowAcceptance => self.hold(request, with.delay_ms),
            Fault::SlowAnswer => {
                let reply = self.answer(now, request);
                self.late(with.delay_ms, reply)
            }
            Fault::ErrorWithoutEffect => self.refuse(request, failing(with.status).into_reply(None)),
            Fault::ErrorAfterEffect => {
                self.answer(now, request);
                Disposition::Reply(failing(with.status).into_reply(None))
            }
            Fault::TooManyRequests => {
                let expiry = self.now.plus(Duration::from_secs(60));
                let budget = Budget { allowed: 60, used: 60, expiry, refused: true };
                let text = "Rate limit quota violation. Quota limit exceeded. Identifier : faults";
                let answer = Answer::fault(429, text, "policies.ratelimit.QuotaViolation");
                self.refuse(request, answer.into_reply(Some(budget)))
            }
            Fault::TokenRefused => {
                let code = "keymanagement.service.access_token_expired";
                let answer = Answer::fault(401, "Access Token expired", code);
                self.refuse(request, answer.into_reply(None))
            }
            Fault::Refused => {
                let errors: Vec<&str> = with.errors.iter().map(String::as_str).collect();
                self.refuse(request, Answer::refused(&errors).into_reply(None))
            }
            Fault::RefusedAfterEffect => {
                self.answer(now, request);
                let errors: Vec<&str> = with.errors.iter().map(String::as_str).collect();
                Disposition::Reply(Answer::refused(&errors).into_reply(None))
            }
            Fault::HalfAnswer => {
                let reply = self.answer(now, request);
                let at = reply.body.len().checked_div(2).unwrap_or(0);
                Disposition::Cut { reply, at }
            }
            // They strike elsewhere.
            Fault::LateVisibility
            | Fault::RejectAfterAcceptance
            | Fault::FillBeforeAcknowledgement
            | Fault::PartialLegs
            | Fault::LatePrice
            | Fault::FillBeatsCancel
            | Fault::EventDropped
            | Fault::EventTwice
            | Fault::EventLate
            | Fault::QuoteDropped
            | Fault::WrongInstrument
            | Fault::MislabelledQuote
            | Fault::StaleQuote
            | Fault::CrossedQuote
            | Fault::ZeroQuote => Disposition::Reply(self.answer(now, request)),
        }
    }

    /// The answer of a request that had its effect late; `None` before, and when it was taken.
    pub fn take_late(&mut self, ticket: u64) -> Option<Reply> {
        self.faults.late.remove(&ticket)
    }

    fn struck_request(&mut self, request: &Request) -> Option<Strike> {
        if !self.faults.aims_at(Point::Request) {
            return None;
        }
        // Strangers are refused before anything can go wrong with them.
        self.user_of(&request.token)?;
        let params = Params::of(request);
        let mut symbols: Vec<String> = Vec::new();
        let mut sides = Vec::new();
        for (name, value) in request.query.iter().chain(&request.form) {
            let name = name.split('[').next().unwrap_or("").to_ascii_lowercase();
            match name.as_str() {
                "symbol" | "symbols" | "option_symbol" | "underlying" => {
                    symbols.extend(value.split(',').map(|it| it.trim().to_owned()));
                }
                "side" => sides.extend(LegSide::parse(value.trim())),
                _ => {}
            }
        }
        let segments: Vec<&str> = request.path.split('/').filter(|it| !it.is_empty()).collect();
        let (account, order) = match segments.as_slice() {
            ["v1", "accounts", account, "orders", order, ..] => (Some(*account), order.parse().ok()),
            ["v1", "accounts", account, ..] => (Some(*account), None),
            _ => (None, None),
        };
        let on_orders = matches!(segments.as_slice(), ["v1", "accounts", _, "orders", ..]);
        // A change or a cancel is about what its order is about.
        let known = order.and_then(|id| self.orders.get(&id));
        symbols.extend(known.into_iter().flat_map(|it| &it.legs).map(|leg| leg.instrument.to_string()));
        let tag = params.get("tag").or_else(|| known.and_then(|it| it.tag.as_deref()));
        let subject = Subject {
            method: Some(request.method),
            path: request.path.clone(),
            account: account.map(str::to_owned),
            symbols: with_underlyings(symbols),
            sides,
            tag: tag.map(str::to_owned),
            order,
            stream: None,
            writes: on_orders && request.method != Method::Get,
        };
        let what = format!("{} {}", request.method.as_str(), request.path);
        self.strike(Point::Request, &subject, &what).pop()
    }

    /// Answers without effect, and says so in the transcript.
    fn refuse(&mut self, request: &Request, reply: Reply) -> Disposition {
        let user = self.user_of(&request.token).map(|it| it.id.clone());
        let params = request.query.iter().chain(&request.form).cloned().collect();
        self.record(TranscriptEvent::Request {
            user,
            method: request.method.as_str().to_owned(),
            path: request.path.clone(),
            params,
            status: reply.status,
            body: body_text(&reply.body),
        });
        Disposition::Reply(reply)
    }

    fn late(&mut self, delay_ms: u64, reply: Reply) -> Disposition {
        let at = self.now.plus(Duration::from_millis(delay_ms));
        self.schedule(at, Action::Fault(FaultDue::Answer));
        Disposition::Late { at, reply }
    }

    fn hold(&mut self, request: &Request, delay_ms: u64) -> Disposition {
        let Some(user) = self.user_of(&request.token).map(|it| it.id.clone()) else {
            return Disposition::Reply(self.answer(self.now, request));
        };
        if self.faults.held.len() >= HELD_MAX {
            return Disposition::Reply(self.answer(self.now, request));
        }
        let ticket = self.faults.next_ticket;
        self.faults.next_ticket = ticket.saturating_add(1);
        let held = Held {
            user,
            method: request.method.as_str().to_owned(),
            path: request.path.clone(),
            params: request.query.iter().chain(&request.form).cloned().collect(),
        };
        self.faults.held.insert(ticket, held);
        let at = self.now.plus(Duration::from_millis(delay_ms));
        self.schedule(at, Action::Fault(FaultDue::Effect(ticket)));
        self.touch();
        Disposition::Held { at, ticket }
    }

    /// A request that was put off has its effect.
    pub(super) fn take_effect(&mut self, ticket: u64) {
        let Some(held) = self.faults.held.remove(&ticket) else { return };
        let methods = [Method::Get, Method::Post, Method::Put, Method::Delete];
        let Some(method) = methods.into_iter().find(|it| it.as_str() == held.method) else { return };
        let segments: Vec<&str> = held.path.split('/').filter(|it| !it.is_empty()).skip(1).collect();
        let params = Params::over(&held.params);
        let answer = self.route(&held.user, method, &segments, &params);
        let reply = answer.unwrap_or_else(Answer::from).into_reply(None);
        self.record(TranscriptEvent::Request {
            user: Some(held.user.clone()),
            method: held.method.clone(),
            path: held.path.clone(),
            params: held.params.clone(),
            status: reply.status,
            body: body_text(&reply.body),
        });
        self.touch();
        // Nobody may wait any more: an answer that is not fetched is dropped with the next ones.
        while self.faults.late.len() >= HELD_MAX {
            self.faults.late.pop_first();
        }
        self.faults.late.insert(ticket, reply);
    }
}

/// What a failing server says.
fn failing(status: u16) -> Answer {
    match status {
        502 => Answer::html(502, BAD_GATEWAY),
        503 => Answer::text(503, "Service Unavailable"),
        504 => Answer::text(504, "Gateway Timeout"),
        404 => Answer::text(404, ""),
        other => Answer::text(other, "An error occurred while communicating with the backend."),
    }
}
