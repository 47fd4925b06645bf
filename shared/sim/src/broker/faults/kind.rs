//! What can go wrong, by name.

use serde::{Deserialize, Serialize};

/// Where in the broker a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A request arrives.
    Request,
    /// An order was accepted.
    Order,
    /// An event of an order goes to the account stream.
    Event,
    /// A quote is told, in an answer or on the market stream.
    Quote,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $point:ident, $says:literal;)*) => {
        /// A fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// Every fault there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in scripts and transcripts.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Where it strikes.
            pub const fn point(self) -> Point {
                match self { $(Self::$name => Point::$point,)* }
            }

            /// What it does, in a sentence.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => $says,)* }
            }
        }
    };
}

faults! {
    /// The request has no effect and no answer.
    RequestLost = "request_lost", Request,
        "The connection closes without an answer; the request had no effect.";
    /// The request has its effect and no answer.
    AnswerLost = "answer_lost", Request,
        "The request has its effect; the connection closes without an answer.";
    /// The request has its effect later, and its answer then.
    SlowAcceptance = "slow_acceptance", Request,
        "An order, change or cancel has its effect after `delay_ms` (10000), and is answered then.";
    /// The request has its effect now and its answer later.
    SlowAnswer = "slow_answer", Request,
        "The request has its effect at once and is answered after `delay_ms` (10000).";
    /// A server error, and no effect.
    ErrorWithoutEffect = "error_without_effect", Request,
        "Answered with `status` (500, 502, 503, 504 or 404) without effect.";
    /// A server error, and the effect all the same.
    ErrorAfterEffect = "error_after_effect", Request,
        "The request has its effect and is answered with `status` (502).";
    /// 429.
    TooManyRequests = "too_many_requests", Request,
        "Answered 429 without effect; the window in its headers ends in 60 seconds.";
    /// 401 of the gateway.
    TokenRefused = "token_refused", Request,
        "Answered 401 without effect, as for a token that was revoked.";
    /// 200 with `errors`, and no effect.
    Refused = "refused", Request,
        "An order, change or cancel is answered 200 with `errors`, without effect.";
    /// 200 with `errors`, and the effect all the same.
    RefusedAfterEffect = "refused_after_effect", Request,
        "An order, change or cancel has its effect and is answered 200 with `errors` (OmsInternalError).";
    /// The answer ends in its middle.
    HalfAnswer = "half_answer", Request,
        "The request has its effect; the connection closes in the middle of the answer's body.";
    /// The list shows the order later.
    LateVisibility = "late_visibility", Order,
        "The list of orders shows the order after `delay_ms` (5000).";
    /// The order is rejected although it was received.
    RejectAfterAcceptance = "reject_after_acceptance", Order,
        "The order is answered `ok` and becomes `rejected` after `delay_ms` (60), with `reason`.";
    /// The order executes, and its event leaves, before its placement is answered.
    FillBeforeAcknowledgement = "fill_before_acknowledgement", Order,
        "The order executes against the quote at once, its event leaves, and `delay_ms` (200) later the answer.";
    /// One leg executes before the others.
    PartialLegs = "partial_legs", Order,
        "An execution of several legs is one of its first leg; the others follow after `delay_ms` (60000).";
    /// The status is `filled` before there is a price.
    LatePrice = "late_price", Order,
        "Executions show without price and quantity for `delay_ms` (2000), whatever the status says.";
    /// The order executes between the cancel's answer and its effect.
    FillBeatsCancel = "fill_beats_cancel", Order,
        "A cancel is answered `ok`, and the order executes whole at its limit before the cancel has effect.";
    /// The event never leaves.
    EventDropped = "event_dropped", Event,
        "An order's event is not sent on the account stream; heartbeats go on.";
    /// The event leaves twice.
    EventTwice = "event_twice", Event,
        "An order's event is sent twice.";
    /// The event leaves later, after others.
    EventLate = "event_late", Event,
        "An order's event is sent `delay_ms` (5000) later than it would be, after newer ones.";
    /// A quote never leaves.
    QuoteDropped = "quote_dropped", Quote,
        "A quote is not sent on the market stream; heartbeats and other quotes go on.";
    /// Another series' row.
    WrongInstrument = "wrong_instrument", Quote,
        "Another listed series' quote is told, under that series' symbol.";
    /// Another series' row under the symbol that was asked for.
    MislabelledQuote = "mislabelled_quote", Quote,
        "Another listed series' quote is told under the symbol that was asked for.";
    /// An old quote.
    StaleQuote = "stale_quote", Quote,
        "The quote's dates are `age_ms` (60000) older than they are.";
    /// Bid above ask.
    CrossedQuote = "crossed_quote", Quote,
        "Bid and ask change places.";
    /// Nothing on either side.
    ZeroQuote = "zero_quote", Quote,
        "Bid, ask and both sizes are 0.";
}

impl Fault {
    /// Whether it takes `delay_ms`, and what that is where nothing is said.
    pub(super) const fn delay_ms(self) -> Option<u64> {
        match self {
            Self::SlowAcceptance | Self::SlowAnswer => Some(10_000),
            Self::LateVisibility | Self::EventLate => Some(5_000),
            Self::RejectAfterAcceptance => Some(60),
            Self::FillBeforeAcknowledgement => Some(200),
            Self::PartialLegs => Some(60_000),
            Self::LatePrice => Some(2_000),
            Self::RequestLost
            | Self::AnswerLost
            | Self::ErrorWithoutEffect
            | Self::ErrorAfterEffect
            | Self::TooManyRequests
            | Self::TokenRefused
            | Self::Refused
            | Self::RefusedAfterEffect
            | Self::HalfAnswer
            | Self::FillBeatsCancel
            | Self::EventDropped
            | Self::EventTwice
            | Self::QuoteDropped
            | Self::WrongInstrument
            | Self::MislabelledQuote
            | Self::StaleQuote
            | Self::CrossedQuote
            | Self::ZeroQuote => None,
        }
    }

    /// Whether it takes `status`, and what that is where nothing is said.
    pub(super) const fn status(self) -> Option<u16> {
        if matches!(self, Self::ErrorWithoutEffect) {
            Some(500)
        } else if matches!(self, Self::ErrorAfterEffect) {
            Some(502)
        } else {
            None
        }
    }

    /// Whether it takes `errors`, and what they are where nothing is said.
    pub(super) const fn errors(self) -> Option<&'static [&'static str]> {
        if matches!(self, Self::Refused) {
            Some(&["Backoffice rejected override of the order.", "InitialMargin"])
        } else if matches!(self, Self::RefusedAfterEffect) {
            Some(&["OmsInternalError"])
        } else {
            None
        }
    }

    /// Whether it strikes requests that change an order alone.
    pub(super) const fn writes_alone(self) -> bool {
        matches!(self, Self::SlowAcceptance | Self::Refused | Self::RefusedAfterEffect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_written_as_it_is_called() {
        for fault in Fault::ALL {
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.as_str());
        }
    }
}
