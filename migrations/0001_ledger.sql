-- The ledger. Forward only: a later change is a later file.
-- Money is numeric(18,4) in dollars, option prices are whole cents in columns ending in _cents. Instants are
-- nanoseconds since the epoch in columns ending in _ns, each with the timestamptz that follows from it beside it.

-- ---------------------------------------------------------------------------------------------------------------
-- Roles. Functions connect as claxton_app, which cannot bypass row-level security. claxton_directory owns the one
-- function that sees every account, and may read nothing but who and where.
DO $$
BEGIN
    CREATE ROLE claxton_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
    CREATE ROLE claxton_directory NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

-- The instant, to the microsecond. Adding microseconds to the epoch depends on no setting, so it is immutable.
CREATE FUNCTION utc(ns bigint) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN timestamptz '1970-01-01 00:00:00+00' + ((ns / 1000) * interval '1 microsecond');
END $$;

-- The user of this transaction; null when none is set, which reads empty and refuses writes.
CREATE FUNCTION claxton_user() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT NULLIF(current_setting('claxton.user_id', true), '')::uuid
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Who, and where.
CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE user_settings (
    user_id uuid PRIMARY KEY REFERENCES users,
    spx_auto_execute boolean NOT NULL,
    consent_ns bigint,
    consent_at timestamptz GENERATED ALWAYS AS (utc(consent_ns)) STORED,
    daily_loss_limit numeric(18, 4) NOT NULL,
    body jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE accounts (
    account_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    environment text NOT NULL CHECK (environment IN ('paper', 'sandbox', 'live')),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, user_id)
);
CREATE INDEX accounts_by_user ON accounts (user_id);

CREATE TABLE broker_credentials (
    account_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    environment text NOT NULL CHECK (environment IN ('paper', 'sandbox', 'live')),
    secret text NOT NULL,
    last4 text NOT NULL CHECK (length(last4) <= 4),
    status text NOT NULL CHECK (status IN ('active', 'refused', 'removed')),
    proof_ns bigint,
    proof_at timestamptz GENERATED ALWAYS AS (utc(proof_ns)) STORED,
    changed_ns bigint NOT NULL,
    changed_at timestamptz GENERATED ALWAYS AS (utc(changed_ns)) STORED,
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id)
);
CREATE INDEX broker_credentials_by_user ON broker_credentials (user_id);

CREATE TABLE account_leases (
    account_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    holder text NOT NULL,
    fence bigint NOT NULL CHECK (fence > 0),
    until_ns bigint NOT NULL,
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id)
);

CREATE TABLE portfolio_snapshots (
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    at_ns bigint NOT NULL,
    at timestamptz GENERATED ALWAYS AS (utc(at_ns)) STORED,
    reason text NOT NULL,
    total_equity numeric(18, 4) NOT NULL,
    option_buying_power numeric(18, 4),
    body jsonb NOT NULL,
    PRIMARY KEY (account_id, at_ns),
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id)
);

-- ---------------------------------------------------------------------------------------------------------------
-- What the ingester writes: no user, no policy.
CREATE TABLE chains (
    chain_id text PRIMARY KEY CHECK (length(chain_id) = 26),
    underlying text NOT NULL,
    ts_ns bigint NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (utc(ts_ns)) STORED,
    series_count integer NOT NULL,
    body jsonb NOT NULL
);

CREATE TABLE setup_instances (
    setup_id text PRIMARY KEY CHECK (length(setup_id) = 26),
    session date NOT NULL,
    symbol text NOT NULL,
    kind text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('long', 'short')),
    state text NOT NULL CHECK (state IN ('forming', 'ready', 'triggered', 't1_hit', 't2_hit', 'stopped',
                                         'invalidated', 'expired', 'missed')),
    sequence bigint NOT NULL CHECK (sequence >= 0),
    handled bigint,
    formed_ns bigint NOT NULL,
    formed_at timestamptz GENERATED ALWAYS AS (utc(formed_ns)) STORED,
    body jsonb NOT NULL
);
CREATE INDEX setup_instances_by_session ON setup_instances (session, formed_ns);

CREATE TABLE setup_transitions (
    setup_id text NOT NULL REFERENCES setup_instances,
    sequence bigint NOT NULL CHECK (sequence >= 0),
    from_state text,
    to_state text NOT NULL,
    ts_ns bigint NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (utc(ts_ns)) STORED,
    written_ns bigint NOT NULL,
    reason text NOT NULL,
    chain_id text REFERENCES chains,
    -- The step with the setup as it was after it.
    record jsonb NOT NULL,
    PRIMARY KEY (setup_id, sequence)
);

