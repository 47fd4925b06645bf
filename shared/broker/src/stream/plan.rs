//! What to do next about a stream: open a session, connect, subscribe, tell of the gap, listen, wait.

use std::time::Duration;

use super::{StreamKind, Waits};
use crate::rows::StreamSession;

/// Time since the follower began; any steady clock will do.
type At = Duration;

/// How patient a follower is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// A connection is up by then or not at all.
    pub connected_within: Duration,
    /// Heartbeats come each minute: a stream silent for longer than two of them is dead.
    pub silence_max: Duration,
    /// How long after it was asked for a session is used: shorter than the five minutes it lives.
    pub session_life: Duration,
    /// A stream that brought data and lived this long is stable: the next failure starts the waits anew.
    pub stable_after: Duration,
    /// The wait before a new connection: the first and the longest.
    pub wait: (Duration, Duration),
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            connected_within: Duration::from_secs(10),
            silence_max: Duration::from_secs(150),
            session_life: Duration::from_secs(290),
            stable_after: Duration::from_secs(30),
            wait: (Duration::from_millis(500), Duration::from_secs(60)),
        }
    }
}

/// What is listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// Orders of the token's accounts.
    Orders,
    /// These symbols.
    Symbols(Vec<String>),
}

impl Subscription {
    /// Which stream it is of.
    pub const fn kind(&self) -> StreamKind {
        match self {
            Self::Orders => StreamKind::Account,
            Self::Symbols(_) => StreamKind::Market,
        }
    }

    /// The message that asks for it. It is the whole subscription, never a change to one.
    fn message(&self, session_id: &str) -> String {
        match self {
            Self::Orders => serde_json::json!({
                "events": ["order"], "sessionid": session_id, "excludeAccounts": []
            }),
            Self::Symbols(symbols) => {
                // The broker wants at least one symbol.
                let nothing = ["$empty$".to_owned()];
                let symbols: &[String] = if symbols.is_empty() { &nothing } else { symbols };
                serde_json::json!({
                    "symbols": symbols, "sessionid": session_id, "filter": ["quote", "trade", "summary", "timesale"],
                    "linebreak": true, "validOnly": true, "advancedDetails": false
                })
            }
        }
        .to_string()
    }
}

/// A stretch in which nothing was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When the stream was last heard; `None` before the first connection: everything is unknown.
    pub since: Option<At>,
    /// When the new one was subscribed.
    pub until: At,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// No session.
    #[error("no session: {0}")]
    Session(String),
    /// No connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// The broker closed it.
    #[error("the broker closed it")]
    Closed,
    /// The broker said why.
    #[error("the broker ended it: {0}")]
    Told(String),
    /// It broke.
    #[error("it broke: {0}")]
    Broke(String),
    /// Nothing came.
    #[error("silent for {0:?}")]
    Silent(Duration),
    /// What was missed could not be read.
    #[error("what was missed could not be read: {0}")]
    Unread(String),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing before then. No connection is held.
    Wait(At),
    /// Ask for a session, then [`StreamPlan::opened`]. A connection that is held is kept.
    OpenSession,
    /// Connect to this address until then, then [`StreamPlan::connected`].
    Connect(String, At),
    /// Send this, then [`StreamPlan::sent`].
    Send(String),
    /// Read what was missed, then [`StreamPlan::told`].
    Tell(Gap),
    /// Listen until then; [`StreamPlan::heard`], or [`StreamPlan::on_time`] when nothing came.
    Listen(At),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting { until: At },
    Opening,
    Connecting { since: At, session: Pass },
    Subscribing { session: Pass },
    Telling { session: Pass, gap: Gap },
    Live(Live),
}

/// A connection that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Live {
    session: Pass,
    subscribed_at: At,
    heard_at: At,
    /// Something came that only a stream that is served brings.
    good: bool,
    /// The subscription is out of date.
    change: bool,
    /// A session is being opened for it.
    renewing: bool,
    /// Not before then is another session asked for.
    renew_after: At,
}

/// A session and when it was asked for.
#[derive(Clone, PartialEq, Eq)]
struct Pass {
    session: StreamSession,
    asked_at: At,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pass({:?})", self.asked_at)
    }
}

/// Follows one stream. Ask [`StreamPlan::next`], do it, say what came of it, ask again.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    subscription: Subscription,
    limits: StreamLimits,
    waits: Waits,
    state: State,
    asked_at: At,
    /// When the stream was last heard, over all connections.
    last_heard: Option<At>,
}

impl StreamPlan {
    /// A stream nobody is connected to yet.
    pub const fn new(subscription: Subscription, limits: StreamLimits) -> Self {
        Self {
            subscription,
            limits,
            waits: Waits::new(limits.wait.0, limits.wait.1),
            state: State::Waiting { until: Duration::ZERO },
            asked_at: Duration::ZERO,
            last_heard: None,
        }
    }

    /// Which stream it is.
    pub const fn kind(&self) -> StreamKind {
        self.subscription.kind()
    }

