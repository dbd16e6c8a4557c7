"""Tells twistd that there is a service called mailprobe."""

from functools import partial
from typing import Any

from twisted.application.service import ServiceMaker

from twisted_probe.daemon.hangup import Hangup


class _Maker(ServiceMaker):
    @property
    def options(self) -> Any:
        """Asked for once it is this service that twistd shall run: from here on a SIGHUP is
        remembered, while the rest of it is imported, which takes half a second."""
        hangup = Hangup()
        hangup.catch()
        return partial(super().options, hangup)


mailprobe = _Maker(
    "twisted_probe",
    "twisted_probe.tap",
    "Ask exchangers which mailboxes are alive, from chosen source addresses.",
    "mailprobe",
)
