-- What an operator has switched off, until it is switched on again: kept over restarts.
--
-- From here on `recipients.settled` is more than a yes: the place of the recipient in the order in
-- which its job's recipients were settled, counted from 1. (What was settled before has 1.)

CREATE TABLE pauses (
    kind TEXT NOT NULL CHECK (kind IN ('daemon', 'site', 'source')),
    name TEXT NOT NULL,                     -- empty for the daemon
    since REAL NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;

ALTER TABLE jobs ADD COLUMN paused_at REAL;      -- null: not paused
ALTER TABLE jobs ADD COLUMN cancelled_at REAL;   -- null: not cancelled; for good
