//! Which peril a call meets: drawn with given chances, or read from a script.

use std::collections::BTreeMap;

/// A place at which a port is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// The use case.
    pub actor: &'static str,
    /// The operation of the port.
    pub operation: &'static str,
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.actor, self.operation)
    }
}

/// What kind of port is called: not every peril happens to every port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// The books, reading or writing.
    Ledger,
    /// The books: the mark that allows a request.
    Mark,
    /// The broker: placing an order.
    Place,
    /// The broker: changing or cancelling one.
    Change,
    /// The broker: reading quotes.
    Quotes,
    /// The broker: any other read.
    Read,
    /// Queues, secrets, notes.
    Other,
    /// A message inside a queue.
    Letter,
    /// A frame of an account stream.
    Frame,
    /// A schedule.
    Timer,
    /// A chain as it is listed.
    Chain,
}

/// What can happen to one call of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peril {
    /// The process dies before the effect (FLT9).
    KillBefore,
    /// The process dies after the effect (FLT9).
    KillAfter,
    /// The process stands still before the effect, maybe past the visibility time-out (FLT10).
    FreezeBefore,
    /// The process stands still after the effect (FLT10).
    FreezeAfter,
    /// Somebody else's turn comes first (FLT7, FLT28).
    Yield,
    /// The connection breaks before the effect (FLT12; for a queue or a store, no answer).
    LostBefore,
    /// The connection breaks after the effect (FLT12).
    LostAfter,
    /// The request is lost (FLT1).
    RequestLost,
    /// The answer is lost (FLT2).
    AnswerLost,
    /// The answer is cut off (FLT2).
    HalfAnswer,
    /// The request arrives long after its sender gave up (FLT3).
    LateArrival,
    /// A server error after the effect (FLT4).
    ErrorAfterEffect,
    /// A server error without the effect (FLT4).
    ErrorWithoutEffect,
    /// A refusal in the body of a success (FLT5).
    BodyErrors,
    /// Too many requests, says the gateway (FLT6).
    TooMany,
    /// The answer takes seconds, so that events come first (FLT16).
    SlowAnswer,
    /// The market comes to the order at the same moment (FLT17).
    Race,
    /// The quotes are crossed, zero, old or another instrument's (FLT23).
    BadQuote,
    /// A message is lost (FLT30).
    LetterLost,
    /// A message is delivered twice (FLT7).
    LetterTwice,
    /// A message comes late, after younger ones (FLT8).
    LetterLate,
    /// The stream drops a frame (FLT15).
    FrameLost,
    /// The stream repeats a frame (FLT16).
    FrameTwice,
    /// A schedule is missed (FLT22).
    TimerLost,
    /// A schedule fires twice (FLT22).
    TimerTwice,
    /// A schedule fires a minute late (FLT22).
    TimerLate,
    /// The member's token is revoked as the order leaves (FLT25).
    TokenRefused,
    /// The operator flips the switch between a decision and its mark (FLT28).
    SwitchFlips,
    /// Strikes are missing from a chain (FLT24).
    StrikesMissing,
    /// Series of another root, settled in the morning, stand in the chain beside ours (FLT34).
    OtherRoots,
}

