-- What outcomes rest on. An outcome (and a retry) has the number of its hearing as `evidence`,
-- so that recipients who were asked together share one, and nothing is written for each of them.

CREATE TABLE hearings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given to another
    kept_at REAL NOT NULL,                  -- POSIX seconds; what is too old is purged by it
    content BLOB NOT NULL                   -- jobs.packing
);

CREATE INDEX hearings_by_age ON hearings (kept_at);
