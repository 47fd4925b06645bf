//! Opening intents: contract, size and gates for one account, recorded whatever they say.

use std::time::Duration;

use domain::account::{AccountRef, Balances};
use domain::calendar::Session;
use domain::chain::ChainSnapshot;
use domain::ids::IntentId;
use domain::intent::{
    Action, DecisionMarket, IntentHead, IntentState, OpeningIntent, OrderIntent, Origin, intent_id,
};
use domain::kill::scopes_for;
use domain::market::OptionQuote;
use domain::money::{Price, Usd};
use domain::ports::{Clock, HandleError, Ledger, Message, NewIntent, OpeningContext, Queue};
use domain::setup::TransitionRecord;
use domain::symbol::{OccSymbol, Root, Strike};
use domain::time::UtcNanos;
use engine::daytrade;
use engine::gates::{self, GateInputs};
use engine::profile::KNOWN;
use engine::selection::{NoContract, Selected, SelectionInputs, SelectionRules, select};
use engine::sizing::{Sizing, SizingInputs, size};
use serde::Serialize;

use crate::release::Decided;
use crate::{BROKER, Transitions};

/// A step may seem to be this far ahead: the market's clock and ours are two.
const CLOCKS_MAY_DIFFER: Duration = Duration::from_secs(5);

/// What explains an opening, kept with it: the contract and every other one considered, and how the size came about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Breakdown<'a> {
    source: &'a str,
    chain: Option<String>,
    selected: Option<&'a Selected>,
    no_contract: Option<&'a NoContract>,
    sizing: Option<&'a Sizing>,
}

impl<L: Ledger, C: Clock> Transitions<'_, L, C> {
    /// Decides one account's entry. It is written once all of them are decided, because they share the displayed size.
    pub(crate) async fn decide(
        &self,
        account: &AccountRef,
        record: &TransitionRecord,
    ) -> Result<Decided, HandleError> {
        let setup = &record.setup;
        let id = entry_id(account, record);
        if let Some(known) = self.ledger.intent(account, id).await? {
            return Ok(Decided::Known(Box::new(known)));
        }
        if let Some(reason) = unusable(record, self.clock.now()) {
            return self.refuse_unusable(account, record, reason).await;
        }
        // A family on trial or in quarantine is led like any other, and the "no" is kept; it is nobody's fault.
        if !setup.facts.family.trades() {
            let why = NoContract { reason: "family_not_active", considered: Vec::new() };
            return Ok(Decided::refused(self.stood(account, record, None, &why)));
        }
        let scopes = scopes_for(account.user, setup.kind.as_str(), setup.symbol, BROKER);
        let context = self.ledger.opening_context(account, setup.session, &scopes).await?;
        let chain = match record.chain {
            Some(id) => self.ledger.chain(id).await?,
            None => None,
        };
        let chosen = choose(record, &context, chain.as_ref(), self.clock.now());
        Ok(match chosen {
            Ok((selected, sizing)) => Decided::New {
                new: Box::new(self.sized(account, record, &context, &selected, &sizing)?),
                displayed: selected.row.quote.ask_size,
            },
            Err(why) => Decided::refused(self.stood(account, record, chain.as_ref(), &why)),
        })
    }

    /// A step that must not be opens nothing, and is a fault of ours to be told: kept with its reason like every other "no".
    async fn refuse_unusable(
        &self,
        account: &AccountRef,
        record: &TransitionRecord,
        reason: &'static str,
    ) -> Result<Decided, HandleError> {
        let why = NoContract { reason, considered: Vec::new() };
        let (setup, sequence) = (record.setup.id, record.transition.sequence);
        let alert = Message::Alert {
            key: format!("{reason}:{setup}:{sequence}"),
            level: "critical".to_owned(),
            text: format!(
                "step {sequence} of setup {setup} opens nothing ({reason}): profile {}, {} at {}; look at what wrote it",
                record.setup.profile, record.transition.price, record.transition.ts
            ),
        };
        self.ledger.send_later(Queue::Alerts, &alert, self.clock.now()).await?;
        Ok(Decided::refused(self.stood(account, record, None, &why)))
    }

    /// An intent with its contract and size, ready or refused by a gate.
    fn sized(
        &self,
        account: &AccountRef,
        record: &TransitionRecord,
        context: &OpeningContext,
        selected: &Selected,
        sizing: &Sizing,
    ) -> Result<NewIntent, HandleError> {
        let market = DecisionMarket { spot: record.transition.price, bid: selected.bid, ask: selected.ask };
        let intent = OpeningIntent {
            quantity: sizing.suggested_contracts,
            worst: sizing.worst,
            risk_per_contract: sizing.r_usd,
            ..self.blank(account, record, selected.row.series, market)
        };
        let now = self.clock.now();
        let session = Session::of(record.setup.session).map_err(|it| HandleError::Poison(it.to_string()))?;
        let gates = gates::opening(&GateInputs {
            switches: &self.switches,
            context,
            session: session.as_ref().filter(|it| it.holds(now)),
            now,
            intent: &intent,
            quote: Some(&selected.row.quote),
            signal_at: record.transition.ts,
            resolution_ns: record.resolution_ns,
            // Setups do not trigger inside a gap: the ingester closes that gate.
            is_feed_gap: false,
            is_counted: false,
            broker_switched: daytrade::TRADIER_SWITCHED,
        });
        let (state, reason) = match gates::verdict(&gates) {
            (IntentState::Ready, _) if sizing.suggested_contracts == 0 => {
                (IntentState::Blocked, sizing.reason.to_owned())
            }
            verdict => verdict,
        };
        let breakdown = Breakdown {
            source: &record.source,
            chain: record.chain.map(|it| it.to_string()),
            selected: Some(selected),
            no_contract: None,
            sizing: Some(sizing),
        };
        Ok(NewIntent {
            intent: OrderIntent::Opening(intent),
            state,
            reason,
            gates,
            breakdown: json(&breakdown),
            at: now,
        })
    }

    /// No contract to buy: kept as a blocked intent that names the series nearest the money.
    fn stood(
        &self,
        account: &AccountRef,
        record: &TransitionRecord,
        chain: Option<&ChainSnapshot>,
        why: &NoContract,
    ) -> NewIntent {
        let (series, quote) = nearest(record, chain);
        let side = |price: Option<Price>| price.unwrap_or(Price::ZERO);
        let market = DecisionMarket {
            spot: record.transition.price,
            bid: side(quote.and_then(|it| it.bid)),
            ask: side(quote.and_then(|it| it.ask)),
        };
        let breakdown = Breakdown {
            source: &record.source,
            chain: record.chain.map(|it| it.to_string()),
            selected: None,
            no_contract: Some(why),
            sizing: None,
        };
        NewIntent {
            intent: OrderIntent::Opening(self.blank(account, record, series, market)),
            state: IntentState::Blocked,
            reason: why.reason.to_owned(),
            gates: Vec::new(),
            breakdown: json(&breakdown),
            at: self.clock.now(),
        }
    }

    /// An opening of nothing yet.
    fn blank(
        &self,
        account: &AccountRef,
        record: &TransitionRecord,
        series: OccSymbol,
        market: DecisionMarket,
    ) -> OpeningIntent {
        let origin = Origin::Setup(record.setup.id);
        let sequence = record.transition.sequence;
        OpeningIntent {
            head: IntentHead {
                id: entry_id(account, record),
                account: *account,
                origin,
                sequence,
                action: Action::Enter,
                series,
                decided_at: self.clock.now(),
            },
            kind: record.setup.kind,
            direction: record.setup.direction,
            quantity: 0,
            worst: Price::ZERO,
            market,
            levels: record.setup.levels,
            risk_per_contract: Usd::ZERO,
            release_at: None,
        }
    }
}

