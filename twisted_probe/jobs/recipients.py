"""The recipients in the ledger: who is asked next, and what became of whom.

Knows the table `recipients` and who is out with the engine; not how the recipients came there
(`jobs.importing`), where their outcomes are put (`jobs.settling`), the clock, or threads.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, deque
from collections.abc import Sequence

from attrs import Factory, define, evolve
from twisted.logger import Logger

from twisted_probe.jobs.codec import decode
from twisted_probe.jobs.database import transaction
from twisted_probe.jobs.deadline import CANCELLED, NEVER_ASKED, at_deadline
from twisted_probe.jobs.job_file import decode as decode_job_file
from twisted_probe.jobs.sealing import DamagedText
from twisted_probe.jobs.settling import End, Settling
from twisted_probe.routing.work import Task
from twisted_probe.vocabulary.address import Address, AddressError, parse_entry
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.wishes import Wishes

#: Rows in one transaction of a long piece of work: some 20 ms, so that other jobs' outcomes wait
#: no longer (measured: 360,000 imported rows a CPU-second).
BATCH = 5000
#: Recipients of one domain that are out at once, per job: more than four sessions of a hundred
#: can carry, few enough that one big domain does not fill the engine's hands.
OUT_PER_DOMAIN = 1000

#: Domains of a job that are kept in memory because they go on later; beyond that the rows say so.
MAX_UNFINISHED = 10_000

#: Recipients looked up in the cache at once, and answered by it in one `take`: some 50 ms.
ANSWERS = 1000

_log = Logger()

#: A job and the line where the recipient stands first.
Token = tuple[int, int]
#: A recipient's row: domain, local part, line, spelling, last outcome.
_Row = tuple[str, str, int, str | None, str | None]

_COLUMNS = "domain, local, line, spelling, outcome"


@define
class _Walk:
    """How far the first pass over a job's recipients is; begun anew after a restart.

    Everything up to (`domain`, `local`) was handed out or has its turn in `unfinished`: domains
    of which enough was out, with the local part where each goes on.
    """

    domain: str = ""
    local: str = ""
    unfinished: dict[str, str] = Factory(dict)

    def begin_again(self, domain: str, local: str) -> None:
        """`domain` goes on here, or where it was to go on if that is before."""
        self.unfinished[domain] = min(local, self.unfinished.get(domain, local))


class Recipients(Settling):
    """The recipients in `database`. Every method has committed when it returns.

    What is out is known in memory only: whoever opens the database again finds it open.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__(database)
        self._out: dict[Token, tuple[str, str]] = {}
        self._out_of: Counter[tuple[int, str]] = Counter()
        self._walks: dict[int, _Walk] = {}
        self._wishes: dict[int, Wishes] = {}
        self._cached_wishes: dict[int, Wishes | None] = {}
        self._ends: dict[int, tuple[str, str]] = {}
        self._held: dict[tuple[int, str], float] = {}
        self._ends_of_holds: set[float] = set()
        self._turn = 0
        #: How many the last `take` has answered by what was known already.
        self.answered = 0

    # -- who is asked next

    def take(self, limit: int, now: float) -> list[Task]:
        """Hand out at most `limit` recipients that are due, an equal share of each open job that
        is neither paused nor cancelled.

        Those whose time has come go before those that were never asked. Who was asked lately, for
        any job, is settled here and now: `answered` counts them, and with ANSWERS of them no others
        are looked for.
        """
        self.answered = 0
        rows = self._database.execute(
            "SELECT id, options FROM jobs WHERE state = 'open' AND settled < recipients"
            " AND paused_at IS NULL AND cancelled_at IS NULL ORDER BY id"
        )
        self._wishes = {
            job: evolve(decode_job_file(options).wishes, origin=job) for job, options in rows
        }
        self._cached_wishes = {job: self._wishes_of(job) for job in self._wishes}
        turn = deque(self._wishes)
        self._turn += 1
        turn.rotate(-self._turn)
        self._ends_of_holds = {end for end in self._ends_of_holds if end > now}
        tasks: list[Task] = []
        try:
            with transaction(self._database):
                while turn and len(tasks) < limit:
                    for left in range(len(turn), 0, -1):
                        # What is missing, divided by the jobs left in this round, rounded up.
                        wanted = len(tasks) - (len(tasks) - limit) // left
                        job = turn.popleft()
                        self._take_due(job, now, wanted, tasks)
                        self._take_fresh(job, now, wanted, tasks)
                        if len(tasks) == wanted:
                            turn.append(job)
        except BaseException:
            for task in tasks:
                self._came_back(task.token)
            self._walks.clear()
            raise
        return tasks

    def _take_due(self, job: int, now: float, wanted: int, tasks: list[Task]) -> None:
        """Fill `tasks` up to `wanted` with recipients whose time has come; those of a domain that
        is held wait until that ends."""
        while len(tasks) < wanted and self.answered < ANSWERS:
            rows: list[_Row] = self._database.execute(
                f"SELECT {_COLUMNS} FROM recipients"  # noqa: S608 - a constant
                " WHERE job = ? AND due IS NOT NULL AND due <= ? ORDER BY due LIMIT ?",
                (job, now, min(wanted - len(tasks), ANSWERS)),
            ).fetchall()
            if not rows:
                return
            self._database.executemany(
                "UPDATE recipients SET due = ? WHERE job = ? AND domain = ? AND local = ?",
                [(self._held_until(job, row[0], now), job, *row[:2]) for row in rows],
            )
            free = [row for row in rows if self._held_until(job, row[0], now) is None]
            for row in self._unknown(job, free, now):
                self._hand_out(job, row, now, tasks)

    def _take_fresh(self, job: int, now: float, wanted: int, tasks: list[Task]) -> None:
        """Fill `tasks` up to `wanted` with recipients that this process did not hand out yet."""
        walk = self._walks.setdefault(job, _Walk())
        for domain, local in list(walk.unfinished.items()):
            room = min(wanted - len(tasks), self._room(job, domain, now))
            if room <= 0:
                continue
            rows = self._open_rows(
                "job = ? AND domain = ? AND local >= ? AND due IS NULL", job, domain, local, room
            )
            if len(rows) < room:
                del walk.unfinished[domain]
            else:
                walk.unfinished[domain] = _after(rows[-1][1])
            for row in self._unknown(job, rows, now):
                self._hand_out(job, row, now, tasks)
        while len(tasks) < wanted and self.answered < ANSWERS:
            rows = self._open_rows(
                "job = ? AND (domain, local) > (?, ?) AND due IS NULL",
                *(job, walk.domain, walk.local, min(wanted - len(tasks), ANSWERS)),
            )
            if not rows:
                return
            passed = None
            for row in self._unknown(job, rows, now):
                domain, local, *_ = row
                if domain == passed:
                    continue
                if not self._room(job, domain, now):
                    walk.begin_again(domain, local)
                    walk.domain, walk.local = _after(domain), ""
                    passed = domain
                    continue
                walk.domain, walk.local = domain, local
                self._hand_out(job, row, now, tasks)
            # The last of them may have been answered.
            walk.domain, walk.local = max((walk.domain, walk.local), rows[-1][:2])

    def _unknown(self, job: int, rows: list[_Row], now: float) -> list[_Row]:
        """Those of `rows` that have to be asked; the others are answered."""
        wishes = self._cached_wishes[job]
        if wishes is None or not rows:
            return rows
        answers = self._answers([row[:2] for row in rows], wishes, now)
        if not answers:
            return rows
        unknown: list[_Row] = []
        ends: list[End] = []
        for row in rows:
            domain, local, line, spelling, _ = row
            known = answers.get((domain, local))
            if known is None:
                unknown.append(row)
            else:
                answer = evolve(known, address=spelt(domain, local, spelling))
                ends.append((job, domain, local, line, answer))
        self._settle(ends)
        self.answered += len(ends)
        return unknown

    def _open_rows(self, condition: str, *values: object) -> list[_Row]:
        return self._database.execute(
            f"SELECT {_COLUMNS} FROM recipients"  # noqa: S608 - the conditions are ours
            f" WHERE {condition} AND settled = 0 ORDER BY domain, local LIMIT ?",
            values,
        ).fetchall()

    def _room(self, job: int, domain: str, now: float) -> int:
        if self._held_until(job, domain, now) is not None:
            return 0
        return max(0, OUT_PER_DOMAIN - self._out_of[job, domain])

    def _held_until(self, job: int, domain: str, now: float) -> float | None:
        until = self._held.get((job, domain))
        if until is not None and until <= now:
            del self._held[job, domain]
            return None
        return until

    def _hand_out(self, job: int, row: _Row, now: float, tasks: list[Task]) -> None:
        domain, local, line, spelling, outcome = row
        token = (job, line)
        if token in self._out:
            return  # met again on a walk that was begun anew
        text = spelt(domain, local, spelling)
        try:
            address = Address(local, domain, text)
        except (ValueError, TypeError) as error:
            # Kept by a version that had other rules: it must not stop those behind it.
            words = f"the ledger's row cannot be read: {type(error).__name__}: {error}"
            broken = Outcome(address=text, reason=Reason.INTERNAL_ERROR, text=words, checked_at=now)
            self._settle([(job, domain, local, line, broken)])
            return
        last = _last(outcome)
        retry = None if last is None else last.retry
        self._out[token] = (domain, local)
        self._out_of[job, domain] += 1
        tasks.append(Task(address, token, retry, self._wishes[job]))

    # -- what became of whom

    def settle(self, reports: Sequence[tuple[int, int, Outcome]]) -> None:
        """Keep final outcomes, as (job, line of the token, outcome).

        One for a recipient that is settled, or not in the ledger any more, is ignored. Raises
        ValueError, and keeps none, when one is not final.
        """
        if not all(outcome.final for _, _, outcome in reports):
            raise ValueError("an outcome that is not final cannot settle a recipient")
        with self._keeping():
            self._settle(
                (job, *key, line, outcome)
                for job, line, outcome in reports
                if (key := self._key(job, line, outcome)) is not None
            )
        for job, line, _ in reports:
            self._came_back((job, line))

    def postpone(self, reports: Sequence[tuple[int, int, Outcome]]) -> None:
        """Keep outcomes that are not final; each recipient is due at its `next_attempt_at`.

        One whose next attempt would come after the job's deadline is settled now: nothing more
        can be learned of it. Raises ValueError, and keeps none, when one is final or has no time
        for a next attempt.
        """
        deadlines = dict(self._database.execute("SELECT id, deadline FROM jobs"))
        over: list[End] = []
        later: list[tuple[float, Outcome, int, str, str, int]] = []
        for job, line, outcome in reports:
            due = outcome.next_attempt_at
            if outcome.final or due is None:
                raise ValueError("only an outcome that has a next attempt can be postponed")
            key = self._key(job, line, outcome)
            if key is None or job not in deadlines:
                continue
            if due >= deadlines[job]:
                last = at_deadline(outcome, outcome.address, outcome.checked_at)
                over.append((job, *key, line, last))
            else:
                later.append((due, outcome, job, *key, line))
        with self._keeping():
            self._settle(over)
            self._database.executemany(
                "UPDATE recipients SET due = ?, outcome = ?"
                " WHERE job = ? AND domain = ? AND local = ? AND line = ? AND settled = 0",
                [(due, self._encoded(outcome), *key) for due, outcome, *key in later],
            )
        for job, line, _ in reports:
            self._came_back((job, line))

    def give_back(self, tokens: Sequence[Token], until: float = 0.0) -> None:
        """Take recipients back as they were, and hand them out no sooner than `until`.

        Nor are others of the same job and domain, where one of these was never asked before: what
        kept it from being asked will keep them. (That is known in memory only, and not where so
        many domains are held that they would fill it.)
        """
        rows = [(token[0], *self._out[token]) for token in tokens if token in self._out]
        with transaction(self._database):
            for job, domain, local in rows:
                cursor = self._database.execute(
                    "UPDATE recipients SET due = ? WHERE job = ? AND domain = ? AND local = ?"
                    " AND settled = 0 AND outcome IS NOT NULL",
                    (until, job, domain, local),
                )
                if cursor.rowcount:
                    self._ends_of_holds.add(until)
                elif self._is_open(job, domain, local):
                    self._hold(job, domain, local, until)
        for token in tokens:
            self._came_back(token)

    def _hold(self, job: int, domain: str, local: str, until: float) -> None:
        """Let one that was never asked wait."""
        walk = self._walks.setdefault(job, _Walk())
        is_known = domain in walk.unfinished or len(walk.unfinished) < MAX_UNFINISHED
        if is_known or not until:
            # Nothing is written of it: the walk comes back.
            if until:
                self._held[job, domain] = until
                self._ends_of_holds.add(until)
            walk.begin_again(domain, local)
        else:
            self._database.execute(
                "UPDATE recipients SET due = ? WHERE job = ? AND domain = ? AND local = ?",
                (until, job, domain, local),
            )

    def let_go(self, tokens: Sequence[Token], until: float = 0.0) -> None:
        """The same where nothing can be written: in memory, which is all that a hand-out changed
        for good."""
        for token in tokens:
            if until and token in self._out:
                self._held[token[0], self._out[token][0]] = until
                self._ends_of_holds.add(until)
            self._came_back(token)
        self.walk_again()

    def _is_open(self, job: int, domain: str, local: str) -> bool:
        found = self._database.execute(
            "SELECT settled = 0 FROM recipients WHERE job = ? AND domain = ? AND local = ?",
            (job, domain, local),
        ).fetchone()
        return found is not None and bool(found[0])

    def walk_again(self) -> None:
        """Look at all that are open once more: what was said of some was not kept."""
        self._walks.clear()

    def end_holds(self) -> None:
        """Whoever is held back until some time is due now: what held them may be over."""
        self._held.clear()
        ends, self._ends_of_holds = self._ends_of_holds, set()
        with transaction(self._database):
            # No other wait ends at the very moment when a hold does.
            self._database.executemany(
                "UPDATE recipients SET due = 0 WHERE due = ?"
                " AND job IN (SELECT id FROM jobs WHERE state = 'open')",
                [(end,) for end in ends],
            )
            # Nobody else who was never asked waits for a time.
            self._database.execute(
                "UPDATE recipients SET due = 0 WHERE due > 0 AND outcome IS NULL AND settled = 0"
                " AND job IN (SELECT id FROM jobs WHERE state = 'open')"
            )

    def expire(self, now: float, limit: int = BATCH) -> bool:
        """Settle at most `limit` open recipients of jobs that are past their deadline, or
        cancelled; whether there may be more. Each ends with what was last said of it
        (`jobs.deadline`)."""
        overdue = self._database.execute(
            "SELECT id, cancelled_at IS NOT NULL FROM jobs"
            " WHERE state = 'open' AND settled < recipients"
            " AND (deadline <= ? OR cancelled_at IS NOT NULL) ORDER BY id LIMIT 1",
            (now,),
        ).fetchone()
        if overdue is None:
            return False
        job: int = overdue[0]
        words = CANCELLED if overdue[1] else NEVER_ASKED
        # All before the last call's end is settled, for good: it need not be read again.
        domain, local = self._ends.get(job, ("", ""))
        rows = self._open_rows("job = ? AND (domain, local) > (?, ?)", job, domain, local, limit)
        with transaction(self._database):
            self._settle(
                (job, *row[:3], at_deadline(_last(row[4]), spelt(*row[:2], row[3]), now, words))
                for row in rows
            )
        if rows:
            self._ends[job] = rows[-1][:2]
        return bool(rows)

    # -- inside

    def _key(self, job: int, line: int, outcome: Outcome) -> tuple[str, str] | None:
        """The key of a recipient that is out, or was out with an earlier process."""
        key: tuple[str, str] | None = self._out.get((job, line))
        if key is None:
            try:
                key = parse_entry(outcome.address).key
            except AddressError:
                return None
        return key

    def _came_back(self, token: Token) -> None:
        key = self._out.pop(token, None)
        if key is not None:
            place = (token[0], key[0])
            self._out_of[place] -= 1
            if not self._out_of[place]:
                del self._out_of[place]

    def _forget(self, job: int) -> None:
        """Drop what is in memory of a job that is over, or begins again."""
        self._walks.pop(job, None)
        self._ends.pop(job, None)
        self._held = {place: until for place, until in self._held.items() if place[0] != job}
        for token in [token for token in self._out if token[0] == job]:
            self._came_back(token)


def spelt(domain: str, local: str, spelling: str | None) -> str:
    """An address as its line has it; the spelling is kept only where it is another."""
    return f"{local}@{domain}" if spelling is None else spelling


def _after(text: str) -> str:
    """The text that comes next in SQLite's order."""
    return text + "\0"


def _last(outcome: str | None) -> Outcome | None:
    """What was last said of a recipient; of one of whom that is damaged, as of one that was never
    asked, nothing."""
    try:
        return None if outcome is None else decode(outcome)
    except DamagedText as error:
        _log.error("the ledger has lost what was last said of a recipient: {why}", why=str(error))
        return None
