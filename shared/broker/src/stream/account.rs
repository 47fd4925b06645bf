//! Frames of an account's stream. They wake the poller and decide nothing: what an order is, the poll says.

use domain::ids::BrokerOrderId;
use serde::Deserialize;

use crate::json::{self, Raw};

/// What a frame held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountFrame {
    /// Orders it spoke of, each once.
    pub orders: Vec<BrokerOrderId>,
    /// Heartbeats.
    pub heartbeats: u32,
    /// Events that are of no order: to be counted, logged without their content, passed over.
    pub unknown: u32,
    /// The broker ends the stream, in these words: the session is not good.
    pub error: Option<String>,
}

impl AccountFrame {
    /// Whether it shows that the broker serves the stream.
    pub const fn is_good(&self) -> bool {
        self.heartbeats > 0 || !self.orders.is_empty()
    }
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct EventRow<'a> {
    event: Raw<'a>,
    id: Raw<'a>,
    parent_id: Raw<'a>,
    error: Raw<'a>,
}

/// Reads a frame: JSON objects, one a line or one after the other.
///
/// Tradier's stream is a beta: `id` comes as a number or as text, the executed quantity under two names, statuses in
/// odd order, and there is neither symbol nor side. So only which order it is about is read. A leg of a multi-leg order
/// has an id of its own; `parent_id` is the order we placed.
pub fn account_frame(text: &str) -> AccountFrame {
    let mut frame = AccountFrame::default();
    for line in text.lines().map(str::trim).filter(|it| !it.is_empty()) {
        for event in serde_json::Deserializer::from_str(line).into_iter::<EventRow<'_>>() {
            let Ok(event) = event else {
                frame.unknown = frame.unknown.saturating_add(1);
                break;
            };
            take(&mut frame, &event);
        }
    }
    frame
}

fn take(frame: &mut AccountFrame, event: &EventRow<'_>) {
    let id = |raw| json::id(raw).map(BrokerOrderId);
    match json::text(event.event).as_deref() {
        Some("heartbeat") => frame.heartbeats = frame.heartbeats.saturating_add(1),
        Some("order") => match id(event.parent_id).or_else(|| id(event.id)) {
            Some(order) if frame.orders.contains(&order) => {}
            Some(order) => frame.orders.push(order),
            None => frame.unknown = frame.unknown.saturating_add(1),
        },
        Some(_) | None => match json::owned(event.error) {
            Some(error) => frame.error = Some(error.chars().take(200).collect()),
            None => frame.unknown = frame.unknown.saturating_add(1),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_tells_which_orders_to_ask_for() {
        let order = |id: u64| vec![BrokerOrderId(id)];
        for (what, text, orders, heartbeats, unknown) in [
            (
                "a fill",
                r#"{"id":229065,"event":"order","status":"filled","executed_quantity":1.0}"#,
                order(229_065),
                0,
                0,
            ),
            ("an id as text", r#"{"id":"229065","event":"order","exec_quantity":"1"}"#, order(229_065), 0, 0),
            (
                "beyond 32 bits",
                r#"{"id":9007199254740993,"event":"order"}"#,
                order(9_007_199_254_740_993),
                0,
                0,
            ),
            ("a leg", r#"{"id":12,"parent_id":11,"event":"order","status":"open"}"#, order(11), 0, 0),
            ("an empty parent", r#"{"id":12,"parent_id":null,"event":"order"}"#, order(12), 0, 0),
            ("a parent of 0", r#"{"id":12,"parent_id":0,"event":"order"}"#, order(12), 0, 0),
            (
                "a heartbeat",
                r#"{"event":"heartbeat","status":"active","timestamp":"2026-11-20T15:00:00Z"}"#,
                vec![],
                1,
                0,
            ),
            ("an order without an id", r#"{"event":"order","status":"open"}"#, vec![], 0, 1),
            ("another event", r#"{"event":"trade","id":7}"#, vec![], 0, 1),
            ("no JSON", "<html>", vec![], 0, 1),
            ("not an object", "7", vec![], 0, 1),
            ("nothing", "", vec![], 0, 0),
            (
                "several lines, one of them twice",
                "{\"event\":\"order\",\"id\":5}\r\n\n{\"event\":\"heartbeat\"}\n{\"event\":\"order\",\"id\":5}",
                order(5),
                1,
                0,
            ),
            (
                "several on a line",
                r#"{"event":"order","id":5}{"event":"heartbeat"} {"event":"order","id":5}"#,
                order(5),
                1,
                0,
            ),
            ("half an event at the end", r#"{"event":"order","id":5}{"event":"ord"#, order(5), 0, 1),
        ] {
            assert_eq!(
                account_frame(text),
                AccountFrame { orders, heartbeats, unknown, error: None },
                "{what}"
            );
        }
    }

    #[test]
    fn the_broker_says_when_a_session_is_not_good() {
        let frame = account_frame(r#"{"error":"session not found"}"#);
        assert_eq!((frame.error.as_deref(), frame.is_good()), (Some("session not found"), false));
    }
}
