//! Orders as they are asked for: the syntax of placements (TRADIER.md section 9.1). The first offending parameter, in
//! the order of the documentation, is the one that is named.

use domain::money::{Price, Usd};
use domain::symbol::{OccSymbol, Underlying};

use super::config::Practice;
use super::instrument::Instrument;
use super::order::{LOT, LegSide, Lifetime, Order, OrderClass, OrderType, Terms, units};
use super::params::{Invalid, Params};
use super::shape::suits;

/// Legs of one order at most.
const LEGS_MAX: usize = 4;

/// A leg as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AskLeg {
    pub(super) instrument: Instrument,
    pub(super) side: LegSide,
    pub(super) quantity: u32,
}

/// An order as asked for, syntactically sound.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) class: OrderClass,
    pub(super) terms: Terms,
    pub(super) tag: Option<String>,
    pub(super) legs: Vec<AskLeg>,
}

/// A placement.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// An order.
    One(Ask),
    /// Orders that depend on each other.
    Bracket {
        /// How they do.
        class: OrderClass,
        /// Whatever its sender called it.
        tag: Option<String>,
        /// The orders.
        parts: Vec<Ask>,
    },
}

impl Asked {
    pub(super) fn parse(params: &Params<'_>, practice: &Practice) -> Result<Self, Invalid> {
        let class = OrderClass::parse(params.need("class")?);
        let class = class.ok_or_else(|| Invalid::new("class", "is not valid."))?;
        match class {
            OrderClass::Oto | OrderClass::Oco | OrderClass::Otoco => bracket(params, class, practice),
            OrderClass::Equity | OrderClass::Option | OrderClass::Multileg | OrderClass::Combo => {
                Ask::parse(params, class, practice).map(Self::One)
            }
        }
    }
}

impl Ask {
    fn parse(params: &Params<'_>, class: OrderClass, practice: &Practice) -> Result<Self, Invalid> {
        let symbol = params.need("symbol")?;
        let legs = match class {
            OrderClass::Equity => vec![share_leg(params, symbol, "")?],
            OrderClass::Option => vec![option_leg(params, "")?],
            OrderClass::Multileg
            | OrderClass::Combo
            | OrderClass::Oto
            | OrderClass::Oco
            | OrderClass::Otoco => several(params, symbol, class)?,
        };
        for leg in &legs {
            known(symbol, &leg.instrument, "symbol", practice)?;
        }
        let terms = terms(params, class, "", params.need("duration"))?;
        hours(terms, class)?;
        Ok(Self { class, terms, tag: params.tag()?, legs })
    }

    /// What of an order is still to be executed.
    pub(super) fn rest_of(order: &Order) -> Self {
        let leg = |leg: &super::order::Leg| AskLeg {
            instrument: leg.instrument,
            side: leg.side,
            quantity: leg.remaining(),
        };
        Self {
            class: order.class,
            terms: order.terms(),
            tag: None,
            legs: order.legs.iter().map(leg).collect(),
        }
    }

    /// Whether any leg opens.
    pub(super) fn opens(&self) -> bool {
        self.legs.iter().any(|leg| leg.side.opens())
    }

    /// Whether a leg sells options to open.
    pub(super) fn shorts_options(&self) -> bool {
        self.legs.iter().any(|leg| leg.side == LegSide::SellToOpen)
    }

    /// Its legs as changes of holdings.
    pub(super) fn changes(&self) -> impl Iterator<Item = (Instrument, i64)> {
        self.legs.iter().map(AskLeg::change)
    }

    /// Its opening legs as changes of holdings.
    pub(super) fn openings(&self) -> impl Iterator<Item = (Instrument, i64)> {
        self.legs.iter().filter(|leg| leg.side.opens()).map(AskLeg::change)
    }

    /// Whole units it stands for.
    pub(super) fn units(&self) -> u32 {
        units(self.class, self.legs.iter().map(|leg| (leg.instrument, leg.quantity)))
    }

    /// Dollars of one unit's net price of a dollar per share.
    pub(super) fn unit_multiplier(&self) -> i64 {
        if self.class == OrderClass::Equity { 1 } else { domain::money::CONTRACT_MULTIPLIER }
    }

