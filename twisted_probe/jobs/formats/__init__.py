"""Job files as rows, and rows with their outcomes as result files.

Knows what the three formats look like, packed or not, in any encoding; not what an address is
(`vocabulary.address`) nor where a file lies (`jobs.spool`). From the file up: `stream` (bytes as
UTF-8), `lines`, then one module a format, and `reader` over all.
"""

from twisted_probe.jobs.formats.kinds import Format, format_of
from twisted_probe.jobs.formats.reader import JobReader
from twisted_probe.jobs.formats.row import (
    COLUMNS,
    MAX_ENTRY,
    MAX_RECORD,
    TOO_LONG,
    Row,
    UnreadableJob,
)

__all__ = [
    "COLUMNS",
    "MAX_ENTRY",
    "MAX_RECORD",
    "TOO_LONG",
    "Format",
    "JobReader",
    "Row",
    "UnreadableJob",
    "format_of",
]
