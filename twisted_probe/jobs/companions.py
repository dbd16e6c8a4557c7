"""Options files in the spool: `NAME.job.toml`, which goes where its list NAME goes.

Knows how two files move as one though each rename may be the last before the power fails; not
when a list is complete (`jobs.spool`) nor what options there are (`jobs.job_file`).
"""

from __future__ import annotations

import os
from contextlib import suppress

from twisted_probe.jobs.durable import DurableFile, exists, remove, rename
from twisted_probe.jobs.names import OPTIONS, UNFINISHED, is_options

#: Hidden in active/: the names of the pair that is being claimed, in new/ and in active/.
CLAIM = b".claim"
#: Bytes of the longest claim: two names in hexadecimal.
_MAX_CLAIM = 2048


class Companions:
    """The options files in these directories, given as open descriptors.

    The options are always in active/ before their list is, so that a list that is there without
    options has none.
    """

    def __init__(self, tmp: int, new: int, active: int, failed: int) -> None:
        self._tmp = tmp
        self._new = new
        self._active = active
        self._failed = failed

    # -- on their way in

    def claim(self, name: bytes, target: bytes) -> None:
        """Move the options of the list `name` from new/ to active/, where the list will be
        `target`. To be called before the list is moved, and `claimed` after it, when both
        directories are synced."""
        with DurableFile(self._active, CLAIM) as note:
            note.text.write(f"{name.hex()} {target.hex()}\n")
            note.commit()
        rename(self._new, name + OPTIONS, self._active, target + OPTIONS)
        os.fsync(self._active)
        os.fsync(self._new)

    def claimed(self) -> None:
        """The list is in active/ too."""
        remove(self._active, CLAIM)

    def is_awaited(self, options: bytes) -> bool:
        """Whether the list of these options is in new/, or on its way there."""
        name = options.removesuffix(OPTIONS)
        on_its_way = (name, *(name + ending for ending in UNFINISHED))
        return exists(self._tmp, name) or any(exists(self._new, each) for each in on_its_way)

    # -- on their way out

    def follow(self, source: int, name: bytes, directory: int, target: bytes) -> None:
        """Move the options of the list `name`, if it has any in `source`, beside the list
        `target` in `directory`."""
        if exists(source, name + OPTIONS):
            rename(source, name + OPTIONS, directory, target + OPTIONS)

    # -- after a crash

    def mend(self) -> list[bytes]:
        """Bring options that a crash has parted from their list back to it; the names in active/
        of those whose list is gone.

        Before the list was claimed they go back to new/; when it was put into failed/, there.
        """
        self._undo_claim()
        names = set(map(os.fsencode, os.listdir(self._active)))
        lost = []
        for options in sorted(filter(is_options, names)):
            name = options.removesuffix(OPTIONS)
            if name in names:
                continue
            if exists(self._failed, name) and not exists(self._failed, options):
                rename(self._active, options, self._failed, options)
                os.fsync(self._failed)
                os.fsync(self._active)
            else:
                lost.append(options)
        return lost

    def _undo_claim(self) -> None:
        try:
            descriptor = os.open(
                CLAIM, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._active
            )
        except FileNotFoundError:
            return
        try:
            text = os.read(descriptor, _MAX_CLAIM).decode("ascii", "replace")
        finally:
            os.close(descriptor)
        # It is written as a whole or not at all: anything else is not ours.
        with suppress(ValueError):
            name, target = map(bytes.fromhex, text.split())
            if (
                exists(self._active, target + OPTIONS)
                and not exists(self._active, target)
                and not exists(self._new, name + OPTIONS)
            ):
                rename(self._active, target + OPTIONS, self._new, name + OPTIONS)
                os.fsync(self._new)
                os.fsync(self._active)
        remove(self._active, CLAIM)
