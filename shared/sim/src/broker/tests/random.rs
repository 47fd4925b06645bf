//! What holds whatever is asked: nothing panics, indices follow the orders, money is conserved, positions are the sum of
//! what executed, and a sandbox that was saved and restored goes on as the other one would have.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Draws from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: u32) -> u32 {
        u32::try_from(self.next() % u64::from(n)).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(u32::try_from(from.len()).unwrap()) as usize]
    }
}

const SPY_CALL: &str = "SPY261120C00565000";
const SPY_PUT: &str = "SPY261120P00555000";
const SERIES: [&str; 6] = [CALL, HIGHER, PUT, TOMORROW, SPY_CALL, SPY_PUT];

fn world(seed: u64, latencies: Latencies) -> World {
    let practice = Practice { nightly: seed.is_multiple_of(2), ..Practice::USUAL };
    let mut world = World::with(Rules { latencies, limits: Limits::Off, practice, ..Rules::live(seed) });
    world.stock(561.00, 561.02, 300);
    world.print(561.01);
    for series in SERIES {
        world.quote(series, 230, 240, 5, 5);
    }
    world
}

/// A step of somebody who knows what to ask for.
fn sensible(world: &mut World, dice: &mut Dice) {
    let series = dice.pick(&SERIES);
    let symbol = if series.starts_with("SPY") { "SPY" } else { "SPX" };
    let price = format!("{:.2}", f64::from(150 + 5 * dice.below(30)) / 100.0);
    let stop = format!("{:.2}", f64::from(150 + 5 * dice.below(30)) / 100.0);
    let count = 1 + dice.below(4);
    let duration = dice.pick(&["day", "day", "gtc"]);
    let kind = dice.pick(&["limit", "limit", "market", "stop", "stop_limit"]);
    let terms = format!("type={kind} price={price} stop={stop} duration={duration}");
    let id = 141_000_001 + u64::from(dice.below(120));
    let form = match dice.below(14) {
        0..=2 => format!(
            "class=option symbol={symbol} option_symbol={series} side=buy_to_open quantity={count} {terms}"
        ),
        3..=4 => format!(
            "class=option symbol={symbol} option_symbol={series} side=sell_to_close quantity={count} {terms}"
        ),
        5 => {
            let side = dice.pick(&["sell_to_open", "buy_to_close"]);
            format!(
                "class=option symbol={symbol} option_symbol={series} side={side} quantity={count} {terms}"
            )
        }
        6 => {
            let (open, close) = if dice.below(3) > 0 {
                ("sell_to_open", "buy_to_open")
            } else {
                ("buy_to_close", "sell_to_close")
            };
            let kind = dice.pick(&["credit", "debit", "even", "market"]);
            format!(
                "class=multileg symbol=SPX type={kind} price={price} duration={duration} option_symbol[0]={CALL} side[0]={open} quantity[0]={count} option_symbol[1]={HIGHER} side[1]={close} quantity[1]={count}"
            )
        }
        7 => {
            let side = dice.pick(&["buy", "sell", "sell_short", "buy_to_cover"]);
            let price = f64::from(56_090 + dice.below(20)) / 100.0;
            format!(
                "class=equity symbol=SPY side={side} quantity={} type={kind} price={price:.2} stop={price:.2} duration={duration}",
                10 * count
            )
        }
        8 => {
            let class = dice.pick(&["oto", "oco", "otoco"]);
            let entry = format!(
                "option_symbol[0]={series} side[0]=buy_to_open quantity[0]={count} type[0]=limit price[0]={price}"
            );
            let exit = |n: usize| {
                format!("option_symbol[{n}]={series} side[{n}]=sell_to_close quantity[{n}]={count}")
            };
            let (up, down) = ("type=limit price=2.90", "type=stop stop=1.60");
            let at = |n: usize, terms: &str| {
                terms
                    .replace("type=", &format!("type[{n}]="))
                    .replace("price=", &format!("price[{n}]="))
                    .replace("stop=", &format!("stop[{n}]="))
            };
            match class {
                "oto" => format!("class=oto symbol={symbol} duration=day {entry} {} {}", exit(1), at(1, up)),
                "oco" => format!(
                    "class=oco symbol={symbol} duration=day {} {} {} {}",
                    exit(0),
                    at(0, up),
                    exit(1),
                    at(1, down)
                ),
                _ => format!(
                    "class=otoco symbol={symbol} duration=day {entry} {} {} {} {}",
                    exit(1),
                    at(1, up),
                    exit(2),
                    at(2, down)
                ),
            }
        }
        9 => format!(
            "class=combo symbol=SPY type=debit price=560.00 duration=day side[0]=buy quantity[0]=100 option_symbol[1]={SPY_CALL} side[1]=sell_to_open quantity[1]=1"
        ),
        10 => {
            world.cancel(id);
            return;
        }
        11 => {
            let name = dice.pick(&["price", "stop", "type", "duration"]);
            let value = match name {
                "type" => kind.to_owned(),
                "duration" => duration.to_owned(),
                _ => price,
            };
            world.change(id, name, &value);
            return;
        }
        12 => {
            let path = dice.pick(&["orders", "positions", "balances", "history", "gainloss"]);
            world.get(&format!("/accounts/{MARGIN}/{path}"), &[]);
            return;
        }
        _ => format!(
            "class=option symbol={symbol} option_symbol={series} side=buy_to_open quantity={count} {terms} preview=true"
        ),
    };
    world.post(MARGIN, &form);
}

