"""An application for `twistd -y`, for those who configure in Python.

Copy it, set what is yours, and start it: twistd --pidfile= -noy mailprobe.tac
What stands in the environment goes before what stands here.
"""

import os

from twisted.application.service import Application

from twisted_probe.tap import Options, makeService

SPOOL = os.environ.get("MAILPROBE_SPOOL", "/var/spool/mailprobe")
#: Each with the name that it says in EHLO; several are separated by spaces.
SOURCES = os.environ.get("MAILPROBE_SOURCES", "192.0.2.10=probe1.example.org")
REVERSE_PATH = os.environ.get("MAILPROBE_REVERSE_PATH", "probe@example.org")
#: twistd does not tell a .tac its own options, such as --logfile: where to log is said here.
#: "-" is standard output, for twistd --nodaemon.
LOGFILE = os.environ.get("MAILPROBE_LOGFILE", "-")

options = Options()
options.parseOptions(
    [
        *("--spool", SPOOL),
        *(f"--source={source}" for source in SOURCES.split()),
        *("--reverse-path", REVERSE_PATH),
    ]
)

application = Application("mailprobe")
makeService(options, LOGFILE).setServiceParent(application)
