//! Why a stage stops, or does not apply: codes that are stored, counted and explained.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($name:ident $code:literal $meaning:literal)*) => {
        /// Why a check stops or does not apply. docs/pipeline.md lists them all.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $(#[doc = $meaning] #[serde(rename = $code)] $name,)*
        }

        impl Reason {
            /// All of them, in the order of the stages.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code that is stored.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it means to the owner of the strategy.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    OtherUnderlying "other_underlying" "The snapshot is of another underlying than the strategy's."
    SpotMissing "spot_missing" "The underlying has no value: nothing can be struck around it."
    SpotNotPositive "spot_not_positive" "The underlying's value is not above 0."
    SpotStale "spot_stale" "The underlying's value is older than a minute."
    FromTheFuture "from_the_future" "The snapshot is later than the decision: it would know what nobody knew."
    NoExpirations "no_expirations" "No expiration of the underlying still trades in the snapshot."
    NotReconciled "not_reconciled" "The wheel waits for the opening reconciliation to show assignments."
    NoCalendar "no_calendar" "The exchange calendar does not cover the date."
    MacroMissing "macro_missing" "There is no calendar of macro events: import one."
    MacroStale "macro_stale" "The calendar of macro events was confirmed more than a day ago: refresh it."
    MacroWindow "macro_window" "A macro event's window is open."
    ConnectionMissing "connection_missing" "Nobody knows whether the quotes' connection is alive."
    ConnectionDown "connection_down" "The quotes' connection is down or silent: their age says nothing."
    QuoteMissing "quote_missing" "A series has no quote with both sides, or a crossed one."
    SpreadWide "spread_wide" "Bid and ask are too far apart."
    VolumeMissing "volume_missing" "The source does not tell the series' volume."
    VolumeLow "volume_low" "Too few contracts of the series were traded."
    OpenInterestMissing "open_interest_missing" "The source does not tell the series' open interest."
    OpenInterestLow "open_interest_low" "Too few contracts of the series are open."
    UnderlyingVolumeMissing "underlying_volume_missing" "The underlying's volume or its average is not known."
    UnderlyingVolumeLow "underlying_volume_low" "The underlying trades too little against its average."
    IndexWithoutVolume "index_without_volume" "An index has no volume, and no proxy stands for it."
    QuoteStale "quote_stale" "A quote is older than its expiration allows."
    UnderlyingMoved "underlying_moved" "The underlying moved further since the quote than the quote's own width explains."
    PathMissing "path_missing" "The underlying's value at the time of the quote is not known."
    NotAsked "not_asked" "The strategy does not ask for it."
    NoStructure "no_structure" "There is no structure to judge."
    DteOutside "dte_outside" "No expiration lies within the strategy's days to expiry."
    VixMissing "vix_missing" "VIX is not known: no regime, no entry."
    VixStale "vix_stale" "VIX is older than five minutes."
    Vix3mMissing "vix3m_missing" "VIX3M is not known."
    Vix3mStale "vix3m_stale" "VIX3M is older than five minutes."
    TermInverted "term_inverted" "VIX is not under VIX3M: the term structure is inverted."
    NotASeller "not_a_seller" "Asked of strategies that sell credit alone."
    SwitchedOff "switched_off" "Switched off in the strategy's row."
    ImpliedMissing "implied_missing" "The underlying's implied volatility is not known."
    RealisedMissing "realised_missing" "The realised volatility of 20 days is not known."
    PremiumNotPositive "premium_not_positive" "Implied volatility is not above the realised one: selling it is not paid."
    TrendMissing "trend_missing" "The averages that tell the trend are not known."
    TrendConflict "trend_conflict" "The trend runs against the spread's short side."
    AdxMissing "adx_missing" "ADX(14) is not known."
    AdxHigh "adx_high" "ADX(14) is not under its limit: the market trends."
    IvRankOutside "iv_rank_outside" "The IV rank lies outside of the strategy's range."
    InsufficientHistory "insufficient_history" "Too few days of implied volatility for a rank."
    HistoryGap "history_gap" "The history of implied volatility has a hole."
    HistoryUnusable "history_unusable" "The history of implied volatility cannot be ranked."
    IvMissing "iv_missing" "No history of implied volatility was given."
    RatesMissing "rates_missing" "Interest and dividends are not known: nothing can be priced."
    NothingQuoted "nothing_quoted" "No series of the expirations has a quote that a volatility explains."
    StrikeMissing "strike_missing" "No strike with open interest lies near the target delta."
    WingMissing "wing_missing" "The chain has no strike near the width of the wing."
    WingsBeyondChain "wings_beyond_chain" "The wings are wider than the chain."
    PremiumWrong "premium_wrong" "The price has the wrong sign, or is beyond what the structure can be worth: a quote is wrong."
    BelowCostBasis "below_cost_basis" "No call is struck at or above the shares' cost."
    SizeZero "size_zero" "One unit risks more than the strategy's position size."
    CashMissing "cash_missing" "The account's cash is not known: a put cannot be secured."
    CashShort "cash_short" "The account's cash does not secure the put."
    SharesMissing "shares_missing" "The account's free shares are not known: a call cannot be covered."
    SharesShort "shares_short" "The account has too few free shares to cover the call."
    Convexity "convexity" "A move of 1 % would lose more by gamma than the strategy allows."
    LegCollision "leg_collision" "A leg opposes an open leg at the same broker: the two would net."
    CorporateMissing "corporate_missing" "Earnings or dividends are not known: sellers of credit wait."
    EarningsInside "earnings_inside" "Earnings fall before the expiration."
    ExDividendNear "ex_dividend_near" "An ex-dividend date is near a short call."
    IndexHasNone "index_has_none" "An index has neither earnings nor dividends."
    NoShortCall "no_short_call" "No call is short."
    DensityMissing "density_missing" "There are too few returns, or no forecast of volatility, for a density."
    EvNotPositive "ev_not_positive" "The structure is not expected to earn its costs."
    EvFragile "ev_fragile" "With a fifth more volatility the structure loses too much."
    SmileDisagrees "smile_disagrees" "The legs' quotes do not fit their neighbours': one of them is wrong."
    PositionsFull "positions_full" "The strategy holds as many positions as it may."
    UnderlyingFull "underlying_full" "As many structures are open on the underlying as the book allows."
    ExpiryFull "expiry_full" "As many structures are open on the expiration as the book allows."
    LossTooLarge "loss_too_large" "The structure can lose more than a trade may."
    DayLoss "day_loss" "The day's loss is at its limit."
    BookMissing "book_missing" "The book's figures are not known, and a cap stands on them."
    DeltaCap "delta_cap" "The book's delta would be over its cap."
    GammaCap "gamma_cap" "The book's gamma would be over its cap."
    VegaCap "vega_cap" "The book's vega would be over its cap."
    ExchangeClosed "exchange_closed" "The exchange is closed on the day."
    BeforeOpen "before_open" "The session has not opened."
    EntryCutoff "entry_cutoff" "It is too late in the session for an entry."
    OutsideEntryWindow "outside_entry_window" "Outside of the strategy's own hours."
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
