"""One entry of a job file, and how large it may be.

Knows the value that all formats are read into; not how one is read.
"""

from __future__ import annotations

from attrs import frozen

#: Characters of one entry: sixteen times what RFC 5321 gives a path, for display names.
MAX_ENTRY = 4096
#: Bytes, in UTF-8, of one record: a CSV record with the line ends in its quotes (a quote that is
#: never closed would else swallow the file), or an object of a JSONL file. (One field of a CSV
#: record is held to csv.field_size_limit(), 128 KiB.)
MAX_RECORD = 1 << 20

TOO_LONG = f"the entry is longer than {MAX_ENTRY} characters"

#: What a column or key with the addresses is called, in any case. "address" comes last: beside an
#: "email" it is a street.
COLUMNS = ("email", "e-mail", "mail", "address")


class UnreadableJob(Exception):
    """A job file cannot be read as what its name says. The message names the file, the line and
    what to mend; nothing of the file was probed. Mend it and drop it again."""


@frozen
class Row:
    """One entry of a job file.

    `line` is the line of the file, from 1, where its record begins; `text` what is to be read as
    an address, as it was given, at most MAX_ENTRY characters of it. `fields` is the whole record
    of a CSV file, `object` the JSON object of a JSONL file as it stands in its line, None where
    the line holds none. `problem` says why the text need not be read at all.
    """

    line: int
    text: str
    fields: tuple[str, ...] | None = None
    problem: str | None = None
    object: str | None = None


def entry(line: int, text: str, fields: tuple[str, ...] | None = None, whole: bool = True) -> Row:
    """The row of a text that has to be an address; `whole` is false where it was cut already."""
    if whole and len(text) <= MAX_ENTRY:
        return Row(line, text, fields)
    return Row(line, text[:MAX_ENTRY], fields, TOO_LONG)
