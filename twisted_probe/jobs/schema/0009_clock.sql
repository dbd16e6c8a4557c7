-- The clock that the times here were told by last: one row at most.

CREATE TABLE clock (
    boot TEXT NOT NULL,                     -- which start of the machine
    zero REAL NOT NULL                      -- when that was, by this clock
);
