//! What is held against each write into the books, and against each fault.

use std::time::Duration;

use ::broker::transport::{Method, Request};
use domain::account::AccountRef;
use domain::ids::{IntentId, OrderTag};
use domain::intent::OrderIntent;
use domain::kill::{KillRow, KillScope, scopes_for};
use domain::ports::{
    Answer, Clock as _, KillFlip, MarkRequest, Marking, Message, NewIntent, Progress, ReconciliationRun,
    Recorded, Written,
};
use domain::symbol::OccSymbol;
use engine::protect::makes_way;
use sim::perils::{Fired, Peril, Perils, Witness, freeze};

use super::entry::Entry;
use super::{Laws, Marked};

impl Witness for Laws {
    fn recorded(&self, answer: &Recorded, new: &NewIntent) {
        if *answer == Recorded::Known {
            return;
        }
        let id = new.intent.head().id;
        if let Some((id, entry)) = Entry::of(new) {
            self.seen.borrow_mut().entries.insert(id, entry);
        }
        if let OrderIntent::OpeningCombo(entry) = &new.intent {
            self.structured(entry);
        }
        self.tell(|| {
            let head = new.intent.head();
            let state = new.state.as_str();
            format!("  intent {id} {} {} {state} {}", head.action.as_str(), head.series, new.reason)
        });
        self.touch(id);
    }

    fn marked(&self, answer: &Marking, request: &MarkRequest) {
        let Marking::Marked(mark) = answer else {
            self.tell(|| format!("  mark of {} attempt {}: {answer:?}", request.intent, request.attempt));
            return;
        };
        let entry = self.seen.borrow().entries.get(&request.intent).cloned();
        if let Some(entry) = &entry {
            if let Some(row) = self.stopped_by(entry) {
                self.violated(
                    5,
                    format!("entry {} marked while {} is {}", mark.tag, row.scope, row.state.as_str()),
                );
            }
            if !entry.holds(request) {
                let Entry { bound, .. } = entry;
                self.violated(12, format!("entry {} marked at {} beyond {bound:?}", mark.tag, request.price));
            }
        }
        if let Some(stands) = self.stands_in_the_way(request.intent) {
            self.violated(
                19,
                format!("close {} leaves while disaster order {stands} has not ended", mark.tag),
            );
        }
        let marked = Marked { at: self.time.now(), opens: entry.is_some() };
        if self.seen.borrow_mut().marks.insert(mark.tag, marked).is_some() {
            self.violated(1, format!("attempt {} was marked twice", mark.tag));
        }
        self.tell(|| format!("  marked {} {} at {}", mark.tag, request.quantity, request.price));
        self.touch(request.intent);
    }

    fn answered(&self, written: &Written, answer: &Answer) {
        self.tell(|| format!("  answer to {}: {} ({written:?})", answer.tag, answer.broker_words));
        self.touch(answer.tag.intent);
    }

    fn progressed(&self, written: &Written, progress: &Progress) {
        self.tell(|| {
            let (id, state, what) = (progress.intent, progress.state.as_str(), &progress.what);
            format!("  {id} {state} {}: {what} ({written:?})", progress.reason)
        });
        for (_, message, _) in &progress.also {
            self.alerting(message);
        }
        self.touch(progress.intent);
    }

    fn stopped(&self, _: &AccountRef, intent: IntentId) {
        self.tell(|| format!("  {intent} asked to stop"));
        self.touch(intent);
    }

    fn reconciled(&self, _: &AccountRef, run: &ReconciliationRun) {
        self.tell(|| {
            let words: Vec<String> =
                run.differences.iter().map(|it| format!("{} {}", it.kind.as_str(), it.about)).collect();
            format!("  reconciled: {} steps; {}", run.steps.len(), words.join(", "))
        });
        for message in &run.alerts {
            self.alerting(message);
        }
        for intent in &run.steps {
            self.touch(*intent);
        }
    }

    fn later(&self, message: &Message) {
        self.alerting(message);
    }

    fn flipped(&self, row: &KillRow, flip: &KillFlip) {
        self.tell(|| format!("  kill switch {} is {} by {}", row.scope, row.state.as_str(), flip.by));
        self.stopped_hard(row);
        self.mix(row.version.unsigned_abs());
    }

    fn leaves(&self, request: &Request, perils: &Perils) {
        self.tell(|| {
            let words = |it: &[(String, String)]| {
                let it: Vec<String> = it.iter().map(|(key, value)| format!("{key}={value}")).collect();
                it.join(" ")
            };
            format!("  {request:?} {} {}", words(&request.query), words(&request.form))
        });
        if request.method != Method::Get {
            self.paced(request);
        }
        match request.method {
            Method::Post if request.path.ends_with("/orders") => self.posted(request, perils),
            Method::Get if request.path.contains("/markets/quotes") => {
                // The market is as it stands when somebody looks.
                let symbols = request.query.iter().find(|it| it.0 == "symbols").map(|it| it.1.as_str());
                let series: Vec<OccSymbol> =
                    symbols.unwrap_or_default().split(',').filter_map(|it| it.parse().ok()).collect();
                self.tape.show(&series, self.time.now());
            }
            Method::Get | Method::Post | Method::Put | Method::Delete => {}
        }
    }

