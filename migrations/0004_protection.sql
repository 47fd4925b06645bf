-- Disaster orders rest at the broker while we hold: actions of their own.
ALTER TABLE order_intents DROP CONSTRAINT order_intents_action_check;
ALTER TABLE order_intents ADD CONSTRAINT order_intents_action_check CHECK (action IN
    ('enter', 'take_profit_1', 'take_profit_2', 'stop', 'terminal', 'flatten', 'protect_t1', 'protect_runner'));
