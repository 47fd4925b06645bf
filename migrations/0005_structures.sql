-- Structures: intents about several legs, decided by strategies. Attempts keep what executed leg by leg; fills already do.

ALTER TABLE order_intents ADD COLUMN decision_id text CHECK (length(decision_id) = 26);
-- What hangs on one structure carries the id of its entry, the entry too.
ALTER TABLE order_intents ADD COLUMN structure_id text REFERENCES order_intents;
ALTER TABLE order_attempts ADD COLUMN combo jsonb;

-- An intent has one origin: a setup, a flatten or a decision. Which actions there are is the domain's to say.
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN SELECT conname FROM pg_constraint WHERE conrelid = 'order_intents'::regclass AND contype = 'c'
        AND (pg_get_constraintdef(oid) LIKE '%flatten_session IS NULL%'
            OR (pg_get_constraintdef(oid) LIKE '%action%' AND pg_get_constraintdef(oid) LIKE '%take_profit_1%'))
    LOOP
        EXECUTE format('ALTER TABLE order_intents DROP CONSTRAINT %I', old.conname);
    END LOOP;
END $$;
ALTER TABLE order_intents ADD CONSTRAINT order_intents_one_origin
    CHECK (num_nonnulls(setup_id, flatten_session, decision_id) = 1);
ALTER TABLE order_intents ADD CONSTRAINT order_intents_action_named CHECK (action ~ '^[a-z0-9_]+$');

CREATE INDEX order_intents_by_structure ON order_intents (account_id, structure_id) WHERE structure_id IS NOT NULL;
