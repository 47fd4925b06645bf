-- What the books are compared in, and what they are compared with.

-- Cash is compared too: what no fill of ours explains is told.
ALTER TABLE reconciliation_differences DROP CONSTRAINT reconciliation_differences_kind_check,
    ADD CONSTRAINT reconciliation_differences_kind_check CHECK (kind IN ('missing_at_broker', 'unknown_at_broker',
        'quantity_mismatch', 'price_missing', 'stuck_submission', 'stuck_close', 'cash_mismatch', 'foreign'));
