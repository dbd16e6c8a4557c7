"""Tells twistd that there is a service called mailprobe."""

from twisted.application.service import ServiceMaker

mailprobe = ServiceMaker(
    "twisted_probe",
    "twisted_probe.tap",
    "Ask exchangers which mailboxes are alive, from chosen source addresses.",
    "mailprobe",
)
