//! Frames of a broker's account stream. They wake the poller and decide nothing: what an order is, the poll says.

use domain::account::AccountRef;
use domain::ids::BrokerOrderId;
use domain::ports::{Ledger, LedgerError};
use domain::time::UtcNanos;
use serde_json::Value;

/// What a frame held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Orders it spoke of, each once.
    pub orders: Vec<BrokerOrderId>,
    /// Heartbeats.
    pub heartbeats: u32,
    /// Lines that are no order event: counted, logged without their content, passed over.
    pub unknown: u32,
}

/// Reads a frame: one JSON object a line.
///
/// Tradier's stream is a beta: `id` comes as a number or as text, the executed quantity under two names, statuses in
/// odd order, and there is neither symbol nor side. So only which order it is about is read. A leg of a multi-leg order
/// has an id of its own; `parent_id` is the order we placed.
pub fn read(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let Ok(Value::Object(event)) = serde_json::from_str::<Value>(line) else {
            frame.unknown += 1;
            continue;
        };
        let id = |key: &str| event.get(key).and_then(order_id);
        match event.get("event").and_then(Value::as_str) {
            Some("heartbeat") => frame.heartbeats += 1,
            Some("order") => match id("parent_id").or_else(|| id("id")) {
                Some(order) if frame.orders.contains(&order) => {}
                Some(order) => frame.orders.push(order),
                None => frame.unknown += 1,
            },
            Some(_) | None => frame.unknown += 1,
        }
    }
    frame
}

/// An order's id, as a number or as digits; 0 and null are none.
fn order_id(value: &Value) -> Option<BrokerOrderId> {
    let id = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    (id > 0).then_some(BrokerOrderId(id))
}

/// Takes a frame of an account's stream: each order it speaks of is written down to be polled.
///
/// # Errors
/// [`LedgerError`] where the ledger did not answer; the frame can be taken again.
pub async fn on_broker_frame(
    ledger: &impl Ledger,
    account: &AccountRef,
    text: &str,
    at: UtcNanos,
) -> Result<Frame, LedgerError> {
    let frame = read(text);
    for order in &frame.orders {
        ledger.record_broker_event(account, *order, at).await?;
    }
    if frame.unknown > 0 {
        tracing::warn!(account = %account.account, lines = frame.unknown, "account stream: unknown lines passed over");
    }
    Ok(frame)
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
            ("not an object", "[1,2]", vec![], 0, 1),
            ("nothing", "", vec![], 0, 0),
            (
                "several lines, one of them twice",
                "{\"event\":\"order\",\"id\":5}\r\n\n{\"event\":\"heartbeat\"}\n{\"event\":\"order\",\"id\":5}",
                order(5),
                1,
                0,
            ),
        ] {
            assert_eq!(read(text), Frame { orders, heartbeats, unknown }, "{what}");
        }
    }
}
