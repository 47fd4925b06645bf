//! Tradier's API over sim's broker: HTTP and WebSocket listener.
