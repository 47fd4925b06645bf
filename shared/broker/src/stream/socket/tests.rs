//! Against a server of a few lines that breaks connections.

use std::cell::{Cell, RefCell};

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_tungstenite::accept_async;

use super::super::{StreamLimits, account_frame};
use super::*;

struct Reader {
    url: String,
    sessions: Cell<u32>,
    gaps: RefCell<Vec<Option<Duration>>>,
    ends: RefCell<Vec<Ended>>,
    orders: RefCell<Vec<u64>>,
    heard: Notify,
    wanted: RefCell<Vec<Subscription>>,
}

impl Reader {
    fn new(url: String) -> Self {
        Self {
            url,
            sessions: Cell::new(0),
            gaps: RefCell::default(),
            ends: RefCell::default(),
            orders: RefCell::default(),
            heard: Notify::new(),
            wanted: RefCell::default(),
        }
    }
}

impl Follower for Reader {
    async fn open(&self) -> Result<StreamSession, String> {
        self.sessions.set(self.sessions.get() + 1);
        Ok(StreamSession { url: self.url.clone(), session_id: format!("session-{}", self.sessions.get()) })
    }

    async fn on_gap(&self, gap: Gap) -> Result<(), String> {
        self.gaps.borrow_mut().push(gap.since);
        Ok(())
    }

    async fn on_text(&self, text: &str) -> Result<Heard, String> {
        let frame = account_frame(text);
        self.orders.borrow_mut().extend(frame.orders.iter().map(|it| it.0));
        self.heard.notify_one();
        Ok(Heard { good: frame.is_good(), error: frame.error })
    }

    fn on_end(&self, why: &Ended, _: Duration) {
        self.ends.borrow_mut().push(why.clone());
    }

    async fn changed(&self) -> Subscription {
        self.heard.notified().await;
        let wanted = self.wanted.borrow_mut().pop();
        match wanted {
            Some(it) => it,
            None => std::future::pending().await,
        }
    }
}

fn limits() -> StreamLimits {
    let wait = (Duration::from_millis(5), Duration::from_millis(20));
    StreamLimits { silence_max: Duration::from_millis(200), wait, ..StreamLimits::default() }
}

/// Serves connections one after the other, each as told: what it sends after the subscription, and whether it then stays
/// open in silence until the client goes.
async fn serve(listener: TcpListener, acts: Vec<(&'static str, bool)>) -> Vec<String> {
    let mut hellos = Vec::new();
    for (text, stays) in acts {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        hellos.push(socket.next().await.unwrap().unwrap().to_text().unwrap().to_owned());
        if !text.is_empty() {
            socket.send(Message::text(text)).await.unwrap();
        }
        while let Some(Ok(message)) = if stays { socket.next().await } else { None } {
            if let Message::Text(text) = message {
                hellos.push(text.as_str().to_owned());
            }
        }
    }
    hellos
}

fn run(
    subscription: Subscription,
    wanted: Vec<Subscription>,
    acts: Vec<(&'static str, bool)>,
) -> (Reader, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reader = Reader::new(format!("ws://{}", listener.local_addr().unwrap()));
        reader.wanted.replace(wanted);
        let plan = StreamPlan::new(subscription, limits());
        let hellos = tokio::select! {
            hellos = serve(listener, acts) => hellos,
            () = follow(plan, &reader, Arc::new(tls().unwrap())) => unreachable!("it follows for ever"),
        };
        (reader, hellos)
    })
}

#[test]
fn a_broken_stream_a_silent_one_and_one_the_broker_ends_are_each_followed_by_a_new_session() {
    let acts = vec![
        (r#"{"event":"order","id":7}"#, false),
        (r#"{"error":"session not found"}"#, true),
        ("", true),
        (r#"{"event":"heartbeat"}"#, false),
    ];
    let (reader, hellos) = run(Subscription::Orders, Vec::new(), acts);
    assert_eq!(reader.orders.take(), [7]);
    let ids: Vec<bool> = (1..=4).map(|n| hellos[n - 1].contains(&format!("session-{n}"))).collect();
    assert_eq!((hellos.len(), ids), (4, vec![true; 4]), "{hellos:?}");
    let gaps = reader.gaps.take();
    assert!(gaps[0].is_none() && gaps[1..].iter().all(Option::is_some), "{gaps:?}");
    let ends = reader.ends.take();
    assert!(matches!(ends[0], Ended::Closed | Ended::Broke(_)), "{ends:?}");
    assert_eq!(ends[1], Ended::Told("session not found".to_owned()));
    assert!(matches!(ends[2], Ended::Silent(_)), "{ends:?}");
}

#[test]
fn other_symbols_are_asked_for_on_the_same_connection() {
    let list = |it: &str| Subscription::Symbols(vec![it.to_owned()]);
    let (reader, hellos) = run(list("SPX"), vec![list("SPY")], vec![(r#"{"event":"heartbeat"}"#, true)]);
    assert!(
        hellos[0].contains("SPX") && hellos[1].contains("SPY") && hellos[1].contains("session-1"),
        "{hellos:?}"
    );
    assert_eq!(reader.sessions.get(), 1);
}
