-- Plain reads of the API: jsonb in camelCase, of the transaction's user where a user owns the rows. Money and prices are
-- dollars as JSON numbers, instants RFC 3339 to the microsecond, what is missing is null.

CREATE FUNCTION api_utc(ns bigint) RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT to_char(utc(ns) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

CREATE FUNCTION api_status() RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'killSwitch', (SELECT COALESCE(jsonb_agg(jsonb_build_object('scope', scope, 'state', state, 'version', version,
            'flippedAt', api_utc(flipped_ns), 'by', flipped_by, 'reason', reason) ORDER BY scope), '[]')
            FROM kill_switch WHERE version > 0),
        'accounts', (SELECT COALESCE(jsonb_agg(jsonb_build_object('account', c.account_id, 'environment', c.environment,
            'credential', c.status, 'last4', c.last4, 'provenAt', api_utc(c.proof_ns),
            'openIntents', (SELECT count(*) FROM order_intents i WHERE i.account_id = c.account_id
                AND i.state IN ('ready', 'working')),
            'heldContracts', (SELECT COALESCE(sum(p.bought - p.sold), 0) FROM positions p WHERE p.account_id = c.account_id),
            'reconciledAt', api_utc((SELECT max(r.at_ns) FROM reconciliation_runs r WHERE r.account_id = c.account_id)),
            'faults', (SELECT r.faults FROM reconciliation_runs r WHERE r.account_id = c.account_id
                ORDER BY r.at_ns DESC LIMIT 1)) ORDER BY c.account_id), '[]') FROM broker_credentials c),
        'outboxUnsent', (SELECT count(*) FROM outbox WHERE sent_ns IS NULL),
        'deadLetters', (SELECT count(*) FROM dead_letters),
        'lastMicrobarAt', api_utc((SELECT max(ts_ns) FROM microbars)),
        'schemaVersion', (SELECT max(version) FROM schema_migrations))
$$;

CREATE FUNCTION api_setups(of_session date) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(s.body || jsonb_build_object('formedAt', api_utc(s.formed_ns),
        'transitions', (SELECT jsonb_agg(jsonb_build_object('sequence', t.sequence, 'from', t.from_state, 'to', t.to_state,
            'at', api_utc(t.ts_ns), 'reason', t.reason, 'price', (t.record -> 'transition' ->> 'price')::numeric / 10000,
            'gates', t.record -> 'transition' -> 'gates')
            ORDER BY t.sequence) FROM setup_transitions t WHERE t.setup_id = s.setup_id))
        ORDER BY s.formed_ns, s.setup_id), '[]')
    FROM setup_instances s WHERE s.session = of_session
$$;

CREATE FUNCTION api_orders(of_session date) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('intent', i.intent_id, 'account', i.account_id, 'setup', i.setup_id,
        'action', i.action, 'series', i.series, 'state', i.state, 'reason', i.reason, 'decidedAt', api_utc(i.decided_ns),
        'quantity', i.quantity, 'worst', i.worst_cents / 100.0, 'stopRequested', i.stop_requested, 'version', i.version,
        'gates', i.gates, 'attempts', (SELECT COALESCE(jsonb_agg(jsonb_build_object('no', a.no, 'state', a.state,
            'brokerOrder', a.broker_order, 'side', a.side, 'quantity', a.quantity, 'price', a.price_cents / 100.0,
            'rung', a.rung, 'executed', a.executed, 'average', a.average, 'markedAt', api_utc(a.marked_ns),
            'reason', a.reason) ORDER BY a.no), '[]') FROM order_attempts a WHERE a.intent_id = i.intent_id))
        ORDER BY i.decided_ns, i.ordinal), '[]')
    FROM order_intents i WHERE i.session = of_session
$$;

CREATE FUNCTION api_positions() RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('account', account_id, 'series', series, 'bought', bought, 'sold', sold,
        'held', bought - sold, 'paid', paid, 'received', received, 'fees', fees, 'priceMissing', price_missing,
        'realizedPnl', CASE WHEN bought > 0 AND NOT price_missing THEN round(received - paid * sold / bought - fees, 4) END,
        'changedAt', api_utc(changed_ns)) ORDER BY account_id, series), '[]')
    FROM positions
$$;

CREATE FUNCTION api_fills(of_session date) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('account', f.account_id, 'intent', f.intent_id, 'attempt', f.attempt_no,
        'series', f.series, 'side', f.side, 'quantity', f.to_quantity - f.from_quantity, 'price', f.price, 'fees', f.fees,
        'at', api_utc(f.at_ns), 'source', f.source) ORDER BY f.at_ns, f.ordinal), '[]')
    FROM fills f WHERE (f.at AT TIME ZONE 'America/New_York')::date = of_session
$$;

CREATE FUNCTION api_snapshots(of_session date) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('account', account_id, 'at', api_utc(at_ns), 'reason', reason,
        'totalEquity', total_equity, 'optionBuyingPower', option_buying_power, 'accountType', body -> 'balances' -> 'accountType')
        ORDER BY at_ns, account_id), '[]')
    FROM portfolio_snapshots WHERE (at AT TIME ZONE 'America/New_York')::date = of_session
$$;

-- The text of a report: as the JSON it is, or as a string.
CREATE FUNCTION api_body(body text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN body::jsonb;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN to_jsonb(body);
END $$;

CREATE FUNCTION api_report(of_session date) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('account', account_id, 'session', session,
        'writtenAt', api_utc(written_ns), 'report', api_body(body)) ORDER BY account_id), '[]')
    FROM reports WHERE session = of_session
$$;
