//! Keeps time order: events of an index and its proxy in, each second's bars of both out, together and in order.
//!
//! An event is held until the tape has seen another one [`LATENESS_NS`] later, so what is late by no more than that takes
//! its own place in its own bar, whatever the order of arrival. A second ends for both symbols when event time
//! passes its end by the lateness window.

use std::collections::VecDeque;

use domain::calendar::Session;
use domain::market::{MarketEvent, Microbar, Quote, SourceProfile, Trade};
use domain::symbol::Underlying;
use domain::time::{NANOS_PER_MILLI, NANOS_PER_SEC, UtcNanos};
use serde::{Deserialize, Serialize};

use super::fold::{Fold, FoldRules};

/// How late an event may be.
pub const LATENESS_NS: i64 = 250 * NANOS_PER_MILLI;
/// A feed silent for longer has a gap, unless one step of its source is longer.
pub const SILENCE_NS: i64 = 5 * NANOS_PER_SEC;
/// Events held at most; beyond it the oldest goes on early, counted.
pub const HELD_MAX: usize = 65_536;
/// Events further from the session than this belong to another day.
const DAY_MARGIN_NS: i64 = 12 * 3_600 * NANOS_PER_SEC;

/// What the tape needs to know of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapeRules {
    /// The index.
    pub index: Underlying,
    /// Whose volume and quotes stand in for the index's.
    pub proxy: Option<Underlying>,
    /// The session.
    pub session: Session,
    /// Silence longer than this is a gap.
    pub silence_ns: i64,
    /// Whether a missing sequence number is a gap.
    pub contiguous: bool,
    /// How the index is folded.
    pub index_fold: FoldRules,
    /// How the proxy is folded.
    pub proxy_fold: FoldRules,
}

impl TapeRules {
    /// The rules for a source; `quotes` is the switch `MICROSTRUCTURE_QUOTES_ENABLED`.
    pub fn of(source: &SourceProfile, quotes: bool) -> Self {
        Self {
            index: source.index,
            proxy: source.proxy,
            session: source.session,
            silence_ns: SILENCE_NS.max(source.resolution_ns),
            contiguous: source.contiguous_sequence,
            index_fold: FoldRules::index(),
            proxy_fold: FoldRules::share(source.resolution_ns, quotes),
        }
    }
}

/// Events that entered no bar, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dropped {
    /// A print at 0 or below.
    pub bad_price: u64,
    /// Neither the index nor its proxy.
    pub unknown_symbol: u64,
    /// A sequence number seen before.
    pub duplicate: u64,
    /// Later than the lateness window.
    pub late: u64,
    /// Of another day.
    pub other_day: u64,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.bad_price + self.unknown_symbol + self.duplicate + self.late + self.other_day
    }
}

/// What went through the tape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TapeCounts {
    /// Prints of the index and the proxy taken.
    pub trades: u64,
    /// Their quotes taken.
    pub quotes: u64,
    /// What was dropped.
    pub dropped: Dropped,
    /// Prints outside the session: kept, flagged, not used by detectors.
    pub outside_session: u64,
    /// Bars closed.
    pub bars: u64,
    /// Gaps found.
    pub gaps: u64,
    /// Events that went on before their time because too many were held.
    pub released_early: u64,
}

/// The bars of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Its start.
    pub ts_open: UtcNanos,
    /// The index's bar, where it had a print.
    pub index: Option<Microbar>,
    /// The proxy's bar, where it had a print.
    pub proxy: Option<Microbar>,
    /// Whether it lies in the session. Detectors use no other.
    pub in_session: bool,
}

impl Second {
    /// Its end.
    pub fn end(&self) -> UtcNanos {
        UtcNanos(self.ts_open.0.saturating_add(NANOS_PER_SEC))
    }
}

/// How a gap was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// Nothing came.
    Silence,
    /// A sequence number is missing in a contiguous feed.
    Sequence,
}