CREATE TABLE microbars (
    symbol text NOT NULL,
    ts_ns bigint NOT NULL,
    open_e4 bigint,
    high_e4 bigint,
    low_e4 bigint,
    close_e4 bigint,
    volume bigint NOT NULL,
    trades bigint NOT NULL,
    buy_volume bigint NOT NULL,
    sell_volume bigint NOT NULL,
    neutral_volume bigint NOT NULL,
    ticks bigint NOT NULL,
    quoted_ticks bigint NOT NULL,
    bid_size_sum bigint NOT NULL,
    ask_size_sum bigint NOT NULL,
    spread_sum bigint NOT NULL,
    bid_size_at_close bigint,
    ask_size_at_close bigint,
    PRIMARY KEY (symbol, ts_ns),
    CHECK ((open_e4 IS NULL) = (close_e4 IS NULL))
);

CREATE TABLE ingester_checkpoints (
    session date PRIMARY KEY,
    body bytea NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------------------------------------------------------
-- Intents, attempts, fills.
CREATE TABLE order_intents (
    intent_id text PRIMARY KEY CHECK (length(intent_id) = 26),
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    -- A position keeps the environment it was opened in, whatever becomes of the account.
    environment text NOT NULL CHECK (environment IN ('paper', 'sandbox', 'live')),
    setup_id text REFERENCES setup_instances,
    flatten_session date,
    sequence bigint NOT NULL,
    action text NOT NULL CHECK (action IN ('enter', 'take_profit_1', 'take_profit_2', 'stop', 'terminal', 'flatten')),
    effect text NOT NULL CHECK (effect IN ('opening', 'closing')),
    opening_id text REFERENCES order_intents,
    family text,
    underlying text NOT NULL,
    series text NOT NULL,
    quantity bigint,
    worst_cents bigint,
    session date NOT NULL,
    decided_ns bigint NOT NULL,
    decided_at timestamptz GENERATED ALWAYS AS (utc(decided_ns)) STORED,
    state text NOT NULL CHECK (state IN ('blocked', 'would_submit', 'ready', 'working', 'done')),
    reason text NOT NULL,
    stop_requested boolean NOT NULL DEFAULT false,
    version bigint NOT NULL CHECK (version > 0),
    gates jsonb NOT NULL,
    breakdown text NOT NULL,
    body jsonb NOT NULL,
    CHECK ((setup_id IS NULL) <> (flatten_session IS NULL)),
    CHECK ((effect = 'opening') = (action = 'enter')),
    CHECK ((effect = 'opening') = (worst_cents IS NOT NULL)),
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id)
);
CREATE INDEX order_intents_by_session ON order_intents (account_id, session);
CREATE INDEX order_intents_by_setup ON order_intents (account_id, setup_id, sequence);
CREATE INDEX order_intents_by_series ON order_intents (account_id, series);
CREATE INDEX order_intents_open ON order_intents (account_id) WHERE state IN ('ready', 'working');

CREATE TABLE order_attempts (
    intent_id text NOT NULL REFERENCES order_intents,
    no integer NOT NULL CHECK (no > 0),
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('created', 'submitting', 'unknown', 'working', 'partially_filled', 'filled',
                                         'canceled', 'rejected', 'expired', 'missed')),
    broker_order bigint,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    quantity bigint NOT NULL CHECK (quantity > 0),
    price_cents bigint NOT NULL CHECK (price_cents >= 0),
    rung integer NOT NULL,
    executed bigint NOT NULL CHECK (executed BETWEEN 0 AND quantity),
    average numeric(18, 4),
    marked_ns bigint NOT NULL,
    marked_at timestamptz GENERATED ALWAYS AS (utc(marked_ns)) STORED,
    repriced_ns bigint NOT NULL,
    cancel_ns bigint,
    reason text,
    PRIMARY KEY (intent_id, no),
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id)
);
CREATE UNIQUE INDEX order_attempts_by_broker_order ON order_attempts (account_id, broker_order);