    /// What its limit, or its stop, makes it pay in all; below zero when it receives; `None` where the market says.
    pub(super) fn limit_value(&self) -> Option<Usd> {
        let price = match self.terms.kind {
            OrderType::Even => return Some(Usd::ZERO),
            OrderType::Market => return None,
            OrderType::Stop => self.terms.stop?,
            OrderType::Limit | OrderType::StopLimit | OrderType::Debit | OrderType::Credit => {
                self.terms.price?
            }
        };
        let value = super::instrument::per_share(price).times(self.unit_multiplier());
        let value = value.times(i64::from(self.units()));
        Some(match self.terms.kind {
            OrderType::Credit => -value,
            OrderType::Debit => value,
            OrderType::Market
            | OrderType::Limit
            | OrderType::Stop
            | OrderType::StopLimit
            | OrderType::Even => value.times(self.legs.first().map_or(1, |leg| leg.side.side().sign())),
        })
    }
}

impl AskLeg {
    pub(super) fn change(&self) -> (Instrument, i64) {
        (self.instrument, i64::from(self.quantity).saturating_mul(self.side.side().sign()))
    }
}

/// Whether `symbol` names what `instrument` is written on; the root of its options does too, unless that is strict.
fn known(symbol: &str, instrument: &Instrument, name: &str, practice: &Practice) -> Result<(), Invalid> {
    let named = symbol == instrument.underlying().as_str();
    let root = instrument.series().is_some_and(|series| symbol == series.root.as_str());
    if named || (root && !practice.strict_symbol) { Ok(()) } else { Err(Invalid::new(name, "is not valid")) }
}

/// Reads a duration.
pub(super) fn lifetime(name: &str, text: &str) -> Result<Lifetime, Invalid> {
    match text {
        "day" => Ok(Lifetime::Day),
        "gtc" => Ok(Lifetime::Gtc),
        "pre" => Ok(Lifetime::Pre),
        "post" => Ok(Lifetime::Post),
        _ => Err(Invalid::new(name, "is not valid.")),
    }
}

/// Shares alone trade before the open and after the close, by limit.
pub(super) fn hours(terms: Terms, class: OrderClass) -> Result<(), Invalid> {
    let extended = matches!(terms.lifetime, Lifetime::Pre | Lifetime::Post);
    let may = class == OrderClass::Equity && terms.kind == OrderType::Limit;
    if extended && !may { Err(Invalid::new("duration", OUT_OF_HOURS)) } else { Ok(()) }
}

/// Why an order for hours outside the session is refused.
pub(super) const OUT_OF_HOURS: &str = "pre/post market no longer available";

/// Type, price, stop and duration; `at` is `[i]` or nothing.
fn terms<'a>(
    params: &Params<'a>,
    class: OrderClass,
    at: &str,
    duration: Result<&'a str, Invalid>,
) -> Result<Terms, Invalid> {
    let (kind_name, price_name, stop_name) = (format!("type{at}"), format!("price{at}"), format!("stop{at}"));
    let kind = OrderType::parse(params.need(&kind_name)?).filter(|it| suits(*it, class));
    let kind = kind.ok_or_else(|| Invalid::new(&kind_name, "is not valid."))?;
    let (price, stop) = (params.price(&price_name)?, params.price(&stop_name)?);
    if kind.priced() && price.is_none() {
        return Err(Invalid::new(&price_name, "is required."));
    }
    if kind.stops() && stop.is_none() {
        return Err(Invalid::new(&stop_name, "is required."));
    }
    let lifetime = lifetime("duration", duration?)?;
    Ok(Terms { kind, lifetime, price: price.filter(|_| kind.priced()), stop: stop.filter(|_| kind.stops()) })
}

fn side(params: &Params<'_>, at: &str, of_shares: bool) -> Result<LegSide, Invalid> {
    let name = format!("side{at}");
    let side = LegSide::parse(params.need(&name)?).filter(|it| it.of_shares() == of_shares);
    side.ok_or_else(|| Invalid::new(&name, "is not valid."))
}

fn option_leg(params: &Params<'_>, at: &str) -> Result<AskLeg, Invalid> {
    let name = format!("option_symbol{at}");
    let series: OccSymbol = params.need(&name)?.parse().map_err(|_| Invalid::new(&name, "is not valid"))?;
    let side = side(params, at, false)?;
    Ok(AskLeg { instrument: series.into(), side, quantity: params.quantity(&format!("quantity{at}"))? })
}

