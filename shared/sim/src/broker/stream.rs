//! Stream sessions, subscriptions, order notices and heartbeats (TRADIER.md section 16).
//!
//! A session is asked for over HTTP and must be used within five minutes of market time. The first message on a
//! connection names it and subscribes; later messages replace the subscription. A user has one stream of each kind: a
//! second one ends the first. What a stream tells is in [`super::frames`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::secret::Token;
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::engine::Action;
use super::shape::uuid;
use super::subscription::{Payloads, Subject, Subscription, Wants};

/// A session must be used within this time.
const LIFE: Duration = Duration::from_secs(300);
/// An account stream says this often that it lives, a market stream when it had nothing else to say.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// What a stream tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// Orders of the user's accounts.
    Account,
    /// Quotes and trades.
    Market,
}

impl StreamKind {
    /// The path it is reached at.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Account => "/v1/accounts/events",
            Self::Market => "/v1/markets/events",
        }
    }
}

/// A text for one stream. Frames of one fact share their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The session it goes to.
    pub session: Arc<str>,
    /// The text.
    pub text: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamSession {
    kind: StreamKind,
    user: String,
    created: UtcNanos,
    attached: bool,
    /// What its connection asked for; gone with the connection.
    #[serde(skip)]
    wants: Wants,
}

impl StreamSession {
    pub(super) fn user(&self) -> &str {
        &self.user
    }
}

/// A stream that hears of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ear {
    pub(super) session: Arc<str>,
    /// Its place in [`Audience::spoken`].
    pub(super) slot: usize,
    pub(super) payloads: Payloads,
    pub(super) linebreak: bool,
    pub(super) valid_only: bool,
}

/// Who hears of what: the subscriptions turned round, so that an event finds its streams without asking all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Audience {
    pub(super) ears: BTreeMap<Subject, Vec<Ear>>,
    /// Whether a stream was told something since its last heartbeat.
    pub(super) spoken: Vec<bool>,
    slots: BTreeMap<Arc<str>, usize>,
}

/// A fact on its way to its owner's account stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) due: UtcNanos,
    pub(super) user: String,
    pub(super) account: String,
    pub(super) text: String,
}

/// Why a stream was not attached. Its text goes out as the last frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The message is not what a client sends first.
    #[error("{{\"error\":\"invalid subscription\"}}")]
    Message,
    /// No payload of that name.
    #[error("{{\"error\":\"invalid filter\"}}")]
    Filter,
    /// More symbols than one stream carries.
    #[error("{{\"error\":\"too many symbols\"}}")]
    Symbols,
    /// No such session, or of the other stream, or older than five minutes.
    #[error("{{\"error\":\"session not found\"}}")]
    Session,
}

impl Sandbox {
    pub(super) fn new_stream(&mut self, user: &str, kind: StreamKind) -> String {
        self.forget_old_sessions();
        let seed = self.rules.seed.to_le_bytes();
        let id = uuid(&[b"stream", &seed, &self.next_session.to_le_bytes(), user.as_bytes()]);
        self.next_session = self.next_session.saturating_add(1);
        let session = StreamSession {
            kind,
            user: user.to_owned(),
            created: self.now,
            attached: false,
            wants: Wants::default(),
        };
        self.streams.insert(id.clone(), session);
        self.touch();
        id
    }

    /// Opens a stream session for the user behind `token`, as the request for one would; `None` for an unknown token.
    pub fn open_stream(&mut self, token: &Token, kind: StreamKind, now: UtcNanos) -> Option<String> {
        self.advance(now);
        let user = self.user_of(token)?.id.clone();
        Some(self.new_stream(&user, kind))
    }

    pub(super) fn stream_url(&self, kind: StreamKind) -> String {
        format!("{}{}", self.stream_base, kind.path())
    }

    /// Connects a stream by its client's first message, or changes its subscription by a later one. The user's older
    /// stream of the same kind ends.
    ///
    /// # Errors
    /// [`AttachError`]; its text is the frame to send before closing.
    pub fn attach(&mut self, now: UtcNanos, kind: StreamKind, message: &str) -> Result<String, AttachError> {
        let ask: Subscription = serde_json::from_str(message).map_err(|_| AttachError::Message)?;
        self.subscribe(now, kind, &ask)
    }

    /// Connects a stream over HTTP by its request's parameters.
    ///
    /// # Errors
    /// As [`Self::attach`].
    pub fn attach_http(
        &mut self,
        now: UtcNanos,
        kind: StreamKind,
        params: &[(String, String)],
    ) -> Result<String, AttachError> {
        self.subscribe(now, kind, &Subscription::of_params(params))
    }

