-- The ledger, first version.
--
-- recipients and lines are clustered by their keys (WITHOUT ROWID): what is taken, asked and
-- settled together lies together. A recipient that is out with the engine has no mark here: what
-- is out is known in memory only, and whoever opens the ledger again finds it open.

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    name BLOB NOT NULL,                     -- in active/
    format TEXT NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('claimed', 'importing', 'open', 'finished', 'done', 'failed')
    ),
    received_at REAL NOT NULL,              -- all times: POSIX seconds
    deadline REAL NOT NULL,
    lines INTEGER NOT NULL DEFAULT 0,
    invalid INTEGER NOT NULL DEFAULT 0,     -- lines that name no mailbox
    recipients INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    digest BLOB,                            -- SHA-256 of the file as it was imported
    done_name BLOB,                         -- in done/, chosen once, before anything is written there
    finished_at REAL
);

CREATE UNIQUE INDEX jobs_alive ON jobs (name) WHERE state NOT IN ('done', 'failed');

-- One row for each mailbox of a job, however often and in whatever spelling the file names it.
CREATE TABLE recipients (
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    domain TEXT NOT NULL,
    local TEXT NOT NULL,
    line INTEGER NOT NULL,           -- where it stands first; with the job, its token
    spelling TEXT,                   -- as it stands there, where that is not local@domain
    settled INTEGER NOT NULL DEFAULT 0,
    due REAL,                        -- to be handed out by time; null: not yet, or out, or settled
    outcome TEXT,                    -- the last one, as JSON; final if settled
    PRIMARY KEY (job, domain, local)
) WITHOUT ROWID;

CREATE INDEX recipients_due ON recipients (job, due) WHERE due IS NOT NULL;

-- One row for each line that will be answered.
CREATE TABLE lines (
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    domain TEXT,
    local TEXT,
    spelling TEXT,
    outcome TEXT,                    -- of a line that names no mailbox
    PRIMARY KEY (job, line),
    CHECK ((domain IS NULL) = (outcome IS NOT NULL))
) WITHOUT ROWID;

-- How many recipients (and lines that name none) ended in which way.
CREATE TABLE tallies (
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    reason TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (job, reason)
) WITHOUT ROWID;
