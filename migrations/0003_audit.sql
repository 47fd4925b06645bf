-- One order's whole story for the API, and the lines of the audit for whoever checks the chain.

CREATE FUNCTION api_fill(f fills) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('account', f.account_id, 'intent', f.intent_id, 'attempt', f.attempt_no,
        'series', f.series, 'side', f.side, 'quantity', f.to_quantity - f.from_quantity, 'price', f.price, 'fees', f.fees,
        'at', api_utc(f.at_ns), 'source', f.source)
$$;

CREATE OR REPLACE FUNCTION api_fills(of_session date) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(api_fill(f) ORDER BY f.at_ns, f.ordinal), '[]')
    FROM fills f WHERE (f.at AT TIME ZONE 'America/New_York')::date = of_session
$$;

-- The intent that `asked` names: by its id, or by the broker's number of one of its orders. Null where there is none.
CREATE FUNCTION api_order(asked text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    WITH i AS (SELECT * FROM order_intents WHERE intent_id = asked OR intent_id IN (
        SELECT a.intent_id FROM order_attempts a
        WHERE a.broker_order = CASE WHEN asked ~ '^[0-9]{1,18}$' THEN asked::bigint END) LIMIT 1)
    SELECT jsonb_build_object(
        'order', (SELECT o FROM jsonb_array_elements(api_orders(i.session)) o WHERE o ->> 'intent' = i.intent_id),
        'breakdown', api_body(i.breakdown),
        'setup', (SELECT s FROM jsonb_array_elements(api_setups(i.session)) s WHERE s ->> 'id' = i.setup_id),
        'fills', (SELECT COALESCE(jsonb_agg(api_fill(f) ORDER BY f.ordinal), '[]') FROM fills f WHERE f.intent_id = i.intent_id),
        'audit', (SELECT COALESCE(jsonb_agg(jsonb_build_object('no', l.no, 'at', api_utc(l.at_ns), 'what', l.what,
            'body', l.body, 'hash', encode(l.hash, 'hex')) ORDER BY l.no), '[]')
            FROM audit l WHERE l.account_id = i.account_id AND l.about = i.intent_id),
        'beside', (SELECT COALESCE(jsonb_agg(jsonb_build_object('intent', b.intent_id, 'action', b.action, 'state', b.state,
            'reason', b.reason, 'decidedAt', api_utc(b.decided_ns)) ORDER BY b.decided_ns, b.ordinal), '[]')
            FROM order_intents b WHERE b.account_id = i.account_id AND b.setup_id = i.setup_id AND b.intent_id <> i.intent_id))
    FROM i
$$;
