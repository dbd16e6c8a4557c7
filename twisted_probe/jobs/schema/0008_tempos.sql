-- How fast each site was asked last (`routing.tempo`), as JSON, and when that was learned.
CREATE TABLE tempos (
    site TEXT PRIMARY KEY,
    tempo TEXT NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID;
