-- A halted market is a row of the switch that the system flips itself.
ALTER TABLE kill_switch DROP CONSTRAINT kill_switch_scope_check;
ALTER TABLE kill_switch ADD CONSTRAINT kill_switch_scope_check
    CHECK (scope = 'global' OR scope ~ '^(user|strategy|symbol|broker|market):.+$');