    fn races(&self, request: &Request) {
        let id = request.path.rsplit('/').next().and_then(|it| it.parse::<u64>().ok());
        let found = id.and_then(|id| {
            let sandbox = self.sandbox.borrow();
            let order = sandbox.order(id)?;
            // The limit of several legs is no price of one of them.
            let [leg] = order.legs.as_slice() else { return None };
            Some((*leg.instrument.series()?, leg.side.side(), order.price?))
        });
        if let Some((series, side, limit)) = found {
            self.tape.meet(&series, side, limit, self.time.now());
        }
    }

    fn unanswered(&self, task: u64) {
        self.seen.borrow_mut().broken.insert(task);
    }

    fn befalls(&self, fired: &Fired) {
        self.tell(|| format!("! {} at {} call {}", fired.peril.as_str(), fired.site, fired.call));
        let mut seen = self.seen.borrow_mut();
        if matches!(fired.peril, Peril::LostBefore | Peril::LostAfter) {
            seen.broken.insert(fired.task);
        }
        let works = self.works.borrow();
        let message = works.get(&fired.task).and_then(|it| wire::message::decode(it).ok());
        if let Some(Message::Step { intent, .. }) = message {
            seen.hit.insert(intent);
        }
        if ON_THE_WAY.contains(&fired.site.actor) {
            let now = self.time.now();
            seen.hits.push((now, now.plus(waits_for(fired))));
        }
        // A request that stood still between its adapter and the wire is counted by the broker in another minute.
        let is_broker =
            ["GET", "POST", "PUT", "DELETE"].iter().any(|it| fired.site.operation.starts_with(it));
        if fired.peril == Peril::LateArrival || (is_broker && fired.peril == Peril::FreezeBefore) {
            // Then its minute and the next.
            let until = self.time.now().plus(waits_for(fired).saturating_add(Duration::from_secs(120)));
            seen.late_until = Some(seen.late_until.map_or(until, |it| it.max(until)));
        }
    }
}

/// Who stands between a setup's step and the request of its entry.
const ON_THE_WAY: [&str; 8] =
    ["ingester", "relay", "queue", "transitions", "orders", "flatten", "portfolio-sync", "control"];
/// A worker that died holds its account's lease for twenty seconds, and its message comes again only after three minutes.
const LEASE: Duration = Duration::from_secs(20);

impl Laws {
    /// INV19: a disaster order of the same contracts that has not ended when another close of them is marked.
    fn stands_in_the_way(&self, close: IntentId) -> Option<OrderTag> {
        let (opening, action) = self.books.look(close, |view| match &view.intent {
            OrderIntent::Closing(it) if !it.head.action.protects() => Some((it.opening?, it.head.action)),
            OrderIntent::Closing(_)
            | OrderIntent::Opening(_)
            | OrderIntent::OpeningCombo(_)
            | OrderIntent::ClosingCombo(_) => None,
        })??;
        self.books.intent_ids().into_iter().find_map(|id| {
            let found = self.books.look(id, |view| match &view.intent {
                OrderIntent::Closing(it)
                    if it.opening == Some(opening) && makes_way(it.head.action, action) =>
                {
                    let last = view.last_attempt().filter(|it| !it.state.is_final())?;
                    Some(OrderTag { intent: id, attempt: last.no })
                }
                OrderIntent::Closing(_)
                | OrderIntent::Opening(_)
                | OrderIntent::OpeningCombo(_)
                | OrderIntent::ClosingCombo(_) => None,
            });
            found.flatten()
        })
    }

    /// INV5: whether the switch stood against an entry when it was marked.
    fn stopped_by(&self, entry: &Entry) -> Option<KillRow> {
        let scopes: [KillScope; 6] = scopes_for(
            entry.head.account.user,
            &entry.strategy,
            entry.head.series.underlying(),
            sim::ledger::BROKER,
        );
        scopes.iter().filter_map(|it| self.books.kill_row(it)).find(|it| !it.state.allows_entries())
    }
}

/// For how long others may wait because of a peril.
fn waits_for(fired: &Fired) -> Duration {
    match fired.peril {
        Peril::FreezeBefore | Peril::FreezeAfter => freeze(fired.amount) + LEASE,
        // A used-up minute is waited for.
        Peril::TooMany => Duration::from_secs(62),
        Peril::LateArrival => Duration::from_secs(60),
        Peril::RequestLost | Peril::AnswerLost | Peril::HalfAnswer => Duration::from_secs(10) + LEASE,
        Peril::TimerLost | Peril::TimerTwice | Peril::TimerLate => Duration::from_secs(300),
        Peril::KillBefore
        | Peril::KillAfter
        | Peril::Yield
        | Peril::LostBefore
        | Peril::LostAfter
        | Peril::ErrorAfterEffect
        | Peril::ErrorWithoutEffect
        | Peril::BodyErrors
        | Peril::SlowAnswer
        | Peril::Race
        | Peril::BadQuote
        | Peril::LetterLost
        | Peril::LetterTwice
        | Peril::LetterLate
        | Peril::FrameLost
        | Peril::FrameTwice
        | Peril::TokenRefused
        | Peril::SwitchFlips
        | Peril::StrikesMissing
        | Peril::OtherRoots => LEASE * 2,
    }
}
