"""What a job file holds, by its name.

Knows the suffixes and which result file each leads to; not what is in the file.
"""

from __future__ import annotations

from enum import Enum

from twisted_probe.jobs.formats.row import UnreadableJob
from twisted_probe.jobs.names import OBJECTS, RESULTS, printable, suffix


class Format(str, Enum):
    """What a job file holds, packed or not."""

    TXT = "txt"
    CSV = "csv"
    JSONL = "jsonl"

    @property
    def results(self) -> bytes:
        """What the name of its results ends with."""
        return OBJECTS if self is Format.JSONL else RESULTS


_FORMATS = {b"": Format.TXT, **{b"." + kind.value.encode(): kind for kind in Format}}


def format_of(name: bytes) -> Format:
    """What a file of this name holds. Raises UnreadableJob when its suffix says nothing."""
    try:
        return _FORMATS[suffix(name)]
    except KeyError:
        raise UnreadableJob(
            f"{printable(name)}: the suffix {printable(suffix(name))} is not understood; a job is "
            "a .txt (or no suffix), a .csv or a .jsonl, and .gz may stand behind it"
        ) from None
