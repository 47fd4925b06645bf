-- How an attempt met the market: the touch it was sent into, when the broker took it, when it first executed.
ALTER TABLE order_attempts
    ADD COLUMN arrival_bid_cents bigint,
    ADD COLUMN arrival_ask_cents bigint,
    ADD COLUMN acked_ns bigint,
    ADD COLUMN acked_at timestamptz GENERATED ALWAYS AS (utc(acked_ns)) STORED,
    ADD COLUMN filled_ns bigint,
    ADD COLUMN filled_at timestamptz GENERATED ALWAYS AS (utc(filled_ns)) STORED,
    ADD CHECK ((arrival_bid_cents IS NULL) = (arrival_ask_cents IS NULL));
