//! What the OMS refuses with the placement: 200 with `errors` (TRADIER.md sections 4.3, 9.4).

use domain::account::AccountType;
use domain::money::{Side, Usd};

use super::Sandbox;
use super::account::Account;
use super::ask::{Ask, AskLeg, Asked};
use super::order::{LegSide, Lifetime, OrderClass, OrderType};

pub(super) const NO_BUYING_POWER: &str = "You do not have enough buying power for this trade.";
pub(super) const OFF_GRID: &str = "Price is not a multiple of the minimum price variation.";
const TOO_MANY_SOLD: &str = "Sell order is for more shares than your current long position, please review current position quantity along with open orders for security. ";
const OVERRIDE: &str = "Backoffice rejected override of the order.";

/// Shares under this price may not be sold short.
const SHORT_MINIMUM: Usd = Usd::from_dollars(5);
/// The least option level of each kind of opening.
const LEVEL_COVERED: u8 = 1;
const LEVEL_LONG: u8 = 2;
const LEVEL_SPREAD: u8 = 3;
/// The least option level at which options may be sold without cover, where the practice has it.
pub(super) const LEVEL_NAKED: u8 = 5;

/// Why the OMS refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) Vec<&'static str>);

impl Refusal {
    pub(super) fn code(code: &'static str) -> Self {
        Self(vec![OVERRIDE, code])
    }
}

impl Sandbox {
    /// The OMS's rules, at the moment of the request.
    pub(super) fn check(&self, account: &str, asked: &Asked) -> Result<(), Refusal> {
        let Some(account) = self.accounts.get(account) else {
            return Err(Refusal::code("AccountDisabled"));
        };
        match asked {
            Asked::One(ask) => {
                self.contracts_exist(ask)?;
                self.check_one(account, ask)
            }
            Asked::Bracket { class, parts, .. } => {
                for part in parts {
                    self.contracts_exist(part)?;
                }
                bracket_rules(*class, parts)?;
                // Exits wait for their entry; two orders that exclude each other begin together.
                let first = if *class == OrderClass::Oco { parts.len() } else { 1.min(parts.len()) };
                let (now, later) = parts.split_at(first);
                for part in now {
                    self.check_one(account, part)?;
                }
                later.iter().try_for_each(|part| self.check_form(account, part))
            }
        }
    }

    fn contracts_exist(&self, ask: &Ask) -> Result<(), Refusal> {
        for leg in &ask.legs {
            if !self.book.lists(&leg.instrument) {
                return Err(Refusal::code("SecurityUndefined"));
            }
            let expired = leg.instrument.series().is_some_and(|it| it.expiry <= self.session.date);
            if expired && self.trading_end(&leg.instrument) <= self.now {
                return Err(Refusal::code("TradingDeniedForSecurity"));
            }
        }
        Ok(())
    }

    fn check_one(&self, account: &Account, ask: &Ask) -> Result<(), Refusal> {
        self.check_form(account, ask)?;
        self.check_stop(ask)?;
        self.check_quote(ask)?;
        self.check_positions(account, ask)?;
        let Some(needed) = self.needs(account, ask) else { return Err(Refusal(vec![NO_BUYING_POWER])) };
        self.day_trading_allows(account, ask, needed)?;
        if needed <= Usd::ZERO || needed <= self.buying_power(account) {
            return Ok(());
        }
        Err(Refusal(vec![NO_BUYING_POWER]))
    }

