"""What twistd knows of us: `Options` and `makeService`, and nothing else."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any, NoReturn

from twisted.application.service import IService
from twisted.python import usage

from twisted_probe.daemon.config import Config, ConfigError, read_config
from twisted_probe.daemon.even_time import EvenTime
from twisted_probe.daemon.hangup import Hangup
from twisted_probe.daemon.lock import SpoolInUse
from twisted_probe.daemon.logs import DaemonLog, open_log
from twisted_probe.daemon.notify import Notifier
from twisted_probe.daemon.preparation import User, prepare
from twisted_probe.daemon.service import EXIT_BROKEN, EXIT_IN_USE, ProbeService
from twisted_probe.jobs.directories import FullSpool

#: sysexits.h: EX_CONFIG.
EXIT_CONFIG = 78
#: How often the collector looks at what has lived for a while until it looks at everything, which
#: Python would do each tenth time: under full load some ten seconds go by.
MIDDLES = 100


class Options(usage.Options):
    """The command line of `twistd mailprobe`."""

    synopsis = "[--config FILE] [--spool DIR] [--source ADDRESS=HELO] [options]"
    longdesc = (
        "Ask exchangers which mailboxes are alive, from chosen source addresses. Drop lists into "
        "SPOOL/new and find the results in SPOOL/done."
    )

    optParameters = [  # noqa: RUF012 - twisted.python.usage wants a list here
        ["config", None, None, "The configuration file; the other options win over it."],
        ["spool", None, None, "The spool directory; made if it is not there."],
        ["helo", None, None, "The HELO name of sources without one of their own."],
        ["reverse-path", None, None, "Your address for MAIL FROM; it must receive mail."],
        ["port", None, None, "The exchangers' port, 25 unless told otherwise."],
        ["spool-group", None, None, "The group whose users may drop jobs, a name or a number."],
        [
            "log-format",
            None,
            None,
            "How twistd's log is written: text (the default), or json lines.",
        ],
    ]

    optFlags = [  # noqa: RUF012
        ["log-addresses", None, "Let e-mail addresses stand in the log; else they are masked."],
    ]

    def __init__(self, hangup: Hangup | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        #: What has caught SIGHUP already, or will when the service is made.
        self.hangup = Hangup() if hangup is None else hangup
        self.sources: list[str] = []
        self.resolvers: list[str] = []
        self.networks: list[str] = []
        self._directory = os.getcwd()

    def opt_source(self, value: str) -> None:
        """A local address to ask from, and its name in EHLO, ADDRESS[=HELO]; may be repeated."""
        self.sources.append(value)

    def opt_resolver(self, value: str) -> None:
        """A DNS resolver, ADDRESS[:PORT], instead of the machine's; may be repeated."""
        self.resolvers.append(value)

    def opt_allow_network(self, value: str) -> None:
        """A network, CIDR, that may be dialled although it is not public; may be repeated."""
        self.networks.append(value)

    def config(self) -> Config:
        """What was said, here and in the file, checked; the file is read at every call. Raises
        ConfigError."""
        return read_config(
            file=self._path("config"),
            spool=self._path("spool"),
            sources=self.sources,
            helo=self["helo"],
            reverse_path=self["reverse-path"],
            resolvers=self.resolvers,
            port=self["port"],
            allow_networks=self.networks,
            spool_group=self["spool-group"],
            log_format=self["log-format"],
            log_addresses=True if self["log-addresses"] else None,
        )

    def _path(self, option: str) -> str | None:
        """A path that means the same after twistd has changed the directory."""
        said: str | None = self[option]
        return os.path.join(self._directory, said) if said else said

    @property
    def user(self) -> User:
        """Whom `twistd -u` and `-g` name."""
        parent: Any = self.parent or {}
        return User(parent.get("uid"), parent.get("gid"))


def makeService(options: Options, logfile: str | None = None) -> IService:
    """Check everything while there is somebody to tell, and make the service.

    It logs where twistd was told to. A .tac does not hear that, and says with `logfile` where
    ("-" is standard output); without, twistd's own log is left as it is.

    Raises SystemExit: 78 for a configuration that cannot work, 75 when another process has the
    spool, 70 when the disk takes nothing; the reason is on standard error.
    """
    from twisted.internet import reactor

    # Before the configuration is read: what changes in it later is read again.
    options.hangup.catch()
    try:
        config = options.config()
        lock = prepare(config, options.user)
        log = _log(options, config, logfile)
    except ConfigError as error:
        _refuse(error, EXIT_CONFIG)
    except SpoolInUse as error:
        _refuse(error, EXIT_IN_USE)
    except FullSpool as error:
        _refuse(error, EXIT_BROKEN)
    return ProbeService(
        reactor,
        config,
        lock,
        log,
        Notifier(os.environ),
        reread=options.config,
        time=EvenTime.begin(),
        begin=settle,
        hangup=options.hangup,
    )


def settle() -> None:
    """Keep the collector from looking through everything too often, which keeps the reactor for
    some 50 ms each time: what is there before anybody is asked stays to the end, and what is in
    hand goes away by itself, but for a few rings."""
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, MIDDLES)


def _log(options: Options, config: Config, logfile: str | None) -> DaemonLog | None:
    try:
        return open_log(
            options.parent,
            log_format=config.log_format,
            log_addresses=config.log_addresses,
            logfile=logfile,
            user=options.user.uid,
            group=options.user.gid,
            environment=os.environ,
        )
    except OSError as error:
        raise ConfigError(f"--logfile {error.filename}: {error.strerror}") from None


def _refuse(error: Exception, code: int) -> NoReturn:
    sys.stderr.write(f"twistd mailprobe: {error}\n")
    raise SystemExit(code)