-- A stretch of an order's execution. Attempt 0 is a settlement: no order stands behind it.
CREATE TABLE fills (
    intent_id text NOT NULL REFERENCES order_intents,
    attempt_no integer NOT NULL CHECK (attempt_no >= 0),
    series text NOT NULL,
    to_quantity bigint NOT NULL,
    from_quantity bigint NOT NULL CHECK (from_quantity >= 0 AND from_quantity < to_quantity),
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    price numeric(18, 4),
    fees numeric(18, 4) NOT NULL,
    at_ns bigint NOT NULL,
    at timestamptz GENERATED ALWAYS AS (utc(at_ns)) STORED,
    source text NOT NULL CHECK (source IN ('stream', 'poll', 'reconciliation', 'settlement')),
    PRIMARY KEY (intent_id, attempt_no, series, to_quantity),
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id)
);
CREATE INDEX fills_by_series ON fills (account_id, series);
CREATE INDEX fills_by_time ON fills (account_id, at_ns);

-- What follows from the fills, by account and series. By entry: domain::books.
CREATE VIEW positions WITH (security_invoker = true) AS
SELECT account_id, user_id, series,
       sum(CASE side WHEN 'buy' THEN to_quantity - from_quantity ELSE 0 END)::bigint AS bought,
       sum(CASE side WHEN 'sell' THEN to_quantity - from_quantity ELSE 0 END)::bigint AS sold,
       sum(CASE side WHEN 'buy' THEN price * 100 * (to_quantity - from_quantity) ELSE 0 END) AS paid,
       sum(CASE side WHEN 'sell' THEN price * 100 * (to_quantity - from_quantity) ELSE 0 END) AS received,
       sum(fees) AS fees,
       bool_or(price IS NULL) AS price_missing,
       max(at_ns) AS changed_ns
FROM fills
GROUP BY account_id, user_id, series;

-- ---------------------------------------------------------------------------------------------------------------
-- The switch: every flip is kept.
CREATE TABLE kill_switch (
    scope text PRIMARY KEY CHECK (scope = 'global' OR scope ~ '^(user|strategy|symbol|broker):.+$'),
    state text NOT NULL CHECK (state IN ('normal', 'no_entries', 'safe_mode', 'hard_stop')),
    -- 0: nobody flipped it yet; the row stands so that a mark can hold it.
    version bigint NOT NULL CHECK (version >= 0),
    flipped_ns bigint NOT NULL,
    flipped_at timestamptz GENERATED ALWAYS AS (utc(flipped_ns)) STORED,
    flipped_by text NOT NULL,
    reason text NOT NULL
);

CREATE TABLE kill_flips (
    scope text NOT NULL REFERENCES kill_switch,
    version bigint NOT NULL,
    state text NOT NULL,
    flipped_ns bigint NOT NULL,
    flipped_at timestamptz GENERATED ALWAYS AS (utc(flipped_ns)) STORED,
    flipped_by text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (scope, version)
);

-- ---------------------------------------------------------------------------------------------------------------
-- Messages that leave with a transaction, and those that could not be worked.
CREATE TABLE outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL CHECK (queue IN ('transitions', 'entries', 'exits', 'broker-events', 'flatten', 'alerts')),
    body text NOT NULL,
    due_ns bigint NOT NULL,
    due_at timestamptz GENERATED ALWAYS AS (utc(due_ns)) STORED,
    sent_ns bigint,
    sent_at timestamptz GENERATED ALWAYS AS (utc(sent_ns)) STORED
);
CREATE INDEX outbox_unsent ON outbox (due_ns, outbox_id) WHERE sent_ns IS NULL;
-- The same message waiting twice for the same instant is one message.
CREATE UNIQUE INDEX outbox_once ON outbox (due_ns, queue, md5(body)) WHERE sent_ns IS NULL;

CREATE TABLE alerts (
    alert_key text PRIMARY KEY,
    level text NOT NULL CHECK (level IN ('critical', 'warning', 'info')),
    message text NOT NULL,
    at_ns bigint NOT NULL,
    at timestamptz GENERATED ALWAYS AS (utc(at_ns)) STORED
);

CREATE TABLE dead_letters (
    queue text NOT NULL,
    message_id text NOT NULL,
    reason text NOT NULL,
    at_ns bigint NOT NULL,
    at timestamptz GENERATED ALWAYS AS (utc(at_ns)) STORED,
    PRIMARY KEY (queue, message_id)
);

-- ---------------------------------------------------------------------------------------------------------------
-- Truth, reports, messages to the user.
CREATE TABLE reconciliation_runs (
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    at_ns bigint NOT NULL,
    at timestamptz GENERATED ALWAYS AS (utc(at_ns)) STORED,
    session date NOT NULL,
    faults integer NOT NULL,
    PRIMARY KEY (account_id, at_ns),
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id)
);

