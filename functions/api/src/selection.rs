//! Contract selection: which contract a setup would buy, how many, and every figure behind that.
//!
//! The same functions decide as for an order, with the caller's limits, balances and positions of now, on the chain of the
//! setup's own step: the answer says what would have been decided then.

use domain::account::{AccountRef, Balances, CredentialStatus};
use domain::chain::{ChainRow, ChainSnapshot};
use domain::gate::GateCheck;
use domain::ids::{AccountId, ChainId, SetupId};
use domain::kill::scopes_for;
use domain::market::{OptionQuote, Points};
use domain::money::{Price, Usd};
use domain::ports::{Clock, Ledger, OpeningContext};
use domain::setup::{Direction, SetupKind, SetupLevels};
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use engine::daytrade::{self, Claim};
use engine::selection::{NoContract, Selected, SelectionInputs, SelectionRules, select};
use engine::sizing::{Sizing, SizingInputs, size};
use jiff::civil::Date;
use lambda_kit::http::{Answer, Caller, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Api, Reads};

/// Our only broker so far, as the kill switch names it.
const BROKER: &str = "tradier";
/// Quotes taken in one request.
const QUOTES_MAX: usize = 2_000;

/// What is asked: a stored setup by its id, or one given here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Question {
    /// Of several accounts, which.
    #[serde(default)]
    account_id: Option<String>,
    #[serde(default)]
    setup_id: Option<String>,
    #[serde(default)]
    setup: Option<Given>,
    /// What the client knows of its own standing: it can only tighten.
    #[serde(default)]
    standing: Claim,
}

/// A setup that is not stored. Prices in points and dollars.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Given {
    direction: Direction,
    spot: f64,
    zone_low: f64,
    zone_high: f64,
    stop: f64,
    t1: f64,
    t2: f64,
    /// A stored chain; or the quotes themselves.
    #[serde(default)]
    chain_id: Option<String>,
    #[serde(default)]
    quotes: Vec<GivenQuote>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenQuote {
    series: String,
    bid: String,
    ask: String,
}

/// What selection works on, wherever it came from.
struct Case {
    setup: SetupId,
    is_stored: bool,
    session: Date,
    symbol: Underlying,
    kind: SetupKind,
    direction: Direction,
    levels: SetupLevels,
    spot: Points,
    chain: ChainSnapshot,
    resolution_ns: i64,
    as_of: UtcNanos,
}

