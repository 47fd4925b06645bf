//! Values that several modules' tests share: one day, one chain, one entry.

use domain::account::{
    AccountRef, AccountType, Balances, CredentialRecord, CredentialStatus, Environment, RiskLimits,
    UserSettings,
};
use domain::chain::{ChainRow, ChainSnapshot};
use domain::ids::{AttemptNo, BrokerOrderId, SetupId};
use domain::intent::{
    Action, CloseAmount, ClosingIntent, DecisionMarket, IntentHead, IntentState, OpeningIntent, OrderIntent,
    Origin, intent_id,
};
use domain::market::{OptionQuote, Points};
use domain::money::{Price, Side, TickGrid, Usd};
use domain::order::{Attempt, AttemptState};
use domain::ports::{DayRisk, IntentView, OpeningContext, Snapshot};
use domain::position::{Fill, FillSource, Owned};
use domain::setup::{Direction, SetupKind, SetupLevels};
use domain::symbol::{OccSymbol, Right, Root, Strike, Underlying};
use domain::time::{UtcNanos, at_new_york};
use jiff::civil::{Date, date, time};

use crate::pricing::{Inputs, price, years_between};
use crate::selection::{Model, Selected};

/// A full session under the intraday margin rule.
pub(crate) const DAY: Date = date(2026, 11, 20);

pub(crate) fn setup(n: u8) -> SetupId {
    SetupId::from_bytes([n; 16])
}

pub(crate) fn account() -> AccountRef {
    AccountRef {
        user: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
        account: "00000000-0000-0000-0000-00000000000a".parse().unwrap(),
        environment: Environment::Sandbox,
    }
}

/// A chain priced by the model at one volatility, strikes 5 apart within 3 % of spot, two ticks wide.
pub(crate) fn chain(spot: f64, ts: UtcNanos, vol: f64) -> ChainSnapshot {
    let close = at_new_york(DAY, time(16, 0, 0, 0));
    let grid = TickGrid::FIVE_TEN;
    let mut rows = Vec::new();
    let strikes = ((spot * 0.97 / 5.0) as u32)..((spot * 1.03 / 5.0) as u32);
    for points in strikes.map(|it| it * 5) {
        for right in [Right::Call, Right::Put] {
            let series =
                OccSymbol { root: Root::SPXW, expiry: DAY, right, strike: Strike::from_points(points) };
            let strike = f64::from(points);
            let years = years_between(ts, close);
            let value = price(right, &Inputs { spot, strike, years, rate: 0.0, div: 0.0, vol });
            let bid = Price::from_model(value, Side::Buy, grid).unwrap();
            let ask = grid.step_by(bid, 2);
            let bid = (bid > Price::ZERO).then_some(bid);
            let quote = OptionQuote { ts, bid, ask: Some(ask), bid_size: 20, ask_size: 20 };
            rows.push(ChainRow { series, quote, open_interest: Some(100), volume: Some(50) });
        }
    }
    rows.sort_by_key(|it| it.series);
    ChainSnapshot { underlying: Underlying::SPX, spot: Points::from_f64(spot), ts, rows }
}

/// A 5605 call, bid 9.00, ask 9.20, at 10:15 with the index at 5600.
pub(crate) fn selected() -> Selected {
    let ts = at_new_york(DAY, time(10, 15, 0, 0));
    let series: OccSymbol = "SPXW261120C05605000".parse().unwrap();
    let (bid, ask) = (Price::from_cents(900), Price::from_cents(920));
    let quote = OptionQuote { ts, bid: Some(bid), ask: Some(ask), bid_size: 20, ask_size: 20 };
    let row = ChainRow { series, quote, open_interest: Some(100), volume: Some(50) };
    let model = Model::fit(series, 5_600.0, bid.mid(ask), ts).unwrap();
    Selected { row, bid, ask, model, considered: Vec::new() }
}

/// A long entry around 5600 with 16 points of R.
pub(crate) fn long_levels() -> SetupLevels {
    SetupLevels {
        zone_low: Points::whole(5_599),
        zone_high: Points::whole(5_601),
        stop: Points::whole(5_584),
        t1: Points::whole(5_616),
        t2: Points::whole(5_632),
        r_index: Points::whole(16),
    }
}

pub(crate) fn balances(dollars: i64) -> Balances {
    let all = Usd::from_dollars(dollars);
    Balances {
        account_type: AccountType::Margin,
        total_equity: all,
        total_cash: all,
        option_buying_power: Some(all),
        day_trade_buying_power: None,
        cash_available: None,
        unsettled_funds: None,
        close_pl: Usd::ZERO,
        open_pl: Usd::ZERO,
        pending_orders: 0,
    }
}