fn market(world: &mut World, dice: &mut Dice) {
    let bid = 150 + 5 * dice.below(30);
    let (bids, asks) = (dice.below(6), dice.below(6));
    match dice.below(8) {
        0 => world.stock(f64::from(56_080 + dice.below(30)) / 100.0, 561.12, 50 * dice.below(5)),
        1 => world.print(f64::from(56_080 + dice.below(30)) / 100.0),
        2 => world.index(5_600.0 + f64::from(dice.below(20))),
        _ => world.quote(dice.pick(&SERIES), bid, bid + 5 + 5 * dice.below(5), bids, asks),
    }
}

fn run(world: &mut World, dice: &mut Dice, steps: usize) {
    for _ in 0..steps {
        market(world, dice);
        sensible(world, dice);
        world.after(Duration::from_millis(u64::from(dice.below(900))));
    }
}

/// Indices follow the orders, and no order is what no order may be.
fn assert_sound(broker: &Sandbox) {
    let mut claims: BTreeMap<(String, Instrument, LegSide), i64> = BTreeMap::new();
    let mut tied: BTreeMap<String, Usd> = BTreeMap::new();
    for order in broker.orders.values() {
        assert!(order.class.brackets() != order.children.is_empty(), "{order:?}");
        assert!(order.class.brackets() == order.legs.is_empty(), "{order:?}");
        assert!(order.legs.iter().all(|it| it.quantity > 0 && it.executed <= it.quantity), "{order:?}");
        assert!(!order.kind.priced() || order.price.is_some_and(|it| it > Price::ZERO), "{order:?}");
        assert!(!order.kind.stops() || order.stop.is_some_and(|it| it > Price::ZERO), "{order:?}");
        let whole = order.legs.iter().all(|it| it.remaining() == 0);
        assert!(order.class.brackets() || whole == (order.status == Status::Filled), "{order:?}");
        let account = &broker.accounts[&order.account];
        assert_eq!(account.live.contains(&order.id), order.is_live(), "{order:?}");
        assert!(order.is_live() || order.tied == Usd::ZERO, "{order:?}");
        *tied.entry(order.account.clone()).or_default() += order.tied;
        if order.is_live() && order.status != Status::Held && order.claims {
            for leg in &order.legs {
                let key = (order.account.clone(), leg.instrument, leg.side);
                *claims.entry(key).or_default() += i64::from(leg.remaining());
            }
        }
    }
    claims.retain(|_, count| *count != 0);
    let kept = broker.accounts.values().flat_map(|account| {
        account
            .claims
            .iter()
            .map(|((instrument, side), count)| ((account.number.clone(), *instrument, *side), *count))
    });
    assert_eq!(kept.collect::<BTreeMap<_, _>>(), claims);
    for account in broker.accounts.values() {
        assert_eq!(account.tied, tied.get(&account.number).copied().unwrap_or_default());
        assert_eq!(broker.option_requirement(account), Some(account.required), "no loss without a bound");
        let top = account.live.iter().filter(|id| broker.orders[*id].parent.is_none()).count();
        assert_eq!(account.working, top);
    }
    let restored = Sandbox::from_bytes(&broker.to_bytes().unwrap()).unwrap();
    assert!(
        restored.watched == broker.watched && restored.accounts == broker.accounts,
        "a restart finds the same"
    );
}

