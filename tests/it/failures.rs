//! What is not ours to work: it is kept with its reason, told once, and the day goes on without it.

use domain::ports::Queue;

use crate::days::{generated, run_disturbed};

#[test]
fn messages_that_cannot_be_worked_are_kept_with_their_reason_and_the_day_is_the_same_without_them() {
    let poison = [
        (Queue::Transitions, r#"{"version":9,"type":"transition"}"#, "version 9"),
        (Queue::Exits, "this is no message", "expected"),
        (
            Queue::Transitions,
            r#"{"version":1,"type":"transition","setup":"00000000000000000000000000","sequence":2,"tries":0}"#,
            "no step 2 of setup 00000000000000000000000000",
        ),
        (
            Queue::Entries,
            r#"{"version":1,"type":"alert","key":"k","level":"info","text":"t"}"#,
            "belongs to another queue",
        ),
    ];
    let quiet = run_disturbed(generated(8), 8, |_, _| {});
    let ran = run_disturbed(generated(8), 8, |parts, day| {
        for (queue, body, _) in poison {
            parts.queues().put(queue, body);
            day.expect(queue);
        }
    });
    assert_eq!(ran.faults(), Vec::<String>::new());
    assert!(ran.facts.broker_orders > 0);
    assert!(ran.transcript == quiet.transcript, "the poison changed what reached the broker");

    let letters = ran.parts().books().dead_letters();
    assert_eq!(letters.len(), poison.len(), "{letters:#?}");
    for (queue, body, reason) in poison {
        assert!(
            letters.iter().any(|it| it.queue == queue.as_str() && it.reason.contains(reason)),
            "{body}: {letters:#?}"
        );
    }
    let alerts = ran.parts().books().alerted();
    let told = alerts.iter().filter(|it| it.starts_with("dead_letter:")).count();
    assert_eq!(told, poison.len(), "each is told once: {alerts:?}");
    // The queue gave each out as often as it may, then moved it where the alarm looks.
    assert_eq!(ran.parts().queues().buried().len(), poison.len());
    assert_eq!((ran.counts.buried, ran.counts.returned), (4, 4 * 4));
    assert!(quiet.parts().books().dead_letters().is_empty());
}
