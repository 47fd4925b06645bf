//! Queues, secrets, notes and clocks that fail.

use std::rc::Rc;
use std::time::Duration;

use domain::account::{AccountRef, BrokerCredential};
use domain::ids::{AccountId, UserId};
use domain::ports::{
    Clock, Message, NoteError, OwnedNote, OwnedNotes, Queue, SecretError, Secrets, SendError, Sender,
};
use domain::time::UtcNanos;

use super::{Peril, Perils, Port};

/// A clock that is as far off as the process whose calls follow.
#[derive(Debug, Clone)]
pub struct SkewedClock<C> {
    inner: C,
    perils: Rc<Perils>,
}

impl<C> SkewedClock<C> {
    /// Over the true time.
    pub const fn new(inner: C, perils: Rc<Perils>) -> Self {
        Self { inner, perils }
    }

    /// The true time.
    pub const fn inner(&self) -> &C {
        &self.inner
    }
}

impl<C: Clock> Clock for SkewedClock<C> {
    fn now(&self) -> UtcNanos {
        UtcNanos(self.inner.now().0.saturating_add(self.perils.running().skew_ns))
    }
}

/// A way to the queues whose every call may meet a peril.
#[derive(Debug)]
pub struct PerilousSender<Q> {
    inner: Rc<Q>,
    perils: Rc<Perils>,
}

impl<Q> PerilousSender<Q> {
    /// Over `inner`.
    pub const fn new(inner: Rc<Q>, perils: Rc<Perils>) -> Self {
        Self { inner, perils }
    }
}

impl<Q: Sender> Sender for PerilousSender<Q> {
    async fn send(&self, queue: Queue, message: &Message, delay: Duration) -> Result<(), SendError> {
        let peril = self.perils.enter("send", Port::Other).await;
        let failed = |why: &str| Err(SendError { queue: queue.as_str(), why: why.to_owned() });
        if queue == Queue::Alerts && self.perils.are_alerts_down.get() {
            return failed("the alert channel is down");
        }
        if peril.is_some_and(|it| it.0 == Peril::LostBefore) {
            return failed("no answer");
        }
        let sent = self.inner.send(queue, message, delay).await;
        self.perils.leave(peril).await;
        if peril.is_some_and(|it| it.0 == Peril::LostAfter) {
            return failed("the answer was lost");
        }
        sent
    }
}

/// Secrets whose every call may meet a peril.
#[derive(Debug)]
pub struct PerilousSecrets<S> {
    inner: Rc<S>,
    perils: Rc<Perils>,
}

impl<S> PerilousSecrets<S> {
    /// Over `inner`.
    pub const fn new(inner: Rc<S>, perils: Rc<Perils>) -> Self {
        Self { inner, perils }
    }
}

macro_rules! perilous {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty, $error:expr;)*) => {
        $(async fn $name(&self, $($argument: $type),*) -> $answer {
            let peril = self.perils.enter(stringify!($name), Port::Other).await;
            if peril.is_some_and(|it| it.0 == Peril::LostBefore) {
                return Err($error("no answer".to_owned()));
            }
            let answer = self.inner.$name($($argument),*).await;
            self.perils.leave(peril).await;
            if peril.is_some_and(|it| it.0 == Peril::LostAfter) {
                return Err($error("the answer was lost".to_owned()));
            }
            answer
        })*
    };
}

impl<S: Secrets> Secrets for PerilousSecrets<S> {
    perilous! {
        credential(user: UserId, account: AccountId) -> Result<BrokerCredential, SecretError>, SecretError::Unavailable;
        all_credentials() -> Result<Vec<BrokerCredential>, SecretError>, SecretError::Unavailable;
        put(credential: &BrokerCredential) -> Result<String, SecretError>, SecretError::Unavailable;
        remove(user: UserId, account: AccountId) -> Result<(), SecretError>, SecretError::Unavailable;
    }
}

/// Notes whose every call may meet a peril.
#[derive(Debug)]
pub struct PerilousNotes<N> {
    inner: Rc<N>,
    perils: Rc<Perils>,
}

impl<N> PerilousNotes<N> {
    /// Over `inner`.
    pub const fn new(inner: Rc<N>, perils: Rc<Perils>) -> Self {
        Self { inner, perils }
    }
}

/// The operations of the notes are called like others: their sites are named for what they hold.
impl<N: OwnedNotes> OwnedNotes for PerilousNotes<N> {
    async fn put(&self, note: &OwnedNote) -> Result<(), NoteError> {
        let peril = self.perils.enter("put_note", Port::Other).await;
        if peril.is_some_and(|it| it.0 == Peril::LostBefore) {
            return Err(NoteError("no answer".to_owned()));
        }
        let put = self.inner.put(note).await;
        self.perils.leave(peril).await;
        if peril.is_some_and(|it| it.0 == Peril::LostAfter) {
            return Err(NoteError("the answer was lost".to_owned()));
        }
        put
    }

    async fn get(&self, account: &AccountRef) -> Result<Option<OwnedNote>, NoteError> {
        let peril = self.perils.enter("get_note", Port::Other).await;
        if peril.is_some_and(|it| matches!(it.0, Peril::LostBefore | Peril::LostAfter)) {
            return Err(NoteError("no answer".to_owned()));
        }
        let note = self.inner.get(account).await;
        self.perils.leave(peril).await;
        note
    }

    async fn claim(&self, account: &AccountRef, what: &str, with_books: bool) -> Result<bool, NoteError> {
        let peril = self.perils.enter("claim_note", Port::Other).await;
        if peril.is_some_and(|it| it.0 == Peril::LostBefore) {
            return Err(NoteError("no answer".to_owned()));
        }
        let claimed = self.inner.claim(account, what, with_books).await;
        self.perils.leave(peril).await;
        if peril.is_some_and(|it| it.0 == Peril::LostAfter) {
            return Err(NoteError("the answer was lost".to_owned()));
        }
        claimed
    }
}