    /// What does not depend on positions or quotes: also checked of orders that wait for another.
    fn check_form(&self, account: &Account, ask: &Ask) -> Result<(), Refusal> {
        let shorts = ask.legs.iter().any(|leg| leg.side == LegSide::SellShort);
        match (ask.terms.kind, ask.terms.lifetime) {
            (OrderType::Market, Lifetime::Gtc) => return Err(Refusal::code("MarketOrderIsGtc")),
            (_, Lifetime::Gtc) if shorts => return Err(Refusal::code("ShortOrderIsGtc")),
            _ => {}
        }
        if self.rules.practice.ticks_at_once && self.off_grid(&ask.terms, ask.class, &ask.legs) {
            return Err(Refusal::code("OrderPriceIsInvalid"));
        }
        if shorts && account.kind == AccountType::Cash {
            return Err(Refusal::code("ShortStockTradingDeniedForAccount"));
        }
        let last = |leg: &AskLeg| self.book.last(&leg.instrument.underlying());
        if ask
            .legs
            .iter()
            .any(|it| it.side == LegSide::SellShort && last(it).is_some_and(|it| it < SHORT_MINIMUM))
        {
            return Err(Refusal::code("SellShortOrderLastPriceBelow5"));
        }
        self.permission(account, ask)
    }

    /// Option levels: 1 sells against shares or cash, 2 buys, 3 and above trade spreads.
    fn permission(&self, account: &Account, ask: &Ask) -> Result<(), Refusal> {
        let several = matches!(ask.class, OrderClass::Multileg | OrderClass::Combo);
        let mut options = ask.legs.iter().filter(|leg| !leg.instrument.is_share());
        let level = account.option_level;
        let opens = options.clone().any(|leg| leg.side.opens());
        let sells = ask.shorts_options();
        if opens && level == 0 {
            return Err(Refusal::code("OptionLevelRestriction"));
        }
        if opens && !sells && level < LEVEL_LONG {
            return Err(Refusal::code("LongOptionTradingDeniedForAccount"));
        }
        let spread = ask.class == OrderClass::Multileg && sells;
        if spread && (level < LEVEL_SPREAD || account.kind == AccountType::Cash) {
            return Err(Refusal::code("SpreadTradingDeniedForAccount"));
        }
        if ask.class == OrderClass::Combo
            && options.any(|it| it.side == LegSide::BuyToOpen)
            && level < LEVEL_LONG
        {
            return Err(Refusal::code("LongOptionTradingDeniedForAccount"));
        }
        if several && !one_expiry(ask) {
            return Err(Refusal::code("IndexOptionsOneExparyDate"));
        }
        if sells {
            let Some(width) = self.width(account, ask) else {
                return Err(Refusal::code("ShortOptionTradingDeniedForAccount"));
            };
            let rests_on_options = width.leans && width.by_options;
            if rests_on_options && (level < LEVEL_SPREAD || account.kind == AccountType::Cash) {
                return Err(Refusal::code("SpreadTradingDeniedForAccount"));
            }
            if level < LEVEL_COVERED {
                return Err(Refusal::code("ShortOptionTradingDeniedForAccount"));
            }
        }
        Ok(())
    }

    /// What opens at the market must be worth something there.
    fn check_quote(&self, ask: &Ask) -> Result<(), Refusal> {
        let unquoted = |leg: &AskLeg| {
            let far = self.book.touch(&leg.instrument).and_then(|it| it.far(leg.side.side()).0);
            far.is_none() && leg.side.opens() && self.now >= self.session.open
        };
        let blind = ask.terms.kind == OrderType::Market && ask.legs.iter().any(unquoted);
        if blind { Err(Refusal::code("QuotePriceIsInvalid")) } else { Ok(()) }
    }

    fn check_stop(&self, ask: &Ask) -> Result<(), Refusal> {
        let (Some(stop), [leg]) = (ask.terms.stop, ask.legs.as_slice()) else { return Ok(()) };
        let touch = self.book.touch(&leg.instrument).and_then(|it| it.two_sided());
        let Some((bid, ask)) = touch else { return Ok(()) };
        match leg.side.side() {
            Side::Buy if stop < ask => Err(Refusal::code("BuyStopOrderStopPriceLessAsk")),
            Side::Sell if stop > bid => Err(Refusal::code("SellStopOrderStopPriceGreaterBid")),
            Side::Buy | Side::Sell => Ok(()),
        }
    }