fn share_leg(params: &Params<'_>, symbol: &str, at: &str) -> Result<AskLeg, Invalid> {
    let share: Result<Underlying, _> = symbol.parse();
    let share =
        share.ok().filter(|it| !it.is_index()).ok_or_else(|| Invalid::new("symbol", "is not valid"))?;
    let side = side(params, at, true)?;
    Ok(AskLeg {
        instrument: Instrument::Share(share),
        side,
        quantity: params.quantity(&format!("quantity{at}"))?,
    })
}

fn several(params: &Params<'_>, symbol: &str, class: OrderClass) -> Result<Vec<AskLeg>, Invalid> {
    let count = legs_numbered(params)?;
    if count > LEGS_MAX {
        return Err(Invalid::new("option_symbol", "must have between 2 and 4 legs."));
    }
    let mut legs: Vec<AskLeg> = Vec::with_capacity(count);
    for i in 0..count.max(2) {
        let at = format!("[{i}]");
        let leg = if class == OrderClass::Combo && params.get(&format!("option_symbol{at}")).is_none() {
            let leg = share_leg(params, symbol, &at)?;
            if !leg.quantity.is_multiple_of(LOT) {
                return Err(Invalid::new(&format!("quantity{at}"), "must be whole hundreds of shares."));
            }
            leg
        } else {
            option_leg(params, &at)?
        };
        if legs.iter().any(|it| it.instrument == leg.instrument) {
            return Err(Invalid::new(&format!("option_symbol{at}"), "is used twice."));
        }
        legs.push(leg);
    }
    let shares = legs.iter().filter(|leg| leg.instrument.is_share()).count();
    if class == OrderClass::Combo && shares != 1 {
        return Err(Invalid::new("option_symbol", "must be empty for one leg, the shares."));
    }
    Ok(legs)
}

fn legs_numbered(params: &Params<'_>) -> Result<usize, Invalid> {
    let mut count = 0;
    for name in ["symbol", "option_symbol", "side", "quantity", "type", "price", "stop"] {
        count = count.max(params.indices(name)?);
    }
    Ok(count)
}

fn bracket(params: &Params<'_>, class: OrderClass, practice: &Practice) -> Result<Asked, Invalid> {
    let wanted = if class == OrderClass::Otoco { 3 } else { 2 };
    if legs_numbered(params)? > wanted {
        return Err(Invalid::new("side", &format!("must have {wanted} legs.")));
    }
    let mut parts = Vec::with_capacity(wanted);
    for i in 0..wanted {
        let at = format!("[{i}]");
        let symbol_name = format!("symbol{at}");
        let symbol = params.get(&symbol_name).or_else(|| params.get("symbol"));
        let (part, leg) = if params.get(&format!("option_symbol{at}")).is_some() {
            let leg = option_leg(params, &at)?;
            if let Some(symbol) = symbol {
                known(symbol, &leg.instrument, &symbol_name, practice)?;
            }
            (OrderClass::Option, leg)
        } else {
            let symbol = symbol.ok_or_else(|| Invalid::new(&symbol_name, "is required."))?;
            (OrderClass::Equity, share_leg(params, symbol, &at)?)
        };
        let duration = params.get(&format!("duration{at}")).map_or_else(|| params.need("duration"), Ok);
        let terms = terms(params, part, &at, duration)?;
        hours(terms, part)?;
        parts.push(Ask { class: part, terms, tag: None, legs: vec![leg] });
    }
    Ok(Asked::Bracket { class, tag: params.tag()?, parts })
}

/// A limit order of one leg, for orders that come from elsewhere.
pub(super) fn foreign(
    instrument: Instrument,
    side: LegSide,
    quantity: u32,
    price: Option<Price>,
    tag: Option<String>,
) -> Ask {
    let kind = if price.is_some() { OrderType::Limit } else { OrderType::Market };
    let class = if instrument.is_share() { OrderClass::Equity } else { OrderClass::Option };
    let terms = Terms { kind, lifetime: Lifetime::Day, price, stop: None };
    Ask { class, terms, tag, legs: vec![AskLeg { instrument, side, quantity }] }
}
