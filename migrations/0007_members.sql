-- What a member is told, what they handed over, and what became of what expired.

-- A message is written once per user and key in half an hour: the head holds when the last one was.
CREATE TABLE message_heads (
    user_id uuid NOT NULL REFERENCES users,
    key text NOT NULL,
    at_ns bigint NOT NULL,
    PRIMARY KEY (user_id, key)
);
ALTER TABLE coach_messages DROP COLUMN read_at, ADD COLUMN read_ns bigint,
    ADD COLUMN read_at timestamptz GENERATED ALWAYS AS (utc(read_ns)) STORED;
CREATE INDEX coach_messages_by_user ON coach_messages (user_id, message_id);

-- Opened by hand and handed over: closed with ours. Zero is taken back.
CREATE TABLE taken_over (
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    series text NOT NULL,
    contracts bigint NOT NULL CHECK (contracts >= 0),
    at_ns bigint NOT NULL,
    PRIMARY KEY (account_id, series),
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id)
);

-- Held past the last trade, by entry.
CREATE TABLE expiries (
    account_id uuid NOT NULL,
    opening_id text NOT NULL REFERENCES order_intents,
    user_id uuid NOT NULL,
    expiry date NOT NULL,
    status text NOT NULL CHECK (status IN ('expired_pending', 'settled', 'assigned', 'exercised')),
    body jsonb NOT NULL,
    at_ns bigint NOT NULL,
    at timestamptz GENERATED ALWAYS AS (utc(at_ns)) STORED,
    PRIMARY KEY (account_id, opening_id),
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id)
);

-- Given back to its owner: a position that leaves the books without an order of ours.
ALTER TABLE fills DROP CONSTRAINT fills_source_check,
    ADD CONSTRAINT fills_source_check
        CHECK (source IN ('stream', 'poll', 'reconciliation', 'settlement', 'handover'));

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['message_heads', 'taken_over', 'expiries'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_rows ON %I FOR ALL TO PUBLIC USING (user_id = claxton_user()) '
                       'WITH CHECK (user_id = claxton_user())', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO claxton_app', name);
    END LOOP;
END $$;

CREATE INDEX reconciliation_runs_by_session ON reconciliation_runs (account_id, session);

-- The last reconciliation of each account in a session, with what differs, and what was handed over.
CREATE FUNCTION api_reconciliation(of_session date) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('account', r.account_id, 'session', r.session, 'at', api_utc(r.at_ns),
        'faults', r.faults,
        'differences', (SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', d.kind, 'about', d.about, 'ours', d.ours,
            'broker', d.broker, 'cure', d.cure) ORDER BY d.no), '[]') FROM reconciliation_differences d
            WHERE d.account_id = r.account_id AND d.at_ns = r.at_ns),
        'takenOver', (SELECT COALESCE(jsonb_agg(jsonb_build_object('series', t.series, 'contracts', t.contracts,
            'at', api_utc(t.at_ns)) ORDER BY t.series), '[]') FROM taken_over t
            WHERE t.account_id = r.account_id AND t.contracts > 0),
        'expiries', (SELECT COALESCE(jsonb_agg(jsonb_build_object('opening', e.opening_id, 'series', e.body -> 'series',
            'contracts', e.body -> 'contracts', 'status', e.status, 'price', (e.body ->> 'price')::numeric / 10000,
            'cash', (e.body ->> 'price')::numeric / 100 * (e.body ->> 'contracts')::numeric,
            'provisional', e.status = 'expired_pending', 'at', api_utc(e.at_ns)) ORDER BY e.opening_id), '[]')
            FROM expiries e
            WHERE e.account_id = r.account_id AND (e.expiry = of_session OR e.status = 'expired_pending'))
        ) ORDER BY r.account_id), '[]')
    FROM (SELECT DISTINCT ON (account_id) * FROM reconciliation_runs WHERE session = of_session
        ORDER BY account_id, at_ns DESC) r
$$;
