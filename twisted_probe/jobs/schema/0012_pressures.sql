-- What sites and addresses of exchangers had borne when a session began or ended
-- (`routing.memory.Pressure`).

CREATE TABLE pressures (
    kind TEXT NOT NULL,              -- "site" or "address"
    whose TEXT NOT NULL,
    spent REAL NOT NULL,             -- rejected recipients
    at REAL NOT NULL,                -- POSIX seconds, and the two below
    rests_until REAL NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (kind, whose)
) WITHOUT ROWID;