impl Peril {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::KillBefore,
        Self::KillAfter,
        Self::FreezeBefore,
        Self::FreezeAfter,
        Self::Yield,
        Self::LostBefore,
        Self::LostAfter,
        Self::RequestLost,
        Self::AnswerLost,
        Self::HalfAnswer,
        Self::LateArrival,
        Self::ErrorAfterEffect,
        Self::ErrorWithoutEffect,
        Self::BodyErrors,
        Self::TooMany,
        Self::SlowAnswer,
        Self::Race,
        Self::BadQuote,
        Self::LetterLost,
        Self::LetterTwice,
        Self::LetterLate,
        Self::FrameLost,
        Self::FrameTwice,
        Self::TimerLost,
        Self::TimerTwice,
        Self::TimerLate,
        Self::TokenRefused,
        Self::SwitchFlips,
        Self::StrikesMissing,
        Self::OtherRoots,
    ];

    /// Its number in the fault catalogue.
    pub const fn class(self) -> u8 {
        match self {
            Self::KillBefore | Self::KillAfter => 9,
            Self::FreezeBefore | Self::FreezeAfter => 10,
            Self::Yield | Self::LetterTwice => 7,
            Self::LetterLate => 8,
            Self::LostBefore | Self::LostAfter => 12,
            Self::RequestLost => 1,
            Self::AnswerLost | Self::HalfAnswer => 2,
            Self::LateArrival => 3,
            Self::ErrorAfterEffect | Self::ErrorWithoutEffect => 4,
            Self::BodyErrors => 5,
            Self::TooMany => 6,
            Self::FrameLost => 15,
            Self::SlowAnswer | Self::FrameTwice => 16,
            Self::Race => 17,
            Self::BadQuote => 23,
            Self::LetterLost => 30,
            Self::TimerLost | Self::TimerTwice | Self::TimerLate => 22,
            Self::TokenRefused => 25,
            Self::SwitchFlips => 28,
            Self::StrikesMissing => 24,
            Self::OtherRoots => 34,
        }
    }

    /// Its name in stories and scripts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KillBefore => "kill before the effect",
            Self::KillAfter => "kill after the effect",
            Self::FreezeBefore => "freeze before the effect",
            Self::FreezeAfter => "freeze after the effect",
            Self::Yield => "somebody else first",
            Self::LostBefore => "connection lost before the effect",
            Self::LostAfter => "connection lost after the effect",
            Self::RequestLost => "request lost",
            Self::AnswerLost => "answer lost",
            Self::HalfAnswer => "answer cut off",
            Self::LateArrival => "request arrives late",
            Self::ErrorAfterEffect => "server error after the effect",
            Self::ErrorWithoutEffect => "server error without effect",
            Self::BodyErrors => "errors in a 200",
            Self::TooMany => "429",
            Self::SlowAnswer => "slow answer",
            Self::Race => "the market races it",
            Self::BadQuote => "bad quotes",
            Self::LetterLost => "message lost",
            Self::LetterTwice => "message delivered twice",
            Self::LetterLate => "message late",
            Self::FrameLost => "frame dropped",
            Self::FrameTwice => "frame repeated",
            Self::TimerLost => "schedule missed",
            Self::TimerTwice => "schedule fired twice",
            Self::TimerLate => "schedule a minute late",
            Self::TokenRefused => "token revoked as the order leaves",
            Self::SwitchFlips => "switch flipped before the mark",
            Self::StrikesMissing => "strikes missing",
            Self::OtherRoots => "morning series in the chain",
        }
    }

    /// Whether it can happen to a call of this port.
    const fn befalls(self, port: Port) -> bool {
        let is_call = !matches!(port, Port::Letter | Port::Frame | Port::Timer | Port::Chain);
        let is_broker = matches!(port, Port::Place | Port::Change | Port::Quotes | Port::Read);
        match self {
            Self::KillBefore | Self::KillAfter | Self::FreezeBefore | Self::FreezeAfter | Self::Yield => {
                is_call
            }
            Self::LostBefore | Self::LostAfter => is_call && !is_broker,
            Self::RequestLost | Self::AnswerLost | Self::HalfAnswer => is_broker,
            Self::ErrorAfterEffect | Self::ErrorWithoutEffect | Self::TooMany | Self::SlowAnswer => is_broker,
            Self::LateArrival => matches!(port, Port::Place | Port::Change),
            Self::BodyErrors => matches!(port, Port::Place | Port::Change),
            Self::TokenRefused => matches!(port, Port::Place),
            Self::SwitchFlips => matches!(port, Port::Mark),
            Self::Race => matches!(port, Port::Change),
            Self::BadQuote => matches!(port, Port::Quotes),
            Self::LetterLost | Self::LetterTwice | Self::LetterLate => matches!(port, Port::Letter),
            Self::FrameLost | Self::FrameTwice => matches!(port, Port::Frame),
            Self::TimerLost | Self::TimerTwice | Self::TimerLate => matches!(port, Port::Timer),
            Self::StrikesMissing | Self::OtherRoots => matches!(port, Port::Chain),
        }
    }
}

