"""The commands for a daemon that runs: their words, and what they have in common.

Knows options, errors and exit codes; what a command does stands in its own module. Nothing heavy
is imported here: these commands have to answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from twisted_probe.cli import forms
from twisted_probe.cli.forms import print_json

if TYPE_CHECKING:
    from twisted_probe.cli.client import Client

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

#: Where `--spool` is taken from when it is not given.
SPOOL_VARIABLE = "MAILPROBE_SPOOL"
#: The commands of this module.
COMMANDS = frozenset(
    ("status", "results", "cancel", "pause", "resume", "submit", "backup", "forget")
)

EXIT_NOT_DONE = 1
EXIT_USAGE = 2


def add_commands(commands: Commands) -> None:
    """Add the words of these commands."""
    _add_status(commands)
    _add_results(commands)
    _add_switches(commands)
    _add_submit(commands)
    _add_backup(commands)
    _add_forget(commands)
    _add_explain(commands)
    _add_reclassify(commands)


def _add(commands: Commands, name: str, help_: str, description: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help_, description=description)
    parser.add_argument(
        "--spool",
        metavar="DIR",
        default=os.environ.get(SPOOL_VARIABLE) or None,
        help=f"the daemon's spool directory (default: ${SPOOL_VARIABLE})",
    )
    return parser


def _add_json(parser: argparse.ArgumentParser, help_: str) -> None:
    parser.add_argument("--json", action="store_true", help=help_)


def _add_status(commands: Commands) -> None:
    parser = _add(
        commands,
        "status",
        "show how far the daemon is",
        "Show how far each job is, how fast the daemon is, how much longer it will take and what "
        "limits it. Exit code: 0, 1 when no daemon answers, 2 for wrong usage.",
    )
    parser.add_argument("--watch", action="store_true", help="show it again and again, until ^C")
    parser.add_argument("--rules", action="store_true", help="how often each rule has decided")
    _add_json(parser, "the daemon's own answer, in JSON, on one line")


def _add_results(commands: Commands) -> None:
    parser = _add(
        commands,
        "results",
        "show what has settled of a job so far",
        "Show the final outcomes of a job that there are so far, in the order of its lines. Exit "
        "code: 0, 1 when no daemon answers or there is no such job, 2 for wrong usage.",
    )
    parser.add_argument("name", metavar="NAME", help="the job's file name")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="go on with what settles, until the job is done",
    )
    forms.add_options(parser)


def _add_switches(commands: Commands) -> None:
    parser = _add(
        commands,
        "cancel",
        "call a job off",
        "Call a job off, for good: what is open of it is answered as it stands, and its results "
        "are written. Exit code: 0, 1 when that is not possible, 2 for wrong usage.",
    )
    parser.add_argument("name", metavar="NAME", help="the job's file name")
    _add_json(parser, "the daemon's own answer, in JSON")
    for name, help_, description in (
        (
            "pause",
            "ask nobody for a while",
            "Pause the whole daemon, or one job, site or source, until it is resumed; also over "
            "restarts. Sessions that are open go on to their end, and deadlines still count.",
        ),
        ("resume", "go on after a pause", "End the pause of the daemon, a job, site or source."),
    ):
        parser = _add(commands, name, help_, f"{description} Exit code as of cancel.")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--job", metavar="NAME", help="a job, by its file name")
        what.add_argument("--site", metavar="NAME", help="a site, by the name of an exchanger")
        what.add_argument("--source", metavar="ADDRESS", help="a source, by its address")
        _add_json(parser, "the daemon's own answer, in JSON")


def _add_submit(commands: Commands) -> None:
    parser = _add(
        commands,
        "submit",
        "drop lists into the spool",
        "Put lists into the spool, each whole or not at all; no daemon need run. Exit code: 0 "
        "when all lists are in the spool, 1 when not, 2 for wrong usage.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a list; - for standard input")
    parser.add_argument("--name", metavar="NAME", help="what to call the list in the spool")
    _add_json(parser, "a line of JSON for each list")


def _add_backup(commands: Commands) -> None:
    parser = _add(
        commands,
        "backup",
        "copy the ledger",
        "Copy the ledger as it is now to FILE, whether a daemon works on it or not. Whoever may "
        "read the ledger may copy it: the daemon's user, or root. One that is killed leaves "
        "FILE.part at most, which is no copy; the next one to FILE replaces it. Exit code: 0, 1 "
        "when there is no copy, 2 for wrong usage.",
    )
    parser.add_argument("file", metavar="FILE", help="the copy; nothing is overwritten")
    _add_json(parser, "a line of JSON")


def _add_forget(commands: Commands) -> None:
    parser = _add(
        commands,
        "forget",
        "erase an address, or a job, wherever it stands",
        "Erase an address, or all of a job, from the ledger, from lists and results in done/, and "
        "from the copies that `mailprobe backup` has made. Asks the daemon, or does it where none "
        "runs. Exit code: 0, 1 when it still stands somewhere, as the words say, or nothing could "
        "be done, 2 for wrong usage.",
    )
    parser.add_argument(
        "what", metavar="ADDRESS|JOB", help="an address, or a job's file name, which comes first"
    )
    _add_json(parser, "in JSON, on one line")


def _add_explain(commands: Commands) -> None:
    parser = _add(
        commands,
        "explain",
        "show why an address came to its verdict",
        "Show the dialogue that an outcome rests on, the rule that decided and those that nearly "
        "did, about whom the reply was, and what would change the verdict. Asks the daemon, or "
        "reads its ledger where none runs. Exit code: 0, 1 when nothing is known, 2 for wrong "
        "usage.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("what", metavar="ADDRESS|JOB:LINE", nargs="?", help="whom to explain")
    what.add_argument("--reply", metavar="TEXT", help='a bare reply, such as "550 5.1.1 Unknown"')
    parser.add_argument(
        "--stage",
        choices=("greeting", "ehlo", "starttls", "mail", "rcpt"),
        default="rcpt",
        help="with --reply: what it was said to (default: %(default)s)",
    )
    parser.add_argument("--exchanger", metavar="NAME", default="", help="with --reply: who said it")
    parser.add_argument(
        "--config", metavar="FILE", help="the configuration whose rules count, without a daemon"
    )
    _add_json(parser, "in JSON, on one line")


def _add_reclassify(commands: Commands) -> None:
    parser = _add(
        commands,
        "reclassify",
        "judge kept evidence by today's rules",
        "Judge what exchangers have said by today's rules, without asking anybody again, and show "
        "what comes out otherwise; with --apply change it in the ledger and the result files. To "
        "look needs no daemon and disturbs none; to apply, none may be running. Exit code: 0, 1 "
        "when that is not possible, 2 for wrong usage.",
    )
    parser.add_argument("name", metavar="JOB", nargs="?", help="a job's file name (default: all)")
    parser.add_argument("--apply", action="store_true", help="change what comes out otherwise")
    parser.add_argument(
        "--config", metavar="FILE", help="the configuration whose rules count (default: ours alone)"
    )
    _add_json(parser, "a line of JSON for each change, and one for each job")


def run(arguments: argparse.Namespace) -> int:
    """Run one of these commands; the exit code."""
    if arguments.spool is None:
        complain(
            arguments.command,
            f"--spool: no directory is given, and {SPOOL_VARIABLE} is not set",
        )
        return EXIT_USAGE
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return EXIT_NOT_DONE


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "submit":
        from twisted_probe.cli.submit import submit

        return submit(arguments)
    if arguments.command == "backup":
        from twisted_probe.cli.backup import backup

        return backup(arguments)
    if arguments.command == "forget":
        from twisted_probe.cli.forget import forget

        return forget(arguments)
    from twisted_probe.cli.client import Client, NoDaemon, Refused

    client = Client(arguments.spool)
    try:
        return _ask(client, arguments)
    except Refused as refused:
        if _wants_json(arguments):
            print_json(refused.answer)
        complain(arguments.command, str(refused))
    except NoDaemon as error:
        complain(arguments.command, str(error))
    return EXIT_NOT_DONE


def _wants_json(arguments: argparse.Namespace) -> bool:
    if arguments.command == "results":
        return bool(arguments.format != forms.TABLE)
    return bool(arguments.json)


def _ask(client: Client, arguments: argparse.Namespace) -> int:
    if arguments.command == "status":
        if arguments.rules:
            from twisted_probe.cli.rules import rules

            return rules(client, arguments)
        from twisted_probe.cli.status import status

        return status(client, arguments)
    if arguments.command == "results":
        from twisted_probe.cli.results import results

        return results(client, arguments)
    answer = client.switch(*_switched(arguments))
    if arguments.json:
        print_json(answer)
    else:
        print(answer["words"])
    return 0


def _switched(arguments: argparse.Namespace) -> tuple[str | bytes, ...]:
    """The path of what is to be switched."""
    if arguments.command == "cancel":
        return ("jobs", os.fsencode(arguments.name), "cancel")
    for kind in ("job", "site", "source"):
        name = getattr(arguments, kind)
        if name is not None:
            return (f"{kind}s", os.fsencode(name), arguments.command)
    return (arguments.command,)


def complain(command: str, words: str) -> None:
    """Say on standard error what went wrong."""
    print(f"mailprobe {command}: {words}", file=sys.stderr)
