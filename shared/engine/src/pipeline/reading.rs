//! What the checks read, each by one name.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! readings {
    ($($name:ident $code:literal $unit:literal $what:literal)*) => {
        /// What a check reads. The unit belongs to the name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reading {
            $(#[doc = $what] #[serde(rename = $code)] $name,)*
        }

        impl Reading {
            /// All of them, in the order of the stages.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name that is stored.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Its unit; empty for names and counts.
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$name => $unit,)* }
            }

            /// What it is.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }
        }
    };
}

readings! {
    Underlying "underlying" "" "The snapshot's underlying against the strategy's."
    Spot "spot" "points" "The underlying's value."
    SpotAge "spot_age" "s" "The age of the underlying's value."
    Lead "lead" "s" "How far the newest of the snapshot's inputs is ahead of the decision."
    Expirations "expirations" "" "Expirations that still trade."
    Reconciled "reconciled" "" "Whether the opening reconciliation is done, for the wheel."
    MacroAge "macro_age" "s" "The age of the macro calendar's last confirmation."
    MacroDistance "macro_distance" "s" "Time to the nearest end of a macro window, negative inside."
    Connection "connection" "" "Whether the quotes' connection is alive."
    BothSides "both_sides" "" "Bid and ask: both, missing or crossed."
    SpreadPct "spread_pct" "% of mid" "Ask less bid, as a part of the mid."
    Volume "volume" "" "Contracts traded today, before 10:00 yesterday's where they were more."
    OpenInterest "open_interest" "" "Contracts open this morning."
    UnderlyingVolume "underlying_volume" "of average" "The underlying's volume against its average up to this time of day."
    QuoteAge "quote_age" "s" "The age of a quote."
    MoveSinceQuote "move_since_quote" "points" "How far the underlying moved since the quote."
    Dte "dte" "" "Days to expiry of the expiration nearest to the middle of the range."
    VixAge "vix_age" "s" "The age of VIX."
    Vix3mAge "vix3m_age" "s" "The age of VIX3M."
    TermRatio "term_ratio" "" "VIX over VIX3M."
    VolPremium "vol_premium" "" "Implied less realised volatility, a fraction."
    Trend "trend" "" "The trend: bull, bear or neutral."
    Adx "adx14" "" "ADX(14)."
    IvRank "iv_rank" "" "The IV rank, 0 to 1."
    Rates "rates" "" "Whether interest and dividends are known."
    Candidates "candidates" "" "Structures that could be built and priced."
    Units "units" "" "Units that the position size allows."
    Cash "cash" "$" "The account's cash less what the puts are exercised for."
    FreeShares "free_shares" "" "The account's free shares less those that the calls may take."
    GammaLoss "gamma_loss" "of max loss" "What gamma loses on a move of 1 %, as a part of the most that can be lost."
    OpposedLegs "opposed_legs" "" "Legs that oppose an open leg at the same broker."
    DaysToEarnings "days_to_earnings" "days" "Days to the next earnings."
    Earnings "earnings" "" "Whether earnings are known."
    DaysToExDividend "days_to_ex_dividend" "days" "Days to the next ex-dividend date."
    Dividends "dividends" "" "Whether dividends are known."
    EvP "ev_p" "$" "The expected payoff over the real-world density, friction included."
    EvStressed "ev_stressed" "of premium" "The same with 1.2 times the volatility, as a part of the premium."
    SmileGap "smile_gap" "$" "How far the legs' quotes are from their neighbours' volatilities."
    StrategyPositions "strategy_positions" "" "Open positions of the strategy, this one included."
    UnderlyingPositions "underlying_positions" "" "Open structures on the underlying, this one included."
    ExpiryPositions "expiry_positions" "" "Open structures of this type on the expiration, this one included."
    TradeLoss "trade_loss" "$" "The most that the structure loses, friction included."
    DayLoss "day_loss" "$" "The day's loss so far, and the most that the structure may add."
    BookDelta "book_delta" "$" "The book's delta with the structure, in dollars of the underlying, without its sign."
    BookGamma "book_gamma" "$" "The change of that delta on a move of 1 %, without its sign."
    BookVega "book_vega" "$" "The book's vega a volatility point, scaled to 30 days, without its sign."
    Exchange "exchange" "" "Whether the exchange has a session today."
    SinceOpen "since_open" "s" "Time since the session's open."
    ToCutoff "to_cutoff" "s" "Time left to the last entry."
    OwnHours "own_hours" "s" "Time to the nearest end of the strategy's own hours, negative outside."
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