    fn subscribe(
        &mut self,
        now: UtcNanos,
        kind: StreamKind,
        ask: &Subscription,
    ) -> Result<String, AttachError> {
        self.advance(now);
        let id = ask.sessionid.as_str();
        let now = self.now;
        let found = self.streams.get(id).filter(|it| it.kind == kind);
        let session = found.filter(|it| it.attached || now.since(it.created) <= LIFE);
        let (user, first) = session.map(|it| (it.user.clone(), !it.attached)).ok_or(AttachError::Session)?;
        let wants = ask.wants(kind)?;
        self.streams.retain(|other, it| other == id || it.user != user || it.kind != kind || !it.attached);
        let mut fresh = Vec::new();
        if let Some(session) = self.streams.get_mut(id) {
            fresh.extend(wants.subjects.difference(&session.wants.subjects).copied());
            session.attached = true;
            session.wants = wants;
        }
        self.rebuild_audience();
        if first {
            self.schedule(now.plus(HEARTBEAT), Action::Heartbeat(id.to_owned()));
        }
        for subject in fresh {
            self.greet(id, subject);
        }
        self.touch();
        Ok(ask.sessionid.clone())
    }

    /// Ends a stream whose connection is gone. Frames not yet taken are lost, as on the wire; its session can be used
    /// again until it is five minutes old.
    pub fn detach(&mut self, session: &str) {
        if let Some(it) = self.streams.get_mut(session)
            && it.attached
        {
            it.attached = false;
            it.wants = Wants::default();
            self.forget_old_sessions();
            self.rebuild_audience();
            self.touch();
        }
        self.frames.retain(|frame| *frame.session != *session);
    }

    /// Whether a stream is connected; a newer one of its user ends it.
    pub fn is_attached(&self, session: &str) -> bool {
        self.streams.get(session).is_some_and(|it| it.attached)
    }

    pub(super) fn detach_all(&mut self) {
        for session in self.streams.values_mut() {
            session.attached = false;
        }
        self.forget_old_sessions();
        self.rebuild_audience();
        self.frames.clear();
    }

    /// Never connected, or not any more, and too old to be: nobody will be let in by them again.
    fn forget_old_sessions(&mut self) {
        let now = self.now;
        self.streams.retain(|_, it| it.attached || now.since(it.created) <= LIFE);
    }

    fn rebuild_audience(&mut self) {
        let mut audience = Audience::default();
        let listening = |it: &&StreamSession| it.attached && it.kind == StreamKind::Market;
        for (id, session) in self.streams.iter().filter(|(_, it)| listening(it)) {
            let slot = audience.spoken.len();
            let id: Arc<str> = Arc::from(id.as_str());
            let before = self.audience.slots.get(&id).and_then(|it| self.audience.spoken.get(*it));
            audience.spoken.push(before.copied().unwrap_or(false));
            for subject in &session.wants.subjects {
                audience.ears.entry(*subject).or_default().push(Ear {
                    session: Arc::clone(&id),
                    slot,
                    payloads: session.wants.payloads,
                    linebreak: session.wants.linebreak,
                    valid_only: session.wants.valid_only,
                });
            }
            audience.slots.insert(id, slot);
        }
        self.audience = audience;
    }

    /// What is to be sent now, in order.
    pub fn take_frames(&mut self) -> Vec<Frame> {
        self.frames.drain(..).collect()
    }

    /// Whether an account stream of `user` is connected.
    pub(super) fn listens(&self, user: &str) -> bool {
        self.streams.values().any(|it| it.attached && it.kind == StreamKind::Account && it.user == user)
    }

    pub(super) fn release_notices(&mut self) {
        while self.notices.front().is_some_and(|it| it.due <= self.now) {
            let Some(notice) = self.notices.pop_front() else { break };
            let text: Arc<str> = Arc::from(notice.text.as_str());
            for (id, session) in &self.streams {
                let wants = session.attached
                    && session.kind == StreamKind::Account
                    && session.user == notice.user
                    && !session.wants.excluded.contains(&notice.account);
                if !wants {
                    continue;
                }
                let text = if session.wants.linebreak { broken(&text) } else { Arc::clone(&text) };
                self.frames.push_back(Frame { session: Arc::from(id.as_str()), text });
            }
        }
    }

    pub(super) fn heartbeat(&mut self, session: &str) {
        let Some(stream) = self.streams.get(session).filter(|it| it.attached) else { return };
        let text = match stream.kind {
            StreamKind::Account => {
                Some(format!(r#"{{"event":"heartbeat","status":"active","timestamp":"{}"}}"#, self.now))
            }
            StreamKind::Market => {
                let slot = self.audience.slots.get(session);
                let spoken = slot.and_then(|it| self.audience.spoken.get_mut(*it));
                let quiet = !spoken.map(std::mem::take).unwrap_or(false);
                quiet.then(|| {
                    format!(r#"{{"type":"heartbeat","status":"active","timestamp":"{}"}}"#, self.now)
                })
            }
        };
        if let Some(text) = text {
            let text: Arc<str> = Arc::from(text);
            let text = if stream.wants.linebreak { broken(&text) } else { text };
            self.frames.push_back(Frame { session: Arc::from(session), text });
        }
        self.schedule(self.now.plus(HEARTBEAT), Action::Heartbeat(session.to_owned()));
    }
}

/// A text with the line break that ends a payload.
pub(super) fn broken(text: &str) -> Arc<str> {
    Arc::from([text, "\n"].concat())
}
