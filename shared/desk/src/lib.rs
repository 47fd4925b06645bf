//! Record, gate, send, record: the only place that sends an order.