impl<L: Ledger, R: Reads, C: Clock> Api<'_, L, R, C> {
    /// Answers with the size and its breakdown, or with why there is no contract. Both are answers.
    pub(crate) async fn select(&self, caller: Caller, question: Question) -> Result<Answer, Problem> {
        let case = match (&question.setup_id, &question.setup) {
            (Some(id), None) => self.stored(id).await?,
            (None, Some(given)) => self.given(given).await?,
            (Some(_), Some(_)) | (None, None) => {
                let detail = "say either setupId, a stored setup, or setup, one with its levels";
                return Err(Problem::invalid("setupId", detail));
            }
        };
        let account = self.account(caller, question.account_id.as_deref()).await?;
        let scopes = scopes_for(account.user, case.kind.as_str(), case.symbol, BROKER);
        let session = self.clock.now().new_york_date();
        let context = self.ledger.opening_context(&account, session, &scopes).await?;
        let balances = context.snapshot.as_ref().map(|it| &it.balances);
        let heard = balances.map(|it| question.standing.tighten(it, context.day.day_trades));
        let key = case.is_stored.then(|| fingerprint(&account, &case, &context, heard.as_ref()));
        let now = self.clock.now();
        if let Some(answer) = key.as_ref().and_then(|it| self.cache.get(it, now)) {
            return Answer::ok(&answer);
        }
        let selected = select(&SelectionInputs {
            chain: &case.chain,
            session: case.session,
            direction: case.direction,
            now: case.as_of,
            resolution_ns: case.resolution_ns,
            owned: &context.owned_series,
            setup: case.setup,
            rules: SelectionRules::default(),
        });
        let sizing = selected.as_ref().ok().map(|selected| {
            size(&SizingInputs {
                selected,
                spot: case.spot,
                levels: &case.levels,
                now: case.as_of,
                limits: &context.settings.limits,
                balances: heard.as_ref().map(|it| &it.0),
                working_debits: context.day.working_debits,
                realized_today: context.day.realized,
            })
        });
        let day_trading =
            sizing.as_ref().and_then(|it| Some(day_trading(it, &case, &context, heard.as_ref()?)));
        let is_refused = day_trading.as_ref().is_some_and(GateCheck::blocks);
        let answer = serde_json::json!({
            "accountId": account.account,
            "setupId": case.is_stored.then(|| case.setup.to_string()),
            "asOf": case.as_of.to_string(),
            "spot": case.spot.to_f64(),
            "selected": selected.as_ref().ok().map(contract),
            "considered": considered(&selected),
            "sizing": sizing.as_ref().map(breakdown),
            "dayTrading": day_trading,
            "suggestedContracts": sizing.as_ref().filter(|_| !is_refused).map_or(0, |it| it.suggested_contracts),
            "reason": match (&selected, &sizing) {
                (Err(none), _) => none.reason,
                (Ok(_), Some(_)) if is_refused => day_trading.as_ref().map_or("", |it| it.reason.as_str()),
                (Ok(_), Some(sizing)) => sizing.reason,
                (Ok(_), None) => "not_sized",
            },
            "balancesAt": context.snapshot.map(|it| it.at.to_string()),
        });
        if let Some(key) = key {
            self.cache.put(key, answer.clone(), now);
        }
        Answer::ok(&answer)
    }

    /// The caller's account: the one named, or the only one.
    async fn account(&self, caller: Caller, named: Option<&str>) -> Result<AccountRef, Problem> {
        let wrong = |detail: &str| Problem::invalid("accountId", detail);
        let named: Option<AccountId> =
            named.map(|it| it.parse().map_err(|_| wrong("accountId is a UUID"))).transpose()?;
        let mut records = self.ledger.credentials(caller.user).await?;
        records.retain(|it| it.status != CredentialStatus::Removed);
        records.retain(|it| named.is_none_or(|id| it.account.account == id));
        match records.as_slice() {
            [one] => Ok(one.account),
            [] => Err(wrong("no such account of yours: store its credential first (PUT /v1/credentials)")),
            [_, _, ..] => Err(wrong("you have several accounts: say which")),
        }
    }

    /// The last step of a stored setup that came with a chain.
    async fn stored(&self, id: &str) -> Result<Case, Problem> {
        let id: SetupId =
            id.parse().map_err(|_| Problem::invalid("setupId", "a setup's id is 26 characters of base32"))?;
        let mut last = None;
        let mut sequence: u32 = 0;
        while let Some(record) = self.ledger.transition(id, sequence).await? {
            if record.chain.is_some() {
                last = Some(record);
            }
            sequence = sequence.saturating_add(1);
        }
        if sequence == 0 {
            return Err(Problem::not_found(&format!(
                "no setup {id}: GET /v1/setups lists those of a session"
            )));
        }
        let no_chain = || {
            let detail = format!("setup {id} has no step with a chain yet: one comes with its trigger");
            Problem::conflict(&detail)
        };
        let record = last.ok_or_else(no_chain)?;
        let chain = match record.chain {
            Some(chain) => self.ledger.chain(chain).await?,
            None => None,
        };
        Ok(Case {
            setup: id,
            is_stored: true,
            session: record.setup.session,
            symbol: record.setup.symbol,
            kind: record.setup.kind,
            direction: record.setup.direction,
            levels: record.setup.levels,
            spot: record.transition.price,
            chain: chain.ok_or_else(no_chain)?,
            resolution_ns: record.resolution_ns,
            as_of: record.transition.ts,
        })
    }

    /// A setup as given, on a stored chain at its time or on the quotes given, now.
    async fn given(&self, given: &Given) -> Result<Case, Problem> {
        let level = |name: &str, value: f64| match Points::from_f64(value) {
            it if it.0 > 0 => Ok(it),
            _ => Err(Problem::invalid(name, &format!("{name} is an index value above 0"))),
        };
        let spot = level("spot", given.spot)?;
        let (zone_low, zone_high) = (level("zoneLow", given.zone_low)?, level("zoneHigh", given.zone_high)?);
        let stop = level("stop", given.stop)?;
        let middle = Points(zone_low.0.saturating_add(zone_high.0) / 2);
        let levels = SetupLevels {
            zone_low,
            zone_high,
            stop,
            t1: level("t1", given.t1)?,
            t2: level("t2", given.t2)?,
            r_index: middle.distance(stop),
        };
        let is_ordered = given.direction.reached(levels.t2, levels.t1)
            && given.direction.reached(levels.t1, middle)
            && given.direction.reached(middle, stop)
            && zone_low <= zone_high;
        if !is_ordered {
            let detail = "stop, zone, t1 and t2 lie in this order in the setup's direction";
            return Err(Problem::invalid("stop", detail));
        }
        let chain = self.chain(given, spot).await?;
        let as_of = if given.chain_id.is_some() { chain.ts } else { self.clock.now() };
        Ok(Case {
            // No setup of ours has this name: every series that is owned belongs to another one.
            setup: SetupId::of(&[b"given"]),
            is_stored: false,
            session: as_of.new_york_date(),
            symbol: Underlying::SPX,
            kind: SetupKind::OrbBreakout,
            direction: given.direction,
            levels,
            spot,
            chain,
            resolution_ns: 1,
            as_of,
        })
    }

    async fn chain(&self, given: &Given, spot: Points) -> Result<ChainSnapshot, Problem> {
        if let Some(id) = &given.chain_id {
            let wrong = |detail: &str| Problem::invalid("chainId", detail);
            let id: ChainId = id.parse().map_err(|_| wrong("a chain's id is 26 characters of base32"))?;
            return self.ledger.chain(id).await?.ok_or_else(|| wrong("no such chain is stored"));
        }
        if given.quotes.is_empty() || given.quotes.len() > QUOTES_MAX {
            let detail = format!("give chainId, or 1 to {QUOTES_MAX} quotes");
            return Err(Problem::invalid("quotes", &detail));
        }
        let ts = self.clock.now();
        let mut rows = Vec::with_capacity(given.quotes.len());
        for quote in &given.quotes {
            let wrong = |what: &str| Problem::invalid("quotes", &format!("{}: {what}", quote.series));
            let series: OccSymbol = quote.series.parse().map_err(|_| wrong("not an OCC symbol"))?;
            let side = |text: &str| Price::parse(text).map_err(|_| wrong("bid and ask are decimal dollars"));
            let (bid, ask) = (side(&quote.bid)?, side(&quote.ask)?);
            let quote = OptionQuote { ts, bid: Some(bid), ask: Some(ask), bid_size: 1, ask_size: 1 };
            rows.push(ChainRow { series, quote, open_interest: None, volume: None });
        }
        rows.sort_by_key(|it| it.series);
        Ok(ChainSnapshot { underlying: Underlying::SPX, spot, ts, rows })
    }
}