    /// Whether a connection is held.
    pub const fn is_connected(&self) -> bool {
        match self.state {
            State::Waiting { .. } | State::Opening | State::Connecting { .. } => false,
            State::Subscribing { .. } | State::Telling { .. } | State::Live(_) => true,
        }
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: At) -> Next {
        match &mut self.state {
            State::Waiting { until } if now < *until => Next::Wait(*until),
            State::Waiting { .. } => {
                self.state = State::Opening;
                self.asked_at = now;
                Next::OpenSession
            }
            State::Opening => Next::OpenSession,
            State::Connecting { since, session } => {
                // A session that grew old before its connection was up is not used: the broker would end the stream.
                if now.saturating_sub(session.asked_at) >= self.limits.session_life {
                    self.state = State::Opening;
                    self.asked_at = now;
                    return Next::OpenSession;
                }
                Next::Connect(session.session.url.clone(), since.saturating_add(self.limits.connected_within))
            }
            State::Subscribing { session } => {
                Next::Send(self.subscription.message(&session.session.session_id))
            }
            State::Telling { gap, .. } => Next::Tell(*gap),
            State::Live(live) => {
                let silent_at = live.heard_at.saturating_add(self.limits.silence_max);
                if !live.change {
                    return Next::Listen(silent_at);
                }
                if now.saturating_sub(live.session.asked_at) < self.limits.session_life {
                    live.renewing = false;
                    return Next::Send(self.subscription.message(&live.session.session.session_id));
                }
                if live.renewing || now >= live.renew_after {
                    if !live.renewing {
                        live.renewing = true;
                        self.asked_at = now;
                    }
                    return Next::OpenSession;
                }
                Next::Listen(silent_at.min(live.renew_after))
            }
        }
    }

    /// A session was opened, or was not.
    pub fn opened(&mut self, now: At, session: Result<StreamSession, String>) -> Option<Ended> {
        let asked_at = self.asked_at;
        match (&mut self.state, session) {
            (State::Live(live), Ok(session)) => {
                live.session = Pass { session, asked_at };
                live.renewing = false;
                None
            }
            // The connection serves the old subscription until there is a session for the new one.
            (State::Live(live), Err(_)) => {
                live.renewing = false;
                live.renew_after = now.saturating_add(self.waits.failed());
                None
            }
            (_, Ok(session)) => {
                self.state = State::Connecting { since: now, session: Pass { session, asked_at } };
                None
            }
            (_, Err(why)) => Some(self.ended(now, Ended::Session(why))),
        }
    }

    /// The connection is up.
    pub fn connected(&mut self, _now: At) {
        if let State::Connecting { session, .. } = &self.state {
            self.state = State::Subscribing { session: session.clone() };
        }
    }

    /// The message left.
    pub fn sent(&mut self, now: At) {
        match &mut self.state {
            State::Subscribing { session } => {
                let gap = Gap { since: self.last_heard, until: now };
                self.state = State::Telling { session: session.clone(), gap };
            }
            State::Live(live) => live.change = false,
            State::Waiting { .. } | State::Opening | State::Connecting { .. } | State::Telling { .. } => {}
        }
    }

    /// What was missed is read.
    pub fn told(&mut self, now: At) {
        if let State::Telling { session, gap } = &self.state {
            self.state = State::Live(Live {
                session: session.clone(),
                subscribed_at: gap.until,
                heard_at: now,
                good: false,
                change: false,
                renewing: false,
                renew_after: Duration::ZERO,
            });
        }
    }

    /// A frame came. `good` says that it held what only a stream that is served brings: an event or a heartbeat.
    /// `error` is the broker's word for why it ends the stream.
    pub fn heard(&mut self, now: At, good: bool, error: Option<&str>) -> Option<Ended> {
        if let Some(error) = error {
            return Some(self.ended(now, Ended::Told(error.to_owned())));
        }
        if let State::Live(live) = &mut self.state {
            live.heard_at = now;
            live.good |= good;
            self.last_heard = Some(now);
        }
        None
    }

    /// Time passed and nothing came.
    pub fn on_time(&mut self, now: At) -> Option<Ended> {
        let State::Live(live) = &self.state else { return None };
        let silence = now.saturating_sub(live.heard_at);
        (silence >= self.limits.silence_max).then(|| self.ended(now, Ended::Silent(silence)))
    }

    /// The connection ended, or never came up. The next one waits a little longer than the last, unless this one was
    /// stable.
    pub fn ended(&mut self, now: At, why: Ended) -> Ended {
        if let State::Live(live) = &self.state
            && live.good
            && now.saturating_sub(live.subscribed_at) >= self.limits.stable_after
        {
            self.waits.worked();
        }
        self.state = State::Waiting { until: now.saturating_add(self.waits.failed()) };
        why
    }

    /// Listens to these symbols from now on. Nothing is sent while they are the ones listened to already.
    pub fn subscribe(&mut self, subscription: Subscription) {
        if subscription.kind() == self.kind() && subscription != self.subscription {
            self.subscription = subscription;
            match &mut self.state {
                State::Live(live) => live.change = true,
                // It was sent with the old ones: send it again before anything is told.
                State::Telling { session, .. } => {
                    self.state = State::Subscribing { session: session.clone() }
                }
                State::Waiting { .. }
                | State::Opening
                | State::Connecting { .. }
                | State::Subscribing { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
