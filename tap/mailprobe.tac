"""An application for `twistd -y`, for those who configure in Python.

Copy it and set what is yours; then: twistd --pidfile= -noy mailprobe.tac
"""

from twisted.application.service import Application

from twisted_probe.tap import Options, makeService

options = Options()
options.parseOptions(
    [
        "--spool", "/var/spool/mailprobe",
        "--source", "192.0.2.10=probe1.example.org",
        "--reverse-path", "probe@example.org",
    ]
)

application = Application("mailprobe")
makeService(options).setServiceParent(application)
