//! Structures opened and closed under drawn faults: lost requests and answers, legs that execute apart, fills that beat
//! their cancel, late lists and late prices. Held every second: no imbalance and no short without its long for longer than a
//! minute, one order per tag, and in the end what the broker shows is what the books say.

use super::*;

/// Draws of one seed.
struct Draws(u64);

impl Draws {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

const FAULTS: [Fault; 6] = [
    Fault::AnswerLost,
    Fault::RequestLost,
    Fault::NotSent,
    Fault::ErrorAfterEffect,
    Fault::ErrorWithoutEffect,
    Fault::HalfAnswer,
];

/// What a session came to.
#[derive(Default)]
struct Seen {
    opened: bool,
    imbalanced: bool,
    unbalanced_since: Option<UtcNanos>,
    tags: std::collections::BTreeSet<String>,
    orders: usize,
}

impl Seen {
    /// INV7, INV10 and INV1 at one instant.
    fn check(&mut self, bench: &Bench, seed: u64) {
        let (short, wing) = bench.at_broker();
        let now = bench.clock.now();
        assert!(short <= 0 && wing >= 0, "seed {seed}: more was closed than held: {short} {wing}");
        self.opened |= short != 0 || wing != 0;
        if short + wing == 0 {
            self.unbalanced_since = None;
        } else {
            self.imbalanced = true;
            let since = *self.unbalanced_since.get_or_insert(now);
            let stood = now.since(since).as_secs();
            assert!(stood <= 60, "seed {seed}: {short} and {wing} out of balance for {stood} s");
        }
        for line in bench.sandbox.borrow_mut().take_transcript() {
            if let TranscriptEvent::Accepted { tag: Some(tag), .. } = line.event {
                self.orders += 1;
                assert!(self.tags.insert(tag.clone()), "seed {seed}: a second order with tag {tag}");
            }
        }
    }
}

fn session(seed: u64) -> Seen {
    let mut draws = Draws(seed);
    let bench = Bench::new();
    let rate = |draws: &mut Draws, most: u64| draws.below(most) as f64 / 100.0;
    let script = format!(
        "{{\"seed\": {seed}, \"rates\": {{\"partial_legs\": {}, \"fill_beats_cancel\": {}, \"late_price\": {}}}}}",
        rate(&mut draws, 60),
        rate(&mut draws, 50),
        rate(&mut draws, 50),
    );
    bench.faults(&script);
    let mut seen = Seen::default();
    // The market drifts a tick now and then; the spread stays worth opening and closing.
    let mut drift = 0i64;
    let units = 1 + u32::try_from(draws.below(2)).unwrap();
    let mut entry = None;
    let mut exits = Vec::new();
    let leave_at = 30 + draws.below(120);
    for second in 0..420u64 {
        if second % 7 == 0 {
            drift = (drift + i64::try_from(draws.below(3)).unwrap() - 1).clamp(-2, 2);
        }
        let cents = |base: i64| u32::try_from(base + 5 * drift).unwrap();
        bench.legs([(cents(210), cents(220)), (cents(50), cents(55))]);
        if second == 0 {
            entry = Some(bench.decide(units));
        }
        if second > 0 && second < 200 && draws.one_in(25) {
            let method = [Method::Post, Method::Put, Method::Delete, Method::Get][draws.below(4) as usize];
            let fault = FAULTS[draws.below(6) as usize];
            bench.line.next(method, &[fault]);
        }
        if let Some(entry) = entry.as_ref().filter(|_| second == leave_at || second == 260) {
            let action = [Action::Stop, Action::TakeProfit1, Action::Terminal, Action::Emergency];
            let sequence = 1 + u32::try_from(exits.len()).unwrap();
            exits.push(bench.exit(entry, sequence, action[draws.below(4) as usize]));
        }
        bench.pass(1);
        seen.check(&bench, seed);
    }
    let entry = entry.unwrap();
    let view = bench.view(entry.head.id);
    let is_unknown = view.last_attempt().is_some_and(|it| it.state.is_unresolved());
    if is_unknown {
        // An entry that never arrived blocks its decision until the session ends.
        assert_eq!(bench.at_broker(), (0, 0), "seed {seed}");
        return seen;
    }
    let contracts = |(short, wing): (i64, i64)| (short.unsigned_abs(), wing.unsigned_abs());
    let booked = bench.in_books();
    let booked = (booked.first().copied().unwrap_or(0), booked.get(1).copied().unwrap_or(0));
    let failures = bench.failures.borrow();
    assert_eq!(contracts(bench.at_broker()), (booked.0.into(), booked.1.into()), "seed {seed}: {failures:?}");
    assert_eq!(bench.at_broker(), (0, 0), "seed {seed}: its exits leave it open; {failures:?}");
    for id in bench.ledger.intent_ids() {
        let view = bench.view(id);
        assert!(view.state.is_final(), "seed {seed}: {:?} {}", view.intent.head().action, view.reason);
    }
    seen
}

#[test]
fn no_session_leaves_a_leg_alone_for_a_minute_sends_twice_or_ends_apart_from_the_broker() {
    let (mut opened, mut imbalanced, mut orders) = (0, 0, 0);
    for seed in 0..300 {
        let seen = session(seed);
        opened += u32::from(seen.opened);
        imbalanced += u32::from(seen.imbalanced);
        orders += seen.orders;
    }
    // Refusing everything is no proof.
    assert!(opened >= 200 && imbalanced >= 30 && orders >= 500, "{opened} {imbalanced} {orders}");
}
