"""The `mailprobe` commands: the words of the command line, and nothing heavy.

Twisted is imported by the command that needs it, so `mailprobe --help` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from twisted_probe import __version__
from twisted_probe.cli import forms, remote

EXIT_USAGE = 2
#: sysexits.h: EX_IOERR. What was to be said could not be written, whatever it was.
EXIT_OUTPUT = 74
#: What a shell reports of a program that SIGPIPE has ended.
EXIT_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 for "not all is well", 2 for wrong usage, 74 when the
    standard output cannot be written, or 141 when nobody reads it any more."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Addresses and replies hold what a terminal's encoding may not.
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever reads has read enough.
        code = EXIT_PIPE
    except OSError as error:
        if not is_about_output(error):
            raise
        print(f"mailprobe: standard output: {error.strerror}", file=sys.stderr)
        code = EXIT_OUTPUT
    # What was not written would make Python complain once more at its exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


#: What write(2) says of a file that takes no more.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)


def is_about_output(error: OSError) -> bool:
    """Whether it says that the standard output cannot be written. All else that a command writes
    has a name."""
    return error.filename is None and error.errno in _FULL


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "check":
        from twisted_probe.cli.check import check

        return check(arguments)
    if arguments.command == "config":
        from twisted_probe.cli.config import config

        return config(arguments)
    if arguments.command == "explain":
        from twisted_probe.cli.explain import explain

        return explain(arguments)
    if arguments.command == "reclassify":
        from twisted_probe.cli.reclassify import reclassify

        return reclassify(arguments)
    if arguments.command in remote.COMMANDS:
        return remote.run(arguments)
    if arguments.command == "doctor":
        from twisted_probe.cli.doctor import doctor

        return doctor(arguments)
    if arguments.street == "hostile":
        from twisted_probe.cli.hostile import hostile

        return hostile(arguments)
    from twisted_probe.cli.demo import demo

    return demo(arguments)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The options that say who asks, and how; they win over those of a file."""
    parser.add_argument("--config", metavar="FILE", help="the configuration file")
    parser.add_argument(
        "--source",
        metavar="ADDRESS[=HELO]",
        action="append",
        default=[],
        dest="sources",
        help="a local address to ask from, and the name it says in EHLO; may be repeated",
    )
    parser.add_argument("--helo", metavar="NAME", help="the HELO name of sources without their own")
    parser.add_argument(
        "--reverse-path", metavar="ADDRESS", help="your address for MAIL FROM; it receives mail"
    )
    parser.add_argument(
        "--resolver",
        metavar="ADDRESS[:PORT]",
        action="append",
        default=[],
        dest="resolvers",
        help="a DNS resolver (default: the machine's); may be repeated",
    )
    parser.add_argument("--port", metavar="N", help="the exchangers' port (default: 25)")
    parser.add_argument(
        "--allow-network",
        metavar="CIDR",
        action="append",
        default=[],
        dest="allow_networks",
        help="a network that may be dialled although it is not public; may be repeated",
    )


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `add_settings` has read, as `daemon.config.read_told` takes it."""
    return {
        "file": arguments.config,
        "sources": arguments.sources,
        "helo": arguments.helo,
        "reverse_path": arguments.reverse_path,
        "resolvers": arguments.resolvers,
        "port": arguments.port,
        "allow_networks": arguments.allow_networks,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mailprobe",
        description="Ask exchangers which mailboxes are alive, from source addresses that you "
        "choose, without sending mail.",
        epilog="The daemon is started with 'twistd --pidfile= mailprobe'; see its --help. Every "
        "command ends with 74 when its output cannot be written.",
    )
    parser.add_argument("--version", action="version", version=f"mailprobe {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    check = commands.add_parser(
        "check",
        help="ask about some addresses now",
        description="Ask about some addresses now. Exit code: 0 when all are deliverable, 1 when "
        "not, 2 for wrong usage.",
    )
    check.add_argument("addresses", metavar="ADDRESS", nargs="+", help="an e-mail address")
    add_settings(check)
    check.add_argument(
        "--wait", action="store_true", help="wait and ask again where the answer is 'later'"
    )
    forms.add_options(check)

    doctor = commands.add_parser(
        "doctor",
        help="look whether this machine can ask as it is told to",
        description="Look whether this machine can ask as it is told to: sources, names, SPF, "
        "resolvers, spool, clock and limits. Each line says that it is well, or what is wrong and "
        "what to do. Exit code: 0 when nothing is bad, 1 when something is, 2 for wrong usage.",
    )
    add_settings(doctor)
    doctor.add_argument("--spool", metavar="DIR", help="the daemon's spool directory")
    doctor.add_argument(
        "--exchanger",
        metavar="HOST[:PORT]",
        help="greet this exchanger from each source, and take leave; nothing is asked of it",
    )
    doctor.add_argument("--json", action="store_true", help="a line, in JSON, for each check")

    config = commands.add_parser(
        "config",
        help="check a configuration, show what is in force",
        description="Check a configuration file, with the options given, or show every setting "
        "with its value in force and where that came from. Exit code: 0 when a daemon would start "
        "with it, 1 when it is wrong, 2 for wrong usage, 3 from --check when the file is good and "
        "this machine, or whoever asks, has not the sources or the spool that it names.",
    )
    what = config.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--check", metavar="FILE", dest="checked", help="say what is wrong with this file"
    )
    what.add_argument("--show", action="store_true", help="print what is in force")
    add_settings(config)
    config.add_argument("--spool", metavar="DIR", help="the spool directory")
    config.add_argument("--spool-group", metavar="GROUP", help="whose users may drop jobs")
    config.add_argument("--log-format", metavar="FORMAT", help="how the log is written")
    config.add_argument(
        "--log-addresses", action="store_true", default=None, help="e-mail addresses in the log"
    )
    config.add_argument("--json", action="store_true", help="with --show: in JSON")

    demo = commands.add_parser(
        "demo",
        help="see it work, offline",
        description="Start the real daemon on a temporary spool against exchangers of its own on "
        "this machine, drop a sample list and show what comes of it. With 'hostile': send the "
        "prober to exchangers that are odd, broken or hostile. Exit code: 0 when all came to what "
        "it should, 1 when not, 2 for wrong usage.",
    )
    demo.add_argument(
        "--with",
        choices=("sample", "hostile"),
        default="sample",
        dest="street",
        help="who answers: the sample street (the default), or the hostile one",
    )
    demo.add_argument("--keep", metavar="DIR", help="leave the spool in this directory")
    remote.add_commands(commands)
    return parser
