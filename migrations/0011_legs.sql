-- Structures past their last trade, leg by leg, and the legs of an order for the API.

ALTER TABLE expiries ADD COLUMN series text GENERATED ALWAYS AS (body ->> 'series') STORED;
ALTER TABLE expiries ALTER COLUMN series SET NOT NULL;
ALTER TABLE expiries DROP CONSTRAINT expiries_pkey, ADD PRIMARY KEY (account_id, opening_id, series);

CREATE OR REPLACE FUNCTION api_reconciliation(of_session date) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('account', r.account_id, 'session', r.session, 'at', api_utc(r.at_ns),
        'faults', r.faults,
        'differences', (SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', d.kind, 'about', d.about, 'ours', d.ours,
            'broker', d.broker, 'cure', d.cure) ORDER BY d.no), '[]') FROM reconciliation_differences d
            WHERE d.account_id = r.account_id AND d.at_ns = r.at_ns),
        'takenOver', (SELECT COALESCE(jsonb_agg(jsonb_build_object('series', t.series, 'contracts', t.contracts,
            'at', api_utc(t.at_ns)) ORDER BY t.series), '[]') FROM taken_over t
            WHERE t.account_id = r.account_id AND t.contracts > 0),
        'expiries', (SELECT COALESCE(jsonb_agg(jsonb_build_object('opening', e.opening_id, 'series', e.series,
            'contracts', e.body -> 'contracts', 'short', COALESCE((e.body ->> 'isShort')::boolean, false),
            'status', e.status, 'price', (e.body ->> 'price')::numeric / 10000,
            'cash', (e.body ->> 'price')::numeric / 100 * (e.body ->> 'contracts')::numeric
                * CASE WHEN (e.body ->> 'isShort')::boolean THEN -1 ELSE 1 END,
            'provisional', e.status = 'expired_pending', 'at', api_utc(e.at_ns)) ORDER BY e.opening_id, e.series), '[]')
            FROM expiries e
            WHERE e.account_id = r.account_id AND (e.expiry = of_session OR e.status = 'expired_pending'))
        ) ORDER BY r.account_id), '[]')
    FROM (SELECT DISTINCT ON (account_id) * FROM reconciliation_runs WHERE session = of_session
        ORDER BY account_id, at_ns DESC) r
$$;

CREATE OR REPLACE FUNCTION api_orders(of_session date) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('intent', i.intent_id, 'account', i.account_id, 'setup', i.setup_id,
        'action', i.action, 'series', i.series, 'legs', i.body #> '{terms,legs}', 'state', i.state, 'reason', i.reason,
        'decidedAt', api_utc(i.decided_ns), 'quantity', i.quantity, 'worst', i.worst_cents / 100.0,
        'stopRequested', i.stop_requested, 'version', i.version,
        'gates', i.gates, 'attempts', (SELECT COALESCE(jsonb_agg(jsonb_build_object('no', a.no, 'state', a.state,
            'brokerOrder', a.broker_order, 'side', a.side, 'quantity', a.quantity, 'price', a.price_cents / 100.0,
            'rung', a.rung, 'executed', a.executed, 'average', a.average, 'markedAt', api_utc(a.marked_ns),
            'legs', a.combo -> 'legs', 'reason', a.reason) ORDER BY a.no), '[]')
            FROM order_attempts a WHERE a.intent_id = i.intent_id))
        ORDER BY i.decided_ns, i.ordinal), '[]')
    FROM order_intents i WHERE i.session = of_session
$$;
