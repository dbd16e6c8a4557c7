"""The stop file: as long as it is there, nobody is asked.

Knows when it has come and gone; not what is done then (`daemon.service`).
"""

from __future__ import annotations

from pathlib import Path


class StopFile:
    """Looks for the file at `path`, which may be None: there is none then."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.is_there = False

    def has_changed(self) -> bool:
        """Look; whether it has come or gone since the last time."""
        was, self.is_there = self.is_there, self.path is not None and self.path.exists()
        return was is not self.is_there