    /// Filled position plus working orders (TRADIER.md section 9.4).
    pub(super) fn check_positions(&self, account: &Account, ask: &Ask) -> Result<(), Refusal> {
        ask.legs.iter().try_for_each(|leg| position_rule(account, leg))
    }
}

/// What positions and working orders say of a leg; of one that already claims its part with a quantity of 0.
pub(super) fn position_rule(account: &Account, leg: &AskLeg) -> Result<(), Refusal> {
    let (held, quantity) = (account.held_of(&leg.instrument), i64::from(leg.quantity));
    let claimed = quantity.saturating_add(account.claimed(&leg.instrument, leg.side));
    let (long, short) = (held.max(0), held.min(0).saturating_neg());
    let opposed = |side| account.claimed(&leg.instrument, side) > 0;
    let refusal = match leg.side {
        LegSide::SellToClose | LegSide::Sell if long < claimed => Refusal(vec![TOO_MANY_SOLD]),
        LegSide::BuyToClose | LegSide::BuyToCover if short < claimed => {
            Refusal::code("ShortPositionCrossZero")
        }
        LegSide::SellToOpen if held > 0 => Refusal::code("UnexpectedSellShortOrderOption"),
        LegSide::SellShort if held > 0 => Refusal::code("UnexpectedSellShortOrder"),
        LegSide::BuyToOpen if held < 0 => Refusal::code("UnexpectedBuyOrderOption"),
        LegSide::Buy if held < 0 => Refusal::code("UnexpectedBuyOrder"),
        // An order at the market would open the other side.
        LegSide::SellToOpen if opposed(LegSide::BuyToOpen) => Refusal::code("OrderWithDifferentSide"),
        LegSide::BuyToOpen if opposed(LegSide::SellToOpen) => Refusal::code("OrderWithDifferentSide"),
        LegSide::SellShort if opposed(LegSide::Buy) => Refusal::code("OrderWithDifferentSide"),
        LegSide::Buy if opposed(LegSide::SellShort) => Refusal::code("OrderWithDifferentSide"),
        LegSide::SellToClose
        | LegSide::Sell
        | LegSide::BuyToClose
        | LegSide::BuyToCover
        | LegSide::SellToOpen
        | LegSide::SellShort
        | LegSide::BuyToOpen
        | LegSide::Buy => return Ok(()),
    };
    Err(refusal)
}

/// Legs on an index share one expiration.
fn one_expiry(ask: &Ask) -> bool {
    let series = ask.legs.iter().filter_map(|leg| leg.instrument.series());
    let mut dates = series.filter(|it| it.underlying().is_index()).map(|it| it.expiry);
    let first = dates.next();
    dates.all(|date| Some(date) == first)
}

/// What orders that depend on each other may be.
fn bracket_rules(class: OrderClass, parts: &[Ask]) -> Result<(), Refusal> {
    let market = |part: &Ask| part.terms.kind == OrderType::Market;
    if class == OrderClass::Oto {
        return match parts.first() {
            Some(first) if market(first) => Err(Refusal::code("OtoFirstLesIsMarketNotAllowed")),
            _ => Ok(()),
        };
    }
    if parts.iter().any(market) {
        return Err(Refusal::code("OtoOcoMarketNotAllowed"));
    }
    let exits = parts.get(parts.len().saturating_sub(2)..).unwrap_or(parts);
    let [one, other] = exits else { return Ok(()) };
    if one.terms.lifetime != other.terms.lifetime {
        return Err(Refusal::code("OcoExpirationTypeNotTheSame"));
    }
    let (Some(a), Some(b)) = (one.legs.first(), other.legs.first()) else { return Ok(()) };
    let same = a.instrument == b.instrument;
    if same && a.side.side() != b.side.side() {
        return Err(Refusal::code("OcoOrderWithOppositeLegs"));
    }
    let level = |part: &Ask| part.terms.stop.or(part.terms.price);
    if same && level(one) == level(other) {
        return Err(Refusal::code("OcoPriceDifferenceIsLessThanDelta"));
    }
    Ok(())
}
