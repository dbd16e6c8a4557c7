"""What can be chosen for one job.

Knows the choices and their defaults; not where they come from.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class JobOptions:
    """The choices of one job.

    With `defuse_formulas` a field of a CSV result that a spreadsheet would take for a formula
    gets an apostrophe before it. Off by default: it changes addresses such as +ann@example.org.

    With `flags` the flags of each address stand in its outcome; else they are null. On by
    default: they ask nobody, change no verdict, and cost microseconds.
    """

    defuse_formulas: bool = False
    flags: bool = True


#: What holds where nothing was chosen.
DEFAULTS = JobOptions()
