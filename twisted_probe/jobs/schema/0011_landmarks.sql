-- Exchangers that answered lately, a few: where it is looked whether trouble is ours.

CREATE TABLE landmarks (
    site TEXT PRIMARY KEY,
    exchanger TEXT NOT NULL,
    address TEXT NOT NULL,
    at REAL NOT NULL                 -- POSIX seconds
) WITHOUT ROWID;
