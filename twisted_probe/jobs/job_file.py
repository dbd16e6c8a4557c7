"""What one job says for itself: `NAME.job.toml`, dropped before the list NAME.

Knows its keys and what is wrong with their values; not where the file lies (`jobs.companions`)
nor what the daemon does where a job says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import evolve, fields, frozen

from twisted_probe.jobs.formats import UnreadableJob
from twisted_probe.jobs.options import JobOptions
from twisted_probe.vocabulary.address import parse_reverse_path
from twisted_probe.vocabulary.kinds import Flag, Kind, ListOf, Number, Text, Unfit
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.toml_text import TomlProblem, parsed, read_table
from twisted_probe.vocabulary.wishes import Wishes, source_key

#: Bytes of the file; the longest list of sources is far below.
MAX_JOB_FILE = 65536


def reverse_path_text(text: str) -> str:
    """`text` when it can be said in MAIL FROM, "" and "<>" for the null one. Raises ValueError."""
    path = parse_reverse_path(text)
    if path is not None and path.needs_smtputf8:
        raise ValueError(
            "the part before the @ has to be ASCII, since not every exchanger offers SMTPUTF8"
        )
    return text


REVERSE_PATH = Text(
    'an e-mail address of yours that receives mail, or "" for the null one', reverse_path_text
)
DEADLINE = Number(
    "seconds",
    1,
    30 * 86400,
    why_most="30 days; what was learned earlier is not true any more",
)


@frozen(kw_only=True)
class JobFile:
    """What a job says; None where it says nothing.

    `sources` are addresses or HELO names of the daemon's sources, `deadline` is in seconds. With
    `cache` false everybody is asked, whatever other jobs have learned (`jobs.verdicts`).
    """

    reverse_path: str | None = None
    sources: tuple[str, ...] | None = None
    deadline: float | None = None
    control: bool | None = None
    defuse_formulas: bool | None = None
    flags: bool | None = None
    cache: bool | None = None

    @property
    def wishes(self) -> Wishes:
        """What it means for a recipient."""
        return Wishes(self.reverse_path, self.sources, self.control)

    def options(self, usual: JobOptions) -> JobOptions:
        """What it chooses, and where it says nothing what is `usual`."""
        said = {name: value for name in _OPTIONS if (value := getattr(self, name)) is not None}
        return evolve(usual, **said)

    def encode(self) -> str | None:
        """It as JSON text, for the ledger; None where it says nothing."""
        said = {name: value for name in _KEYS if (value := getattr(self, name)) is not None}
        return json.dumps(said) if said else None


_KEYS = tuple(field.name for field in fields(JobFile))
_OPTIONS = tuple(field.name for field in fields(JobOptions))

#: A job without a file of its own.
SAYS_NOTHING = JobFile()


def decode(text: str | None) -> JobFile:
    """What `JobFile.encode` was given."""
    if text is None:
        return SAYS_NOTHING
    said: dict[str, Any] = json.loads(text)
    if "sources" in said:
        said["sources"] = tuple(said["sources"])
    return JobFile(**said)


def read_job_file(data: bytes, file: str, sources: Sequence[Source]) -> JobFile:
    """Read the job file in `data`, called `file`, for a daemon that has these `sources`.

    Raises UnreadableJob, naming file, key and what is expected.
    """
    if len(data) > MAX_JOB_FILE:
        raise UnreadableJob(f"{file}: it is longer than {MAX_JOB_FILE} bytes")
    kinds: dict[str, Kind] = {
        "reverse_path": REVERSE_PATH,
        "sources": ListOf(_OneOf(sources), least=1),
        "deadline": DEADLINE,
        "control": Flag(),
        "defuse_formulas": Flag(),
        "flags": Flag(),
        "cache": Flag(),
    }
    try:
        return JobFile(**read_table(parsed(data, file), kinds, file))
    except TomlProblem as problem:
        raise UnreadableJob(str(problem)) from None


class _OneOf:
    """The kind of a text that names one of these sources."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = tuple(sources)

    @property
    def expected(self) -> str:
        names = ", ".join(f'"{source.address}" ({source.helo})' for source in self._sources)
        return f"the address or HELO name of a source of this daemon: {names}"

    def read(self, value: object) -> str:
        if isinstance(value, str):
            wish = Wishes(sources=[value])
            if any(wish.allow(source) for source in self._sources):
                return source_key(value)
        raise Unfit