pub(crate) fn opening(chosen: &Selected, worst: Price, quantity: u32) -> OpeningIntent {
    let (account, origin) = (account(), Origin::Setup(setup(1)));
    let series = chosen.row.series;
    OpeningIntent {
        head: IntentHead {
            id: intent_id(origin, 2, account.account, Action::Enter, Some(&series)),
            account,
            origin,
            sequence: 2,
            action: Action::Enter,
            series,
            decided_at: chosen.row.quote.ts,
        },
        kind: SetupKind::OrbBreakout,
        direction: Direction::Long,
        quantity,
        worst,
        market: DecisionMarket { spot: Points::whole(5_600), bid: chosen.bid, ask: chosen.ask },
        levels: long_levels(),
        risk_per_contract: Usd::from_dollars(500),
        release_at: None,
    }
}

/// An account on which every gate passes.
pub(crate) fn context(now: UtcNanos) -> OpeningContext {
    OpeningContext {
        open_legs: Vec::new(),
        settings: UserSettings {
            spx_auto_execute: true,
            consent_at: Some(now),
            limits: RiskLimits { daily_loss_limit: Usd::from_dollars(3_000), ..RiskLimits::default() },
            ..UserSettings::default()
        },
        credential: Some(CredentialRecord {
            account: account(),
            secret: "claxton/test".to_owned(),
            last4: "0001".to_owned(),
            status: CredentialStatus::Active,
            proof_at: Some(now),
        }),
        kill: Vec::new(),
        snapshot: Some(Snapshot { at: now, balances: balances(50_000) }),
        agreed_at: Some(now),
        day: DayRisk::default(),
        owned_series: Vec::new(),
    }
}

/// An intent with one attempt of `quantity`, marked when it was decided, and a fill for what executed at 9.10.
pub(crate) fn view(
    intent: OrderIntent,
    state: IntentState,
    attempt: AttemptState,
    quantity: u32,
    executed: u32,
) -> IntentView {
    let head = *intent.head();
    let side = if intent.opens() { Side::Buy } else { Side::Sell };
    let has_order =
        !matches!(attempt, AttemptState::Created | AttemptState::Submitting | AttemptState::Unknown);
    let average = Usd::from_cents(910);
    let attempt = Attempt {
        no: AttemptNo::FIRST,
        state: attempt,
        broker_order: has_order.then_some(BrokerOrderId(1)),
        side,
        quantity,
        price: Price::from_cents(910),
        rung: 1,
        executed,
        average: Some(average),
        marked_at: head.decided_at,
        repriced_at: head.decided_at,
        cancel_at: None,
        reason: None,
        combo: None,
        trace: Default::default(),
    };
    let fill = Fill {
        intent: head.id,
        attempt: AttemptNo::FIRST,
        series: head.series,
        side,
        from: 0,
        to: executed,
        price: Some(average),
        fees: Usd::from_cents(105).times(i64::from(executed)),
        at: head.decided_at.plus(std::time::Duration::from_secs(4)),
        source: FillSource::Poll,
    };
    IntentView {
        intent,
        state,
        reason: String::new(),
        attempts: vec![attempt],
        fills: if executed > 0 { vec![fill] } else { Vec::new() },
        filled: executed,
        stop_requested: false,
        version: 1,
    }
}

/// A stop of everything `entry` bought.
pub(crate) fn closing(entry: &IntentView, sequence: u32) -> ClosingIntent {
    let head = *entry.intent.head();
    let id = intent_id(head.origin, sequence, head.account.account, Action::Stop, Some(&head.series));
    ClosingIntent {
        head: IntentHead { id, sequence, action: Action::Stop, ..head },
        opening: Some(head.id),
        amount: CloseAmount::All,
        reason: "stop".to_owned(),
    }
}

/// What is owned of `entry` at 9.10 a share, sold at 10.00.
pub(crate) fn owned(entry: &IntentView, bought: u32, sold: u32) -> Owned {
    let head = entry.intent.head();
    let worth = |cents: i64, n: u32| Usd::from_cents(cents).times(100).times(i64::from(n));
    Owned {
        opening: head.id,
        setup: Some(setup(1)),
        series: head.series,
        environment: head.account.environment,
        bought,
        sold,
        paid: worth(910, bought),
        received: worth(1_000, sold),
        fees: Usd::from_cents(105).times(i64::from(bought + sold)),
        price_missing: false,
    }
}
