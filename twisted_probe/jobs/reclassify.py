"""Kept evidence judged once more, by today's rules: nobody is asked.

Knows which outcomes may change, in what order a change is made durable, and that what was never
answered stays as it is; not how a judgement is made (`verdict.basis`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial

from attrs import define, evolve, frozen

from twisted_probe.jobs.deadline import at_deadline
from twisted_probe.jobs.ledger import Job, Ledger, State
from twisted_probe.jobs.options import DEFAULTS, JobOptions
from twisted_probe.jobs.results import write_results
from twisted_probe.jobs.spool import MissingJob, Spool
from twisted_probe.verdict.basis import finding_of, judgement_of
from twisted_probe.verdict.rules import Rules
from twisted_probe.vocabulary.address import Address, AddressError, parse_entry
from twisted_probe.vocabulary.hearing import Basis, Hearing
from twisted_probe.vocabulary.outcome import Outcome

#: The states of jobs whose settled outcomes can be judged again: nothing of them is being written.
STATES = (State.OPEN, State.DONE)
#: Hearings that are kept at hand: outcomes come in the order of lines, and the recipients of a
#: session stand together in most lists.
_AT_HAND = 256
#: Attempts that are looked back on for one in which the recipient was answered.
_MAX_ATTEMPTS = 20
#: Lines between two turns, and changes in one transaction.
_TURN = 1000


@frozen
class Change:
    """One line that today's rules judge otherwise: the outcomes, and the rules that decided."""

    job: str
    line: int
    address: Address
    before: Outcome
    after: Outcome
    rule_before: str
    rule: str


@define
class Reclassified:
    """What was found in one job: the lines that were `judged`, those `without` evidence, how many
    `changed`, and whether its result files were rewritten (None: there was no need to)."""

    job: str
    judged: int = 0
    without: int = 0
    changed: int = 0
    rewritten: bool | None = None


class Reclassification:
    """One job's outcomes by `rules` (None: the package's)."""

    def __init__(self, ledger: Ledger, job: Job, rules: Rules | None = None) -> None:
        self.found = Reclassified(job.title)
        self._ledger = ledger
        self._job = job
        self._rules = rules
        self._hearings: dict[int, Hearing | None] = {}

    def changes(self) -> Iterator[Change | None]:
        """What is judged otherwise, in the order of the lines; None where others may have their
        turn. `found` counts."""
        self.found = Reclassified(self._job.title)
        for number, outcome in enumerate(self._ledger.outcomes(self._job.id), 1):
            change = self._change(outcome)
            if change is not None:
                self.found.changed += 1
                yield change
            if not number % _TURN:
                yield None

    def apply(self, spool: Spool, options: JobOptions = DEFAULTS) -> Generator[None, None, None]:
        """Make the changes: first the result files of a job that is done, each beside the old one
        and then renamed, then the ledger. Whoever is interrupted begins again.

        Raises what `write_results` raises; files that were taken away are not written again.
        """
        if not any(self.changes()):
            return
        if self._job.state is State.DONE and self._job.done_name is not None:
            try:
                yield from write_results(
                    spool,
                    self._ledger,
                    self._job,
                    options,
                    original=partial(spool.open_done, self._job.done_name),
                    outcomes=self._renewed(),
                )
                self.found.rewritten = True
            except MissingJob:
                self.found.rewritten = False
        rewritten = self.found.rewritten
        batch: list[Change] = []
        for change in self.changes():
            if change is not None:
                batch.append(change)
            if len(batch) == _TURN or change is None:
                self._amend(batch)
                batch = []
                yield
        self._amend(batch)
        self.found.rewritten = rewritten

    def _amend(self, batch: list[Change]) -> None:
        self._ledger.amend(
            self._job.id,
            [(each.address.key, each.after.reason, each.after.catch_all) for each in batch],
        )

    def _renewed(self) -> Iterator[Outcome]:
        for outcome in self._ledger.outcomes(self._job.id):
            change = self._change(outcome)
            yield outcome if change is None else change.after

    def _change(self, outcome: Outcome) -> Change | None:
        try:
            address = parse_entry(outcome.address)
        except AddressError:
            heard = None
        else:
            heard = self._last_heard(outcome, address)
        if heard is None or outcome.line is None:
            # Nobody has said anything of it: no rule can change that.
            self.found.without += 1
            return None
        self.found.judged += 1
        basis, is_of_last_attempt = heard
        judgement = judgement_of(basis, self._rules)
        if judgement.retry and not is_of_last_attempt:
            # It was asked again, and nobody answered: it stays as that left it.
            return None
        after = evolve(outcome, reason=judgement.reason, catch_all=judgement.catch_all)
        if judgement.retry:
            # Nobody asks again: it ends as it would have at the deadline.
            after = at_deadline(after, after.address, after.checked_at)
        if (after.reason, after.catch_all) == (outcome.reason, outcome.catch_all):
            return None
        rule = finding_of(basis, self._rules).rule
        return Change(self._job.title, outcome.line, address, outcome, after, basis.rule, rule)

    def _last_heard(self, outcome: Outcome, address: Address) -> tuple[Basis, bool] | None:
        """What was last said of it, and whether that was in the attempt that decided."""
        number = outcome.evidence
        for _ in range(_MAX_ATTEMPTS):
            hearing = self._hearing(number)
            if hearing is None:
                return None
            basis = hearing.bases.get(address.key)
            if basis is not None:
                is_newest = number == outcome.evidence
                return basis, is_newest and hearing.attempt in (None, outcome.attempts)
            number = hearing.before
        return None

    def _hearing(self, number: int | None) -> Hearing | None:
        if number is None:
            return None
        if number not in self._hearings:
            if len(self._hearings) == _AT_HAND:
                del self._hearings[next(iter(self._hearings))]
            self._hearings[number] = self._ledger.hearing(number)
        return self._hearings[number]