/// What the tape hands on, in time order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "almost every item is a second; a box would allocate for each")]
pub enum TapeItem {
    /// A second ended.
    Second(Second),
    /// A feed has a gap since its last event.
    FeedGap {
        /// Whose.
        symbol: Underlying,
        /// Its last event before the gap.
        since: UtcNanos,
        /// How it was found.
        kind: GapKind,
    },
    /// The feed is back.
    Resumed {
        /// Whose.
        symbol: Underlying,
        /// Its first event after the gap.
        at: UtcNanos,
    },
}

/// The last 1,024 sequence numbers below the highest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Seen {
    highest: Option<u64>,
    bits: [u64; 16],
}

impl Seen {
    const WIDTH: u64 = 1_024;

    /// Notes `sequence`; false when it was noted before. Of numbers far below the highest nothing is known: their
    /// time decides.
    fn note(&mut self, sequence: u64) -> bool {
        match self.highest {
            Some(highest) if sequence <= highest => {
                if highest - sequence >= Self::WIDTH {
                    return true;
                }
            }
            Some(highest) => {
                if sequence - highest >= Self::WIDTH {
                    self.bits = [0; 16];
                } else {
                    (highest + 1..sequence).for_each(|it| self.set(it, false));
                    self.set(sequence, false);
                }
                self.highest = Some(sequence);
            }
            None => self.highest = Some(sequence),
        }
        let fresh = !self.get(sequence);
        self.set(sequence, true);
        fresh
    }

    fn get(&self, sequence: u64) -> bool {
        let at = sequence % Self::WIDTH;
        self.bits.get((at / 64) as usize).is_some_and(|word| (word >> (at % 64)) & 1 == 1)
    }

    fn set(&mut self, sequence: u64, on: bool) {
        let at = sequence % Self::WIDTH;
        if let Some(word) = self.bits.get_mut((at / 64) as usize) {
            let mask = 1 << (at % 64);
            *word = if on { *word | mask } else { *word & !mask };
        }
    }
}

/// One symbol on the tape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Feed {
    symbol: Underlying,
    fold: Fold,
    seen: Seen,
    /// Its last event that went on; the open at first, because silence counts from there.
    last: UtcNanos,
    last_sequence: Option<u64>,
    in_gap: bool,
}

impl Feed {
    fn new(symbol: Underlying, rules: FoldRules, open: UtcNanos) -> Self {
        Self {
            symbol,
            fold: Fold::new(rules),
            seen: Seen::default(),
            last: open,
            last_sequence: None,
            in_gap: false,
        }
    }
}

/// Whose event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Whose {
    Index,
    Proxy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Body {
    Trade(Trade),
    Quote(Quote),
}

/// An event held for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    ts: UtcNanos,
    whose: Whose,
    body: Body,
}

impl Held {
    /// Whether it goes after `earlier`: by time; of one instant quotes go first, for a print is joined with what stood
    /// before it, then prints by sequence number; else by arrival.
    fn follows(&self, earlier: &Self) -> bool {
        if self.ts != earlier.ts {
            return self.ts > earlier.ts;
        }
        match (&self.body, &earlier.body) {
            (Body::Quote(_), Body::Trade(_)) => false,
            (Body::Trade(_) | Body::Quote(_), Body::Quote(_)) => true,
            (Body::Trade(a), Body::Trade(b)) if self.whose == earlier.whose => {
                !matches!((a.sequence, b.sequence), (Some(a), Some(b)) if a < b)
            }
            (Body::Trade(_), Body::Trade(_)) => self.whose == Whose::Proxy,
        }
    }
}

/// The tape. See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tape {
    rules: TapeRules,
    index: Feed,
    proxy: Option<Feed>,
    held: VecDeque<Held>,
    /// The latest instant seen.
    watermark: UtcNanos,
    counts: TapeCounts,
}