CREATE TABLE reconciliation_differences (
    account_id uuid NOT NULL,
    at_ns bigint NOT NULL,
    no integer NOT NULL,
    user_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('missing_at_broker', 'unknown_at_broker', 'quantity_mismatch', 'price_missing',
                                       'stuck_submission', 'stuck_close', 'foreign')),
    about text NOT NULL,
    ours text NOT NULL,
    broker text NOT NULL,
    cure text NOT NULL,
    PRIMARY KEY (account_id, at_ns, no),
    FOREIGN KEY (account_id, at_ns) REFERENCES reconciliation_runs (account_id, at_ns)
);

CREATE TABLE reports (
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    session date NOT NULL,
    body text NOT NULL,
    written_ns bigint NOT NULL,
    written_at timestamptz GENERATED ALWAYS AS (utc(written_ns)) STORED,
    PRIMARY KEY (account_id, session),
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id)
);

CREATE TABLE coach_messages (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    reason text NOT NULL,
    message text NOT NULL,
    at_ns bigint NOT NULL,
    at timestamptz GENERATED ALWAYS AS (utc(at_ns)) STORED,
    read_at timestamptz
);

-- One hash chain per account: each record carries the hash of the one before it.
CREATE TABLE audit (
    account_id uuid NOT NULL,
    no bigint NOT NULL,
    user_id uuid NOT NULL,
    at_ns bigint NOT NULL,
    at timestamptz GENERATED ALWAYS AS (utc(at_ns)) STORED,
    what text NOT NULL,
    about text NOT NULL,
    body jsonb NOT NULL,
    previous bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (account_id, no),
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id)
);
CREATE INDEX audit_by_subject ON audit (account_id, about);

CREATE TABLE audit_heads (
    account_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    no bigint NOT NULL,
    hash bytea NOT NULL,
    -- Deferred: the first record may be written by the statement that makes the account.
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (account_id, user_id) DEFERRABLE INITIALLY DEFERRED
);

CREATE FUNCTION audit_link() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head audit_heads;
BEGIN
    INSERT INTO audit_heads VALUES (NEW.account_id, NEW.user_id, 0, sha256(''::bytea)) ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT head FROM audit_heads WHERE account_id = NEW.account_id FOR UPDATE;
    NEW.no := head.no + 1;
    NEW.previous := head.hash;
    NEW.hash := sha256(head.hash || convert_to(
        concat_ws('|', NEW.account_id, NEW.no, NEW.at_ns, NEW.what, NEW.about, NEW.body), 'UTF8'));
    UPDATE audit_heads SET no = NEW.no, hash = NEW.hash WHERE account_id = NEW.account_id;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_link BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_link();

CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER kill_flips_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON kill_flips
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- ---------------------------------------------------------------------------------------------------------------
-- Row-level security: a statement sees and writes the rows of its transaction's user, and no others.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['users', 'user_settings', 'accounts', 'broker_credentials', 'account_leases',
        'portfolio_snapshots', 'order_intents', 'order_attempts', 'fills', 'reconciliation_runs',
        'reconciliation_differences', 'reports', 'coach_messages', 'audit', 'audit_heads']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_rows ON %I FOR ALL TO PUBLIC USING (user_id = claxton_user()) '
                       'WITH CHECK (user_id = claxton_user())', name);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA public TO claxton_app, claxton_directory;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO claxton_app;
REVOKE UPDATE ON audit, kill_flips FROM claxton_app;
REVOKE INSERT, UPDATE ON schema_migrations FROM claxton_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO claxton_app;

-- Workers that serve all users learn who and where from here, and nothing else.
GRANT SELECT (account_id, user_id, environment, status) ON broker_credentials TO claxton_directory;
CREATE POLICY directory ON broker_credentials FOR SELECT TO claxton_directory USING (true);
CREATE FUNCTION account_directory(only_active boolean)
    RETURNS TABLE (user_id uuid, account_id uuid, environment text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.user_id, c.account_id, c.environment FROM broker_credentials c
    WHERE NOT only_active OR c.status = 'active'
    ORDER BY c.user_id, c.account_id, c.environment
$$;
DO $$
BEGIN
    EXECUTE format('GRANT claxton_directory TO %I', current_user);
    GRANT CREATE ON SCHEMA public TO claxton_directory;
    ALTER FUNCTION account_directory(boolean) OWNER TO claxton_directory;
    REVOKE CREATE ON SCHEMA public FROM claxton_directory;
END $$;
REVOKE ALL ON FUNCTION account_directory(boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION account_directory(boolean) TO claxton_app;