/// Everything the answer follows from: the same fingerprint has the same answer.
fn fingerprint(
    account: &AccountRef,
    case: &Case,
    context: &OpeningContext,
    heard: Option<&(Balances, u32)>,
) -> String {
    serde_json::json!([
        account,
        case.setup,
        case.as_of,
        context.settings.limits,
        context.day,
        context.owned_series,
        heard,
    ])
    .to_string()
}

/// The rule on day trades for the size that was found, or for one contract where none was.
fn day_trading(sizing: &Sizing, case: &Case, context: &OpeningContext, heard: &(Balances, u32)) -> GateCheck {
    let contracts = i64::from(sizing.suggested_contracts.max(1));
    let today = case.as_of.new_york_date();
    daytrade::check(
        "day_trading",
        &daytrade::Question {
            rule: daytrade::Rule::as_of(today, daytrade::TRADIER_SWITCHED),
            balances: &heard.0,
            day_trades: heard.1,
            debit: sizing.per_contract_debit.times(contracts),
            per_contract_debit: sizing.per_contract_debit,
            // What is selected expires with its session.
            is_zero_dte: case.session == today,
            zero_dte_floor: context.settings.limits.zero_dte_floor,
        },
    )
}

fn contract(it: &Selected) -> Value {
    serde_json::json!({
        "series": it.row.series,
        "bid": it.bid.to_f64(),
        "ask": it.ask.to_f64(),
        "delta": it.model.delta,
        "iv": it.model.iv,
        "openInterest": it.row.open_interest,
        "volume": it.row.volume,
    })
}

fn considered(selected: &Result<Selected, NoContract>) -> Value {
    let all = match selected {
        Ok(it) => &it.considered,
        Err(it) => &it.considered,
    };
    let one = |it: &engine::selection::Considered| serde_json::json!({ "series": it.series, "delta": it.delta, "reason": it.reason });
    all.iter().map(one).collect()
}

/// The breakdown with money in dollars.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Breakdown {
    worst: f64,
    worst_by: &'static str,
    value_at_t1: f64,
    value_at_stop: f64,
    half_hold_seconds: f64,
    round_trip_fees: f64,
    per_contract_debit: f64,
    r_usd: f64,
    gain_at_t1: f64,
    reward_to_risk: Option<f64>,
    break_even_index: Option<f64>,
    max_risk: f64,
    contracts_by_risk: u32,
    buying_power: Option<f64>,
    contracts_by_buying_power: Option<u32>,
    max_contracts: u32,
    suggested_contracts: u32,
    margin_limit_blocked: bool,
    reason: &'static str,
}

fn breakdown(it: &Sizing) -> Breakdown {
    Breakdown {
        worst: it.worst.to_f64(),
        worst_by: it.worst_by,
        value_at_t1: it.outcome.value_at_t1,
        value_at_stop: it.outcome.value_at_stop,
        half_hold_seconds: it.outcome.half_hold_seconds,
        round_trip_fees: it.outcome.round_trip_fees.to_f64(),
        per_contract_debit: it.per_contract_debit.to_f64(),
        r_usd: it.r_usd.to_f64(),
        gain_at_t1: it.gain_at_t1.to_f64(),
        reward_to_risk: it.reward_to_risk,
        break_even_index: it.break_even_index.map(Points::to_f64),
        max_risk: it.max_risk.to_f64(),
        contracts_by_risk: it.contracts_by_risk,
        buying_power: it.buying_power.map(Usd::to_f64),
        contracts_by_buying_power: it.contracts_by_buying_power,
        max_contracts: it.max_contracts,
        suggested_contracts: it.suggested_contracts,
        margin_limit_blocked: it.margin_limit_blocked,
        reason: it.reason,
    }
}