impl Tape {
    /// An empty tape.
    pub fn new(rules: TapeRules) -> Self {
        let open = rules.session.open;
        Self {
            index: Feed::new(rules.index, rules.index_fold, open),
            proxy: rules.proxy.map(|it| Feed::new(it, rules.proxy_fold, open)),
            held: VecDeque::with_capacity(1_024),
            watermark: UtcNanos(open.0.saturating_sub(DAY_MARGIN_NS)),
            counts: TapeCounts::default(),
            rules,
        }
    }

    /// What went through.
    pub fn counts(&self) -> &TapeCounts {
        &self.counts
    }

    /// The latest instant seen.
    pub fn watermark(&self) -> UtcNanos {
        self.watermark
    }

    /// Nothing before this instant can change any more.
    pub fn frontier(&self) -> UtcNanos {
        UtcNanos(self.watermark.0.saturating_sub(LATENESS_NS))
    }

    /// When the open second can be closed at the earliest, for whoever moves the clock.
    pub fn next_due(&self) -> Option<UtcNanos> {
        let open = self.open_until().into_iter();
        let held = self.held.front().map(|it| it.ts.floor_to(NANOS_PER_SEC).0.saturating_add(NANOS_PER_SEC));
        open.chain(held).min().map(|it| UtcNanos(it.saturating_add(LATENESS_NS)))
    }

    /// Takes an event; what it completes goes to `out`. Quotes of options only tell the time.
    pub fn push(&mut self, event: &MarketEvent, out: &mut Vec<TapeItem>) {
        let ts = event.ts();
        let session = self.rules.session;
        if ts.0 < session.open.0.saturating_sub(DAY_MARGIN_NS)
            || ts.0 > session.close.0.saturating_add(DAY_MARGIN_NS)
        {
            self.counts.dropped.other_day += 1;
            return;
        }
        if let Some(held) = self.admit(event) {
            self.hold(held);
        }
        if ts > self.watermark {
            self.watermark = ts;
        }
        self.release(out);
    }

    /// Time went on without an event.
    pub fn pass_time(&mut self, now: UtcNanos, out: &mut Vec<TapeItem>) {
        if now > self.watermark {
            self.watermark = now;
        }
        self.release(out);
    }

    /// Whether and how an event enters; counts it if not.
    fn admit(&mut self, event: &MarketEvent) -> Option<Held> {
        let (symbol, ts, body) = match event {
            MarketEvent::Trade(symbol, it) => (symbol, it.ts, Body::Trade(*it)),
            MarketEvent::Quote(symbol, it) => (symbol, it.ts, Body::Quote(*it)),
            MarketEvent::OptionQuote(..) => return None,
        };
        let frontier = self.frontier();
        let counts = &mut self.counts;
        let (whose, feed) = if *symbol == self.index.symbol {
            (Whose::Index, &mut self.index)
        } else if let Some(proxy) = self.proxy.as_mut().filter(|it| it.symbol == *symbol) {
            (Whose::Proxy, proxy)
        } else {
            counts.dropped.unknown_symbol += 1;
            return None;
        };
        if let Body::Trade(trade) = &body {
            if trade.price.0 <= 0 {
                counts.dropped.bad_price += 1;
                return None;
            }
            if trade.sequence.is_some_and(|it| !feed.seen.note(it)) {
                counts.dropped.duplicate += 1;
                return None;
            }
        }
        if ts < frontier {
            counts.dropped.late += 1;
            return None;
        }
        match &body {
            Body::Trade(_) => counts.trades += 1,
            Body::Quote(_) => counts.quotes += 1,
        }
        if !self.rules.session.holds(ts) && matches!(body, Body::Trade(_)) {
            counts.outside_session += 1;
        }
        Some(Held { ts, whose, body })
    }

    fn hold(&mut self, event: Held) {
        let mut at = self.held.len();
        while at > 0 && self.held.get(at - 1).is_some_and(|earlier| !event.follows(earlier)) {
            at -= 1;
        }
        if at == self.held.len() {
            self.held.push_back(event);
        } else {
            self.held.insert(at, event);
        }
    }

