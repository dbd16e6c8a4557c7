-- What was learned last of each mailbox, for all jobs: which of them learned it. The outcome itself
-- stands with that job; where the job is gone, nothing is known.

CREATE TABLE verdicts (
    domain TEXT NOT NULL,
    local TEXT NOT NULL,
    job INTEGER NOT NULL,
    checked_at REAL NOT NULL,        -- POSIX seconds
    PRIMARY KEY (domain, local)
) WITHOUT ROWID;