/// The name of an account's entry on a step.
fn entry_id(account: &AccountRef, record: &TransitionRecord) -> IntentId {
    let origin = Origin::Setup(record.setup.id);
    intent_id(origin, record.transition.sequence, account.account, Action::Enter, None)
}

/// What is wrong with a step itself, whoever follows it.
fn unusable(record: &TransitionRecord, now: UtcNanos) -> Option<&'static str> {
    if !KNOWN.contains(&record.setup.profile.as_str()) {
        return Some("unknown_profile");
    }
    if record.transition.ts > now.plus(CLOCKS_MAY_DIFFER) {
        return Some("signal_from_the_future");
    }
    let levels = &record.setup.levels;
    let prices =
        [record.transition.price, levels.zone_low, levels.zone_high, levels.stop, levels.t1, levels.t2];
    prices.iter().any(|it| it.0 <= 0).then_some("price_not_positive")
}

/// The contract and its size, or why there is none.
fn choose(
    record: &TransitionRecord,
    context: &OpeningContext,
    chain: Option<&ChainSnapshot>,
    now: UtcNanos,
) -> Result<(Selected, Sizing), NoContract> {
    let chain = chain.ok_or(NoContract { reason: "no_fresh_chain", considered: Vec::new() })?;
    let selected = select(&SelectionInputs {
        chain,
        session: record.setup.session,
        direction: record.setup.direction,
        now,
        resolution_ns: record.resolution_ns,
        owned: &context.owned_series,
        setup: record.setup.id,
        rules: SelectionRules::default(),
    })?;
    let balances: Option<&Balances> = context.snapshot.as_ref().map(|it| &it.balances);
    let sizing = size(&SizingInputs {
        selected: &selected,
        spot: record.transition.price,
        levels: &record.setup.levels,
        now,
        limits: &context.settings.limits,
        balances,
        working_debits: context.day.working_debits,
        realized_today: context.day.realized,
    });
    Ok((selected, sizing))
}

/// The series of the setup's direction nearest the money: of the chain, or by name where there is no chain.
fn nearest(record: &TransitionRecord, chain: Option<&ChainSnapshot>) -> (OccSymbol, Option<OptionQuote>) {
    let spot = record.transition.price.to_f64();
    let right = record.setup.direction.right();
    let rows = chain.map(|it| it.rows.as_slice()).unwrap_or_default();
    let distance = |series: &OccSymbol| (series.strike.points() - spot).abs();
    let candidates = rows.iter().filter(|it| it.series.right == right && it.series.root == Root::SPXW);
    match candidates.min_by(|a, b| distance(&a.series).total_cmp(&distance(&b.series))) {
        Some(row) => (row.series, Some(row.quote)),
        None => {
            let points = ((spot / 5.0).round() * 5.0).clamp(5.0, 99_995.0) as u32;
            let strike = Strike::from_points(points);
            (OccSymbol { root: Root::SPXW, expiry: record.setup.session, right, strike }, None)
        }
    }
}

/// Plain data with text keys: there is nothing in it that JSON cannot say.
fn json(breakdown: &Breakdown<'_>) -> String {
    serde_json::to_string(breakdown).unwrap_or_default()
}
