//! Requests to answers: token, rate limit, route, transcript.

use broker::transport::{Method, Reply, Request};
use domain::time::UtcNanos;
use serde::Serialize;
use serde_json::value::RawValue;

use super::limits::{Budget, Group};
use super::params::{Invalid, Params};
use super::shape::{Collapsed, Under};
use super::stream::StreamKind;
use super::transcript::{TranscriptEvent, body_text};
use super::{STREAM_BASE, Sandbox};

/// An answer before its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    status: u16,
    content: &'static str,
    body: Vec<u8>,
}

const JSON: &str = "application/json;charset=UTF-8";
/// What `/user/...` lists over all accounts.
const USER_LISTS: [&str; 5] = ["orders", "positions", "balances", "history", "gainloss"];
const TEXT: &str = "text/plain;charset=UTF-8";

impl Answer {
    pub(super) fn json(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self { status: 200, content: JSON, body },
            Err(_) => Self::text(500, "An error occurred while communicating with the backend."),
        }
    }

    pub(super) fn html(status: u16, text: &str) -> Self {
        Self { status, content: "text/html", body: text.as_bytes().to_vec() }
    }

    pub(super) fn text(status: u16, text: &str) -> Self {
        Self { status, content: TEXT, body: text.as_bytes().to_vec() }
    }

    /// A refusal of the OMS: 200 with `errors`.
    pub(super) fn refused(reasons: &[&str]) -> Self {
        match reasons {
            [only] => Self::json(&Under("errors", Under("error", only))),
            several => Self::json(&Under("errors", Under("error", several))),
        }
    }

    /// What the gateway says before anything behind it is asked.
    pub(super) fn fault(status: u16, text: &str, code: &str) -> Self {
        #[derive(Serialize)]
        struct Fault<'a> {
            faultstring: &'a str,
            detail: Under<&'a str>,
        }
        let fault = Fault { faultstring: text, detail: Under("errorcode", code) };
        Self { status, ..Self::json(&Under("fault", fault)) }
    }

    pub(super) fn foreign_account(account: &str) -> Self {
        Self::text(401, &format!("Unauthorized Account: {account}"))
    }

    pub(super) fn into_reply(self, budget: Option<Budget>) -> Reply {
        let mut headers = vec![("content-type".to_owned(), self.content.to_owned())];
        headers.extend(budget.into_iter().flat_map(|it| it.headers()));
        Reply { status: self.status, headers, body: self.body }
    }
}

impl From<Invalid> for Answer {
    fn from(it: Invalid) -> Self {
        Self::text(400, &it.0)
    }
}

impl Sandbox {
    /// Answers `request`, which arrives at `now`, after whatever was due before it.
    pub fn answer(&mut self, now: UtcNanos, request: &Request) -> Reply {
        self.advance(now);
        let (user, reply) = self.gate(request);
        let params = request.query.iter().chain(&request.form).cloned().collect();
        self.record(TranscriptEvent::Request {
            user,
            method: request.method.as_str().to_owned(),
            path: request.path.clone(),
            params,
            status: reply.status,
            // Where streams are reached is the machine's doing, and the same day leaves the same transcript.
            body: match request.path.ends_with("/session") {
                true => body_text(&reply.body).replace(&self.stream_base, STREAM_BASE),
                false => body_text(&reply.body),
            },
        });
        reply
    }

    fn gate(&mut self, request: &Request) -> (Option<String>, Reply) {
        let hash = super::token_hash(&request.token);
        let user = self.user_behind(&hash).filter(|_| !request.token.is_empty());
        let Some(user) = user.map(|it| it.id.clone()) else {
            let code = "keymanagement.service.invalid_access_token";
            return (None, Answer::fault(401, "Invalid Access Token", code).into_reply(None));
        };
        let segments: Vec<&str> = request.path.split('/').filter(|it| !it.is_empty()).collect();
        let path = match segments.as_slice() {
            ["v1", path @ ..] => path,
            // What is in beta has no version of its own, and no other names.
            ["beta", path @ ..] if matches!(path, ["markets", "fundamentals", ..]) => path,
            _ => return (Some(user), Answer::text(404, "Not found: paths start with /v1/").into_reply(None)),
        };
        let group = Group::of(request.method, path);
        let (now, limits) = (self.now, self.rules.limits);
        // Which token a window belongs to, without saying the token.
        let budget = self.windows.count(hash.get(..12).unwrap_or(""), now, limits, group);
        if budget.refused {
            let text =
                format!("Rate limit quota violation. Quota limit exceeded. Identifier : {}", group.as_str());
            let fault = Answer::fault(429, &text, "policies.ratelimit.QuotaViolation");
            return (Some(user), fault.into_reply(Some(budget)));
        }
        let params = Params::of(request);
        let answer = params.bounded().and_then(|()| self.route(&user, request.method, path, &params));
        let reply = answer.unwrap_or_else(Answer::from).into_reply(Some(budget));
        let reply = self.told_quotes(&user, path, reply);
        (Some(user), reply)
    }

