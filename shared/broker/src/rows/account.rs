//! Profile, balances and positions (TRADIER.md sections 5 to 7).

use domain::account::{AccountType, Balances};
use domain::ids::AccountNumber;
use domain::position::BrokerPosition;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Raw, Unreadable};

/// Whom a token belongs to. The user's name is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The broker's name for the user.
    pub id: String,
    /// The user's accounts.
    pub accounts: Vec<ProfileAccount>,
}

/// One account of a profile. What the broker leaves out is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileAccount {
    /// Its number.
    pub number: AccountNumber,
    /// How it is kept. Balances may say `pdt` where this says `margin`; balances are right.
    pub account_type: Option<AccountType>,
    /// `individual`, `roth_ira` and others.
    pub classification: Option<String>,
    /// Whether it is open. `None` for a word we do not know.
    pub active: Option<bool>,
    /// What options it may trade, 0 to 6.
    pub option_level: Option<u32>,
    /// Flagged as pattern day trader under the old rule.
    pub day_trader: Option<bool>,
    /// When it was opened.
    pub created_at: Option<UtcNanos>,
    /// When it was last changed.
    pub changed_at: Option<UtcNanos>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct ProfileRow<'a> {
    id: Raw<'a>,
    account: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct AccountRow<'a> {
    account_number: Raw<'a>,
    classification: Raw<'a>,
    date_created: Raw<'a>,
    day_trader: Raw<'a>,
    option_level: Raw<'a>,
    status: Raw<'a>,
    #[serde(rename = "type")]
    kind: Raw<'a>,
    last_update_date: Raw<'a>,
}

/// The user behind a token.
///
/// # Errors
/// [`Unreadable`] without an id, and for an account without a number.
pub fn profile(body: &str) -> Result<Profile, Unreadable> {
    let row: ProfileRow<'_> = json::parse(json::field(body, "profile", "profile")?.get(), "profile")?;
    let accounts = row.account.map_or_else(|| Ok(Vec::new()), json::elements)?;
    Ok(Profile {
        id: json::owned(row.id).ok_or(Unreadable("a profile's id"))?,
        accounts: accounts.into_iter().map(profile_account).collect::<Result<_, _>>()?,
    })
}

fn profile_account(raw: &RawValue) -> Result<ProfileAccount, Unreadable> {
    let row: AccountRow<'_> = json::parse(raw.get(), "an account")?;
    let number = json::text(row.account_number).and_then(|it| it.parse().ok());
    let account_type = json::text(row.kind).and_then(|it| AccountType::parse(&it));
    let active = match json::text(row.status).as_deref() {
        Some("active") => Some(true),
        Some("closed") => Some(false),
        _ => None,
    };
    Ok(ProfileAccount {
        number: number.ok_or(Unreadable("an account's number"))?,
        account_type,
        classification: json::owned(row.classification),
        active,
        option_level: json::count(row.option_level),
        day_trader: json::flag(row.day_trader),
        created_at: json::instant(row.date_created),
        changed_at: json::instant(row.last_update_date),
    })
}

#[derive(Deserialize)]
struct BalancesBody<'a> {
    #[serde(borrow, alias = "balance")]
    balances: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct BalancesRow<'a> {
    account_number: Raw<'a>,
    account_type: Raw<'a>,
    total_equity: Raw<'a>,
    total_cash: Raw<'a>,
    close_pl: Raw<'a>,
    open_pl: Raw<'a>,
    pending_orders_count: Raw<'a>,
    margin: Raw<'a>,
    pdt: Raw<'a>,
    cash: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(bound(deserialize = "'de: 'a"))]
struct PowerRow<'a> {
    option_buying_power: Raw<'a>,
    day_trade_buying_power: Raw<'a>,
    cash_available: Raw<'a>,
    unsettled_funds: Raw<'a>,
}

/// Balances of `account`, with the buying power of the block named like its type.
///
/// # Errors
/// [`Unreadable`] for another account, an account type we do not know, and amounts that are missing.
pub fn balances(body: &str, account: &AccountNumber) -> Result<Balances, Unreadable> {
    let outer: BalancesBody<'_> = json::parse(body, "balances")?;
    let row: BalancesRow<'_> = json::parse(outer.balances.get(), "balances")?;
    if json::text(row.account_number).is_some_and(|it| it != account.as_str()) {
        return Err(Unreadable("balances of the account asked about"));
    }
    let account_type = json::text(row.account_type)
        .and_then(|it| AccountType::parse(&it))
        .ok_or(Unreadable("account_type margin, pdt or cash"))?;
    let block = match account_type {
        AccountType::Margin => row.margin,
        AccountType::Pdt => row.pdt,
        AccountType::Cash => row.cash,
    };
    let power: PowerRow<'_> = match block {
        Some(block) if !json::is_null(block) => {
            json::parse(block.get(), "a block named like the account type")?
        }
        _ => PowerRow::default(),
    };
    let amount = |raw, expected| json::usd(raw).ok_or(Unreadable(expected));
    Ok(Balances {
        account_type,
        total_equity: amount(row.total_equity, "total_equity")?,
        total_cash: amount(row.total_cash, "total_cash")?,
        option_buying_power: json::usd(power.option_buying_power),
        day_trade_buying_power: json::usd(power.day_trade_buying_power),
        cash_available: json::usd(power.cash_available),
        unsettled_funds: json::usd(power.unsettled_funds),
        close_pl: amount(row.close_pl, "close_pl")?,
        open_pl: amount(row.open_pl, "open_pl")?,
        pending_orders: json::count(row.pending_orders_count).ok_or(Unreadable("pending_orders_count"))?,
    })
}

#[derive(Deserialize)]
struct PositionsBody<'a> {
    #[serde(borrow)]
    positions: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct PositionRow<'a> {
    symbol: Raw<'a>,
    quantity: Raw<'a>,
    cost_basis: Raw<'a>,
}

/// The option positions. Shares and adjusted contracts are left out; an option row that cannot be read is an error,
/// because a position that is not seen is a position that is not closed.
///
/// # Errors
/// [`Unreadable`] where the list or an option row cannot be read.
pub fn positions(body: &str) -> Result<Vec<BrokerPosition>, Unreadable> {
    let outer: PositionsBody<'_> = json::parse(body, "positions")?;
    let mut found = Vec::new();
    for raw in json::collection(outer.positions, "position", "positions")? {
        let row: PositionRow<'_> = json::parse(raw.get(), "a position")?;
        let symbol = json::text(row.symbol).ok_or(Unreadable("a position's symbol"))?;
        let Ok(series) = symbol.parse::<OccSymbol>() else { continue };
        let quantity = json::whole(row.quantity).ok_or(Unreadable("a whole number of contracts"))?;
        let cost_basis = json::usd(row.cost_basis).ok_or(Unreadable("a position's cost_basis"))?;
        found.push(BrokerPosition { series, quantity, cost_basis });
    }
    Ok(found)
}
