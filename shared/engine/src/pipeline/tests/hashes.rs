//! The same snapshot and strategy give the same bytes.

use domain::symbol::Underlying;

use super::super::*;
use super::world::World;

#[test]
fn a_snapshot_is_named_by_everything_in_it_and_reads_back_as_itself() {
    let world = World::condor();
    let snapshot = world.snapshot();
    let text = serde_json::to_string(&snapshot).unwrap();
    let read: Snapshot = serde_json::from_str(&text).unwrap();
    assert_eq!((&read, read.id()), (&snapshot, snapshot.id()));
    let changes: [fn(&mut World); 6] = [
        |it| it.facts.vix.as_mut().unwrap().value = 17.000000000000004,
        |it| it.facts.earnings = Known::Unavailable,
        |it| it.facts.connected = None,
        |it| it.facts.returns.seed = None,
        |it| it.rows[3].open_interest = None,
        |it| it.facts.path.clear(),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        assert_ne!(world.clone().with(change).snapshot().id(), snapshot.id(), "change {n}");
    }
}

#[test]
fn a_decision_is_named_by_its_question_and_its_answer_by_its_content() {
    let world = World::condor();
    let (snapshot, strategy) = (world.snapshot(), world.strategy());
    let id = decision_id(snapshot.id(), &strategy, &world.portfolio, world.now);
    assert_eq!(id, decision_id(snapshot.id(), &strategy, &world.portfolio, world.now));
    let other = world.clone().with(|it| it.settings.entry.delta = 0.2).strategy();
    assert_ne!(id, decision_id(snapshot.id(), &other, &world.portfolio, world.now));
    // Asked again over what was stored, it answers the same to the bit.
    let stored: Snapshot = serde_json::from_slice(&serde_json::to_vec(&snapshot).unwrap()).unwrap();
    let row: Strategy = serde_json::from_slice(&serde_json::to_vec(&strategy).unwrap()).unwrap();
    let again = evaluate(&stored, &row, &world.portfolio, world.now);
    assert_eq!(again.hash(), world.decide().hash());
}

/// These must not change by themselves: a change here is a change of what was decided, and of every replay.
#[test]
fn decisions_over_the_same_snapshots_have_had_these_hashes_on_every_machine() {
    let mut all = Vec::new();
    for (name, kind) in NAMES {
        let underlying = if kind.has_wings() { Underlying::SPX } else { Underlying::SPY };
        let world = World::of(kind, underlying);
        all.push(format!("{name} {} {}", world.snapshot().id(), world.decide().hash()));
    }
    let blocked = World::condor().with(|it| (it.facts.vix, it.facts.macros) = (None, None));
    all.push(format!("blocked {} {}", blocked.snapshot().id(), blocked.decide().hash()));
    insta::assert_snapshot!(all.join("\n"), @r"
    iron_condor nscd4x9s2kmkw0qf5m1d1729u4 bs3mrzlcvs0m1nrv6p881qumn6
    credit_put_spread nscd4x9s2kmkw0qf5m1d1729u4 k0509dyl6rylg1hbp2t3j3l145
    credit_call_spread nscd4x9s2kmkw0qf5m1d1729u4 s99u9ht7ufjyhvuk493w4wygn5
    iron_butterfly nscd4x9s2kmkw0qf5m1d1729u4 vxvrp8nzl5wfq5dsslqm0kdd40
    butterfly nscd4x9s2kmkw0qf5m1d1729u4 dgukf664j8pksvbku9cklzmbc0
    wheel npu5s031984dclyu9nt2pwuhm2 pf2y117vfudbwpqqkl0ypw1065
    cash_secured_put npu5s031984dclyu9nt2pwuhm2 unxrtmw15wyxjk851qg775h787
    covered_call npu5s031984dclyu9nt2pwuhm2 cyxb8fs5j0j37pu5zlccrj83t3
    iron_fly nscd4x9s2kmkw0qf5m1d1729u4 vxvrp8nzl5wfq5dsslqm0kdd40
    blocked 0q37yvp52h2ytp4cn53pxbtbh0 w3wjc2z0guz1pxfl3jbu582g10
    ");
}
