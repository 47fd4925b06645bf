//! Bugs planted at the lines they break, to prove that the simulator finds them. Without the feature `planted`, which no
//! package is built with, none is ever there and the compiler removes them.

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is named for what it does")]
pub enum Bug {
    RetryPost,
    RepostWhenNotFound,
    NoCompareAndSet,
    KillSwitchOutside,
    EntryAgeUnchecked,
    SignalFromDecision,
    GatesBeforeReads,
    BoundIgnored,
    OffTheGrid,
    MarketOrder,
    SellToOpen,
    PartialFillDropped,
    AverageKept,
    ChargedOnce,
    SettlementDropped,
    LateNotBooked,
    ForeignFlattened,
    OutboxLost,
    NobodyPaged,
    FollowUpNotStepped,
    CloseWithoutMark,
    CancelOfForeign,
    FlattenNeverEnds,
    CancelTrusted,
    UntaggedOrder,
    WingFirst,
    ImbalanceKept,
    FlattenOnce,
    Unprotected,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::RetryPost,
        Self::RepostWhenNotFound,
        Self::NoCompareAndSet,
        Self::KillSwitchOutside,
        Self::EntryAgeUnchecked,
        Self::SignalFromDecision,
        Self::GatesBeforeReads,
        Self::BoundIgnored,
        Self::OffTheGrid,
        Self::MarketOrder,
        Self::SellToOpen,
        Self::PartialFillDropped,
        Self::AverageKept,
        Self::ChargedOnce,
        Self::SettlementDropped,
        Self::LateNotBooked,
        Self::ForeignFlattened,
        Self::OutboxLost,
        Self::NobodyPaged,
        Self::FollowUpNotStepped,
        Self::CloseWithoutMark,
        Self::CancelOfForeign,
        Self::FlattenNeverEnds,
        Self::CancelTrusted,
        Self::UntaggedOrder,
        Self::WingFirst,
        Self::ImbalanceKept,
        Self::FlattenOnce,
        Self::Unprotected,
    ];
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether `bug` is planted on this thread.
#[cfg(feature = "planted")]
pub fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Never.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}

/// Plants a bug on this thread, or none.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}
