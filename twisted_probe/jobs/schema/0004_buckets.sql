-- What is written once is appended: outcomes go by buckets of 65536 lines, in each bucket in the
-- order in which they were settled. Who reads a job in the order of its lines sorts one bucket at
-- a time; who settles recipients in the order of their domains touches one page of each bucket.
--
-- A recipient's row stays small: `settled` is its place among the outcomes, `outcome` the last one
-- that was not final.

CREATE TABLE outcomes (
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    bucket INTEGER NOT NULL,         -- line / 65536
    place INTEGER NOT NULL,          -- in the order in which the job's recipients were settled
    line INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (job, bucket, place, line)
) WITHOUT ROWID;

-- Lines that name no mailbox.
CREATE TABLE invalid (
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (job, line)
) WITHOUT ROWID;

-- Lines that name a recipient that stands in an earlier line too.
CREATE TABLE repeats (
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    bucket INTEGER NOT NULL,
    domain TEXT NOT NULL,
    local TEXT NOT NULL,
    line INTEGER NOT NULL,
    spelling TEXT,
    PRIMARY KEY (job, bucket, domain, local, line)
) WITHOUT ROWID;

INSERT INTO outcomes
    SELECT job, line / 65536, settled, line, outcome FROM recipients WHERE settled > 0;
UPDATE recipients SET outcome = NULL WHERE settled > 0;
INSERT INTO invalid SELECT job, line, outcome FROM lines WHERE outcome IS NOT NULL;
INSERT INTO repeats
    SELECT job, lines.line / 65536, domain, local, lines.line, lines.spelling
    FROM lines JOIN recipients USING (job, domain, local) WHERE lines.line != recipients.line;
DROP TABLE lines;

-- How many recipients wait for their time is counted here, by nobody who could forget it.
ALTER TABLE jobs ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET waiting = (
    SELECT count(*) FROM recipients WHERE job = jobs.id AND due IS NOT NULL
);
CREATE TRIGGER recipients_wait AFTER UPDATE OF due ON recipients
WHEN (old.due IS NULL) != (new.due IS NULL)
BEGIN
    UPDATE jobs SET waiting = waiting + (new.due IS NOT NULL) - (old.due IS NOT NULL)
    WHERE id = new.job;
END;
