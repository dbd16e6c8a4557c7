"""`mailprobe explain`: why an address came to its verdict, for people.

Knows whom to ask, the daemon or its ledger, and how the answer is shown; not what anything in it
means (`verdict.account`, docs/evidence.rst).
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from twisted_probe.cli.client import Client, NoDaemon, Refused
from twisted_probe.cli.forms import print_json
from twisted_probe.cli.remote import EXIT_NOT_DONE, EXIT_USAGE, SPOOL_VARIABLE, complain
from twisted_probe.cli.table import MARKS
from twisted_probe.daemon.config import ConfigError, read_rules, read_told
from twisted_probe.jobs.explaining import NothingKnown, explained
from twisted_probe.jobs.ledger import Ledger, LedgerError
from twisted_probe.jobs.sealing import DamagedText
from twisted_probe.jobs.spool import ledger_path
from twisted_probe.verdict.account import account_of
from twisted_probe.verdict.rules import Rules
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.hearing import Basis
from twisted_probe.vocabulary.reply import Reply, Stage

WIDTH = 80
_LABEL = 12
# A control's answer that tells nothing of the domain is not kept beside the reply.
_NO_CONTROL = "no answer yet that says anything (a 4xx says nothing, nor does a refusal of us)"
_REPLY = re.compile(r"\s*([2-5]\d\d)(?:[ -]|$)")


def explain(arguments: argparse.Namespace) -> int:
    """Explain what was asked for; the exit code."""
    try:
        rules = None
        if arguments.config is not None:
            rules = read_rules(read_told(file=arguments.config))
        if arguments.reply is not None:
            return _of_reply(arguments, rules)
        if arguments.spool is None:
            complain("explain", f"--spool: no directory is given, and {SPOOL_VARIABLE} is not set")
            return EXIT_USAGE
        answer = _found(arguments, rules)
    except ConfigError as error:
        complain("explain", str(error))
        return EXIT_USAGE
    except (NothingKnown, LedgerError, DamagedText, NoDaemon, Refused) as error:
        complain("explain", escaped(str(error)))
        return EXIT_NOT_DONE
    if arguments.json:
        print_json(answer)
    else:
        print("\n".join(lines_of(answer, _width())))
    return 0


def _of_reply(arguments: argparse.Namespace, rules: Rules | None) -> int:
    lines = arguments.reply.replace("\\n", "\n").splitlines() or [""]
    said = _REPLY.match(lines[0])
    if said is None:
        complain("explain", "--reply: it has to begin with its code, such as 550")
        return EXIT_USAGE
    texts = (line.strip().removeprefix(said[1]).lstrip(" -") for line in lines)
    reply = Reply(
        int(said[1]),
        (text.encode("utf-8", "surrogateescape") for text in texts),
        stage=Stage(arguments.stage),
    )
    account = account_of(Basis(reply=reply, exchanger=arguments.exchanger.lower()), rules)
    if arguments.json:
        print_json(account)
    else:
        print("\n".join(_account_lines(account, _width())))
    return 0


def _found(arguments: argparse.Namespace, rules: Rules | None) -> dict[str, Any]:
    """What the daemon says; where none runs, what its ledger has."""
    client = Client(arguments.spool)
    try:
        return client.explain(arguments.what)
    except NoDaemon as nobody:
        try:
            ledger = Ledger(ledger_path(arguments.spool), read_only=True)
        except LedgerError as error:
            raise NoDaemon(f"{nobody}; {error}") from None
    try:
        return explained(ledger, arguments.what, rules)
    finally:
        ledger.close()


def _width() -> int:
    out = sys.stdout
    return shutil.get_terminal_size((WIDTH, 24)).columns if out.isatty() else WIDTH


# -- what is shown


def lines_of(answer: dict[str, Any], width: int = WIDTH) -> Iterator[str]:
    """The lines that show an explanation."""
    place = f", line {answer['line']} of {answer['job']}"
    outcome = answer["outcome"]
    yield from _wrapped(answer["address"] + place, width)
    if answer["other_jobs"]:
        others = ", ".join(answer["other_jobs"])
        yield from _labelled("also in", f"{others}; this is the newest", width)
    if outcome is None:
        yield from _labelled("outcome", "none yet: it was not asked", width)
        return
    mark = MARKS[outcome["verdict"]]
    final = "" if outcome["final"] else ", not final"
    words = f"{mark} {outcome['verdict']}, {outcome['reason']}{final}"
    yield from _labelled("outcome", words, width)
    if outcome["text"]:
        yield from _labelled("text", outcome["text"], width)
    if outcome["source"]:
        yield from _labelled("asked from", f"{outcome['source']} ({outcome['helo']})", width)
    if not answer["attempts"]:
        yield from _labelled("evidence", "none was kept (no session, or evidence = false)", width)
    newest = 0
    for attempt in answer["attempts"]:
        newest = attempt["number"]
        yield ""
        yield from _attempt_lines(attempt, max(newest, outcome["attempts"]), width)
    if 0 < newest < outcome["attempts"]:
        yield ""
        words = f"No session since: the evidence is that of attempt {newest}, the last that had one"
        yield from _wrapped(words, width)


def _attempt_lines(attempt: dict[str, Any], of: int, width: int) -> Iterator[str]:
    title = f"Attempt {attempt['number']} of {of}: "
    for session in attempt["sessions"]:
        who = f"{session['exchanger']} [{session['exchanger_address']}]"
        yield from _wrapped(f"{title}{session['begun_at']}, {who}", width)
        title = "The next session: "
        for line in session["lines"]:
            yield from _wrapped(line, width, "  ", "       ")
        if session["left_out"]:
            yield f"  … {session['left_out']} lines were not kept"
        yield ""
    if attempt["account"] is None:
        yield "  no reply in this attempt was about it"
    else:
        yield from _account_lines(attempt["account"], width)


def _account_lines(account: dict[str, Any], width: int) -> Iterator[str]:
    kind = "explicit" if account["explicit"] else "vague"
    yield from _labelled("reply", f"{account['reply']} (to {account['stage']})", width)
    yield from _labelled("says", f"{account['label']}, {kind}, about the {account['about']}", width)
    yield from _rule_lines("rule", account["rule"], width)
    then = account["rule_then"]
    if then and (account["rule"] is None or account["rule"]["name"] != then):
        yield from _labelled("then", f"{then} decided when it was asked", width)
    for number, rule in enumerate(account["nearly"]):
        label = "nearly" if not number else ""
        yield from _labelled(label, f"{rule['name']}: {rule['label']}, by {rule['shown']!r}", width)
    control = account["control"]
    if control is not None:
        words = f"{control['reply']} ({control['label']}, to {control['recipient']})"
        yield from _labelled("control", words, width)
    elif account["stage"] == "rcpt":
        wanted = _NO_CONTROL if account["control_wanted"] else "not asked"
        yield from _labelled("control", wanted, width)
    witness = account["witness"]
    if witness is not None:
        yield from _labelled("witness", f"{witness['reply']} (to {witness['recipient']})", width)
    if account["held_back"]:
        yield from _labelled("held back", account["held_back"], width)
    if account["provider"] is not None:
        yield from _labelled("provider", account["provider"]["said"], width)
    verdict = f"{MARKS[account['verdict']]} {account['verdict']}, {account['reason']}"
    yield from _labelled("judged", verdict, width)
    yield from _labelled("advice", account["advice"], width)
    for number, words in enumerate(account["would_change_it"]):
        yield from _labelled("to change it" if not number else "", f"- {words}", width)


def _rule_lines(label: str, rule: dict[str, Any] | None, width: int) -> Iterator[str]:
    if rule is None:
        yield from _labelled(label, "none; the code's class alone", width)
        return
    yield from _labelled(label, f"{rule['name']}, by {rule['shown']!r}", width)
    yield from _labelled("", rule["ground"], width)


def _labelled(label: str, words: str, width: int) -> Iterator[str]:
    first = f"  {label.ljust(_LABEL)} "
    yield from _wrapped(words, width, first, " " * len(first))


def _wrapped(words: str, width: int, first: str = "", rest: str = "  ") -> list[str]:
    return textwrap.wrap(
        words, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    ) or [first.rstrip()]
