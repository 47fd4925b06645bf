use super::*;

fn ask(seed: u64, classes: &[u8]) -> Ask {
    Ask { seed, classes: classes.iter().copied().collect(), is_told: false, faults: None }
}

#[test]
fn a_session_without_faults_sends_what_it_approves_and_most_of_it_fills() {
    for seed in 0..20 {
        let outcome = run(&ask(seed, &[]));
        assert_eq!(outcome.violations, [], "seed {seed}");
        assert!(outcome.intents >= 40, "seed {seed}: {} intents", outcome.intents);
        assert!(outcome.ready >= 10 && outcome.posted == outcome.ready, "seed {seed}: {outcome:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_session() {
    let classes = all_classes();
    let hash = |seed| run(&Ask { seed, classes: classes.clone(), is_told: false, faults: None }).hash;
    let (first, second): (Vec<_>, Vec<_>) = ((0..20).map(hash).collect(), (0..20).map(hash).collect());
    assert_eq!(first, second);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 20);
}
