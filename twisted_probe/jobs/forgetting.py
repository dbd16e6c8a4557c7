"""Forgetting: one address, or one job, erased wherever the spool has it.

Knows the order, files first and the ledger last, so that whoever is interrupted begins again, and
what is out of reach; not how a file or a table is changed (`jobs.formats.erasing`,
`jobs.erasing`), nor what names an address (`vocabulary.mention`). Of a list that is being worked on
nothing is erased.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from itertools import filterfalse
from typing import BinaryIO, TypeVar

from attrs import Factory, asdict, define

from twisted_probe.jobs.backup import is_unfinished, made, recover, remove_unfinished
from twisted_probe.jobs.database import LedgerError, opened_to_read
from twisted_probe.jobs.erasing import Erasing
from twisted_probe.jobs.formats import Format, UnreadableJob, format_of
from twisted_probe.jobs.formats.erasing import (
    Span,
    copy_without,
    spans_in_list,
    spans_in_results,
)
from twisted_probe.jobs.formats.searching import has_in_it
from twisted_probe.jobs.formats.stream import Broken, digest_of
from twisted_probe.jobs.ledger import ALIVE, Job, Ledger, State
from twisted_probe.jobs.names import printable
from twisted_probe.jobs.recipients import BATCH
from twisted_probe.jobs.spool import Spool
from twisted_probe.vocabulary.address import Address, AddressError, parse_address, parse_entry
from twisted_probe.vocabulary.mention import Mention

#: Of names that are told: as many at most.
MAX_TOLD = 20

Steps = Generator[None, None, None]
_Found = TypeVar("_Found")
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
        self._what = what
        self._name = os.fsencode(what)
        self._jobs = ledger.called(self._name)
        self._mention: Mention | None = None
        if not self._jobs and not spool.archive.has(self._name):
            try:
                self._mention = Mention(_address(what))
            except NothingToForget:
                # The job that it was may be in the log beside the ledger, which somebody read.
                ledger.scrub()
                raise

    def steps(self) -> Steps:
        """Do it; to be run to its end, when others had their turn."""
        if self._mention is None:
            yield from self._forget_job()
        else:
            yield from self._forget_address(self._mention)
        if not self._ledger.scrub():
            self.found.left.append(
                "somebody reads the ledger (a backup?), and what was erased may still be beside "
                "it; say it again later"
            )
        self._name_copies()

    # -- a job

    def _forget_job(self) -> Steps:
        alive = [job for job in self._jobs if job.state in ALIVE]
        if alive:
            self.found.left += map(_not_over, alive)
            return
        for name in sorted({job.name_at_last for job in self._jobs} or {self._name}):
            self.found.files += self._spool.archive.discard(name)
        for job in self._jobs:
            yield from _without_job(self._ledger, job)
            self.found.jobs.append(job.title)
        if "@" in self._what:
            with suppress(AddressError):
                address = parse_address(self._what)
                self.found.left.append(
                    f"{address} is the name of a job, and it is the job that was erased; "
                    f"say <{address}> to have the address erased"
                )

    # -- an address

    def _forget_address(self, mention: Mention) -> Steps:
        ledger = self._ledger
        traces: dict[int, _Traces] = {}
        owners: dict[bytes, Job] = {}
        for job in ledger.jobs(*(state for state in State if state is not State.FAILED)):
            owners[job.name_at_last] = job
            found = yield from _traces(ledger, job, mention)
            if job.state not in ALIVE:
                traces.update({job.id: found} if found else {})
            elif found or job.state in (State.CLAIMED, State.IMPORTING):
                self.found.left.append(_not_over(job))
        theirs = {name for name, job in owners.items() if job.id in traces}
        digests: dict[int, bytes] = {}
        for name in sorted(theirs.union(self._spool.archive.lists())):
            yield
            owner = owners.get(name)
            if owner is None or owner.id in traces:
                digest = yield from self._rewrite(name, mention)
                if owner is not None and digest is not None:
                    digests[owner.id] = digest
        for number, found in traces.items():
            yield from _without_traces(ledger, number, found, digests.get(number))
            self.found.jobs.append(found.title)
        yield from _unheard(ledger, mention)
        called = [job.title for job in ledger.jobs(*State) if _is_called(job.title, mention)]
        if called:
            self.found.left.append(
                f"it is in the name of a job: {_first(called)}; have that forgotten by its name"
            )
        yield from self._name_files(mention)

    def _rewrite(self, name: bytes, mention: Mention) -> Generator[None, None, bytes | None]:
        """Write a list in done/ and its results anew, where they have the address; the digest of
        the list as it is then."""
        try:
            kind = format_of(name)
        except UnreadableJob:
            return None  # no list, whatever else is called so; it is searched like all files
        yield from self._rewrite_one(name + kind.results, kind, mention, spans_in_results)
        return (yield from self._rewrite_one(name, kind, mention, spans_in_list))

    def _rewrite_one(
        self, name: bytes, kind: Format, mention: Mention, find: _Find
    ) -> Generator[None, None, bytes | None]:
        try:
            return (yield from self._rewritten(name, kind, mention, find))
        except (UnreadableJob, OSError) as error:
            self.found.left.append(f"done/{printable(name)} cannot be looked through: {error}")
            return None

    def _rewritten(
        self, name: bytes, kind: Format, mention: Mention, find: _Find
    ) -> Generator[None, None, bytes | None]:
        archive = self._spool.archive
        file = archive.open(name)
        if file is None:
            return None
        with file:
            spans = yield from find(file, name, kind, mention.is_entry)
            file.seek(0)
            if not spans:
                # Whoever was interrupted has written it already.
                return (yield from digest_of(file))
            with archive.anew(name) as new:
                digest = yield from copy_without(
                    file, name, kind, spans, new.bytes, keep_ends=find is spans_in_list
                )
                new.commit()
        self.found.files.append(f"done/{printable(name)}")
        return digest

    # -- what is out of reach

    def _name_files(self, mention: Mention) -> Steps:
        fresh = self._spool.new()
        if fresh:
            self.found.left.append(
                f"lists in new/ are not looked into: {_first([printable(name) for name in fresh])}"
            )
        archive = self._spool.archive
        having: list[str] = []
        for place, name in archive.files():
            yield
            title = f"{place}/{printable(name)}"
            try:
                file = archive.open(name, place)
                if file is None:
                    continue
                with file:
                    if _is_called(title, mention) or (yield from has_in_it(file, mention.is_in)):
                        having.append(title)
            except (Broken, OSError) as error:
                self.found.left.append(f"{title} cannot be looked through: {error}")
        if having:
            self.found.left.append(
                f"it stands where nothing is erased, in {_first(having)}: look there yourself"
            )

    def _name_copies(self) -> None:
        directory, name = os.path.split(self._ledger.path)
        self.found.left += [
            f"state/{entry} is kept as it is: remove it"
            for entry in sorted(os.listdir(directory))
            if entry.startswith((f"{name}.version-", f"{name}.damaged-"))
        ]


def forget_in_backups(state: str, what: str) -> Forgotten:
    """Forget `what` in the copies of the ledger that are known in the spool's directory `state`;
    what is left of one that was killed is removed, whatever is in it.

    Raises OSError where it cannot be seen which those are.
    """
    found = Forgotten()
    for path in filter(is_unfinished, made(state)):
        _forget_unfinished(path, found)
    # Asked again: one of them may be whole by now.
    for path in filterfalse(is_unfinished, made(state)):
        if os.path.exists(path) and not os.path.isfile(path):
            found.left.append(f"{path} is no copy of a ledger any more, and is kept as it is")
            continue
        try:
            recover(path)
            # As it is: one of another version is not for us to change.
            opened_to_read(path).close()
            is_changed, left = _forget_in_backup(path, what)
        except NothingToForget:
            continue  # the name of a job that this one does not know
        except LedgerError as error:
            found.left.append(f"{path} is kept as it is ({error}): remove it")
            continue
        except (sqlite3.Error, OSError) as error:
            found.left.append(f"{path} may still have it ({error}): say it again, or remove it")
            continue
        found.files += [path] if is_changed else []
        found.left += [f"{path}: {each.title} was not over then: remove it" for each in left]
    return found


def _forget_unfinished(path: str, found: Forgotten) -> None:
    try:
        if remove_unfinished(path):
            found.files.append(path)
    except BlockingIOError:
        found.left.append(f"{path}: a backup is at work; say it again when that has ended")
    except OSError as error:
        found.left.append(f"{path} cannot be removed ({error.strerror}): remove it")


def _forget_in_backup(path: str, what: str) -> tuple[bool, list[Job]]:
    """Whether anything was found, and the jobs from which it was not erased."""
    ledger = Ledger(path)
    try:
        jobs = ledger.called(os.fsencode(what))
        if jobs:
            over = [each for each in jobs if each.state not in ALIVE]
            for each in over:
                _run(_without_job(ledger, each))
            return bool(over), [each for each in jobs if each not in over]
        mention = Mention(_address(what))
        left = []
        is_changed = False
        for each in ledger.jobs(*State):
            found = _run(_traces(ledger, each, mention))
            if found and each.state in ALIVE:
                left.append(each)
            elif found:
                _run(_without_traces(ledger, each.id, found))
                is_changed = True
        _run(_unheard(ledger, mention))
        return is_changed, left
    finally:
        try:
            ledger.end_wal()
        finally:
            ledger.close()


@define
class _Traces:
    """Of one job, the recipients that are meant and the lines that are no address and name it."""

    title: str
    keys: list[tuple[str, str]] = Factory(list)
    lines: list[int] = Factory(list)

    def __bool__(self) -> bool:
        return bool(self.keys or self.lines)


def _traces(ledger: Erasing, job: Job, mention: Mention) -> Generator[None, None, _Traces]:
    found = _Traces(job.title)
    seek = partial(ledger.locals_at, job.id, mention.domain)
    found.keys = yield from _keys(seek, mention)
    line = -1
    while pieces := ledger.invalid_behind(job.id, line):
        found.lines += [number for number, text in pieces if mention.is_entry(text)]
        line = pieces[-1][0]
        yield
    return found


def _keys(
    seek: Callable[[str], list[str]], mention: Mention
) -> Generator[None, None, list[tuple[str, str]]]:
    """All local parts that are meant, of those that `seek` gives."""
    found: list[tuple[str, str]] = []
    after = ""
    while names := seek(after):
        found += [(mention.domain, name) for name in names if mention.is_key(mention.domain, name)]
        after = names[-1]
        yield
    return found


def _without_traces(
    ledger: Erasing, job: int, traces: _Traces, digest: bytes | None = None
) -> Steps:
    # The digest first, while there is something by which the job is found again.
    ledger.erase_recipients(job, traces.keys, digest)
    yield
    for start in range(0, len(traces.lines), BATCH):
        ledger.erase_invalid(job, traces.lines[start : start + BATCH])
        yield


def _unheard(ledger: Erasing, mention: Mention) -> Steps:
    """Erase what was learned of an address, and where anybody spoke of it."""
    for key in (yield from _keys(partial(ledger.learned_at, mention.domain), mention)):
        ledger.erase_verdict(key)
    after: int | None = 0
    while after is not None:
        after = ledger.erase_heard(mention, after)
        yield


def _run(steps: Generator[None, None, _Found]) -> _Found:
    """Do all of it, when nobody else needs a turn."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: _Found = end.value
            return found


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


def _is_called(title: str, mention: Mention) -> bool:
    """Whether a file or a job has the address in its name, before any of its suffixes."""
    while title:
        if mention.is_in(title):
            return True
        title = title.rpartition(".")[0]
    return False


def _first(titles: list[str]) -> str:
    return ", ".join(titles[:MAX_TOLD]) + (", …" if len(titles) > MAX_TOLD else "")