    pub(super) fn route(
        &mut self,
        user: &str,
        method: Method,
        path: &[&str],
        params: &Params<'_>,
    ) -> Result<Answer, Invalid> {
        use Method::{Delete, Get, Post, Put};
        if let ["accounts", account, rest @ ..] = path
            && *account != "events"
        {
            return self.account_route(user, method, account, rest, params);
        }
        match (method, path) {
            (Get, ["user", "profile"]) => Ok(self.profile(user)),
            (Post, ["accounts", "events", "session"]) => Ok(self.stream_session(user, StreamKind::Account)),
            (Post, ["markets", "events", "session"]) => Ok(self.stream_session(user, StreamKind::Market)),
            (Get | Post, ["markets", "quotes"]) => self.quotes(params),
            (Get, ["markets", "fundamentals", _]) => self.fundamentals(params),
            (Get, ["markets", rest @ ..]) => self.market_route(rest, params),
            (Get, ["user", what]) if USER_LISTS.contains(what) => self.of_all_accounts(user, what, params),
            (Get | Post | Put | Delete, ["watchlists", rest @ ..]) => {
                self.watchlist_route(user, method, rest, params)
            }
            (Get | Post | Put | Delete, _) => {
                Ok(Answer::text(404, &format!("Not found: {} /{}", method.as_str(), path.join("/"))))
            }
        }
    }

    fn account_route(
        &mut self,
        user: &str,
        method: Method,
        account: &str,
        rest: &[&str],
        params: &Params<'_>,
    ) -> Result<Answer, Invalid> {
        use Method::{Delete, Get, Post, Put};
        if self.owner(account).is_none_or(|owner| owner.id != user) {
            return Ok(Answer::foreign_account(account));
        }
        match (method, rest) {
            (Get, ["balances"]) => Ok(self.balances(account)),
            (Get, ["positions"]) => Ok(self.positions(account)),
            (Get, ["orders"]) => self.order_list(account, params),
            (Get, ["history"]) => self.account_history(account, params),
            (Get, ["gainloss"]) => self.gain_loss(account, params),
            (Post, ["orders"]) => self.place(account, params),
            (Get | Put | Delete, ["orders", id]) => {
                let Some(id) = self.own_order(account, id) else {
                    return Ok(Answer::foreign_account(account));
                };
                match method {
                    Get => self.order_single(id, params),
                    Put => self.change(id, params),
                    Delete | Post => Ok(self.cancel(id)),
                }
            }
            (Get | Post | Put | Delete, _) => {
                let path = rest.join("/");
                Ok(Answer::text(404, &format!("Not found: {} /accounts/{account}/{path}", method.as_str())))
            }
        }
    }

    /// The deprecated reads of all of a user's accounts at once: each account's own answer, with its number.
    fn of_all_accounts(&mut self, user: &str, what: &str, params: &Params<'_>) -> Result<Answer, Invalid> {
        let accounts = self.users.iter().find(|it| it.id == user).map(|it| it.accounts.clone());
        let mut rows: Vec<Box<RawValue>> = Vec::new();
        for account in accounts.unwrap_or_default() {
            let answer = self.account_route(user, Method::Get, &account, &[what], params)?;
            let row = String::from_utf8(answer.body).ok().and_then(|body| {
                let rest = body.strip_prefix('{')?;
                RawValue::from_string(format!(r#"{{"account_number":"{account}",{rest}"#)).ok()
            });
            match row {
                Some(row) if answer.status == 200 => rows.push(row),
                Some(_) | None => return Ok(Answer::text(500, "Unexpected server error")),
            }
        }
        Ok(Answer::json(&Under("accounts", Under("account", Collapsed(&rows)))))
    }

    fn stream_session(&mut self, user: &str, kind: StreamKind) -> Answer {
        #[derive(Serialize)]
        struct Stream {
            url: String,
            sessionid: String,
        }
        let sessionid = self.new_stream(user, kind);
        Answer::json(&Under("stream", Stream { url: self.stream_url(kind), sessionid }))
    }
}
