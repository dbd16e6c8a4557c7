-- How many outcomes each rule has decided, since there is this ledger; the name may be of a rule
-- that is not in force any more.

CREATE TABLE rule_hits (
    rule TEXT PRIMARY KEY,
    hits INTEGER NOT NULL
) WITHOUT ROWID;