/// How often each peril happens, in parts of a million of the calls it can happen to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chances {
    seed: u64,
    ppm: BTreeMap<Peril, u32>,
    /// Upper bounds of the draws by port, so that one draw decides: (bound, peril).
    ladders: BTreeMap<Port, Vec<(u32, Peril)>>,
    /// Whether the first calls of each site die, one in four.
    is_reaping: bool,
}

const PORTS: [Port; 11] = [
    Port::Ledger,
    Port::Mark,
    Port::Place,
    Port::Change,
    Port::Quotes,
    Port::Read,
    Port::Other,
    Port::Letter,
    Port::Frame,
    Port::Timer,
    Port::Chain,
];
const MILLION: u64 = 1_000_000;
/// Calls of a site that are its first.
const FIRST_CALLS: u32 = 2;
/// How many times as often something happens to them.
const FIRST_CALLS_MORE: u32 = 8;

impl Chances {
    /// Nothing ever happens.
    pub fn none() -> Self {
        Self::default()
    }

    /// These parts of a million, drawn from `seed`.
    pub fn new(seed: u64, ppm: BTreeMap<Peril, u32>) -> Self {
        let ladder = |port: Port| {
            let mut bound = 0u32;
            let rungs = ppm.iter().filter(|(peril, ppm)| **ppm > 0 && peril.befalls(port));
            let rungs = rungs.map(|(peril, ppm)| {
                bound = bound.saturating_add(*ppm);
                (bound, *peril)
            });
            (port, rungs.collect())
        };
        let ladders = PORTS.into_iter().map(ladder).collect();
        Self { seed, ppm, ladders, is_reaping: false }
    }

    /// The first calls of each site die, one in four before their effect or after it: so that every place is met, the rarest
    /// too.
    pub fn reaping(self) -> Self {
        Self { is_reaping: true, ..self }
    }

    /// The peril of one call, with its amount.
    pub(super) fn draw(&self, site: Site, call: u32, port: Port) -> Option<(Peril, u32)> {
        let ladder = self.ladders.get(&port).filter(|it| !it.is_empty())?;
        let mut hash = self.seed ^ 0x9e37_79b9_7f4a_7c15;
        for byte in site.actor.bytes().chain(site.operation.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let bits = mixed(hash ^ u64::from(call).wrapping_mul(0xd6e8_feb8_6659_fd93));
        if self.is_reaping && call <= FIRST_CALLS && Peril::KillBefore.befalls(port) {
            match mixed(bits ^ 0x0dea_d000) % 8 {
                0 => return Some((Peril::KillBefore, 0)),
                1 => return Some((Peril::KillAfter, 0)),
                _ => {}
            }
        }
        let drawn = u32::try_from(bits % MILLION).unwrap_or(u32::MAX);
        // The first calls of a site meet more than the many that follow: what is rarely called is met as well.
        let drawn = if call < FIRST_CALLS { drawn / FIRST_CALLS_MORE } else { drawn };
        let peril = ladder.iter().find(|(bound, _)| drawn < *bound)?.1;
        Some((peril, u32::try_from(mixed(bits) >> 40).unwrap_or(0)))
    }
}

/// Spreads the bits of a number (splitmix64).
pub const fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Exactly these perils, by call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script(BTreeMap<(Site, u32), (Peril, u32)>);

impl Script {
    /// The perils of these calls.
    pub fn of<'f>(fired: impl IntoIterator<Item = &'f super::Fired>) -> Self {
        Self(fired.into_iter().map(|it| ((it.site, it.call), (it.peril, it.amount))).collect())
    }

    pub(super) fn at(&self, site: Site, call: u32) -> Option<(Peril, u32)> {
        self.0.get(&(site, call)).copied()
    }
}