/// Cash is what was there less what executions cost; positions are the sum of executions.
fn assert_conserved(world: &mut World, lines: &[TranscriptLine]) {
    let start = Usd::from_dollars(100_000);
    let (mut cash, mut held, mut fees) = (start, BTreeMap::<Instrument, i64>::new(), Usd::ZERO);
    for line in lines {
        let event = &line.event;
        if let TranscriptEvent::Filled { account, legs, .. } = event
            && account == MARGIN
        {
            for leg in legs {
                let sign = leg.side.side().sign();
                let per = Usd::from_cents(i64::from(leg.price.cents())).times(leg.instrument.multiplier());
                cash -= per.times(i64::from(leg.quantity)).times(sign) + leg.fee;
                fees += leg.fee;
                *held.entry(leg.instrument).or_default() += i64::from(leg.quantity) * sign;
            }
        }
        if let TranscriptEvent::Settled { account, series, quantity, cash: paid, .. } = event
            && account == MARGIN
        {
            cash += *paid;
            assert_eq!(held.remove(&Instrument::Option(*series)), Some(*quantity));
        }
        if let TranscriptEvent::Delivered { account, series, quantity, shares, cash: paid } = event
            && account == MARGIN
        {
            cash += *paid;
            assert_eq!(held.remove(&Instrument::Option(*series)), Some(*quantity));
            *held.entry(Instrument::Share(series.underlying())).or_default() += shares;
        }
    }
    held.retain(|_, count| *count != 0);
    let account = world.account();
    assert_eq!(account.cash, cash);
    assert_eq!(account.holdings().map(|(it, row)| (it, row.quantity)).collect::<BTreeMap<_, _>>(), held);
    assert_eq!(account.reports.moved(), cash - start, "history tells of every dollar");
    let cost: Usd = account.holdings().map(|(_, it)| it.cost).sum();
    assert_eq!(
        account.cash + cost,
        start + account.reports.gained() - fees,
        "cash and cost are what was there and gained"
    );
    let facts = Facts::from_transcript(lines).accounts[MARGIN].clone();
    assert_eq!(facts.fees, fees);
    assert_eq!(facts.realized_pnl, account.reports.gained() - fees, "the transcript proves the same gain");
    assert_eq!(facts.foreign_orders, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn prop_money_is_conserved_and_indices_follow_whatever_is_asked(seed: u64) {
        let latencies = if seed.is_multiple_of(3) { Latencies::NONE } else { Latencies::USUAL };
        let (mut world, mut dice) = (world(seed, latencies), Dice(seed));
        let mut lines = Vec::new();
        for _ in 0..6 {
            run(&mut world, &mut dice, 20);
            assert_sound(&world.broker);
            lines.extend(world.broker.take_transcript());
        }
        world.now = world.broker.session().close;
        world.index(5_611.25);
        world.print(566.0);
        world.after(Duration::from_secs(5 * 3_600));
        assert_sound(&world.broker);
        lines.extend(world.broker.take_transcript());
        assert_conserved(&mut world, &lines);
        let next = world.broker.session().next().unwrap();
        let listed = ListedSeries { series: TOMORROW.parse().unwrap(), open_interest: None };
        world.broker.start_session(next, &[listed]);
        world.now = next.open;
        run(&mut world, &mut dice, 20);
        assert_sound(&world.broker);
        lines.extend(world.broker.take_transcript());
        assert_conserved(&mut world, &lines);
    }

    #[test]
    fn prop_a_restart_in_the_middle_changes_nothing_that_follows(seed: u64) {
        let day = |restarts: bool| {
            let (mut world, mut dice) = (world(seed, Latencies::USUAL), Dice(seed));
            for _ in 0..4 {
                run(&mut world, &mut dice, 20);
                if restarts {
                    world.broker = Sandbox::from_bytes(&world.broker.to_bytes().unwrap()).unwrap();
                }
            }
            world.now = world.broker.session().close;
            world.after(Duration::from_secs(3_600));
            (world.broker.take_transcript(), world.get("/accounts/VA00000001/orders", &[]), world.get("/accounts/VA00000001/balances", &[]))
        };
        prop_assert!(day(true) == day(false));
    }

    #[test]
    fn prop_random_parameters_never_panic_and_never_make_an_unsound_order(seed: u64) {
        let (mut world, mut dice) = (world(seed, Latencies::NONE), Dice(seed));
        for _ in 0..40 {
            let pairs = odd_form(&mut dice);
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let id = 141_000_000 + dice.below(40);
            let (method, path) = match dice.below(6) {
                0 => (Method::Put, format!("/accounts/{MARGIN}/orders/{id}")),
                1 => (Method::Delete, format!("/accounts/{MARGIN}/orders/{id}")),
                2 => (Method::Get, format!("/accounts/{MARGIN}/{}", dice.pick(&["orders", "history", "gainloss", "balances"]))),
                _ => (Method::Post, format!("/accounts/{MARGIN}/orders")),
            };
            let reply = world.ask(method, &path, &pairs);
            prop_assert!(matches!(reply.status, 200 | 400 | 401), "{} {pairs:?}", reply.status);
            if reply.status == 400 {
                let body = text(&reply);
                prop_assert!(body.starts_with("Invalid parameter, ") || body.starts_with("order already"), "{body}");
            }
            world.after(Duration::from_millis(1));
            market(&mut world, &mut dice);
        }
        assert_sound(&world.broker);
    }
}

/// Any of the names with any of the values, most of them nonsense.
fn odd_form(dice: &mut Dice) -> Vec<(String, String)> {
    const NAMES: [&str; 12] = [
        "class",
        "symbol",
        "option_symbol",
        "side",
        "quantity",
        "type",
        "price",
        "stop",
        "duration",
        "tag",
        "preview",
        "page",
    ];
    const ODD: [&str; 16] = [
        "",
        " ",
        "0",
        "-1",
        "1.5",
        "NaN",
        "1e9",
        "99999999999999999999",
        "null",
        "[]",
        "%",
        "\u{0}",
        "ü",
        "10000000",
        "999999.99",
        "0.01",
    ];
    let good: &[&[&str]] = &[
        &["option", "multileg", "equity", "combo", "oto", "oco", "otoco"],
        &["SPX", "SPY", "SPXW"],
        &SERIES,
        &[
            "buy_to_open",
            "sell_to_open",
            "buy_to_close",
            "sell_to_close",
            "buy",
            "sell",
            "sell_short",
            "buy_to_cover",
        ],
        &["1", "2", "100", "10000000"],
        &["limit", "market", "stop", "stop_limit", "debit", "credit", "even"],
        &["2.30", "2.40", "0.05", "1000000"],
        &["2.30", "1.00", "9.90"],
        &["day", "gtc", "pre", "post"],
        &["a-b", "q7"],
        &["true", "false"],
        &["1", "2"],
    ];
    let mut form = Vec::new();
    for (n, name) in NAMES.iter().enumerate() {
        if dice.below(25) == 0 {
            continue;
        }
        let value = |dice: &mut Dice| match dice.below(30) {
            0 => dice.pick(&ODD).to_owned(),
            _ => dice.pick(good[n]).to_owned(),
        };
        form.push(((*name).to_owned(), value(dice)));
        for i in 0..dice.below(5) {
            form.push((format!("{name}[{i}]"), value(dice)));
        }
    }
    form
}
