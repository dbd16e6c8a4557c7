-- What outlives a session (`routing.memory`).

-- A domain as seen from one source: its control, what that was told last, and when a real
-- recipient was accepted.
CREATE TABLE known (
    domain TEXT NOT NULL,
    source TEXT NOT NULL,
    control TEXT NOT NULL,
    reply TEXT,                      -- as JSON
    control_at REAL NOT NULL DEFAULT 0,
    accepted_at REAL,
    kept_at REAL NOT NULL,
    PRIMARY KEY (domain, source)
) WITHOUT ROWID;

-- The manner that an exchanger's sessions have advised, as JSON.
CREATE TABLE learned (
    address TEXT PRIMARY KEY,
    manner TEXT NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID;

-- Sources that a site has refused.
CREATE TABLE benches (
    source TEXT NOT NULL,
    site TEXT NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (source, site)
) WITHOUT ROWID;
