"""Forgetting: one address, or one job, erased wherever the spool has it.

Knows the order, files first and the ledger last, so that whoever is interrupted begins again, and
what is out of reach; not how a file or a table is changed (`jobs.formats.erasing`,
`jobs.erasing`). Of a list that is being worked on nothing is erased.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import BinaryIO

from attrs import Factory, asdict, define

from twisted_probe.jobs.backup import made
from twisted_probe.jobs.database import LedgerError, opened_to_read
from twisted_probe.jobs.erasing import Erasing
from twisted_probe.jobs.formats import Format, UnreadableJob, format_of
from twisted_probe.jobs.formats.erasing import (
    Span,
    copy_without,
    spans_in_list,
    spans_in_results,
)
from twisted_probe.jobs.ledger import ALIVE, Job, Ledger, State
from twisted_probe.jobs.names import printable
from twisted_probe.jobs.spool import Spool
from twisted_probe.vocabulary.address import Address, AddressError, parse_entry

#: Of names that are told: as many at most.
MAX_TOLD = 20

Steps = Generator[None, None, None]
_Find = Callable[
    [BinaryIO, bytes, Format, Callable[[str], bool]], Generator[None, None, list[Span]]
]


class NothingToForget(Exception):
    """What is to be forgotten is neither an address nor a job. The message says so."""


@define
class Forgotten:
    """What was found: the `jobs` of the ledger from which it was erased, the `files` that were
    written anew or taken away, and what is `left`, in words."""

    jobs: list[str] = Factory(list)
    files: list[str] = Factory(list)
    left: list[str] = Factory(list)

    def record(self) -> dict[str, list[str]]:
        """It as plain data."""
        return asdict(self)


class Forgetting:
    """Forgets `what`, an address or the name of a job, in `spool` and `ledger`. Nobody else may
    write into done/ meanwhile but for jobs that are not over.

    Raises NothingToForget.
    """

    def __init__(self, spool: Spool, ledger: Ledger, what: str) -> None:
        self.found = Forgotten()
        self._spool = spool
        self._ledger = ledger
        self._name = os.fsencode(what)
        self._address: Address | None = None
        if ledger.find(self._name) is None and not spool.archive.has(self._name):
            self._address = _address(what)

    def steps(self) -> Steps:
        """Do it; to be run to its end, when others had their turn."""
        if self._address is None:
            yield from self._forget_job()
        else:
            yield from self._forget_address(self._address)
        self._ledger.scrub()
        self._name_copies()

    # -- a job

    def _forget_job(self) -> Steps:
        job = self._ledger.find(self._name)
        if job is not None and job.state in ALIVE:
            self.found.left.append(_not_over(job))
            return
        name = self._name if job is None or job.done_name is None else job.done_name
        self.found.files += self._spool.archive.discard(name)
        if job is not None:
            yield from _without_job(self._ledger, job)
            self.found.jobs.append(job.title)

    # -- an address

    def _forget_address(self, address: Address) -> Steps:
        ledger = self._ledger
        numbers = set(ledger.jobs_with(address.key))
        for job in ledger.jobs(*ALIVE):
            if job.id in numbers or job.state in (State.CLAIMED, State.IMPORTING):
                self.found.left.append(_not_over(job))
            numbers.discard(job.id)
        over = {job.done_name: job for job in ledger.jobs(State.DONE)}
        digests: dict[int, bytes] = {}
        for name in self._spool.archive.lists():
            yield
            known = over.get(name)
            if known is None or known.id in numbers:
                digest = yield from self._rewrite(name, address)
                if known is not None and digest is not None:
                    digests[known.id] = digest
        for number in sorted(numbers):
            ledger.erase_recipient(number, address.key, digests.get(number))
            self.found.jobs.append(ledger.job(number).title)
            yield
        yield from _unheard(ledger, address)
        self._name_lists("new", self._spool.new())
        suspects = []
        for name in self._spool.archive.failed():
            yield
            if self._spool.archive.may_name(name, address.local):
                suspects.append(name)
        self._name_lists("failed", suspects)

    def _rewrite(self, name: bytes, address: Address) -> Generator[None, None, bytes | None]:
        """Write a list in done/ and its results anew, where they have the address; the digest of
        the list that was written."""
        try:
            kind = format_of(name)
            yield from self._rewrite_one(name + kind.results, kind, address, spans_in_results)
            return (yield from self._rewrite_one(name, kind, address, spans_in_list))
        except (UnreadableJob, OSError) as error:
            self.found.left.append(f"done/{printable(name)} cannot be looked through: {error}")
            return None

    def _rewrite_one(
        self, name: bytes, kind: Format, address: Address, find: _Find
    ) -> Generator[None, None, bytes | None]:
        archive = self._spool.archive
        file = archive.open(name)
        if file is None:
            return None
        with file:
            spans = yield from find(file, name, kind, partial(_is, address))
            if not spans:
                return None
            file.seek(0)
            with archive.anew(name) as new:
                digest = yield from copy_without(
                    file, name, kind, spans, new.bytes, keep_ends=find is spans_in_list
                )
                new.commit()
        self.found.files.append(f"done/{printable(name)}")
        return digest

    # -- what is out of reach

    def _name_lists(self, directory: str, names: Iterable[bytes]) -> None:
        shown = [printable(name) for name in names]
        if shown:
            more = ", …" if len(shown) > MAX_TOLD else ""
            self.found.left.append(
                f"lists in {directory}/ are not looked into: {', '.join(shown[:MAX_TOLD])}{more}"
            )

    def _name_copies(self) -> None:
        directory, name = os.path.split(self._ledger.path)
        self.found.left += [
            f"state/{entry} is kept as it is: remove it"
            for entry in sorted(os.listdir(directory))
            if entry.startswith((f"{name}.version-", f"{name}.damaged-"))
        ]


def forget_in_backups(state: str, what: str) -> Forgotten:
    """Forget `what` in the copies of the ledger that are known in the spool's directory `state`.

    Raises OSError where it cannot be seen which those are.
    """
    found = Forgotten()
    for path in made(state):
        try:
            # As it is: one of another version is not for us to change.
            opened_to_read(path).close()
            is_changed, left = _forget_in_backup(path, what)
        except NothingToForget:
            continue  # the name of a job that this one does not know
        except LedgerError as error:
            found.left.append(f"{path} is kept as it is ({error}): remove it")
            continue
        found.files += [path] if is_changed else []
        found.left += [f"{path}: {each.title} was not over then: remove it" for each in left]
    return found


def _forget_in_backup(path: str, what: str) -> tuple[bool, list[Job]]:
    """Whether anything was found, and the jobs from which it was not erased."""
    ledger = Ledger(path)
    try:
        job = ledger.find(os.fsencode(what))
        if job is not None:
            jobs = [job]
        else:
            address = _address(what)
            jobs = [ledger.job(number) for number in ledger.jobs_with(address.key)]
        over = [each for each in jobs if each.state not in ALIVE]
        for each in over:
            if job is None:
                ledger.erase_recipient(each.id, address.key)
            else:
                for _ in _without_job(ledger, each):
                    pass
        if job is None:
            for _ in _unheard(ledger, address):
                pass
        return bool(over), [each for each in jobs if each not in over]
    finally:
        ledger.end_wal()
        ledger.close()


def _unheard(ledger: Erasing, address: Address) -> Steps:
    """Erase what was learned of an address, and where anybody spoke of it."""
    ledger.erase_verdict(address.key)
    after: int | None = 0
    while after is not None:
        after = ledger.erase_heard(address, after)
        yield


def _without_job(ledger: Erasing, job: Job) -> Steps:
    while ledger.erase_job(job.id):
        yield


def _not_over(job: Job) -> str:
    return f"{job.title} is not over: cancel it or wait, and say it again then"


def _address(what: str) -> Address:
    try:
        return parse_entry(what)
    except AddressError as error:
        words = f"{printable(os.fsencode(what))} is neither a job nor an address: {error}"
        raise NothingToForget(words) from None


def _is(address: Address, text: str) -> bool:
    # An apostrophe before it keeps a spreadsheet from taking it for a formula.
    return _key(text) == address.key or (text[:1] == "'" and _key(text[1:]) == address.key)


def _key(text: str) -> tuple[str, str] | None:
    try:
        return parse_entry(text).key
    except AddressError:
        return None