    /// Lets everything before the frontier go on.
    fn release(&mut self, out: &mut Vec<TapeItem>) {
        let frontier = self.frontier();
        while let Some(event) = self.held.front().copied() {
            if event.ts >= frontier {
                if self.held.len() <= HELD_MAX {
                    break;
                }
                self.counts.released_early += 1;
            }
            self.held.pop_front();
            self.advance(event.ts, out);
            self.fold(&event, out);
        }
        self.advance(frontier, out);
    }

    fn fold(&mut self, event: &Held, out: &mut Vec<TapeItem>) {
        let feed = match event.whose {
            Whose::Index => &mut self.index,
            Whose::Proxy => match &mut self.proxy {
                Some(proxy) => proxy,
                None => return,
            },
        };
        if feed.in_gap {
            feed.in_gap = false;
            out.push(TapeItem::Resumed { symbol: feed.symbol, at: event.ts });
        }
        // `advance` closed what ended before this event, so nothing comes back from the fold here.
        match &event.body {
            Body::Quote(quote) => _ = feed.fold.quote(quote),
            Body::Trade(trade) => {
                _ = feed.fold.trade(trade);
                if let Some(sequence) = trade.sequence {
                    let missing = feed.last_sequence.is_some_and(|it| sequence > it.saturating_add(1));
                    if self.rules.contiguous && missing {
                        self.counts.gaps += 1;
                        let (symbol, since) = (feed.symbol, feed.last);
                        out.push(TapeItem::FeedGap { symbol, since, kind: GapKind::Sequence });
                        out.push(TapeItem::Resumed { symbol, at: event.ts });
                    }
                    feed.last_sequence = feed.last_sequence.max(Some(sequence));
                }
            }
        }
        feed.last = feed.last.max(event.ts);
    }

    /// Ends the second and finds the silences that lie before `now`, in order of time, so that the result does not
    /// depend on how often time is told.
    fn advance(&mut self, now: UtcNanos, out: &mut Vec<TapeItem>) {
        loop {
            let ends = self.open_until().unwrap_or(i64::MAX);
            let silent = self.silent_from();
            if ends <= now.0 && ends <= silent {
                let at = UtcNanos(ends);
                let index = self.index.fold.close(at);
                let proxy = self.proxy.as_mut().and_then(|it| it.fold.close(at));
                let ts_open = UtcNanos(ends.saturating_sub(NANOS_PER_SEC));
                self.counts.bars += u64::from(index.is_some()) + u64::from(proxy.is_some());
                let in_session = self.rules.session.holds(ts_open);
                out.push(TapeItem::Second(Second { ts_open, index, proxy, in_session }));
            } else if silent < now.0 {
                self.note_silence(silent, out);
            } else {
                return;
            }
        }
    }

    /// End of the open second.
    fn open_until(&self) -> Option<i64> {
        let proxy = self.proxy.as_ref().and_then(|it| it.fold.open_until());
        self.index.fold.open_until().into_iter().chain(proxy).map(|it| it.0).min()
    }

    /// The instant after which the first feed that is not in a gap yet counts as silent.
    fn silent_from(&self) -> i64 {
        let limit = |feed: &Feed| {
            let at = feed.last.0.saturating_add(self.rules.silence_ns);
            if feed.in_gap || at >= self.rules.session.close.0 { i64::MAX } else { at }
        };
        limit(&self.index).min(self.proxy.as_ref().map_or(i64::MAX, limit))
    }

    fn note_silence(&mut self, silent: i64, out: &mut Vec<TapeItem>) {
        for feed in std::iter::once(&mut self.index).chain(self.proxy.as_mut()) {
            if !feed.in_gap && feed.last.0.saturating_add(self.rules.silence_ns) == silent {
                feed.in_gap = true;
                self.counts.gaps += 1;
                out.push(TapeItem::FeedGap { symbol: feed.symbol, since: feed.last, kind: GapKind::Silence });
            }
        }
    }
}
