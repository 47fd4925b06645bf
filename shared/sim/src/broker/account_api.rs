//! Profile, balances and positions (TRADIER.md sections 5 to 7).

use domain::account::AccountType;
use domain::money::Usd;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::answer::Answer;
use super::shape::{Amount, Collapsed, Listed, PositionRow, Under, stamp};
use super::{Account, Sandbox};

#[derive(Serialize)]
struct Profile<'a> {
    id: &'a str,
    name: &'a str,
    account: Collapsed<'a, ProfileAccount<'a>>,
}

#[derive(Serialize)]
struct ProfileAccount<'a> {
    account_number: &'a str,
    classification: &'static str,
    date_created: &'static str,
    day_trader: bool,
    option_level: u8,
    status: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    last_update_date: &'static str,
}

#[derive(Serialize)]
struct BalancesRow<'a> {
    option_short_value: Amount,
    total_equity: Amount,
    account_number: &'a str,
    account_type: &'static str,
    close_pl: Amount,
    current_requirement: Amount,
    equity: u8,
    long_market_value: Amount,
    market_value: Amount,
    open_pl: Amount,
    option_long_value: Amount,
    option_requirement: Amount,
    pending_orders_count: usize,
    short_market_value: Amount,
    stock_long_value: Amount,
    total_cash: Amount,
    uncleared_funds: u8,
    pending_cash: Amount,
    #[serde(flatten)]
    power: Power,
}

/// The block named like the account's type.
struct Power {
    kind: AccountType,
    free: Usd,
    unsettled: Usd,
    short_shares: Usd,
    call: Usd,
}

impl Serialize for Power {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Margin {
            #[serde(skip_serializing_if = "Option::is_none")]
            day_trade_buying_power: Option<Amount>,
            fed_call: u8,
            maintenance_call: Amount,
            option_buying_power: Amount,
            stock_buying_power: Amount,
            stock_short_value: Amount,
            #[serde(skip_serializing_if = "Option::is_none")]
            sweep: Option<u8>,
        }
        #[derive(Serialize)]
        struct Cash {
            cash_available: Amount,
            sweep: u8,
            unsettled_funds: Amount,
        }
        let margin = |day, sweep| Margin {
            day_trade_buying_power: day,
            fed_call: 0,
            maintenance_call: Amount(self.call),
            option_buying_power: Amount(self.free),
            stock_buying_power: Amount(self.free.times(2)),
            stock_short_value: Amount(self.short_shares),
            sweep,
        };
        let mut map = to.serialize_map(Some(1))?;
        match self.kind {
            AccountType::Margin => map.serialize_entry("margin", &margin(None, Some(0)))?,
            AccountType::Pdt => {
                map.serialize_entry("pdt", &margin(Some(Amount(self.free.times(4))), None))?
            }
            AccountType::Cash => {
                let cash = Cash {
                    cash_available: Amount(self.free),
                    sweep: 0,
                    unsettled_funds: Amount(self.unsettled),
                };
                map.serialize_entry("cash", &cash)?;
            }
        }
        map.end()
    }
}

impl Sandbox {
    pub(super) fn profile(&self, user: &str) -> Answer {
        let Some(user) = self.users.iter().find(|it| it.id == user) else {
            return Answer::text(500, "An error occurred while communicating with the backend.");
        };
        let row = |number, account: &Account| ProfileAccount {
            account_number: number,
            classification: "individual",
            date_created: "2024-05-02T18:11:09.000Z",
            day_trader: account.shown_kind() == AccountType::Pdt,
            option_level: account.option_level,
            status: "active",
            kind: account.kind.as_str(),
            last_update_date: "2024-05-02T18:11:09.000Z",
        };
        let known = user.accounts.iter().filter_map(|number| self.accounts.get(number));
        let rows: Vec<_> = known.map(|it| row(it.number.as_str(), it)).collect();
        Answer::json(&Under("profile", Profile { id: &user.id, name: &user.name, account: Collapsed(&rows) }))
    }

    pub(super) fn balances(&self, number: &str) -> Answer {
        let Some(account) = self.accounts.get(number) else { return Answer::foreign_account(number) };
        let worth = account.value(&self.book);
        let (long, short, value) = (worth.long(), worth.short(), worth.net());
        let cost: Usd = account.holdings().map(|(_, it)| it.cost).sum();
        let options = self.option_requirement(account).unwrap_or(account.required);
        let required = options + Self::share_requirement(account, &worth);
        let kind = account.shown_kind();
        let equity = account.cash + value;
        let shown = if self.rules.practice.equity_frozen { account.equity_at_open } else { equity };
        let power = Power {
            kind,
            free: self.buying_power_at(account, &worth),
            unsettled: account.unsettled,
            short_shares: worth.short_shares,
            call: (required - equity).max(Usd::ZERO),
        };
        Answer::json(&Under(
            "balances",
            BalancesRow {
                option_short_value: Amount(worth.short_options),
                total_equity: Amount(shown),
                account_number: &account.number,
                account_type: kind.as_str(),
                close_pl: Amount(account.realized),
                current_requirement: Amount(required),
                equity: 0,
                long_market_value: Amount(long),
                market_value: Amount(value),
                open_pl: Amount(value - cost),
                option_long_value: Amount(worth.long_options),
                option_requirement: Amount(options),
                pending_orders_count: account.working,
                short_market_value: Amount(short),
                stock_long_value: Amount(worth.long_shares),
                total_cash: Amount(account.cash),
                uncleared_funds: 0,
                pending_cash: Amount(account.tied),
                power,
            },
        ))
    }

    pub(super) fn positions(&self, number: &str) -> Answer {
        let held = self.accounts.get(number).into_iter().flat_map(Account::holdings);
        let row = |(instrument, it): (super::Instrument, &super::Position)| PositionRow {
            cost_basis: it.cost.to_f64(),
            date_acquired: stamp(it.acquired),
            id: it.id,
            quantity: it.quantity as f64,
            symbol: instrument.to_string(),
        };
        let mut rows: Vec<PositionRow> = held.map(row).collect();
        rows.sort_by(|a, b| a.symbol.cmp(&b.symbol));
        Answer::json(&Under("positions", Listed::new("position", rows)))
    }
}
