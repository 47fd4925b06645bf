-- What the automatic trips of the kill switch look at, as it was told each minute. It is the market's, and nobody's own.
CREATE TABLE market_readings (
    at_ns bigint PRIMARY KEY,
    at timestamptz GENERATED ALWAYS AS (utc(at_ns)) STORED,
    body jsonb NOT NULL
);
GRANT SELECT, INSERT ON market_readings TO claxton_app;
